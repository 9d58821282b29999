"""`keras.ops` as shape rules: one function each, by Keras's name and with Keras's arguments.

A rule takes `Array`s (axis 0 is the batch) and plain values, and returns the `Array` of the result or a tuple of them;
it raises ShapeError. A function `NAME_macs` with the same parameters gives the multiply-accumulates for one example
where there are any. Nothing is computed here.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

MODULES = (
    "elementwise",
    "reductions",
    "shaping",
    "joining",
    "indexing",
    "creation",
    "linear",
    "linalg",
    "nn",
    "windows",
    "signal",
)


@cache
def functions() -> Mapping[str, Callable[..., Any]]:
    """Every function that formulas and `ops.*` steps may call, and the `_macs` beside some, by name."""
    names: dict[str, Callable[..., Any]] = {}
    for name in MODULES:
        module = importlib.import_module(f"archspec.layers.ops.{name}")
        for key, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and key[0] != "_":
                assert key not in names, f"two functions are named {key}"
                names[key] = value
    return names
