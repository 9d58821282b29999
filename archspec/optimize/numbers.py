"""The functions of formulas on NumPy's arrays, where NumPy computes what keras.ops does, in float32 and int32."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_SAME = (  # named as in keras.ops, with the same arguments
    "abs", "add", "arange", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "concatenate", "cos", "equal",
    "exp", "expand_dims", "flip", "floor_divide", "greater", "greater_equal", "less", "less_equal", "log",
    "logical_and", "logical_not", "logical_or", "logical_xor", "matmul", "max", "maximum", "mean", "min", "minimum",
    "mod", "moveaxis", "multiply", "negative", "not_equal", "ones_like", "outer", "power", "repeat", "reshape",
    "roll", "sin", "sqrt", "square", "squeeze", "stack", "subtract", "sum", "swapaxes", "take", "tanh", "tile",
    "transpose", "where", "zeros_like",
)  # fmt: skip


def number(value: Any) -> Any:
    """An array of the precision that Keras computes in; other values as they are."""
    if not isinstance(value, np.ndarray | np.generic):
        return value
    wide = {"float64": "float32", "int64": "int32"}.get(str(value.dtype))
    return np.asarray(value, wide) if wide else np.asarray(value)


def _divide(a: Any, b: Any) -> Any:
    """Whole numbers are divided in float32."""
    return np.divide(np.asarray(a, np.float32), np.asarray(b, np.float32))


def _get_item(value: Any, key: Any) -> Any:
    return value[key]


def rearrange(value: Any, pattern: str, **lengths: int) -> Any:
    """einops's: axes by name, `(a b)` for two in one. Raises ValueError for what the pattern does not fit."""
    before, after = (re.findall(r"\([^)]*\)|\S+", side) for side in pattern.split("->"))
    flat: list[int] = []
    names: list[str] = []
    for part, size in zip(before, value.shape, strict=True):
        inner = part.strip("()").split()
        known = {name: lengths[name] for name in inner if name in lengths}
        rest = size // int(np.prod([*known.values(), 1]))
        flat += [known.get(name, rest) for name in inner] if len(inner) > 1 else [size]
        names += inner
    size_of = dict(zip(names, flat, strict=True))
    order = [name for part in after for name in part.strip("()").split()]
    moved = value.reshape(flat).transpose([names.index(name) for name in order])
    return moved.reshape([int(np.prod([size_of[n] for n in part.strip("()").split()])) for part in after])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _SAME},
    "divide": _divide,
    "true_divide": _divide,
    "get_item": _get_item,
    "rearrange": rearrange,
}


def of_numbers(name: str) -> Callable[..., Any]:
    """The function of that name; it takes and gives numbers of Keras's precision."""
    function = FUNCTIONS[name]

    def call(*args: Any, **kwargs: Any) -> Any:
        return number(function(*map(number, args), **{key: number(value) for key, value in kwargs.items()}))

    return call
