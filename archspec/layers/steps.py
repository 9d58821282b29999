"""What recurrent layers and their cells share: the step, its kernels and states, and the run over a sequence.

MACs count the products with both kernels; an unknown number of steps counts as one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from archspec.layers.base import Layer, WeightSpec
from archspec.layers.fields import ConstraintField, InitializerField, Positive, RegularizerField
from archspec.layers.nesting import below, check_shape
from archspec.layers.objects.activations import Activation as ActivationName
from archspec.layers.objects.base import Fraction
from archspec.layers.objects.initializers import GLOROT_UNIFORM, ORTHOGONAL, ZEROS
from archspec.tensor import Shape, ShapeError, TensorType, show_shape

States = tuple[TensorType, ...]


class StepRule(Layer):
    """What a layer that works step by step knows of one step."""

    def state_shapes(self, step: TensorType) -> tuple[Shape, ...]:
        """The shapes of the states, in Keras's order."""
        raise NotImplementedError

    def step_output(self, step: TensorType) -> Shape:
        raise NotImplementedError

    def step_weights(self, step: TensorType) -> tuple[WeightSpec, ...]:
        raise NotImplementedError

    def step_macs(self, step: TensorType) -> int:
        raise NotImplementedError

    def check_states(self, step: TensorType, states: States, what: str) -> None:
        """Raises ShapeError with both lists of shapes where the states are not those that the step needs."""
        expected = self.state_shapes(step)
        if len(states) != len(expected):
            found, wanted = (", ".join(map(show_shape, shapes)) for shapes in ([s.shape for s in states], expected))
            number = f"{len(expected)} state{'s' if len(expected) > 1 else ''}"
            raise ShapeError(f"{what} of {type(self).__name__} takes {number}, {wanted}, got {len(states)}: {found}")
        for index, (state, shape) in enumerate(zip(states, expected, strict=True)):
            which = f" {index + 1} of {len(expected)}" if len(expected) > 1 else ""
            check_shape(f"{what}{which} of {type(self).__name__}", state, shape)


class RecurrentKernels(StepRule):
    """The arguments of a kernel for the input, one for the state, and a bias."""

    activation: ActivationName | None = "tanh"
    use_bias: bool = True
    kernel_initializer: InitializerField = GLOROT_UNIFORM
    recurrent_initializer: InitializerField = ORTHOGONAL
    bias_initializer: InitializerField = ZEROS
    kernel_regularizer: RegularizerField | None = None
    recurrent_regularizer: RegularizerField | None = None
    bias_regularizer: RegularizerField | None = None
    kernel_constraint: ConstraintField | None = None
    recurrent_constraint: ConstraintField | None = None
    bias_constraint: ConstraintField | None = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: int | None = None


class Units(RecurrentKernels):
    """The step of a cell with units: GATES kernels side by side, STATES states of the same size."""

    ROLE = "recurrent"
    GATES: ClassVar[int]
    STATES: ClassVar[int] = 1

    units: Positive

    def state_shapes(self, step: TensorType) -> tuple[Shape, ...]:
        return ((self.units,),) * self.STATES

    def step_output(self, step: TensorType) -> Shape:
        if step.rank != 1 or step.shape[0] is None:
            raise ShapeError(f"{type(self).__name__} needs a known number of features a step, got {step}")
        return (self.units,)

    def step_weights(self, step: TensorType) -> tuple[WeightSpec, ...]:
        width = self.GATES * self.units
        kernels = (self.weight("kernel", step.size, width), self.weight("recurrent_kernel", self.units, width))
        return (*kernels, self.weight("bias", *self._bias_shape(width))) if self.use_bias else kernels

    def _bias_shape(self, width: int) -> tuple[int, ...]:
        return (width,)

    def step_macs(self, step: TensorType) -> int:
        return self.GATES * self.units * (step.size + self.units)


class SimpleRNNUnits(Units):
    GATES = 1


class GRUUnits(Units):
    GATES = 3

    recurrent_activation: ActivationName | None = "sigmoid"
    reset_after: bool = True

    def _bias_shape(self, width: int) -> tuple[int, ...]:
        return (2, width) if self.reset_after else (width,)


class LSTMUnits(Units):
    GATES = 4
    STATES = 2

    recurrent_activation: ActivationName | None = "sigmoid"
    unit_forget_bias: bool = True


class Cell(StepRule):
    """A step as a layer by itself, and as the `cell` of RNN."""

    ROLE = "recurrent"

    def infer(self, inputs: TensorType, states: tuple[TensorType, ...]) -> States:
        output = self.step_output(inputs)
        self.check_states(inputs, states, "states")
        shapes = (output, *self.state_shapes(inputs))
        return tuple(TensorType(shape, self.output_dtype) for shape in shapes)

    def weights(self, inputs: TensorType, states: tuple[TensorType, ...]) -> tuple[WeightSpec, ...]:
        return self.step_weights(inputs)

    def macs(self, inputs: TensorType, states: tuple[TensorType, ...]) -> int:
        return self.step_macs(inputs)


def _refuse_stateful(value: bool) -> bool:
    if value:
        raise PydanticCustomError(
            "refused_argument", "stateful layers need a fixed batch size, which a spec leaves out: pass initial_state"
        )
    return value


Stateful = Annotated[bool, AfterValidator(_refuse_stateful)]


class Sequences(StepRule):
    """A layer that runs a step over the first axis."""

    ROLE = "recurrent"
    STEPS: ClassVar[str] = "(steps, features)"
    STEP_RANK: ClassVar[int] = 1
    CELL: ClassVar[str]  # the name of the cell that Keras makes, below which the weights are

    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: Stateful = False

    def infer(
        self, sequences: TensorType, initial_state: tuple[TensorType, ...] | None = None, mask: TensorType | None = None
    ) -> TensorType | States:
        step = self.step(sequences)
        output = self.step_output(step)
        if initial_state is not None:
            self.check_states(step, initial_state, "initial_state")
        check_shape(f"the mask of {type(self).__name__}", mask, sequences.shape[:1])
        result = TensorType((sequences.shape[0], *output) if self.return_sequences else output, self.output_dtype)
        if not self.return_state:
            return result
        return (result, *(TensorType(shape, self.output_dtype) for shape in self.state_shapes(step)))

    def weights(
        self, sequences: TensorType, initial_state: tuple[TensorType, ...] | None = None, mask: TensorType | None = None
    ) -> tuple[WeightSpec, ...]:
        return below(self.CELL, self.step_weights(self.step(sequences)))

    def macs(
        self, sequences: TensorType, initial_state: tuple[TensorType, ...] | None = None, mask: TensorType | None = None
    ) -> int:
        return (sequences.shape[0] or 1) * self.step_macs(self.step(sequences))

    def step(self, sequences: TensorType) -> TensorType:
        """What one step takes. Raises ShapeError where the input is not a sequence of steps."""
        if sequences.rank != self.STEP_RANK + 1:
            raise ShapeError(f"{type(self).__name__} needs {self.STEPS}, got {sequences}")
        return TensorType(sequences.shape[1:], sequences.dtype)


class Unrollable(Sequences):
    unroll: bool = False

    def step(self, sequences: TensorType) -> TensorType:
        if self.unroll and sequences.shape[:1] == (None,):
            raise ShapeError(f"{type(self).__name__} with unroll needs a known number of steps, got {sequences}")
        return super().step(sequences)
