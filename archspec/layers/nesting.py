"""What layers that hold other layers, or take masks and states, share: names of weights, checks of shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from archspec.layers.base import Layer, WeightSpec, call_fields, tensor_parameters
from archspec.layers.shapes import argument_clash
from archspec.tensor import Shape, ShapeError, TensorType, show_shape


def _not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise PydanticCustomError("empty", "give at least one")
    return values


# Unlike MinLen, it says nothing where an item is wrong already.
NotEmpty = AfterValidator(_not_empty)


def default_name(layer: Layer) -> str:
    """The name that Keras gives a layer: `ConvLSTM2D` → `conv_lstm2d`, `LSTMCell` → `lstm_cell`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def default_names(layers: Iterable[Layer]) -> list[str]:
    """The names of several layers made in turn: `dense`, `dense_1`."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for layer in layers:
        name = default_name(layer)
        count = seen.setdefault(name, 0)
        seen[name] += 1
        names.append(f"{name}_{count}" if count else name)
    return names


def below(name: str, weights: Iterable[WeightSpec]) -> tuple[WeightSpec, ...]:
    """The weights of an inner layer, by their paths from the outer one."""
    return tuple(replace(weight, name=f"{name}/{weight.name}") for weight in weights)


def check_inner(outer: str, inner: Layer) -> None:
    """Checks that a layer can be called by another, with one tensor and nothing else. Raises PydanticCustomError."""
    name = type(inner).__name__
    parameters = tensor_parameters(type(inner))
    if not parameters or parameters[0].several or any(p.required for p in parameters[1:]):
        raise argument_clash(f"{outer} applies its layer to one tensor, which {name} cannot be applied to")
    if given := sorted(inner.model_fields_set & call_fields(type(inner))):
        raise argument_clash(f"{outer} does not pass {', '.join(given)} on when it calls {name}")


def infer_inner(outer: str, inner: Layer, inputs: TensorType) -> TensorType:
    """The one output of an inner layer. Raises ShapeError."""
    output = inner.infer(inputs)
    if isinstance(output, tuple):
        raise ShapeError(f"{outer} needs a layer with one output, {type(inner).__name__} gives {len(output)}")
    return output


def fits(shape: Shape, expected: Shape) -> bool:
    """Whether a shape is the expected one, unknown lengths left aside."""
    return len(shape) == len(expected) and all(
        a == b or a is None or b is None for a, b in zip(shape, expected, strict=True)
    )


def check_shape(what: str, tensor: TensorType | None, expected: Shape) -> None:
    """Raises ShapeError with both shapes where the tensor is given and does not fit."""
    if tensor is not None and not fits(tensor.shape, expected):
        raise ShapeError(f"{what} must be {show_shape(expected)}, got {show_shape(tensor.shape)}")
