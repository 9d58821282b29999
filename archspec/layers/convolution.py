"""What all convolutions share."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from archspec.layers.base import Layer, WeightSpec
from archspec.layers.fields import (
    ConstraintField,
    DataFormat,
    InitializerField,
    Positive,
    RegularizerField,
)
from archspec.layers.objects.activations import Activation
from archspec.layers.objects.initializers import ZEROS
from archspec.layers.shapes import argument_clash, check_spatial, known, per_axis, window_lengths
from archspec.tensor import TensorType

AnyWindow = Positive | tuple[Positive, ...]


class Filters(Layer):
    filters: Positive


class Convolution(Layer):
    """What all convolutions share. RANK is the number of spatial axes; each says the windows of its rank anew."""

    ROLE = "convolution"
    RANK: ClassVar[int]

    kernel_size: AnyWindow
    strides: AnyWindow = 1
    padding: Literal["valid", "same", "causal"] = "valid"
    data_format: DataFormat = None
    dilation_rate: AnyWindow = 1
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


def positions(tensor: TensorType) -> int:
    return TensorType(tensor.shape[:-1]).size
