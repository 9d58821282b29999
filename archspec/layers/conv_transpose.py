"""Transposed convolutions (keras.layers.Conv*Transpose)."""

from math import prod
from typing import Self

from pydantic import model_validator

from archspec.layers.base import Example, WeightSpec
from archspec.layers.convolution import Convolution, Filters
from archspec.layers.fields import (
    ConstraintField,
    InitializerField,
    NonNegative,
    Padding,
    RegularizerField,
    Window1,
    Window2,
    Window3,
)
from archspec.layers.objects.initializers import GLOROT_UNIFORM
from archspec.layers.shapes import argument_clash, known
from archspec.tensor import TensorType

_Output1 = NonNegative | tuple[NonNegative]
_Output2 = NonNegative | tuple[NonNegative, NonNegative]
_Output3 = NonNegative | tuple[NonNegative, NonNegative, NonNegative]


class _ConvTranspose(Convolution, Filters):
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
