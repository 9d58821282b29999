"""Depthwise and separable convolutions."""

from math import prod

from archspec.layers.base import Example, WeightSpec
from archspec.layers.convolution import Convolution, Filters, positions
from archspec.layers.fields import (
    ConstraintField,
    InitializerField,
    Padding,
    Positive,
    RegularizerField,
    Window1,
    Window2,
)
from archspec.layers.objects.initializers import GLOROT_UNIFORM
from archspec.layers.shapes import known
from archspec.tensor import TensorType


class _DepthwiseConv(Convolution):
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


class _SeparableConv(Convolution, Filters):
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
        return positions(self.infer(inputs)) * between * (prod(self._axes(self.kernel_size)) + self.filters)


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
