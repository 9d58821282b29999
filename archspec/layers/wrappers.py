"""Layers that apply another layer: forwards and backwards, or to each step."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, field_validator, model_validator
from pydantic_core import PydanticCustomError

from archspec.layers.base import Example, Layer, WeightSpec
from archspec.layers.fields import LayerField
from archspec.layers.nesting import below, check_inner, check_shape, default_name, infer_inner
from archspec.layers.shapes import argument_clash
from archspec.layers.steps import Sequences, States
from archspec.tensor import Shape, ShapeError, TensorType


def _need_sequences(layer: Layer) -> Layer:
    if not isinstance(layer, Sequences):
        raise PydanticCustomError(
            "not_recurrent",
            "Bidirectional needs RNN, SimpleRNN, GRU, LSTM or a ConvLSTM, not {name}",
            {"name": type(layer).__name__},
        )
    return layer


_SequencesField = Annotated[LayerField, AfterValidator(_need_sequences)]


class Bidirectional(Layer):
    """Runs a recurrent layer over a sequence from both ends; backward_layer may be another one than layer.

    Keras's argument `weights`, arrays to begin with, is not among its arguments.

    Shape: that of the layer, the last axis doubled where merge_mode is concat; with merge_mode null the outputs of
    both directions one after the other. With return_state the states follow, the forward ones first.
    Weights: those of both layers, below forward_NAME and backward_NAME.
    MACs: those of both layers.
    Errors: initial_state takes the states of the forward layer, then those of the backward one; merge modes other
    than concat and null need outputs of the same shape.
    Paper: Schuster & Paliwal 1997, "Bidirectional recurrent neural networks".
    """

    ROLE = "recurrent"
    EXAMPLES = (
        Example({"layer": {"LSTM": 3}}, ((6, 5),)),
        Example(
            {"layer": {"LSTM": {"units": 3, "return_sequences": True, "return_state": True}}, "merge_mode": "sum"},
            ((None, 5),),
            {"mask": TensorType((None,), "bool")},
        ),
        Example({"layer": {"GRU": 3}, "merge_mode": None}, ((6, 5),), {"initial_state": ((3,), (3,))}),
        Example(
            {"layer": {"RNN": {"cell": [{"LSTMCell": 3}, {"GRUCell": 2}]}}, "merge_mode": "ave"},
            ((6, 5),),
            {"initial_state": ((3,), (3,), (2,), (3,), (3,), (2,))},
        ),
        Example(
            {"layer": {"GRU": 3}, "backward_layer": {"LSTM": {"units": 3, "go_backwards": True}}, "merge_mode": "mul"},
            ((6, 5),),
        ),
        Example({"layer": {"ConvLSTM1D": {"filters": 3, "kernel_size": 3}}}, ((4, 8, 2),)),
    )

    layer: _SequencesField
    merge_mode: Literal["sum", "mul", "concat", "ave"] | None = "concat"
    backward_layer: _SequencesField | None = None

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        forward, backward = self._directions
        if forward.go_backwards == backward.go_backwards:
            raise argument_clash(
                "one direction of Bidirectional must have go_backwards: true, the other not"
                if self.backward_layer
                else "Bidirectional reverses its layer by itself, which cannot have go_backwards: true"
            )
        for name in ("return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise argument_clash(f"both layers of Bidirectional must have the same {name}")
        return self

    @property
    def _directions(self) -> tuple[Sequences, Sequences]:
        backward = self.backward_layer or self.layer.model_copy(update={"go_backwards": True})
        assert isinstance(self.layer, Sequences) and isinstance(backward, Sequences)
        return self.layer, backward

    def infer(
        self, sequences: TensorType, initial_state: tuple[TensorType, ...] | None = None, mask: TensorType | None = None
    ) -> TensorType | States:
        layers = self._directions
        states = self._split(sequences, initial_state)
        outputs = [layer.infer(sequences, s, mask) for layer, s in zip(layers, states, strict=True)]
        forward, backward = (o if isinstance(o, tuple) else (o,) for o in outputs)
        merged = self._merge(forward[0], backward[0])
        result = (*merged, *self._cast(*forward[1:], *backward[1:]))
        return result[0] if len(result) == 1 else result

    def _merge(self, forward: TensorType, backward: TensorType) -> States:
        if self.merge_mode is None:
            return self._cast(forward, backward)
        if self.merge_mode == "concat" and forward.shape[:-1] == backward.shape[:-1]:
            shape: Shape = (*forward.shape[:-1], (forward.shape[-1] or 0) + (backward.shape[-1] or 0))
        elif forward.shape == backward.shape:
            shape = forward.shape
        else:
            raise ShapeError(
                f"Bidirectional cannot merge {forward} and {backward} by {self.merge_mode}",
                help="give both directions the same number of units, or merge_mode: concat",
            )
        return (TensorType(shape, self.output_dtype),)

    def _cast(self, *tensors: TensorType) -> States:
        return tuple(TensorType(tensor.shape, self.output_dtype) for tensor in tensors)

    def weights(
        self, sequences: TensorType, initial_state: tuple[TensorType, ...] | None = None, mask: TensorType | None = None
    ) -> tuple[WeightSpec, ...]:
        forward, backward = self._directions
        names = (f"forward_{default_name(forward)}", f"backward_{default_name(backward)}")
        if self.backward_layer:
            names = (names[0], default_name(backward))
        return (*below(names[0], forward.weights(sequences)), *below(names[1], backward.weights(sequences)))

    def macs(
        self, sequences: TensorType, initial_state: tuple[TensorType, ...] | None = None, mask: TensorType | None = None
    ) -> int:
        return sum(layer.macs(sequences) for layer in self._directions)

    def _split(self, sequences: TensorType, states: States | None) -> tuple[States | None, States | None]:
        """The states of each direction: Keras gives each half of them. Raises ShapeError."""
        if states is None:
            return None, None
        forward, backward = (len(layer.state_shapes(layer.step(sequences))) for layer in self._directions)
        if forward != backward:
            raise ShapeError(
                f"Bidirectional takes no initial_state where its directions have {forward} and {backward} states"
            )
        if len(states) != forward + backward:
            raise ShapeError(
                f"initial_state of Bidirectional takes {forward + backward} states, the forward layer's first, "
                f"got {len(states)}: {', '.join(map(str, states))}"
            )
        return states[:forward], states[forward:]


class TimeDistributed(Layer):
    """Applies a layer to each step, with the same weights.

    Shape: (steps, …) → (steps, …): what the layer makes of a step.
    Weights: those of the layer for one step, below its name.
    MACs: steps times those of the layer.
    Errors: there must be an axis after the steps; the layer takes and gives one tensor; a mask begins with (steps,).
    """

    EXAMPLES = (
        Example({"layer": {"Dense": 4}}, ((6, 5),), {"mask": TensorType((6,), "bool")}),
        Example({"layer": {"LSTM": 3}}, ((6, 4, 5),)),
        Example({"layer": {"TimeDistributed": {"layer": {"Bidirectional": {"layer": {"GRU": 3}}}}}}, ((2, 3, 4, 5),)),
        Example({"layer": {"ConvLSTM1D": {"filters": 3, "kernel_size": 3}}}, ((None, 4, 8, 2),)),
    )

    layer: LayerField

    @field_validator("layer")
    @classmethod
    def _check_layer(cls, layer: Layer) -> Layer:
        check_inner("TimeDistributed", layer)
        return layer

    def infer(self, inputs: TensorType, mask: TensorType | None = None) -> TensorType:
        if mask is not None:
            check_shape("the mask of TimeDistributed", TensorType(mask.shape[:1]), inputs.shape[:1])
        output = infer_inner("TimeDistributed", self.layer, self._step(inputs))
        return TensorType((inputs.shape[0], *output.shape), self.output_dtype)

    def weights(self, inputs: TensorType, mask: TensorType | None = None) -> tuple[WeightSpec, ...]:
        return below(default_name(self.layer), self.layer.weights(self._step(inputs)))

    def macs(self, inputs: TensorType, mask: TensorType | None = None) -> int:
        return (inputs.shape[0] or 1) * self.layer.macs(self._step(inputs))

    def _step(self, inputs: TensorType) -> TensorType:
        if inputs.rank < 2:
            raise ShapeError(f"TimeDistributed needs (steps, …) with an axis after the steps, got {inputs}")
        return TensorType(inputs.shape[1:], inputs.dtype)
