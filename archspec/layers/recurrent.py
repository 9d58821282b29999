"""Recurrent layers and their cells. A layer runs its cell over the first axis; its weights stand below the cell's."""

from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from archspec.layers.base import Example, Layer, WeightSpec
from archspec.layers.fields import LayerField, RegularizerField
from archspec.layers.nesting import NotEmpty, below, default_name, default_names
from archspec.layers.steps import Cell, GRUUnits, LSTMUnits, SimpleRNNUnits, States, Unrollable
from archspec.tensor import Shape, TensorType


class SimpleRNNCell(Cell, SimpleRNNUnits):
    """One step of a plain recurrent network: activation(x · kernel + h · recurrent_kernel + bias).

    Shape: (d,), state (units,) → (units,), state (units,).
    Weights: kernel (d, units); recurrent_kernel (units, units); bias (units,).
    MACs: units · (d + units).
    Errors: d must be known; one state of (units,).
    Paper: Elman 1990, "Finding structure in time".
    """

    EXAMPLES = (Example({"units": 3}, ((5,),), {"states": ((3,),)}),)

    def infer(self, sequence: TensorType, states: tuple[TensorType, ...]) -> States:
        return super().infer(sequence, states)

    def weights(self, sequence: TensorType, states: tuple[TensorType, ...]) -> tuple[WeightSpec, ...]:
        return self.step_weights(sequence)

    def macs(self, sequence: TensorType, states: tuple[TensorType, ...]) -> int:
        return self.step_macs(sequence)


class GRUCell(Cell, GRUUnits):
    """One step of a gated recurrent unit: an update gate, a reset gate, a candidate.

    Shape: (d,), state (units,) → (units,), state (units,).
    Weights: kernel (d, 3 · units); recurrent_kernel (units, 3 · units); bias (2, 3 · units), or (3 · units,)
    without reset_after.
    MACs: 3 · units · (d + units).
    Errors: d must be known; one state of (units,).
    Paper: Cho et al. 2014, arXiv:1406.1078.
    """

    EXAMPLES = (
        Example({"units": 3}, ((5,),), {"states": ((3,),)}),
        Example({"units": 3, "reset_after": False}, ((5,),), {"states": ((3,),)}),
    )


class LSTMCell(Cell, LSTMUnits):
    """One step of a long short-term memory: input, forget and output gates, a candidate.

    Shape: (d,), states (units,), (units,) → (units,), states (units,), (units,): the output h and the memory c.
    Weights: kernel (d, 4 · units); recurrent_kernel (units, 4 · units); bias (4 · units,).
    MACs: 4 · units · (d + units).
    Errors: d must be known; two states of (units,).
    Paper: Hochreiter & Schmidhuber 1997, "Long short-term memory".
    """

    EXAMPLES = (Example({"units": 3, "use_bias": False}, ((5,),), {"states": ((3,), (3,))}),)


def _need_cell(value: Layer) -> Layer:
    if not isinstance(value, Cell):
        known = "SimpleRNNCell, GRUCell, LSTMCell or StackedRNNCells"
        raise PydanticCustomError(
            "not_a_cell", "a cell is one of {known}, not {name}", {"known": known, "name": type(value).__name__}
        )
    return value


def _need_single(value: Layer) -> Layer:
    if isinstance(value, StackedRNNCells):
        raise PydanticCustomError("nested_stack", "a stack of cells holds single cells: list them all in one stack")
    return value


def _stack(value: Any) -> Any:
    """Keras stacks a list of cells by itself."""
    return {"StackedRNNCells": {"cells": value}} if isinstance(value, list | tuple) else value


_SingleCell = Annotated[LayerField, AfterValidator(_need_cell), AfterValidator(_need_single)]
CellField = Annotated[LayerField, BeforeValidator(_stack), AfterValidator(_need_cell)]


class StackedRNNCells(Cell):
    """Cells one on top of the other, as one cell: each takes the output of the one before.

    Shape: (d,), states of all cells → (units of the last,), states of all cells, those of the first cell first.
    Weights: those of the cells, each below its cell's name (`gru_cell`, `gru_cell_1`).
    MACs: those of the cells.
    Errors: d must be known; the states must be those of the cells.
    """

    EXAMPLES = (
        Example({"cells": [{"GRUCell": 3}, {"GRUCell": 4}]}, ((5,),), {"states": ((3,), (4,))}),
        Example({"cells": [{"LSTMCell": 3}, {"GRUCell": 2}]}, ((5,),), {"states": ((3,), (3,), (2,))}),
    )

    cells: Annotated[tuple[_SingleCell, ...], NotEmpty]

    def _steps(self, step: TensorType) -> list[tuple[Cell, TensorType]]:
        """Each cell with what it takes."""
        steps: list[tuple[Cell, TensorType]] = []
        for cell in self.cells:
            assert isinstance(cell, Cell)
            steps.append((cell, step))
            step = TensorType(cell.step_output(step), cell.output_dtype)
        return steps

    def state_shapes(self, step: TensorType) -> tuple[Shape, ...]:
        return tuple(chain.from_iterable(cell.state_shapes(taken) for cell, taken in self._steps(step)))

    def step_output(self, step: TensorType) -> Shape:
        cell, taken = self._steps(step)[-1]
        return cell.step_output(taken)

    def step_weights(self, step: TensorType) -> tuple[WeightSpec, ...]:
        names = default_names(self.cells)
        steps = zip(names, self._steps(step), strict=True)
        return tuple(chain.from_iterable(below(name, cell.step_weights(taken)) for name, (cell, taken) in steps))

    def step_macs(self, step: TensorType) -> int:
        return sum(cell.step_macs(taken) for cell, taken in self._steps(step))


class RNN(Unrollable):
    """Runs a cell, or several stacked ones, over a sequence.

    Shape: (steps, d) → (units,), or (steps, units) with return_sequences; with return_state the states follow.
    Weights: those of the cell, below its name.
    MACs: those of the cell for each step.
    Errors: d must be known; initial_state must have the states' shapes, the mask (steps,).
    """

    EXAMPLES = (
        Example({"cell": {"LSTMCell": 3}}, ((6, 5),)),
        Example(
            {"cell": [{"GRUCell": 3}, {"LSTMCell": {"units": 2}}], "return_sequences": True, "return_state": True},
            ((None, 5),),
            {"initial_state": ((3,), (2,), (2,)), "mask": TensorType((None,), "bool")},
        ),
    )

    cell: CellField
    zero_output_for_mask: bool = False

    @property
    def _cell(self) -> Cell:
        assert isinstance(self.cell, Cell)
        return self.cell

    def state_shapes(self, step: TensorType) -> tuple[Shape, ...]:
        return self._cell.state_shapes(step)

    def step_output(self, step: TensorType) -> Shape:
        return self._cell.step_output(step)

    def step_weights(self, step: TensorType) -> tuple[WeightSpec, ...]:
        return self._cell.step_weights(step)

    def step_macs(self, step: TensorType) -> int:
        return self._cell.step_macs(step)

    def weights(
        self, sequences: TensorType, initial_state: tuple[TensorType, ...] | None = None, mask: TensorType | None = None
    ) -> tuple[WeightSpec, ...]:
        return below(default_name(self._cell), self.step_weights(self.step(sequences)))


class SimpleRNN(Unrollable, SimpleRNNUnits):
    """A plain recurrent network: each output is activation(x · kernel + h · recurrent_kernel + bias).

    Shape: (steps, d) → (units,), or (steps, units) with return_sequences; with return_state the state (units,) follows.
    Weights: simple_rnn_cell/kernel (d, units), …/recurrent_kernel (units, units), …/bias (units,).
    MACs: steps · units · (d + units).
    Errors: d must be known; initial_state is one state of (units,), the mask (steps,).
    Paper: Elman 1990, "Finding structure in time".
    """

    CELL = "simple_rnn_cell"
    EXAMPLES = (
        Example({"units": 3}, ((6, 5),)),
        Example({"units": 3, "return_state": True, "use_bias": False, "unroll": True}, ((6, 5),)),
    )

    activity_regularizer: RegularizerField | None = None


class GRU(Unrollable, GRUUnits):
    """Gated recurrent units over a sequence.

    Shape: (steps, d) → (units,), or (steps, units) with return_sequences; with return_state the state (units,) follows.
    Weights: gru_cell/kernel (d, 3 · units), …/recurrent_kernel (units, 3 · units), …/bias (2, 3 · units), or
    (3 · units,) without reset_after.
    MACs: 3 · steps · units · (d + units).
    Errors: d must be known; initial_state is one state of (units,), the mask (steps,).
    Paper: Cho et al. 2014, arXiv:1406.1078.
    """

    CELL = "gru_cell"
    EXAMPLES = (
        Example({"units": 3}, ((6, 5),)),
        Example({"units": 3, "return_sequences": True, "reset_after": False}, ((None, 5),)),
        Example({"units": 3, "return_state": True}, ((6, 5),), {"initial_state": ((3,),)}),
    )

    activity_regularizer: RegularizerField | None = None
    use_cudnn: bool | Literal["auto"] = "auto"


class LSTM(Unrollable, LSTMUnits):
    """Long short-term memory over a sequence.

    Shape: (steps, d) → (units,), or (steps, units) with return_sequences; with return_state the states h and c follow,
    (units,) each.
    Weights: lstm_cell/kernel (d, 4 · units), …/recurrent_kernel (units, 4 · units), …/bias (4 · units,).
    MACs: 4 · steps · units · (d + units).
    Errors: d must be known; initial_state is two states of (units,), the mask (steps,).
    Paper: Hochreiter & Schmidhuber 1997, "Long short-term memory".
    """

    CELL = "lstm_cell"
    EXAMPLES = (
        Example({"units": 3}, ((6, 5),)),
        Example({"units": 3, "return_sequences": True, "dtype": "mixed_float16"}, ((None, 5),)),
        Example(
            {"units": 3, "return_state": True, "go_backwards": True},
            ((6, 5),),
            {"initial_state": ((3,), (3,)), "mask": TensorType((6,), "bool")},
        ),
    )

    activity_regularizer: RegularizerField | None = None
    use_cudnn: bool | Literal["auto"] = "auto"
