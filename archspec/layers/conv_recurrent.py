"""Convolutional LSTMs: recurrent layers whose kernels are convolutions. Images are channels-last."""

from math import prod
from typing import ClassVar, Self

from pydantic import model_validator

from archspec.layers.base import Example, WeightSpec
from archspec.layers.fields import (
    DataFormat,
    Padding,
    Positive,
    RegularizerField,
    Window1,
    Window2,
    Window3,
)
from archspec.layers.objects.activations import Activation as ActivationName
from archspec.layers.shapes import argument_clash, known, per_axis, window_lengths
from archspec.layers.steps import RecurrentKernels, Sequences
from archspec.tensor import Shape, ShapeError, TensorType


class _ConvLSTM(Sequences, RecurrentKernels):
    """What the convolutional LSTMs share. RANK is the number of spatial axes."""

    RANK: ClassVar[int]
    CELL = "conv_lstm_cell"

    filters: Positive
    kernel_size: Positive | tuple[Positive, ...]
    strides: Positive | tuple[Positive, ...] = 1
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Positive | tuple[Positive, ...] = 1
    recurrent_activation: ActivationName | None = "sigmoid"
    unit_forget_bias: bool = True
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

    def step_output(self, step: TensorType) -> Shape:
        name = type(self).__name__
        if None in step.shape:
            raise ShapeError(f"{name} needs known lengths in each step, got steps of {step}")
        strides, dilation = self._axes(self.strides), self._axes(self.dilation_rate)
        return (
            *window_lengths(name, step, self._axes(self.kernel_size), strides, self.padding, dilation),
            self.filters,
        )

    def state_shapes(self, step: TensorType) -> tuple[Shape, ...]:
        return (self.step_output(step),) * 2

    def step_weights(self, step: TensorType) -> tuple[WeightSpec, ...]:
        window = self._axes(self.kernel_size)
        kernels = (
            self.weight("kernel", *window, known(step.shape[-1]), 4 * self.filters),
            self.weight("recurrent_kernel", *window, self.filters, 4 * self.filters),
        )
        return (*kernels, self.weight("bias", 4 * self.filters)) if self.use_bias else kernels

    def step_macs(self, step: TensorType) -> int:
        positions = TensorType(self.step_output(step)[:-1]).size
        window = prod(self._axes(self.kernel_size))
        return positions * window * 4 * self.filters * (known(step.shape[-1]) + self.filters)


class ConvLSTM1D(_ConvLSTM):
    """A long short-term memory over rows, its kernels convolutions.

    Shape: (steps, length, channels) → (new length, filters), or (steps, new length, filters) with return_sequences;
    with return_state the states h and c follow, (new length, filters) each.
    Weights: conv_lstm_cell/kernel (k, channels, 4 · filters), …/recurrent_kernel (k, filters, 4 · filters),
    …/bias (4 · filters,).
    MACs: 4 · steps · new length · k · filters · (channels + filters).
    Errors: all but the steps must be known; the window must fit; strides and dilation_rate exclude each other.
    Paper: Shi et al. 2015, arXiv:1506.04214.
    """

    RANK = 1
    STEP_RANK = 2
    STEPS = "(steps, length, channels)"
    EXAMPLES = (
        Example({"filters": 3, "kernel_size": 3}, ((4, 8, 2),)),
        Example(
            {"filters": 3, "kernel_size": 3, "padding": "same", "dilation_rate": 2, "return_state": True},
            ((4, 8, 2),),
        ),
    )

    kernel_size: Window1
    strides: Window1 = 1
    dilation_rate: Window1 = 1


class ConvLSTM2D(_ConvLSTM):
    """A long short-term memory over images, its kernels convolutions.

    Shape: (steps, height, width, channels) → (new height, new width, filters), with the steps in front with
    return_sequences; with return_state the states h and c follow, of the shape of one output.
    Weights: conv_lstm_cell/kernel (kh, kw, channels, 4 · filters), …/recurrent_kernel (kh, kw, filters, 4 · filters),
    …/bias (4 · filters,).
    MACs: 4 · steps · new height · new width · kh · kw · filters · (channels + filters).
    Errors: all but the steps must be known; the window must fit; strides and dilation_rate exclude each other.
    Paper: Shi et al. 2015, arXiv:1506.04214.
    """

    RANK = 2
    STEP_RANK = 3
    STEPS = "(steps, height, width, channels)"
    EXAMPLES = (
        Example({"filters": 3, "kernel_size": [3, 2], "strides": [2, 1], "return_sequences": True}, ((4, 8, 7, 2),)),
        Example(
            {"filters": 3, "kernel_size": 3, "padding": "same", "use_bias": False},
            ((None, 6, 6, 2),),
            {"initial_state": ((6, 6, 3), (6, 6, 3)), "mask": TensorType((None,), "bool")},
        ),
    )

    kernel_size: Window2
    strides: Window2 = 1
    dilation_rate: Window2 = 1


class ConvLSTM3D(_ConvLSTM):
    """A long short-term memory over volumes, its kernels convolutions.

    Shape: (steps, depth, height, width, channels) → (new depth, new height, new width, filters), with the steps in
    front with return_sequences; with return_state the states h and c follow, of the shape of one output.
    Weights: conv_lstm_cell/kernel (kd, kh, kw, channels, 4 · filters), …/recurrent_kernel (kd, kh, kw, filters,
    4 · filters), …/bias (4 · filters,).
    MACs: 4 · steps · new depth · new height · new width · kd · kh · kw · filters · (channels + filters).
    Errors: all but the steps must be known; the window must fit; strides and dilation_rate exclude each other.
    Paper: Shi et al. 2015, arXiv:1506.04214.
    """

    RANK = 3
    STEP_RANK = 4
    STEPS = "(steps, depth, height, width, channels)"
    EXAMPLES = (Example({"filters": 2, "kernel_size": 2, "return_state": True}, ((2, 4, 4, 4, 1),)),)

    kernel_size: Window3
    strides: Window3 = 1
    dilation_rate: Window3 = 1
