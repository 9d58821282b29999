"""Formulas of one function that are what a layer is: transpositions, and casts."""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

from archspec.layers.base import Layer
from archspec.layers.evaluator import parse
from archspec.layers.formula import Formula
from archspec.layers.reshaping import Permute

# To which dtype each goes without losing anything.
_HELD = {
    "bool": {"int32", "int64", "float16", "bfloat16", "float32", "float64"},
    "uint8": {"int32", "int64", "float16", "float32", "float64"},
    "int32": {"int64", "float64"},
    "float16": {"float32", "float64"},
    "bfloat16": {"float32", "float64"},
    "float32": {"float64"},
}


def permutation(layer: Layer, rank: int) -> tuple[int, ...] | None:
    """The order in which a layer puts the axes, as `Permute` counts them, of a tensor of that rank; None for others."""
    if isinstance(layer, Permute):
        return layer.dims
    if not isinstance(layer, Formula) or len(layer.arguments) != 1:
        return None
    return _permutation(layer.expression, layer.arguments[0], rank)


@cache
def _permutation(expression: str, argument: str, rank: int) -> tuple[int, ...] | None:
    called = _call(expression, argument)
    if called is None:
        return None
    function, values = called
    order = list(range(rank + 1))
    try:
        if function == "swapaxes" and len(values) == 2:
            i, j = values
            order[i], order[j] = order[j], order[i]
        elif function == "moveaxis" and len(values) == 2:
            order.insert(values[1] % (rank + 1), order.pop(values[0]))
        elif function == "transpose" and len(values) == 1 and len(values[0]) == rank + 1:
            order = [axis % (rank + 1) for axis in values[0]]
        else:
            return None
    except (TypeError, IndexError):  # axes in a list, or none at all
        return None
    return tuple(order[1:]) if order[0] == 0 else None


def cast_to(layer: Layer) -> str | None:
    """The dtype that a formula does nothing but cast to; None for other layers."""
    if not isinstance(layer, Formula) or len(layer.arguments) != 1:
        return None
    called = _call(layer.expression, layer.arguments[0])
    if called is None or called[0] != "cast" or len(called[1]) != 1 or not isinstance(called[1][0], str):
        return None
    return called[1][0]


def holds(dtype: str, other: str) -> bool:
    """Whether a dtype holds every value of another."""
    return dtype == other or dtype in _HELD.get(other, set())


@cache
def _call(expression: str, argument: str) -> tuple[str, list[Any]] | None:
    """The function that a formula calls on its tensor, and the constants behind that; None for other formulas."""
    tree = parse(expression)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or not tree.args:
        return None
    first, *rest = tree.args
    if not isinstance(first, ast.Name) or first.id != argument:
        return None
    try:
        return tree.func.id, [ast.literal_eval(part) for part in (*rest, *(k.value for k in tree.keywords))]
    except ValueError:
        return None
