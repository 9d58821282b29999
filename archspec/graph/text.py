"""The printed form of a graph: stable, one line a node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache

from archspec.graph.ir import Graph, Node
from archspec.layers.base import Layer, Model, first_argument, tensor_parameters
from archspec.layers.objects.base import Object
from archspec.layers.objects.base import first_argument as object_argument
from archspec.tensor import TensorType

# Columns are aligned up to these widths, so that one long name or call does not push all others off the screen.
NAME_WIDTH = 48
CALL_WIDTH = 96

_PLAIN = re.compile(r"[A-Za-z_][\w.-]*")
_READ_AS_VALUES = {"true", "false", "null", "none", "nan", "inf"}


def to_text(graph: Graph) -> str:
    """The graph as text: `name = Layer(arguments)(inputs) → outputs`, between its inputs and its outputs.

    Only arguments that differ from Keras's defaults are shown. Depends on nothing but the graph.
    """
    names = [node.name for node in graph.nodes.values()]
    calls = [f"{layer_text(node.layer)}({_inputs_text(node)})" for node in graph.nodes.values()]
    width = max((len(n) for n in names if len(n) <= NAME_WIDTH), default=0)
    call_width = max((len(c) for c in calls if len(c) <= CALL_WIDTH), default=0)
    lines = [f"graph {graph.name}", "inputs:"]
    lines += [f"  {name}: {types_text(graph.nodes[name].outputs)}" for name in graph.inputs]
    lines.append("nodes:")
    for node, call in zip(graph.nodes.values(), calls, strict=True):
        marks = (f"  weights of {node.shares}" if node.shares else "") + ("" if node.trainable else "  frozen")
        lines.append(f"  {node.name:<{width}} = {call:<{call_width}} → {types_text(node.outputs)}{marks}")
    lines.append("outputs:")
    lines += [f"  {name} = {edge}: {graph.type(edge)}" for name, edge in graph.outputs.items()]
    return "\n".join(lines) + "\n"


def types_text(types: tuple[TensorType, ...]) -> str:
    """`(28, 28, 512)`; several are parted by commas."""
    return ", ".join(map(str, types))


def _inputs_text(node: Node) -> str:
    """The edges; by name where others than the first parameter of the layer's call are given."""
    first = next((p.name for p in tensor_parameters(type(node.layer))), None)
    if all(name == first for name in node.parameters):
        return ", ".join(map(str, node.inputs))
    return ", ".join(f"{name}={edge}" for name, edge in zip(node.parameters, node.inputs, strict=True))


def layer_text(layer: Model) -> str:
    """`Conv2D(filters=64, kernel_size=3)`."""
    return f"{type(layer).__name__}({arguments_text(layer)})"


def arguments_text(layer: Model) -> str:
    """The arguments that differ from Keras's defaults; values as a spec writes them."""
    return ", ".join(f"{name}={value_text(value)}" for name, value in changed_arguments(layer))


def changed_arguments(layer: Model) -> Iterator[tuple[str, object]]:
    """The arguments that differ from the defaults: Keras's first, the others, last those that every layer has."""
    for name, default in _defaults(type(layer)):
        value = getattr(layer, name)
        if not same_value(value, default):
            yield name, value


@cache
def _defaults(cls: type[Model]) -> tuple[tuple[str, object], ...]:
    """Arguments and defaults; a required one has pydantic's mark, which no value equals."""
    fields = cls.model_fields
    names = sorted(fields, key=lambda name: (name != _first(cls), name in Layer.model_fields))
    return tuple((name, fields[name].get_default(call_default_factory=True)) for name in names)


def _first(cls: type[Model]) -> str | None:
    """The argument that a bare value stands for."""
    return object_argument(cls) if issubclass(cls, Object) else first_argument(cls)


def same_value(value: object, default: object) -> bool:
    """Whether a value means the default: `1` does where it is `(1, 1)`; True does not where it is 1."""
    if isinstance(default, tuple) and not isinstance(value, tuple):
        return bool(default) and all(same_value(value, one) for one in default)
    return isinstance(value, bool) == isinstance(default, bool) and value == default


def value_text(value: object) -> str:
    """A value in YAML's flow style: `he_normal`, `{L2: 0.001}`, `[3, 3]`, `null`."""
    if isinstance(value, Model):
        return _object_text(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{value_text(k)}: {value_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple | list | set | frozenset):
        return f"[{', '.join(map(value_text, sorted(value) if isinstance(value, set | frozenset) else value))}]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _READ_AS_VALUES
        return value if plain else json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _object_text(value: Model) -> str:
    """An object by its name; with arguments a mapping, short where only the first is given."""
    name = type(value).__name__
    arguments = list(changed_arguments(value))
    if not arguments:
        return name
    if len(arguments) == 1 and arguments[0][0] == _first(type(value)) and not isinstance(arguments[0][1], Mapping):
        return f"{{{name}: {value_text(arguments[0][1])}}}"
    return f"{{{name}: {{{', '.join(f'{key}: {value_text(v)}' for key, v in arguments)}}}}}"
