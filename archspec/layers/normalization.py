"""Normalisation of activations by their statistics, and of kernels by their norm. Axes count the batch as 0."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from archspec.layers.base import Example, Layer, Model, WeightSpec
from archspec.layers.fields import ConstraintField, InitializerField, LayerField, Positive, RegularizerField
from archspec.layers.nesting import below, check_inner, check_shape, default_name, infer_inner
from archspec.layers.objects.initializers import ONES, ZEROS
from archspec.layers.shapes import argument_clash, axis_index, known_axis
from archspec.tensor import ShapeError, TensorType

_Axes = int | tuple[int, ...]


def _tuple(axis: _Axes) -> tuple[int, ...]:
    return axis if isinstance(axis, tuple) else (axis,)


class _Normalization(Layer):
    """What the layers with a learned scale (gamma) and offset (beta) share."""

    ROLE = "normalization"

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerField = ZEROS
    gamma_initializer: InitializerField = ONES
    beta_regularizer: RegularizerField | None = None
    gamma_regularizer: RegularizerField | None = None
    beta_constraint: ConstraintField | None = None
    gamma_constraint: ConstraintField | None = None

    def _gamma_beta(self, *shape: int) -> tuple[WeightSpec, ...]:
        gamma = (self.weight("gamma", *shape),) if self.scale else ()
        return (*gamma, self.weight("beta", *shape)) if self.center else gamma


class RenormClipping(Model):
    """Bounds of the corrections of batch renormalisation: rmin ≤ r ≤ rmax, |d| ≤ dmax."""

    rmin: float | None = None
    rmax: float | None = None
    dmax: float | None = None


class BatchNormalization(_Normalization):
    """(x - mean) / sqrt(variance + epsilon) · gamma + beta, with the statistics of each channel.

    While training they are the batch's, afterwards their moving averages.

    Shape: unchanged.
    Weights: gamma (c,), beta (c,); moving_mean (c,), moving_variance (c,), not trainable; with renorm also
    moving_stddev, renorm_mean, renorm_stddev (c,), not trainable.
    MACs: 0.
    Errors: the axis must exist, not be the batch, and have a known length; the mask has all axes but the last.
    Paper: Ioffe & Szegedy 2015, arXiv:1502.03167; renorm: Ioffe 2017, arXiv:1702.03275.
    """

    EXAMPLES = (
        Example({}, ((8, None, 3),)),
        Example({"axis": 1, "momentum": 0.9, "epsilon": 1e-5}, ((8, 4, 3),)),
        Example({"center": False}, ((5,),)),
        Example({"scale": False, "dtype": "mixed_float16"}, ((5,),)),
        Example({"renorm": True, "renorm_clipping": {"rmin": 0.3, "rmax": 3.0}}, ((5,),)),
        Example({"gamma_initializer": "zeros"}, ((6, 5),), named={"mask": TensorType((6,), "bool")}),
    )

    axis: int = -1
    momentum: float = 0.99
    moving_mean_initializer: InitializerField = ZEROS
    moving_variance_initializer: InitializerField = ONES
    renorm: bool = False
    renorm_clipping: RenormClipping | None = None
    renorm_momentum: float = 0.99
    synchronized: bool = False

    @model_validator(mode="after")
    def _check_clipping(self) -> Self:
        clip = self.renorm_clipping
        if self.renorm and clip:
            if clip.rmin is not None and clip.rmax is not None and clip.rmax < clip.rmin:
                raise argument_clash(f"renorm_clipping needs rmin ≤ rmax, got {clip.rmin} and {clip.rmax}")
            if clip.dmax is not None and clip.dmax < 0:
                raise argument_clash(f"renorm_clipping needs dmax ≥ 0, got {clip.dmax}")
        return self

    def infer(self, inputs: TensorType, mask: TensorType | None = None) -> TensorType:
        known_axis("BatchNormalization", inputs, self.axis)
        check_shape("the mask of BatchNormalization", mask, inputs.shape[:-1])
        return TensorType(inputs.shape, self.output_dtype)

    def weights(self, inputs: TensorType, mask: TensorType | None = None) -> tuple[WeightSpec, ...]:
        length = known_axis("BatchNormalization", inputs, self.axis)
        renorm = ("moving_stddev", "renorm_mean", "renorm_stddev") if self.renorm else ()
        names = ("moving_mean", "moving_variance", *renorm)
        return (*self._gamma_beta(length), *(self.weight(name, length, trainable=False) for name in names))


class LayerNormalization(_Normalization):
    """(x - mean) / sqrt(variance + epsilon) · gamma + beta, with the statistics of each example along the axes.

    Shape: unchanged.
    Weights: gamma and beta, both of the lengths of the axes.
    MACs: 0.
    Errors: the axes must exist, not be the batch, and have known lengths.
    Paper: Ba et al. 2016, arXiv:1607.06450.
    """

    EXAMPLES = (
        Example({}, ((None, 6),)),
        Example({"axis": [1, 2], "epsilon": 1e-6, "center": False}, ((4, 6),)),
        Example({"axis": [-1, -2], "scale": False, "dtype": "bfloat16"}, ((3, 4, 6),)),
    )

    axis: int | tuple[int, ...] = -1

    def infer(self, inputs: TensorType) -> TensorType:
        self._lengths(inputs)
        return TensorType(inputs.shape, self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        return self._gamma_beta(*self._lengths(inputs))

    def _lengths(self, inputs: TensorType) -> tuple[int, ...]:
        return tuple(known_axis("LayerNormalization", inputs, axis) for axis in sorted(_tuple(self.axis)))


class GroupNormalization(_Normalization):
    """(x - mean) / sqrt(variance + epsilon) · gamma + beta, with the statistics of each example and group of channels.

    groups 1 normalises over all channels, groups -1 each channel by itself (instance normalisation).

    Shape: unchanged.
    Weights: gamma (c,), beta (c,).
    MACs: 0.
    Errors: the axis must exist, not be the batch, and have a known length that groups divides.
    Paper: Wu & He 2018, arXiv:1803.08494.
    """

    EXAMPLES = (
        Example({}, ((4, 4, 64),)),
        Example({"groups": 2, "axis": 1, "scale": False}, ((4, 6),)),
        Example({"groups": -1, "center": False}, ((4, None, 6),)),
    )

    groups: Positive | Literal[-1] = 32
    axis: int = -1

    def infer(self, inputs: TensorType) -> TensorType:
        channels = known_axis("GroupNormalization", inputs, self.axis)
        if self.groups > 0 and channels % self.groups:
            raise ShapeError(
                f"GroupNormalization cannot split {channels} channels into {self.groups} groups, got {inputs}",
                help="take a number of groups that divides the channels, or -1 for one group a channel",
            )
        return TensorType(inputs.shape, self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        return self._gamma_beta(known_axis("GroupNormalization", inputs, self.axis))


class UnitNormalization(Layer):
    """x over its Euclidean norm along the axes.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: the axes must exist and not be the batch.
    """

    ROLE = "normalization"
    EXAMPLES = (Example({}, ((None, 6),)), Example({"axis": [1, 2]}, ((4, 6),)))

    axis: int | tuple[int, ...] = -1

    def infer(self, inputs: TensorType) -> TensorType:
        for axis in _tuple(self.axis):
            axis_index("UnitNormalization", inputs, axis)
        return TensorType(inputs.shape, self.output_dtype)


class RMSNormalization(Layer):
    """x / sqrt(mean of x² + epsilon) · scale, with the mean of each example along the axes.

    Shape: unchanged.
    Weights: scale, of the lengths of the axes.
    MACs: 0.
    Errors: the axes must exist, not be the batch, and have known lengths.
    Paper: Zhang & Sennrich 2019, arXiv:1910.07467.
    """

    ROLE = "normalization"
    EXAMPLES = (Example({}, ((None, 6),)), Example({"axis": [1, 2], "epsilon": 1e-5, "dtype": "float16"}, ((4, 6),)))

    axis: int | tuple[int, ...] = -1
    epsilon: float = 1e-6

    def infer(self, x: TensorType) -> TensorType:
        self._lengths(x)
        return TensorType(x.shape, self.output_dtype)

    def weights(self, x: TensorType) -> tuple[WeightSpec, ...]:
        return (self.weight("scale", *self._lengths(x)),)

    def _lengths(self, x: TensorType) -> tuple[int, ...]:
        return tuple(known_axis("RMSNormalization", x, axis) for axis in sorted(_tuple(self.axis)))


class SpectralNormalization(Layer):
    """The wrapped layer with its kernel divided, while training, by an estimate of its largest singular value.

    Shape: that of the wrapped layer.
    Weights: those of the wrapped layer, and after the kernel vector_u (1, last length of the kernel), not trainable.
    MACs: those of the wrapped layer.
    Errors: the wrapped layer must have a kernel or embeddings.
    Paper: Miyato et al. 2018, arXiv:1802.05957.
    """

    ROLE = "normalization"
    EXAMPLES = (
        Example({"layer": {"Conv2D": {"filters": 4, "kernel_size": 3}}}, ((8, 8, 3),)),
        Example({"layer": {"Dense": {"units": 4, "use_bias": False}}, "power_iterations": 2}, ((None, 3),)),
        Example({"layer": {"Embedding": {"input_dim": 10, "output_dim": 4}}}, (TensorType((5,), "int32"),), values=10),
    )
    KERNELS: ClassVar[tuple[str, ...]] = ("kernel", "embeddings")

    layer: LayerField
    power_iterations: Positive = 1

    @model_validator(mode="after")
    def _check_layer(self) -> Self:
        check_inner("SpectralNormalization", self.layer)
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        output = infer_inner("SpectralNormalization", self.layer, inputs)
        if not any(w.name in self.KERNELS for w in self.layer.weights(inputs)):
            name = type(self.layer).__name__
            raise ShapeError(f"SpectralNormalization needs a layer with a kernel or embeddings, which {name} has not")
        return TensorType(output.shape, self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        inner = self.layer.weights(inputs)
        kernel = next(w for w in inner if w.name in self.KERNELS)
        vector = WeightSpec("vector_u", (1, kernel.shape[-1]), False, kernel.dtype)
        name = default_name(self.layer)
        return (*below(name, [kernel]), vector, *below(name, (w for w in inner if w is not kernel)))

    def macs(self, inputs: TensorType) -> int:
        return self.layer.macs(inputs)
