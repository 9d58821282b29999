"""A call of keras.ops in a model's config → the layer that computes the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from archspec.importing.calls import Call, Ref, tensors
from archspec.importing.exact import Unknown, float_dtype
from archspec.layers import find_layer
from archspec.layers.base import Layer, snake_case
from archspec.layers.core import Activation
from archspec.layers.formula import Formula, FormulaError
from archspec.layers.objects.activations import Activation as ActivationName
from archspec.layers.ops import functions
from archspec.tensor import ShapeError, TensorType

_MERGES = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")  # of two tensors, as the layers of these names
_AGAIN = "again"  # the name of a tensor that a formula is given twice, so that Keras's masks end there
_MOST_NUMBERS = 1_000  # of a constant in a formula


def function_layer(call: Call, types: Sequence[TensorType], masked: bool) -> tuple[Layer, bool]:
    """The layer, and whether it takes its only tensor twice. Raises Unknown.

    Functions drop Keras's masks, where `Add` and formulas of one tensor pass them on; `masked`: there may be one.
    """
    dtype = float_dtype({one.dtype for one in types})
    arguments = {**_settings(call), **call.kwargs}
    function = snake_case(call.kind)
    if not masked and (layer := _as_layer(call, function, arguments, types, dtype)):
        return layer, False
    if function != "get_item" and function not in functions():
        raise Unknown(f"formulas have no function {function}")
    args = call.args
    if function == "einsum" and "subscripts" in arguments:  # its first argument, which Keras keeps apart
        args = [arguments.pop("subscripts"), *args]
    names = [f"x{i + 1}" for i in range(len(types))] if len(types) > 1 else ["x"]
    text = _Text(names).call(function, args, arguments)
    twice = masked and len(names) == 1
    fields = {"expression": text, "arguments": (*names, _AGAIN) if twice else tuple(names), "dtype": dtype}
    try:
        return Formula.model_validate({key: value for key, value in fields.items() if value is not None}), twice
    except (FormulaError, ShapeError, ValidationError, PydanticCustomError) as error:
        raise Unknown(f"the formula {text:.80} is not known: {error}") from None


def _settings(call: Call) -> dict[str, Any]:
    """What the function's object was made with; None is the default of all of them."""
    return {key: value for key, value in call.config.items() if key not in ("name", "dtype") and value is not None}


def _as_layer(
    call: Call, function: str, arguments: Mapping[str, Any], types: Sequence[TensorType], dtype: str | None
) -> Layer | None:
    """An activation or a merge, which passes know better than a formula."""
    given = {key for key, value in arguments.items() if value is not None}
    options = {"dtype": dtype} if dtype else {}
    if call.kind in _MERGES and len(call.args) == len(types) == 2 and not given:
        same = types[0].shape == types[1].shape and types[0].dtype == types[1].dtype and "float" in types[0].dtype
        cls = find_layer(call.kind)
        return cls.model_validate(options) if same and cls else None
    if function in get_args(ActivationName) and len(call.args) == len(types) == 1 and not given:
        floats = "float" in types[0].dtype and types[0].shape
        return Activation.model_validate({"activation": function, **options}) if floats else None
    return None


class _Text:
    """Arguments as a formula writes them; tensors get the names in turn."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = iter(names)

    def call(self, function: str, args: Sequence[Any], arguments: Mapping[str, Any]) -> str:
        if function == "get_item":
            key = args[1] if len(args) > 1 else arguments["key"]
            return f"{self.value(args[0])}[{_key(key)}]"
        parts = [self.value(value) for value in args]
        parts += [f"{key}={self.value(value)}" for key, value in arguments.items()]
        return f"{function}({', '.join(parts)})"

    def value(self, value: Any) -> str:
        if isinstance(value, Ref):
            return next(self._names)
        if isinstance(value, list):
            parts = [self.value(one) for one in value]
            if tensors(value):
                return f"[{', '.join(parts)}]"
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        return _constant(value)


def _constant(value: Any) -> str:
    """A number, a text, a constant tensor. Raises Unknown."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        if value.get("class_name") in ("__numpy__", "__tensor__") and isinstance(inner, Mapping):
            return _array(inner)
        raise Unknown(f"it is given a {value.get('class_name')}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unknown(f"it is given {value}")
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    raise Unknown(f"it is given a {type(value).__name__}")


def _array(config: Mapping[str, Any]) -> str:
    """A list of numbers stands for a float32 tensor. Raises Unknown."""
    if config.get("dtype") != "float32":
        raise Unknown(f"it is given a constant of dtype {config.get('dtype')}")
    text = repr(config.get("value"))
    if text.count(",") >= _MOST_NUMBERS or set(text) - set("0123456789+-.e[], "):
        raise Unknown("it is given a large constant, or one that is not finite")
    return text


def _key(key: Any) -> str:
    """What stands between the brackets. Raises Unknown."""
    if isinstance(key, list):
        return ", ".join(_key(one) for one in key) + ("," if len(key) == 1 else "")
    if isinstance(key, Mapping):
        if key.get("class_name") == "__ellipsis__":
            return "..."
        if key.get("class_name") == "__slice__":
            ends = [key["config"].get(end) for end in ("start", "stop", "step")]
            if all(end is None or isinstance(end, int) for end in ends):
                return ":".join("" if end is None else str(end) for end in ends).removesuffix(":") or ":"
    if key is None or (isinstance(key, int) and not isinstance(key, bool)):
        return repr(key)
    raise Unknown("it picks by a tensor")
