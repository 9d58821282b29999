"""Convolutions: plain, transposed, depthwise, separable. Images are channels-last."""

from math import prod
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from archspec.layers.base import Example, Layer, WeightSpec
from archspec.layers.fields import (
    ConstraintField,
    DataFormat,
    InitializerField,
    NonNegative,
    Padding,
    Positive,
    RegularizerField,
    Window1,
    Window2,
    Window3,
)
from archspec.layers.objects.activations import Activation
from archspec.layers.objects.initializers import GLOROT_UNIFORM, ZEROS
from archspec.layers.shapes import argument_clash, check_spatial, known, per_axis, window_lengths
from archspec.tensor import ShapeError, TensorType

_Window = Positive | tuple[Positive, ...]
_Output1 = NonNegative | tuple[NonNegative]
_Output2 = NonNegative | tuple[NonNegative, NonNegative]
_Output3 = NonNegative | tuple[NonNegative, NonNegative, NonNegative]


class _Filters(Layer):
    filters: Positive


class _Convolution(Layer):
    """What all convolutions share. RANK is the number of spatial axes; each says the windows of its rank anew."""

    ROLE = "convolution"
    RANK: ClassVar[int]

    kernel_size: _Window
    strides: _Window = 1
    padding: Literal["valid", "same", "causal"] = "valid"
    data_format: DataFormat = None
    dilation_rate: _Window = 1
    activation: Activation | None = None
    use_bias: bool = True
    bias_initializer: InitializerField = ZEROS
    bias_regularizer: RegularizerField | None = None
    bias_constraint: ConstraintField | None = None
    activity_regularizer: RegularizerField | None = None

    @model_validator(mode="after")
    def _check_strides(self) -> Self:
        if max(self._axes(self.strides)) > 1 and max(self._axes(self.dilation_rate)) > 1:
            raise argument_clash(
                f"strides and dilation_rate cannot both be greater than 1, got {self.strides} and {self.dilation_rate}"
            )
        return self

    def _axes(self, window: int | tuple[int, ...]) -> tuple[int, ...]:
        return per_axis(window, self.RANK)

    def _check(self, inputs: TensorType) -> int:
        """The number of input channels, where the input has the right rank."""
        check_spatial(type(self).__name__, inputs, self.RANK, channels=True)
        return known(inputs.shape[-1])

    def _slide(self, inputs: TensorType, channels: int) -> TensorType:
        """What comes of sliding the kernel over the input."""
        windows = self._axes(self.kernel_size), self._axes(self.strides), self.padding, self._axes(self.dilation_rate)
        return TensorType((*window_lengths(type(self).__name__, inputs, *windows), channels), self.output_dtype)

    def _bias(self, channels: int) -> tuple[WeightSpec, ...]:
        return (self.weight("bias", channels),) if self.use_bias else ()


def _positions(tensor: TensorType) -> int:
    return TensorType(tensor.shape[:-1]).size


class _Conv(_Convolution, _Filters):
    groups: Positive = 1
    kernel_initializer: InitializerField = GLOROT_UNIFORM
    kernel_regularizer: RegularizerField | None = None
    kernel_constraint: ConstraintField | None = None

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if self.filters % self.groups:
            raise argument_clash(f"filters must be a multiple of groups, got {self.filters} and {self.groups}")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        channels = self._check(inputs)
        if channels % self.groups:
            raise ShapeError(
                f"{type(self).__name__} cannot split {channels} channels into {self.groups} groups, got {inputs}",
                help="take a number of groups that divides the input's channels",
            )
        return self._slide(inputs, self.filters)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        kernel = (*self._axes(self.kernel_size), known(inputs.shape[-1]) // self.groups, self.filters)
        return (self.weight("kernel", *kernel), *self._bias(self.filters))

    def macs(self, inputs: TensorType) -> int:
        kernel = prod(self._axes(self.kernel_size)) * known(inputs.shape[-1]) // self.groups * self.filters
        return _positions(self._slide(inputs, self.filters)) * kernel


class Conv1D(_Conv):
    """Convolution of a sequence: activation(kernel ∗ x + bias). Causal padding lets no step see a later one.

    Shape: (steps, c) → (steps', filters): same and causal ⌈steps / stride⌉, valid ⌊(steps - span) / stride⌋ + 1,
    where span = (kernel_size - 1) · dilation_rate + 1.
    Weights: kernel (kernel_size, c / groups, filters); bias (filters,).
    MACs: steps' · kernel_size · c / groups · filters.
    Errors: another rank; unknown channels, or not divisible by groups; a valid window larger than the input;
    filters not divisible by groups; strides and dilation_rate both above 1.
    Paper: LeCun et al. 1989, "Generalization and network design strategies"; causal: van den Oord et al. 2016,
    arXiv:1609.03499.
    """

    RANK = 1
    ALIASES = ("Convolution1D",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((10, 2),)),
        Example({"filters": 4, "kernel_size": [3], "strides": 2, "padding": "same"}, ((None, 2),)),
        Example({"filters": 4, "kernel_size": 3, "dilation_rate": 4, "padding": "causal"}, ((10, 2),)),
        Example({"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False, "dtype": "mixed_float16"}, ((9, 6),)),
    )

    kernel_size: Window1
    strides: Window1 = 1
    dilation_rate: Window1 = 1


class Conv2D(_Conv):
    """Convolution of an image: activation(kernel ∗ x + bias).

    Shape: (h, w, c) → (h', w', filters): same ⌈h / stride⌉, valid ⌊(h - span) / stride⌋ + 1,
    where span = (kernel_size - 1) · dilation_rate + 1.
    Weights: kernel (kh, kw, c / groups, filters); bias (filters,).
    MACs: h' · w' · kh · kw · c / groups · filters.
    Errors: another rank; unknown channels, or not divisible by groups; a valid window larger than the input;
    filters not divisible by groups; strides and dilation_rate both above 1.
    Paper: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition".
    """

    RANK = 2
    ALIASES = ("Convolution2D",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((8, 9, 3),)),
        Example({"filters": 4, "kernel_size": [3, 5], "strides": [2, 3], "padding": "same"}, ((8, 9, 3),)),
        Example({"filters": 4, "kernel_size": 3, "strides": 2, "use_bias": False}, ((None, 9, 3),)),
        Example({"filters": 4, "kernel_size": 3, "dilation_rate": [2, 1], "activation": "relu"}, ((8, 9, 3),)),
        Example({"filters": 6, "kernel_size": 1, "groups": 3, "kernel_initializer": "zeros"}, ((8, 9, 9),)),
    )

    kernel_size: Window2
    strides: Window2 = (1, 1)
    padding: Padding = "valid"
    dilation_rate: Window2 = (1, 1)


class Conv3D(_Conv):
    """Convolution of a volume or a film: activation(kernel ∗ x + bias).

    Shape: (d, h, w, c) → (d', h', w', filters): same ⌈d / stride⌉, valid ⌊(d - span) / stride⌋ + 1,
    where span = (kernel_size - 1) · dilation_rate + 1.
    Weights: kernel (kd, kh, kw, c / groups, filters); bias (filters,).
    MACs: d' · h' · w' · kd · kh · kw · c / groups · filters.
    Errors: another rank; unknown channels, or not divisible by groups; a valid window larger than the input;
    filters not divisible by groups; strides and dilation_rate both above 1.
    Paper: Tran et al. 2014, arXiv:1412.0767.
    """

    RANK = 3
    ALIASES = ("Convolution3D",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((5, 6, 7, 2),)),
        Example(
            {"filters": 4, "kernel_size": [1, 2, 3], "strides": [1, 2, 2], "padding": "same", "groups": 2},
            ((None, 6, 7, 2),),
        ),
    )

    kernel_size: Window3
    strides: Window3 = (1, 1, 1)
    padding: Padding = "valid"
    dilation_rate: Window3 = (1, 1, 1)


class _ConvTranspose(_Convolution, _Filters):
    padding: Padding = "valid"
    output_padding: NonNegative | tuple[NonNegative, ...] | None = None
    kernel_initializer: InitializerField = GLOROT_UNIFORM
    kernel_regularizer: RegularizerField | None = None
    kernel_constraint: ConstraintField | None = None

    @model_validator(mode="after")
    def _check_output_padding(self) -> Self:
        more, strides = self.output_padding, self._axes(self.strides)
        if more is not None and any(a >= b for a, b in zip(self._axes(more), strides, strict=True)):
            raise argument_clash(f"output_padding must be smaller than strides, got {more} and {self.strides}")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        self._check(inputs)
        more = (None,) * self.RANK if self.output_padding is None else self._axes(self.output_padding)
        axes = zip(
            inputs.shape,
            self._axes(self.kernel_size),
            self._axes(self.strides),
            self._axes(self.dilation_rate),
            more,
            strict=False,
        )
        lengths = (None if n is None else self._length(n, (k - 1) * d + 1, s, m) for n, k, s, d, m in axes)
        return TensorType((*lengths, self.filters), self.output_dtype)

    def _length(self, length: int, span: int, stride: int, more: int | None) -> int:
        if self.padding == "same":
            return length * stride if more is None else (length - 1) * stride + span % 2 + more
        return (length - 1) * stride + (max(span, stride) if more is None else span + more)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        kernel = (*self._axes(self.kernel_size), self.filters, known(inputs.shape[-1]))
        return (self.weight("kernel", *kernel), *self._bias(self.filters))

    def macs(self, inputs: TensorType) -> int:
        return inputs.size * prod(self._axes(self.kernel_size)) * self.filters


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution of a sequence: each step of the input adds a scaled kernel to the output.

    Shape: (steps, c) → (steps', filters): same steps · stride, valid (steps - 1) · stride + max(span, stride),
    where span = (kernel_size - 1) · dilation_rate + 1; output_padding p gives (steps - 1) · stride + span + p,
    with same padding (steps - 1) · stride + span mod 2 + p.
    Weights: kernel (kernel_size, filters, c); bias (filters,).
    MACs: steps · kernel_size · c · filters.
    Errors: another rank; unknown channels; output_padding not below strides; strides and dilation_rate both above 1.
    Paper: Zeiler et al. 2010, "Deconvolutional networks".
    """

    RANK = 1
    ALIASES = ("Convolution1DTranspose",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((10, 2),)),
        Example({"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, ((None, 2),)),
        Example({"filters": 4, "kernel_size": 2, "strides": 3, "output_padding": 1, "use_bias": False}, ((5, 2),)),
    )

    kernel_size: Window1
    strides: Window1 = 1
    dilation_rate: Window1 = 1
    output_padding: _Output1 | None = None


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution of an image: each pixel of the input adds a scaled kernel to the output.

    Shape: (h, w, c) → (h', w', filters): same h · stride, valid (h - 1) · stride + max(span, stride),
    where span = (kernel_size - 1) · dilation_rate + 1; output_padding p gives (h - 1) · stride + span + p,
    with same padding (h - 1) · stride + span mod 2 + p.
    Weights: kernel (kh, kw, filters, c); bias (filters,).
    MACs: h · w · kh · kw · c · filters.
    Errors: another rank; unknown channels; output_padding not below strides; strides and dilation_rate both above 1.
    Paper: Zeiler et al. 2010, "Deconvolutional networks".
    """

    RANK = 2
    ALIASES = ("Convolution2DTranspose",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((5, 6, 2),)),
        Example({"filters": 4, "kernel_size": [2, 4], "strides": 2, "padding": "same"}, ((5, None, 2),)),
        Example({"filters": 4, "kernel_size": 2, "strides": [3, 2], "use_bias": False}, ((5, 6, 2),)),
        Example({"filters": 4, "kernel_size": 5, "strides": 2, "padding": "same", "output_padding": 1}, ((5, 6, 2),)),
        Example({"filters": 4, "kernel_size": 3, "strides": 3, "output_padding": [0, 2]}, ((5, 6, 2),)),
        Example({"filters": 4, "kernel_size": 3, "dilation_rate": [1, 2]}, ((5, 6, 2),)),
    )

    kernel_size: Window2
    strides: Window2 = (1, 1)
    dilation_rate: Window2 = (1, 1)
    output_padding: _Output2 | None = None


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution of a volume: each voxel of the input adds a scaled kernel to the output.

    Shape: (d, h, w, c) → (d', h', w', filters): same d · stride, valid (d - 1) · stride + max(span, stride),
    where span = (kernel_size - 1) · dilation_rate + 1; output_padding p gives (d - 1) · stride + span + p,
    with same padding (d - 1) · stride + span mod 2 + p.
    Weights: kernel (kd, kh, kw, filters, c); bias (filters,).
    MACs: d · h · w · kd · kh · kw · c · filters.
    Errors: another rank; unknown channels; output_padding not below strides; strides and dilation_rate both above 1.
    Paper: Zeiler et al. 2010, "Deconvolutional networks".
    """

    RANK = 3
    ALIASES = ("Convolution3DTranspose",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((3, 4, 5, 2),)),
        Example({"filters": 4, "kernel_size": [1, 2, 3], "strides": 2, "padding": "same"}, ((3, 4, None, 2),)),
        Example({"filters": 4, "kernel_size": 2, "strides": 2, "output_padding": [0, 1, 1]}, ((3, 4, 5, 2),)),
    )

    kernel_size: Window3
    strides: Window3 = (1, 1, 1)
    dilation_rate: Window3 = (1, 1, 1)
    output_padding: _Output3 | None = None


class _DepthwiseConv(_Convolution):
    padding: Padding = "valid"
    depth_multiplier: Positive = 1
    depthwise_initializer: InitializerField = GLOROT_UNIFORM
    depthwise_regularizer: RegularizerField | None = None
    depthwise_constraint: ConstraintField | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        return self._slide(inputs, self._check(inputs) * self.depth_multiplier)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        channels = known(inputs.shape[-1])
        kernel = (*self._axes(self.kernel_size), channels, self.depth_multiplier)
        return (self.weight("kernel", *kernel), *self._bias(channels * self.depth_multiplier))

    def macs(self, inputs: TensorType) -> int:
        return self.infer(inputs).size * prod(self._axes(self.kernel_size))


class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of each channel of a sequence by itself, with depth_multiplier kernels each.

    Shape: (steps, c) → (steps', c · depth_multiplier), steps' as in Conv1D.
    Weights: kernel (kernel_size, c, depth_multiplier); bias (c · depth_multiplier,).
    MACs: steps' · kernel_size · c · depth_multiplier.
    Errors: another rank; unknown channels; a valid window larger than the input; strides and dilation_rate
    both above 1.
    Paper: Sifre 2014, "Rigid-motion scattering for image classification".
    """

    RANK = 1
    EXAMPLES = (
        Example({"kernel_size": 3}, ((10, 2),)),
        Example({"kernel_size": 3, "strides": 2, "depth_multiplier": 3, "padding": "same"}, ((None, 2),)),
    )

    kernel_size: Window1
    strides: Window1 = 1
    dilation_rate: Window1 = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of each channel of an image by itself, with depth_multiplier kernels each.

    Shape: (h, w, c) → (h', w', c · depth_multiplier), h' and w' as in Conv2D.
    Weights: kernel (kh, kw, c, depth_multiplier); bias (c · depth_multiplier,).
    MACs: h' · w' · kh · kw · c · depth_multiplier.
    Errors: another rank; unknown channels; a valid window larger than the input; strides and dilation_rate
    both above 1.
    Paper: Sifre 2014, "Rigid-motion scattering for image classification"; Howard et al. 2017, arXiv:1704.04861.
    """

    RANK = 2
    EXAMPLES = (
        Example({"kernel_size": 3}, ((8, 9, 3),)),
        Example({"kernel_size": [3, 5], "strides": 2, "padding": "same", "use_bias": False}, ((8, None, 3),)),
        Example({"kernel_size": 3, "depth_multiplier": 2, "dilation_rate": 2, "activation": "relu6"}, ((8, 9, 3),)),
    )

    kernel_size: Window2
    strides: Window2 = (1, 1)
    dilation_rate: Window2 = (1, 1)


class _SeparableConv(_Convolution, _Filters):
    padding: Padding = "valid"
    depth_multiplier: Positive = 1
    depthwise_initializer: InitializerField = GLOROT_UNIFORM
    pointwise_initializer: InitializerField = GLOROT_UNIFORM
    depthwise_regularizer: RegularizerField | None = None
    pointwise_regularizer: RegularizerField | None = None
    depthwise_constraint: ConstraintField | None = None
    pointwise_constraint: ConstraintField | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        self._check(inputs)
        return self._slide(inputs, self.filters)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        channels = known(inputs.shape[-1])
        kernel = (*self._axes(self.kernel_size), channels, self.depth_multiplier)
        return (
            self.weight("depthwise_kernel", *kernel),
            self.weight("pointwise_kernel", *(1,) * self.RANK, channels * self.depth_multiplier, self.filters),
            *self._bias(self.filters),
        )

    def macs(self, inputs: TensorType) -> int:
        between = known(inputs.shape[-1]) * self.depth_multiplier
        return _positions(self.infer(inputs)) * between * (prod(self._axes(self.kernel_size)) + self.filters)


class SeparableConv1D(_SeparableConv):
    """A depthwise convolution of a sequence, then a 1-wide one that mixes the channels.

    Shape: (steps, c) → (steps', filters), steps' as in Conv1D.
    Weights: depthwise_kernel (kernel_size, c, m), pointwise_kernel (1, c · m, filters) with m = depth_multiplier;
    bias (filters,).
    MACs: steps' · c · m · (kernel_size + filters).
    Errors: another rank; unknown channels; a valid window larger than the input; strides and dilation_rate
    both above 1.
    Paper: Chollet 2016, arXiv:1610.02357.
    """

    RANK = 1
    ALIASES = ("SeparableConvolution1D",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((10, 2),)),
        Example({"filters": 4, "kernel_size": 3, "strides": 2, "depth_multiplier": 3, "padding": "same"}, ((None, 2),)),
    )

    kernel_size: Window1
    strides: Window1 = 1
    dilation_rate: Window1 = 1


class SeparableConv2D(_SeparableConv):
    """A depthwise convolution of an image, then a 1×1 one that mixes the channels.

    Shape: (h, w, c) → (h', w', filters), h' and w' as in Conv2D.
    Weights: depthwise_kernel (kh, kw, c, m), pointwise_kernel (1, 1, c · m, filters) with m = depth_multiplier;
    bias (filters,).
    MACs: h' · w' · c · m · (kh · kw + filters).
    Errors: another rank; unknown channels; a valid window larger than the input; strides and dilation_rate
    both above 1.
    Paper: Chollet 2016, arXiv:1610.02357.
    """

    RANK = 2
    ALIASES = ("SeparableConvolution2D",)
    EXAMPLES = (
        Example({"filters": 4, "kernel_size": 3}, ((8, 9, 3),)),
        Example({"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2, "use_bias": False}, ((8, None, 3),)),
        Example({"filters": 4, "kernel_size": 3, "depth_multiplier": 2, "dilation_rate": 2}, ((8, 9, 3),)),
    )

    kernel_size: Window2
    strides: Window2 = (1, 1)
    dilation_rate: Window2 = (1, 1)
