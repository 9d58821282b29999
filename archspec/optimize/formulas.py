"""What formulas are: transpositions, casts and scales, as layers do them, and the two products of attention."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

from archspec.layers.base import Layer
from archspec.layers.evaluator import parse
from archspec.layers.formula import Formula
from archspec.layers.ops.arguments import signature
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
    order = [*signature(tree.func.id).parameters]
    try:
        named = sorted(tree.keywords, key=lambda keyword: order.index(keyword.arg or ""))
        return tree.func.id, [ast.literal_eval(part) for part in (*rest, *(k.value for k in named))]
    except ValueError:
        return None


# -- attention: softmax(scale · q @ kᵀ + bias) @ v --


@dataclass(frozen=True)
class Scores:
    """softmax(scale · query @ key + bias); `turned`: the key's last two axes are swapped in the formula."""

    query: str
    key: str
    turned: bool
    scale: float = 1.0
    bias: str | None = None


@dataclass(frozen=True)
class Values:
    """scores @ values; `turned`: the result's heads and positions are swapped in the formula."""

    scores: str
    values: str
    turned: bool


@cache
def values(expression: str) -> Values | None:
    """How a formula reads the product of scores with values: `swapaxes(p @ v, 1, 2)`; None for other formulas."""
    tree = parse(expression)
    inner = _swapped(tree, 1, 2)
    match inner or tree:
        case ast.BinOp(ast.Name(first), ast.MatMult(), ast.Name(second)):
            return Values(first, second, inner is not None)
    return None


@cache
def scores(expression: str) -> Scores | None:
    """How a formula reads scores: `softmax(q @ swapaxes(k, -1, -2) / 8 + bias)`; None for other formulas."""
    match parse(expression):
        case ast.Call(ast.Name("softmax"), [tree], []):
            return _logits(tree)
        case ast.Call(ast.Name("softmax"), [tree], [ast.keyword("axis", axis)]) if _constant(axis) == -1:
            return _logits(tree)
    return None


@cache
def logits(expression: str) -> Scores | None:
    """The same for a formula behind which a layer takes the softmax."""
    return _logits(parse(expression))


def _logits(tree: ast.expr) -> Scores | None:
    match tree:
        case ast.BinOp(left, ast.Add(), ast.Name(bias)):
            found = _product(left)
        case ast.BinOp(ast.Name(bias), ast.Add(), right):
            found = _product(right)
        case _:
            return _product(tree)
    return replace(found, bias=bias) if found else None


def _product(tree: ast.expr) -> Scores | None:
    """q @ k, times a number that may stand beside either of them."""
    rest, scale = _scaled(tree)
    match rest:
        case ast.BinOp(left, ast.MatMult(), right):
            (query, first), (key, second) = _scaled(left), _scaled(right)
            inner = _swapped(key, -1, -2)
            match query, inner or key:
                case ast.Name(q), ast.Name(k):
                    return Scores(q, k, inner is not None, scale * first * second)
    return None


def _scaled(tree: ast.expr) -> tuple[ast.expr, float]:
    """What is multiplied or divided by a number, and the number."""
    match tree:
        case ast.BinOp(left, ast.Mult(), right):
            for one, other in ((left, right), (right, left)):
                if (number := _constant(one)) is not None:
                    rest, scale = _scaled(other)
                    return rest, scale * number
        case ast.BinOp(left, ast.Div(), right) if number := _constant(right):
            rest, scale = _scaled(left)
            return rest, scale / number
    return tree, 1.0


def _constant(tree: ast.expr) -> float | None:
    """The number that is written, also as a square root; None for what is no number."""
    match tree:
        case ast.Call(ast.Name("sqrt"), [inner], []):
            value = _constant(inner)
            return None if value is None or value < 0 else math.sqrt(value)
        case ast.BinOp(base, ast.Pow(), power):
            first, second = _constant(base), _constant(power)
            return None if first is None or second is None or first <= 0 else float(first**second)
    try:
        found = ast.literal_eval(tree)
    except ValueError:
        return None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _swapped(tree: ast.expr, first: int, second: int) -> ast.expr | None:
    """What two axes of four are swapped of; None for anything else."""
    match tree:
        case ast.Call(ast.Name("swapaxes"), [inner, one, other], []):
            axes = {_axis(one), _axis(other)}
            return inner if axes == {first % 4, second % 4} else None
    return None


def _axis(tree: ast.expr) -> int | None:
    number = _constant(tree)
    return None if number is None else int(number) % 4


# -- scales: gamma · x, 0.1 · x, x + 0.1 · y --


@dataclass(frozen=True)
class Product:
    """`scaled`, times the tensor `factor` or a number, and `offset`; `added` is the tensor beside it in a sum."""

    scaled: str
    factor: str | None = None
    number: float = 1.0
    added: str | None = None
    offset: float = 0.0


@cache
def product(expression: str) -> Product | None:
    """How a formula scales a tensor; None for other formulas."""
    added: str | None = None
    tree, offset = _shifted(_Operators().visit(deepcopy(parse(expression))))
    match tree:
        case ast.BinOp(ast.Name(one), ast.Mult(), ast.Name(other)):
            return None if offset else Product(one, other)
        case ast.BinOp(ast.Name(name), ast.Add(), rest) | ast.BinOp(rest, ast.Add(), ast.Name(name)):
            added, tree = name, rest
    match _scaled(tree):
        case ast.Name(name), number if (offset or not isinstance(tree, ast.Name)) and not (offset and added):
            return Product(name, None, number, added, offset)
    return None


class _Operators(ast.NodeTransformer):
    """`true_divide(x, 255.0)`, as saved models have it, as `x / 255.0`."""

    KINDS: ClassVar[Mapping[str, type[ast.operator]]] = {
        "add": ast.Add, "subtract": ast.Sub, "multiply": ast.Mult, "divide": ast.Div, "true_divide": ast.Div,
    }  # fmt: skip

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name(name), [left, right], []) if name in self.KINDS:
                return ast.BinOp(left, self.KINDS[name](), right)
        return node


def _shifted(tree: ast.expr) -> tuple[ast.expr, float]:
    """What a number is added to, and the number."""
    match tree:
        case ast.BinOp(left, ast.Add(), right):
            for one, other in ((left, right), (right, left)):
                if (number := _constant(one)) is not None:
                    return other, number
        case ast.BinOp(left, ast.Sub(), right) if (number := _constant(right)) is not None:
            return left, -number
    return tree, 0.0
