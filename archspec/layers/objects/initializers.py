"""Keras's initializers (keras.initializers)."""

from typing import Literal

from archspec.layers.objects.base import AboveZero, AtLeastZero, Finite, Initializer

Window = Literal[
    "barthann", "bartlett", "blackman", "blackmanharris", "bohman", "boxcar", "cosine", "exponential", "flattop",
    "hamming", "hann", "lanczos", "nuttall", "parzen", "taylor", "triang", "tukey",
]  # fmt: skip


class _Random(Initializer):
    """What all random initializers share; the same seed draws the same values each time."""

    seed: int | None = None


class _Fans(_Random):
    """Initializers that scale with a weight's fans; the axes say which axes count as inputs and outputs."""

    input_axes: tuple[int, ...] | None = None
    output_axes: tuple[int, ...] | None = None


class GlorotUniform(_Fans):
    """Uniform in ±sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010."""


class GlorotNormal(_Fans):
    """Truncated normal with variance 2 / (fan_in + fan_out). Glorot & Bengio 2010."""


class HeUniform(_Fans):
    """Uniform in ±sqrt(6 / fan_in). He et al. 2015, arXiv:1502.01852."""


class HeNormal(_Fans):
    """Truncated normal with variance 2 / fan_in. He et al. 2015, arXiv:1502.01852."""


class LecunUniform(_Fans):
    """Uniform in ±sqrt(3 / fan_in). Klambauer et al. 2017, arXiv:1706.02515."""


class LecunNormal(_Fans):
    """Truncated normal with variance 1 / fan_in. Klambauer et al. 2017, arXiv:1706.02515."""


class VarianceScaling(_Fans):
    """Variance scale / n, where n is the fan that mode names, or the mean of both."""

    scale: AboveZero = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["truncated_normal", "normal", "untruncated_normal", "uniform"] = "truncated_normal"


class RandomNormal(_Random):
    """Normal."""

    ALIASES = ("normal",)

    mean: Finite = 0.0
    stddev: AtLeastZero = 0.05


class TruncatedNormal(_Random):
    """Normal, drawn again where beyond two standard deviations."""

    mean: Finite = 0.0
    stddev: AtLeastZero = 0.05


class RandomUniform(_Random):
    """Uniform from minval (included) to maxval (excluded)."""

    ALIASES = ("uniform",)

    minval: Finite = -0.05
    maxval: Finite = 0.05


class Orthogonal(_Random):
    """Orthogonal rows or columns, times gain. Saxe et al. 2013, arXiv:1312.6120."""

    ALIASES = ("OrthogonalInitializer",)

    gain: Finite = 1.0


class Constant(Initializer):
    """All the same value."""

    value: Finite = 0.0


class Zeros(Initializer):
    """All zeros."""

    ALIASES = ("zero",)


class Ones(Initializer):
    """All ones."""

    ALIASES = ("one",)


class Identity(Initializer):
    """The identity matrix times gain; for matrices only."""

    ALIASES = ("IdentityInitializer",)

    gain: Finite = 1.0


class STFT(Initializer):
    """The real or imaginary kernel of a short-time Fourier transform; the windows are SciPy's that need no argument."""

    ALIASES = ("STFTInitializer",)

    side: Literal["real", "imag"] = "real"
    window: Window | tuple[Finite, ...] | None = "hann"
    scaling: Literal["density", "spectrum"] | None = "density"
    periodic: bool = False


GLOROT_UNIFORM = GlorotUniform()
ZEROS = Zeros()
ONES = Ones()
UNIFORM = RandomUniform()
ORTHOGONAL = Orthogonal()
