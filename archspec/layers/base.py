"""What every layer of the catalogue is: Keras's arguments as typed fields, and the rules of its shapes and costs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from archspec.tensor import Shape, TensorType

Outputs = TensorType | tuple[TensorType, ...]


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """One weight of a layer: its Keras path below the layer (`kernel`, `query/kernel`), full shape and dtype."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True
    dtype: str = "float32"

    @property
    def size(self) -> int:
        size = 1
        for length in self.shape:
            size *= length
        return size


class CallArgument:
    """Marks a field that Keras takes when the layer is called, not when it is made (`use_causal_mask`)."""


CALL = CallArgument()


@dataclass(frozen=True)
class Example:
    """A use of a layer that the tests compare with Keras: its arguments as a spec writes them, and its inputs.

    Inputs are shapes without the batch (float32) or TensorTypes, in the order of `infer`'s parameters; `named` gives
    those that are passed by name, `values` bounds integer inputs (0 ≤ value < bound).
    """

    arguments: Mapping[str, Any]
    inputs: tuple[Shape | TensorType, ...]
    named: Mapping[str, Shape | TensorType] = field(default_factory=dict)
    values: int = 2


class Model(BaseModel):
    """The base of all validated vocabulary: frozen, no unknown arguments, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Layer(Model):
    """A Keras layer: fields are its arguments by Keras's names, with Keras's defaults.

    A subclass is named as in Keras and says, all three with the same parameters, which are the tensors that Keras's
    `call` takes, by Keras's names (`*inputs` where it takes a list; a tuple-typed parameter takes several tensors):

    * `infer(x)`: the output's type, or a tuple of them. Raises ShapeError.
    * `weights(x)`: its weights in Keras's order. Default: none.
    * `macs(x)`: multiply-accumulates for one example, in convolutions, dense layers, recurrent kernels and attention
      products; nothing else counts. Default: 0. An unknown length counts as one.
    """

    ROLE: ClassVar[str] = "other"  # for drawings: see draw's palette
    EXAMPLES: ClassVar[tuple[Example, ...]] = ()
    ALIASES: ClassVar[tuple[str, ...]] = ()  # Keras's other public names of the same class
    infer: ClassVar[Callable[..., Outputs]]

    dtype: str | None = None

    def weights(self, *inputs: Any, **named: Any) -> tuple[WeightSpec, ...]:
        return ()

    def macs(self, *inputs: Any, **named: Any) -> int:
        return 0

    @property
    def output_dtype(self) -> str:
        """The dtype of a float result: the layer's own, else float32."""
        return self.dtype or "float32"


@dataclass(frozen=True, slots=True)
class TensorParameter:
    """A tensor that a layer's call takes."""

    name: str
    required: bool
    several: bool  # takes a list of tensors


@cache
def tensor_parameters(layer: type[Layer]) -> tuple[TensorParameter, ...]:
    """The tensors that the layer is called with, read from `infer`'s signature."""
    parameters = list(inspect.signature(layer.infer).parameters.values())[1:]
    return tuple(
        TensorParameter(
            p.name,
            p.default is p.empty and p.kind is not p.VAR_POSITIONAL,
            p.kind is p.VAR_POSITIONAL or "tuple" in str(p.annotation),
        )
        for p in parameters
    )


@cache
def call_fields(layer: type[Layer]) -> frozenset[str]:
    """The fields that belong to the layer's call."""
    return frozenset(name for name, info in layer.model_fields.items() if CALL in info.metadata)


@cache
def first_argument(layer: type[Model]) -> str | None:
    """The argument that a bare value stands for: the first field of the layer's own (`Dense: 10`)."""
    own = [name for name in layer.model_fields if name not in Layer.model_fields]
    return own[0] if own else None


def group_inputs(
    layer: type[Layer], parameters: tuple[str, ...], values: tuple[Any, ...]
) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments for `infer`, `weights`, `macs` (and for a Keras layer's call)

    from a node's flat inputs, `parameters[i]` being the tensor parameter that `values[i]` goes to.
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    takes_list = {p.name: p.several for p in tensor_parameters(layer)}
    for name, value in zip(parameters, values, strict=True):
        if name == "inputs" and takes_list.get(name):
            positional.append(value)
        elif takes_list.get(name):
            named.setdefault(name, [])
            named[name].append(value)
        else:
            named[name] = value
    return positional, {k: tuple(v) if isinstance(v, list) else v for k, v in named.items()}
