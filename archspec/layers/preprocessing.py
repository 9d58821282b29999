"""Preparing numbers and sounds: scaling, spectrograms, and chains of layers."""

from itertools import pairwise
from math import ceil, log2
from typing import Annotated, Literal, Self

from annotated_types import Ge
from pydantic import field_validator, model_validator

from archspec.layers.base import Example, Layer, WeightSpec
from archspec.layers.fields import DataFormat, LayerField, Padding, Positive
from archspec.layers.nesting import NotEmpty, below, check_inner, default_names, infer_inner
from archspec.layers.objects.base import AboveZero, AtLeastZero, Finite
from archspec.layers.objects.initializers import Window
from archspec.layers.shapes import argument_clash, axis_index, known, known_axis, window_lengths
from archspec.tensor import Shape, ShapeError, TensorType, show_shape

Values = Finite | tuple[Finite, ...] | tuple[tuple[Finite, ...], ...]


def _shape_of(values: Values) -> Shape:
    """The shape of nested tuples of numbers. Raises PydanticCustomError where they are ragged."""
    if not isinstance(values, tuple):
        return ()
    shapes = {_shape_of(value) for value in values}
    if len(shapes) > 1:
        raise argument_clash("mean and variance must be numbers, lists of numbers, or lists of lists of one length")
    return (len(values), *next(iter(shapes), ()))


class Normalization(Layer):
    """Shifts and scales to mean 0 and variance 1, or back with invert; what it does not get it learns by adapting.

    Shape: unchanged.
    Weights: unless mean and variance are given: mean and variance, of the kept axes' lengths, and count (), all
    not trainable.
    MACs: 0.
    Errors: the kept axes must exist and be known; mean and variance must have the same shape and fit the kept axes.
    """

    ROLE = "preprocessing"
    ADAPTS = True
    EXAMPLES = (
        Example({}, ((4, 3),)),
        Example({"axis": None, "dtype": "float16"}, (TensorType((4, 3), "int32"),)),
        Example({"axis": [1, -1], "mean": [0.0, 1.0, 2.0], "variance": [1.0, 2.0, 1.0]}, ((4, 3),)),
        Example({"mean": 0.5, "variance": 2, "invert": True}, ((None, 3),)),
    )

    axis: int | tuple[int, ...] | None = -1
    mean: Values | None = None
    variance: Values | None = None
    invert: bool = False

    @model_validator(mode="after")
    def _check_moments(self) -> Self:
        if (self.mean is None) != (self.variance is None):
            raise argument_clash("mean and variance go together: give both or none")
        if self.mean is not None and self.variance is not None:
            mean, variance = _shape_of(self.mean), _shape_of(self.variance)
            if mean != variance:
                raise argument_clash(
                    f"mean and variance must have the same shape, got {show_shape(mean)} and {show_shape(variance)}"
                )
            if len(mean) > len(self._axes):
                raise argument_clash(f"mean has {len(mean)} axes of its own, but axis keeps {len(self._axes)} axes")
        return self

    @property
    def _axes(self) -> tuple[int, ...]:
        if self.axis is None:
            return ()
        return self.axis if isinstance(self.axis, tuple) else (self.axis,)

    def infer(self, inputs: TensorType) -> TensorType:
        kept = self._kept(inputs)
        if self.mean is not None:
            mean = _shape_of(self.mean)
            if any(n not in (1, length) for n, length in zip(reversed(mean), reversed(kept), strict=False)):
                raise ShapeError(
                    f"mean and variance of Normalization must fit the kept axes {show_shape(kept)} of {inputs}, "
                    f"got {show_shape(mean)}"
                )
        return TensorType(inputs.shape, self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        if self.mean is not None:
            return ()
        kept = self._kept(inputs)
        moments = tuple(self.weight(name, *kept, trainable=False) for name in ("mean", "variance"))
        return (*moments, WeightSpec("count", (), trainable=False, dtype="int64"))

    def _kept(self, inputs: TensorType) -> tuple[int, ...]:
        """The lengths of the kept axes, in the order of the input."""
        axes = sorted(self._axes, key=lambda axis: axis_index("Normalization", inputs, axis))
        return tuple(known_axis("Normalization", inputs, axis) for axis in axes)


class Rescaling(Layer):
    """scale · x + offset; a list of numbers has one for each channel.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: lists must have the length of the last axis.
    """

    ROLE = "preprocessing"
    EXAMPLES = (
        Example({"scale": 0.00392156862745098}, (TensorType((8, 8, 3), "uint8"),), values=256),
        Example({"scale": [1.0, 2.0, 0.5], "offset": -1}, ((None, 3),)),
    )

    scale: Finite | tuple[Finite, ...]
    offset: Finite | tuple[Finite, ...] = 0.0

    def infer(self, inputs: TensorType) -> TensorType:
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(value, tuple) and inputs.shape[-1:] not in ((len(value),), (None,)):
                raise ShapeError(f"{name} of Rescaling has {len(value)} numbers, which do not fit {inputs}")
        return TensorType(inputs.shape, self.output_dtype)


class Pipeline(Layer):
    """Applies layers one after the other.

    Shape: what the last layer makes.
    Weights: those of the layers, each below its layer's name (`dense`, `dense_1`).
    MACs: those of the layers.
    Errors: each layer takes and gives one tensor.
    """

    ROLE = "preprocessing"
    EXAMPLES = (
        Example({"layers": [{"Rescaling": 2.0}, {"RandomFlip": "horizontal"}]}, ((8, 8, 3),)),
        Example({"layers": [{"Dense": 3}, {"Dense": 4}]}, ((5,),)),
    )

    layers: Annotated[tuple[LayerField, ...], NotEmpty]
    dtype: None = None  # Keras gives the layers in it theirs

    @field_validator("layers")
    @classmethod
    def _check_layers(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        for layer in layers:
            check_inner("Pipeline", layer)
        return layers

    def infer(self, inputs: TensorType, mask: TensorType | None = None) -> TensorType:
        return self._tensors(inputs)[-1]

    def weights(self, inputs: TensorType, mask: TensorType | None = None) -> tuple[WeightSpec, ...]:
        rows = zip(default_names(self.layers), self.layers, self._tensors(inputs), strict=False)
        return tuple(weight for name, layer, taken in rows for weight in below(name, layer.weights(taken)))

    def macs(self, inputs: TensorType, mask: TensorType | None = None) -> int:
        return sum(layer.macs(taken) for layer, taken in zip(self.layers, self._tensors(inputs), strict=False))

    def _tensors(self, inputs: TensorType) -> list[TensorType]:
        """What the first layer takes, and what each gives."""
        tensors = [inputs]
        for layer in self.layers:
            tensors.append(infer_inner("Pipeline", layer, tensors[-1]))
        return tensors


class MelSpectrogram(Layer):
    """The power of a sound in mel-scaled bands, frame by frame, in decibels with power_to_db.

    Shape: (samples,) → (num_mel_bins, 1 + samples // sequence_stride). Keras itself declares a frame more where
    samples + 1 is a multiple of sequence_stride, and computes these.
    Weights: none.
    MACs: 0.
    Errors: one channel, of more than fft_length / 2 samples; sequence_length must not exceed fft_length.
    Paper: Stevens, Volkmann & Newman 1937, "A scale for the measurement of the psychological magnitude pitch".
    """

    ROLE = "preprocessing"
    EXAMPLES = (
        Example({}, ((16000,),)),
        Example({"fft_length": 512, "sequence_stride": 128, "sequence_length": 256, "num_mel_bins": 16}, ((1000,),)),
        Example({"power_to_db": False, "window": None, "fft_length": 8, "sequence_stride": 2}, ((None,),)),
    )

    fft_length: Positive = 2048
    sequence_stride: Positive = 512
    sequence_length: Positive | None = None
    window: Window | None = "hann"
    sampling_rate: Positive = 16000
    num_mel_bins: Positive = 128
    min_freq: AtLeastZero = 20.0
    max_freq: AboveZero | None = None
    power_to_db: bool = True
    top_db: AtLeastZero = 80.0
    mag_exp: AboveZero = 2.0
    min_power: AboveZero = 1e-10
    ref_power: Finite = 1.0

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.sequence_length and self.sequence_length > self.fft_length:
            raise argument_clash(
                f"sequence_length must not exceed fft_length, got {self.sequence_length} and {self.fft_length}"
            )
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        if inputs.rank != 1:
            raise ShapeError(f"MelSpectrogram needs (samples,), got {inputs}")
        samples = inputs.shape[0]
        if samples is not None and samples <= self.fft_length // 2:
            raise ShapeError(
                f"MelSpectrogram with fft_length {self.fft_length} needs more than {self.fft_length // 2} samples, "
                f"got {inputs}",
                help="take a smaller fft_length",
            )
        frames = None if samples is None else 1 + samples // self.sequence_stride
        return TensorType((self.num_mel_bins, frames), self.output_dtype)


class STFTSpectrogram(Layer):
    """A short-time Fourier transform, computed by convolutions whose kernels are weights, so that they can be trained.

    Shape: (samples, channels) → (frames, channels · bins), or (frames, bins, channels) with expand_dims, where bins is
    fft_length / 2 + 1, twice that in the mode stft.
    Weights: real_kernel (frame_length, 1, fft_length / 2 + 1) unless the mode is imag, imag_kernel unless it is real.
    MACs: frames · frame_length · (fft_length / 2 + 1) · channels for each kernel.
    Errors: channels must be known; the frame must fit; frame_step ≤ frame_length ≤ fft_length.
    """

    ROLE = "preprocessing"
    EXAMPLES = (
        Example({"frame_length": 20}, ((100, 1),)),
        Example({"mode": "stft", "frame_length": 20, "frame_step": 5, "expand_dims": True}, ((100, 2),)),
        Example({"mode": "real", "frame_length": 20, "fft_length": 64, "padding": "same"}, ((100, 2),)),
        Example({"mode": "imag", "frame_length": 4, "window": None, "scaling": None}, ((None, 1),)),
    )

    mode: Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"] = "log"
    frame_length: Annotated[int, Ge(2)] = 256  # Keras's default for frame_step is half of it
    frame_step: Positive | None = None
    fft_length: Positive | None = None
    window: Window | tuple[Finite, ...] | None = "hann"
    periodic: bool = False
    scaling: Literal["density", "spectrum"] | None = "density"
    padding: Padding = "valid"
    expand_dims: bool = False
    data_format: DataFormat = None

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        lengths = {"frame_step": self.frame_step, "frame_length": self.frame_length, "fft_length": self.fft_length}
        given = [(name, length) for name, length in lengths.items() if length is not None]
        for (small, a), (large, b) in pairwise(given):
            if a > b:
                raise argument_clash(f"{small} must not exceed {large}, got {a} and {b}")
        return self

    @property
    def _bins(self) -> int:
        return (self.fft_length or 2 ** ceil(log2(self.frame_length))) // 2 + 1

    def infer(self, inputs: TensorType) -> TensorType:
        if inputs.rank != 2 or inputs.shape[1] is None:
            raise ShapeError(f"STFTSpectrogram needs (samples, channels) with known channels, got {inputs}")
        bins = self._bins * (2 if self.mode == "stft" else 1)
        frames, channels = self._frames(inputs), inputs.shape[1]
        shape: Shape = (frames, bins, channels) if self.expand_dims else (frames, channels * bins)
        return TensorType(shape, self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        names = {"real": ("real_kernel",), "imag": ("imag_kernel",)}.get(self.mode, ("real_kernel", "imag_kernel"))
        return tuple(self.weight(name, self.frame_length, 1, self._bins) for name in names)

    def macs(self, inputs: TensorType) -> int:
        kernels = sum(weight.size for weight in self.weights(inputs))
        return (self._frames(inputs) or 1) * known(inputs.shape[1]) * kernels

    def _frames(self, inputs: TensorType) -> int | None:
        step = self.frame_step or self.frame_length // 2
        return window_lengths("STFTSpectrogram", inputs, (self.frame_length,), (step,), self.padding)[0]
