"""`=` expressions: a safe subset of Python's, evaluated with bounded arithmetic.

Numbers, strings, booleans, lists, arithmetic, comparisons, `and or not`, `a if b else c`, indexing, a few functions,
and the shape of tensors. No attribute but those of `Shaped`, no call but of the functions below, no import, no names
beginning with an underscore.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from archspec.language.limits import Limits, over, raise_help

_TEXT = 10_000  # characters of one expression


class ExpressionError(ValueError):
    """An expression is wrong. `start` and `end` are offsets in its text, the `=` not counted."""

    code = "E304"

    def __init__(self, message: str, help: str | None = None, start: int = 0, end: int | None = None) -> None:
        super().__init__(message)
        self.message, self.help, self.start, self.end = message, help, start, end


class ExpressionLimit(ExpressionError):
    """An expression's value is larger than a limit allows."""

    code = "E106"


class Shaped(Protocol):
    """A value whose attributes expressions may read: a tensor in scope."""

    def attribute(self, name: str) -> Any:
        """Raises ExpressionError for a name that it does not have."""


@cache
def parse(text: str) -> ast.expr:
    """The tree of an expression's text, the `=` left out. Raises ExpressionError."""
    if len(text) > _TEXT:
        raise ExpressionError(f"an expression of {len(text):,} characters; {_TEXT:,} are allowed")
    stripped = text.strip()
    if not stripped:
        raise ExpressionError("an expression is missing after =")
    try:
        tree = ast.parse(stripped, mode="eval").body
    except SyntaxError as error:
        offset = (error.offset or 1) - 1 + (len(text) - len(text.lstrip()))
        problem = (error.msg or "invalid syntax").replace(". Perhaps you forgot a comma?", "")
        help = None
        if "was never closed" in problem or stripped.count("(") > stripped.count(")"):
            help = 'in YAML\'s flow style, { } and [ ], an expression that holds a comma must be quoted: "=max(a, b)"'
        raise ExpressionError(
            f"the expression does not parse: {problem}", help, max(0, offset), max(0, offset) + 1
        ) from None
    except (RecursionError, MemoryError, ValueError):
        raise ExpressionError("the expression is nested too deeply") from None
    if _depth(tree) > 100:
        raise ExpressionError("the expression is nested too deeply")
    return tree


def _depth(tree: ast.AST) -> int:
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def evaluate(text: str, lookup: Callable[[str], Any], limits: Limits = Limits()) -> Any:
    """The value of an expression. `lookup` gives names their values and raises ExpressionError where it cannot."""
    tree = parse(text)
    try:
        return _Evaluator(lookup, limits).value(tree)
    except ExpressionError as error:
        lead = len(text) - len(text.lstrip())
        error.start += lead
        error.end = None if error.end is None else error.end + lead
        raise


def names(tree: ast.AST) -> set[str]:
    """The names that an expression uses, the functions' among them."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


# --- arithmetic ----------------------------------------------------------------------------------


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b > 0 and abs(a).bit_length() * b > 4000:
        raise OverflowError
    if isinstance(a, str | tuple) or isinstance(b, str | tuple):
        raise TypeError
    result = a**b
    if isinstance(result, complex):
        raise ValueError("the result is not a real number")
    return result


_BINARY: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", _power),
}
_COMPARE: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", lambda a, b: a in b),
    ast.NotIn: ("not in", lambda a, b: a not in b),
    ast.Is: ("is", operator.is_),
    ast.IsNot: ("is not", operator.is_not),
}


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, not more than 10 % below it (MobileNetV2, arXiv:1801.04381)."""
    result = max(min_value or divisor, int(value + divisor / 2) // divisor * divisor)
    return result + divisor if result < 0.9 * value else result


def _tuple(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: tuple(function(*args))


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "min": min, "max": max, "len": len, "sum": sum, "abs": abs, "round": round, "int": int, "float": float,
    "range": range, "reversed": _tuple(reversed), "zip": _tuple(zip), "sqrt": math.sqrt, "log": math.log,
    "ceil": math.ceil, "floor": math.floor, "make_divisible": make_divisible,
}  # fmt: skip


@dataclass(slots=True)
class _Evaluator:
    lookup: Callable[[str], Any]
    limits: Limits

    def value(self, node: ast.expr) -> Any:
        method = _NODES.get(type(node))
        if method is None:
            what = {ast.Lambda: "lambda", ast.NamedExpr: ":=", ast.JoinedStr: "f-strings", ast.Dict: "mappings"}.get(
                type(node), "this"
            )
            help = "numbers, strings, lists, arithmetic, comparisons, and/or/not, a if b else c, indexing, functions"
            raise self.error(node, f"{what} cannot stand in an expression", f"an expression may hold: {help}")
        return method(self, node)

    def error(self, node: ast.expr, message: str, help: str | None = None) -> ExpressionError:
        return ExpressionError(message, help, node.col_offset, node.end_col_offset)

    def over(self, node: ast.expr, limit: str, value: int, found: str) -> ExpressionLimit:
        return ExpressionLimit(over(limit, value, found), raise_help(limit), node.col_offset, node.end_col_offset)

    def constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, bytes | complex) or node.value is ...:
            raise self.error(node, f"{ast.unparse(node)} cannot stand in an expression")
        return self.bounded(node, node.value)

    def name(self, node: ast.Name) -> Any:
        if node.id in FUNCTIONS:
            raise self.error(node, f"{node.id} is a function", f"call it: {node.id}(…)")
        try:
            return self.lookup(node.id)
        except ExpressionError as error:
            error.start, error.end = node.col_offset, node.end_col_offset
            raise

    def sequence(self, node: ast.Tuple | ast.List) -> Any:
        return tuple(self.value(item) for item in node.elts)

    def unary(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.Invert) or not isinstance(value, int | float):
            raise self.error(node, f"{ast.unparse(node)} needs a number, got {show(value)}")
        return -value if isinstance(node.op, ast.USub) else value

    def binary(self, node: ast.BinOp) -> Any:
        a, b = self.value(node.left), self.value(node.right)
        if type(node.op) not in _BINARY:
            raise self.error(node, f"{ast.unparse(node)}: this operator is not part of the language")
        symbol, function = _BINARY[type(node.op)]
        if a is None or b is None:
            unknown = ast.unparse(node.left if a is None else node.right)
            raise self.error(node, f"{unknown} is not known here (None), so {symbol} has no value")
        if symbol == "*":
            self.check_repetition(node, a, b)
        if symbol == "%" and isinstance(a, str):
            raise self.error(node, "% is for numbers", "put text together with +")
        return self.apply(node, function, (a, b), f"{show(a)} {symbol} {show(b)}")

    def check_repetition(self, node: ast.expr, a: Any, b: Any) -> None:
        for times, what in ((a, b), (b, a)):
            if isinstance(what, str | tuple) and isinstance(times, int) and len(what) * times > self.limits.values:
                found = f"a list of {len(what) * times:,} elements"
                raise self.over(node, "values", self.limits.values, found)

    def apply(self, node: ast.expr, function: Callable[..., Any], values: tuple[Any, ...], shown: str) -> Any:
        try:
            return self.bounded(node, function(*values))
        except ZeroDivisionError:
            raise self.error(node, f"{shown} divides by zero") from None
        except OverflowError:
            raise self.over(node, "number", self.limits.number, shown) from None
        except (TypeError, ValueError, IndexError) as error:
            raise self.error(
                node, f"{shown} has no value: {error}" if str(error) else f"{shown} has no value"
            ) from None

    def bounded(self, node: ast.expr, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > self.limits.number:
            raise self.over(node, "number", self.limits.number, ast.unparse(node)[:60])
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(node, f"{ast.unparse(node)[:60]} is not a finite number")
        if isinstance(value, str | tuple) and len(value) > self.limits.values:
            found = f"a list of {len(value):,} elements"
            raise self.over(node, "values", self.limits.values, found)
        return value

    def boolean(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for operand in node.values:
            value = self.value(operand)
            if bool(value) != isinstance(node.op, ast.And):
                break
        return value

    def compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            symbol, function = _COMPARE[type(op)]
            if not self.apply(node, function, (left, right), f"{show(left)} {symbol} {show(right)}"):
                return False
            left = right
        return True

    def choice(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def index(self, node: ast.Subscript) -> Any:
        value = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = [self.value(p) if p else None for p in (node.slice.lower, node.slice.upper, node.slice.step)]
            return self.apply(node, lambda: value[slice(*bounds)], (), ast.unparse(node))
        where = self.value(node.slice)
        if not isinstance(value, str | tuple):
            raise self.error(node, f"{ast.unparse(node.value)} is {show(value)}, which has no elements")
        if isinstance(where, int) and not -len(value) <= where < len(value):
            raise self.error(
                node, f"index {where} is outside {ast.unparse(node.value)}, which has {len(value)} elements"
            )
        return self.apply(node, operator.getitem, (value, where), ast.unparse(node))

    def attribute(self, node: ast.Attribute) -> Any:
        value = self.value(node.value)
        if not hasattr(value, "attribute"):
            raise self.error(node, f"{ast.unparse(node.value)} is {show(value)}, which has no .{node.attr}")
        try:
            return value.attribute(node.attr)
        except ExpressionError as error:
            error.start, error.end = node.end_col_offset or 0, node.end_col_offset
            error.start -= len(node.attr)
            raise

    def call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            named = ast.unparse(node.func)
            help = "the functions are " + " ".join(sorted(FUNCTIONS))
            raise self.error(node, f"an expression cannot call {named}", help)
        if node.keywords:
            raise self.error(node, f"{node.func.id} takes its arguments by position")
        name = node.func.id
        arguments = tuple(self.value(argument) for argument in node.args)
        if name == "range":
            return self.range(node, arguments)
        if any(hasattr(argument, "attribute") for argument in arguments):
            raise self.error(node, f"{name} works on numbers, not on tensors", "use a formula for that: expr: …")
        return self.apply(node, FUNCTIONS[name], arguments, ast.unparse(node))

    def range(self, node: ast.Call, arguments: tuple[Any, ...]) -> Any:
        result = self.apply(node, range, arguments, ast.unparse(node))
        try:
            length = len(result)
        except OverflowError:
            length = self.limits.values + 1
        if length > self.limits.values:
            found = f"{ast.unparse(node)}, a list of more elements,"
            raise self.over(node, "values", self.limits.values, found)
        return tuple(result)


def show(value: Any) -> str:
    """A value as an expression would write it, shortened."""
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_NODES: dict[type[ast.expr], Callable[[_Evaluator, Any], Any]] = {
    ast.Constant: _Evaluator.constant,
    ast.Name: _Evaluator.name,
    ast.Tuple: _Evaluator.sequence,
    ast.List: _Evaluator.sequence,
    ast.UnaryOp: _Evaluator.unary,
    ast.BinOp: _Evaluator.binary,
    ast.BoolOp: _Evaluator.boolean,
    ast.Compare: _Evaluator.compare,
    ast.IfExp: _Evaluator.choice,
    ast.Subscript: _Evaluator.index,
    ast.Attribute: _Evaluator.attribute,
    ast.Call: _Evaluator.call,
}
