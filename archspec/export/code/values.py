"""Values as Python writes them: numbers, texts, Keras's objects and layers by their calls."""

from __future__ import annotations

import math

from archspec.export.code.items import Each, Listed
from archspec.graph.text import changed_arguments
from archspec.layers.base import Layer, Model, call_fields, first_argument, snake_case
from archspec.layers.objects import Object
from archspec.layers.objects.base import first_argument as object_argument
from archspec.layers.objects.initializers import Constant


def value_code(value: object) -> str:
    """An argument's value. Initializers without arguments go by their names.

    But for `constant`: Keras does not make one without its value.
    """
    if isinstance(value, Each | Listed):
        return f"[{', '.join(map(value_code, value.values))}]"
    if isinstance(value, Layer):
        return layer_code(value)
    if isinstance(value, Object):
        arguments = _arguments(value, object_argument(type(value)))
        if not arguments and value.KERAS == "initializers" and not isinstance(value, Constant):
            return text_code(snake_case(type(value).__name__))
        return f"keras.{value.KERAS}.{type(value).__name__}({', '.join(arguments)})"
    if isinstance(value, Model):
        given = {name: item for name in type(value).model_fields if (item := getattr(value, name)) is not None}
        return f"{{{', '.join(f'{name!r}: {value_code(item)}' for name, item in given.items())}}}"
    if isinstance(value, tuple | list):
        parts = [value_code(part) for part in value]
        if any(isinstance(part, Layer) for part in value):
            return f"[{', '.join(parts)}]"  # Keras cannot read back a tuple of layers
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, str):
        return text_code(value)
    return repr(value)


def text_code(text: str) -> str:
    """In double quotes where that needs no escapes."""
    return f'"{text}"' if '"' not in text and repr(text) == f"'{text}'" else repr(text)


def layer_code(layer: Layer) -> str:
    """A layer inside another: `layers.LSTM(64)`."""
    own = call_fields(type(layer))
    given = {name: value for name, value in changed_arguments(layer) if name not in own}
    first = first_argument(type(layer))
    parts = [value_code(v) if name == first else f"{name}={value_code(v)}" for name, v in given.items()]
    return f"{module_of(type(layer))}{type(layer).__name__}({', '.join(parts)})"


def module_of(cls: type[Layer]) -> str:
    """The layers that Keras lacks stand in the file itself."""
    return "" if cls.OWN else "layers."


def _arguments(value: Model, first: str | None) -> list[str]:
    return [
        value_code(item) if name == first else f"{name}={value_code(item)}" for name, item in changed_arguments(value)
    ]
