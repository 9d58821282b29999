"""Convolutions (keras.layers.Conv*)."""

from math import prod
from typing import Self

from pydantic import model_validator

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
    Window3,
)
from archspec.layers.objects.initializers import GLOROT_UNIFORM
from archspec.layers.shapes import argument_clash, known
from archspec.tensor import ShapeError, TensorType


class _Conv(Convolution, Filters):
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
        return positions(self._slide(inputs, self.filters)) * kernel


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
