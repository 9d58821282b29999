"""A formula as a Python function of keras.ops, its numbers left open where uses of it may differ."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archspec.layers.evaluator import evaluate, parse
from archspec.layers.formula import Formula, keeps_mask
from archspec.layers.ops import arguments as calls
from archspec.layers.ops.promotion import FLOATS
from archspec.tensor import Array, TensorType

# The functions that stand for operators where the tensors' own operators may compute otherwise.
_FUNCTIONS = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.FloorDiv: "floor_divide",
    ast.Mod: "mod", ast.Pow: "power", ast.MatMult: "matmul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.Eq: "equal", ast.NotEq: "not_equal", ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater",
    ast.GtE: "greater_equal",
}  # fmt: skip
_ALIKE = (ast.Add, ast.Sub, ast.Mult, ast.Lt, ast.LtE, ast.Gt, ast.GtE)  # the same for tensors of one dtype
_OF_FLOATS = (ast.Div, ast.Pow)
_BITWISE = (ast.BitAnd, ast.BitOr, ast.BitXor)


@dataclass(frozen=True)
class Written:
    """`text` is an expression of `arguments`, in which `{0}` stands for `numbers[0]`; `keys` are their keywords."""

    arguments: tuple[str, ...]
    text: str
    keeps_mask: bool
    numbers: tuple[int | float, ...]
    keys: tuple[str, ...]


def written(layer: Formula, inputs: Sequence[TensorType]) -> Written:
    """The formula in Python, for tensors of these types."""
    arrays = [Array.of(x) for x in inputs]
    if layer.dtype:
        arrays = [Array(a.shape, layer.output_dtype) if a.dtype in FLOATS else a for a in arrays]
    translator = _Translator(dict(zip(layer.arguments, arrays, strict=True)))
    text = ast.unparse(translator.expression(parse(layer.expression))).replace("{", "{{").replace("}", "}}")
    for place in range(len(translator.numbers)):
        text = text.replace(_mark(place), f"{{{place}}}")
    mask = keeps_mask(layer.expression, layer.arguments)
    return Written(layer.arguments, text, mask, tuple(translator.numbers), tuple(translator.keys))


def _mark(place: int) -> str:
    return f"number{place}__"  # no name of a formula's: texts cannot hold __


class _Translator:
    """Formula's tree → Python's tree. What each part is, tensor or number, decides how its operators are written."""

    def __init__(self, names: Mapping[str, Array]) -> None:
        self.names = names
        self.numbers: list[int | float] = []
        self.keys: list[str] = []

    def value(self, node: ast.expr) -> Any:
        return evaluate(node, self.names, calls.find)

    def expression(self, node: ast.expr, key: str = "") -> ast.expr:
        match node:
            case ast.Constant(value=value):
                return self.constant(value, key)
            case ast.Tuple(elts=parts):
                return ast.Tuple([self.expression(part, key) for part in parts], ast.Load())
            case ast.List(elts=parts):
                return ast.List([self.expression(part, key) for part in parts], ast.Load())
            case ast.UnaryOp(op=op, operand=operand):
                inner = self.expression(operand, key)
                if isinstance(op, ast.Not) and not _is_number(self.value(operand)):
                    return _call("ops", "logical_not", [inner])
                return ast.UnaryOp(op, inner)
            case ast.BinOp(left=left, op=operation, right=right):
                if self.plain(operation, left, right):
                    return ast.BinOp(self.expression(left, key), operation, self.expression(right, key))
                return self.function(operation, left, right, key)
            case ast.Compare(left=left, ops=[compared], comparators=[right]):
                if self.plain(compared, left, right):
                    return ast.Compare(self.expression(left, key), [compared], [self.expression(right, key)])
                return self.function(compared, left, right, key)
            case ast.Subscript(value=value, slice=item):
                return self.item(value, item, key)
            case ast.Call():
                return self.call(node)
        return node

    def constant(self, value: Any, key: str) -> ast.expr:
        """A number is left open."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return ast.Constant(value)
        self.numbers.append(value)
        self.keys.append(key)
        return ast.Name(_mark(len(self.numbers) - 1), ast.Load())

    def plain(self, op: ast.AST, left: ast.expr, right: ast.expr) -> bool:
        """Whether an operator of the backend's tensors does what the function of keras.ops does."""
        a, b = self.value(left), self.value(right)
        if all(_is_number(v) or isinstance(v, tuple) for v in (a, b)):
            return True
        if not all(_is_number(v) or isinstance(v, Array) for v in (a, b)):
            return False
        dtypes = {v.dtype for v in (a, b) if isinstance(v, Array)}
        if len(dtypes) > 1:
            return False
        (dtype,) = dtypes
        floats = dtype in FLOATS
        if any(_is_number(v) and (isinstance(v, bool) or (isinstance(v, float) and not floats)) for v in (a, b)):
            return False
        if isinstance(op, ast.MatMult):
            return floats and all(isinstance(v, Array) and len(v.shape) >= 2 for v in (a, b))
        if isinstance(op, _BITWISE):
            return all(isinstance(v, Array) for v in (a, b)) and not floats
        return (isinstance(op, _ALIKE) and dtype != "bool") or (isinstance(op, _OF_FLOATS) and floats)

    def function(self, op: ast.AST, left: ast.expr, right: ast.expr, key: str) -> ast.expr:
        name = _FUNCTIONS[type(op)]
        if isinstance(op, _BITWISE):
            both = all("bool" in str(getattr(v, "dtype", type(v))) for v in (self.value(left), self.value(right)))
            name = f"logical_{name}" if both else f"bitwise_{name}"
        return _call("ops", name, [self.expression(left, key), self.expression(right, key)])

    def item(self, value: ast.expr, item: ast.expr, key: str) -> ast.expr:
        inner, picked = self.expression(value, key), self.key(item, key)
        if self.has_tensor(item) and not isinstance(self.value(value), list | tuple):
            return _call("ops", "get_item", [inner, picked])
        return ast.Subscript(inner, picked, ast.Load())

    def key(self, node: ast.expr, key: str) -> ast.expr:
        match node:
            case ast.Tuple(elts=parts):
                return ast.Tuple([self.key(part, key) for part in parts], ast.Load())
            case ast.Slice(lower=lower, upper=upper, step=step):
                return ast.Slice(*(part and self.expression(part, key) for part in (lower, upper, step)))
            case ast.Constant(value=value) if value is ...:
                return node
        return self.expression(node, key)

    def has_tensor(self, item: ast.expr) -> bool:
        """Whether anything between the brackets is more than numbers and slices."""
        parts = item.elts if isinstance(item, ast.Tuple) else [item]
        inner = [p for part in parts for p in ((part.lower, part.upper, part.step) if isinstance(part, ast.Slice)
                                               else (part,)) if p is not None]  # fmt: skip
        return any(
            not (isinstance(p, ast.Constant) and p.value is ...) and not _is_number(self.value(p)) and
            self.value(p) is not None for p in inner
        )  # fmt: skip

    def call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        numbers = len(node.args) == 1 and not node.keywords and _is_number(self.value(node.args[0]))
        module = "math" if numbers and _is_number(self.value(node)) else "ops"
        args = [self.expression(arg) for arg in node.args]
        return _call(module, name, args, [(k.arg, self.expression(k.value, k.arg or "")) for k in node.keywords])


def _call(
    module: str, name: str, args: list[ast.expr], keywords: Sequence[tuple[str | None, ast.expr]] = ()
) -> ast.expr:
    function = ast.Attribute(ast.Name(module, ast.Load()), name, ast.Load())
    return ast.Call(function, args, [ast.keyword(key, value) for key, value in keywords])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
