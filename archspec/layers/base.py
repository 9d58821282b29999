"""What every layer of the catalogue is: Keras's arguments as typed fields, and the rules of its shapes and costs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from archspec.tensor import Shape, TensorType

Outputs = TensorType | tuple[TensorType, ...]
TensorDType = Literal[
    "float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "bool", "string", "complex64", "complex128",
]  # fmt: skip
DType = TensorDType | Literal["mixed_float16", "mixed_bfloat16"]
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


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
    those that are passed by name (a tuple of them where the parameter takes several tensors), `values` bounds integer
    inputs (0 ≤ value < bound).
    """

    arguments: Mapping[str, Any]
    inputs: tuple[Shape | TensorType, ...]
    named: Mapping[str, Shape | TensorType | tuple[Shape | TensorType, ...]] = field(default_factory=dict)
    values: int = 2


class Model(BaseModel):
    """The base of all validated vocabulary: frozen, no unknown arguments, no silent conversion.

    A spec's lists become tuples, nested ones too, so fields that take several values are tuples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _freeze_lists(cls, data: Any) -> Any:
        return {key: _freeze(value) for key, value in data.items()} if isinstance(data, Mapping) else data


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list | tuple) else value


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
    ADAPTS: ClassVar[bool] = False  # has Keras's `adapt`, which learns from the training data before the training
    OWN: ClassVar[bool] = False  # not among Keras's layers: the one of this name stands in archspec.build.layers
    FIRST: ClassVar[str | None] = None  # Keras's first argument, where `first_argument` would find another
    infer: ClassVar[Callable[..., Outputs]]

    dtype: DType | None = None

    def weights(self, *inputs: Any, **named: Any) -> tuple[WeightSpec, ...]:
        return ()

    def macs(self, *inputs: Any, **named: Any) -> int:
        return 0

    @property
    def role(self) -> str:
        """ROLE, unless the arguments say more."""
        return self.ROLE

    @property
    def output_dtype(self) -> str:
        """The dtype of a float result: the layer's own, else float32."""
        return (self.dtype or "float32").removeprefix("mixed_")

    @property
    def weight_dtype(self) -> str:
        """The dtype of the weights: the layer's own, else float32; mixed precision keeps float32 weights."""
        return "float32" if self.dtype is None or self.dtype.startswith("mixed_") else self.dtype

    def weight(self, name: str, *shape: int, trainable: bool = True) -> WeightSpec:
        return WeightSpec(name, shape, trainable, self.weight_dtype)

    def passed_dtype(self, tensor: TensorType) -> str:
        """The dtype of what goes through unchanged: Keras casts floats to the layer's dtype, nothing else."""
        return self.output_dtype if tensor.dtype in FLOATS else tensor.dtype


@cache
def snake_case(name: str) -> str:
    """`GlorotUniform` → `glorot_uniform`, `Conv2D` → `conv2d`, as Keras names its objects."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


@cache
def default_name(cls: type[Layer]) -> str:
    """The name of a layer that the spec gives none: its class's, in snake case (`relu`, where Keras has `re_lu`)."""
    return snake_case(cls.__name__).replace("re_lu", "relu")


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
    """The argument that a bare value stands for, Keras's first (`Dense: 10`).

    Fields that bases lend come before the class's own, so its own required ones go first, then any required one.
    """
    if issubclass(layer, Layer) and layer.FIRST:
        return layer.FIRST
    fields = {name: info for name, info in layer.model_fields.items() if name not in Layer.model_fields}
    lent = {name for base in layer.__bases__ for name in getattr(base, "model_fields", ())}
    own = [name for name in layer.__annotations__ if name in fields and name not in lent]
    required = [name for name, info in fields.items() if info.is_required()]
    return next(iter((*(name for name in own if name in required), *required, *own, *fields)), None)


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
