"""The interpreter of formulas: one for shapes and for tensors, with a set of functions for each.

A formula is a small part of Python's expressions: tensors by name, constants, arithmetic, `@`, single comparisons,
`& | ^ ~`, slices, and calls of functions by bare name. `parse` accepts nothing else, so that `evaluate` can run what
a stranger wrote.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from archspec.diagnostics import did_you_mean
from archspec.tensor import Batch, ShapeError

TEXT_LIMIT = 10_000  # characters; the longest formula of our specs has about 200
DEPTH_LIMIT = 100  # well within Python's own limits, so that no formula can exhaust its stack
INTEGER_BITS = 63  # what fits int64

Functions = Callable[[str], Callable[..., Any]]


class FormulaError(ShapeError):
    """A formula cannot be read or does not fit its tensors; the offsets count characters within its text."""

    def __init__(self, message: str, help: str | None = None, col_offset: int = 0, end_col_offset: int = 0) -> None:
        super().__init__(message, help)
        self.col_offset = col_offset
        self.end_col_offset = end_col_offset


# Operators: the function of tensors, the symbol, and what it does to plain numbers.
_BINARY: dict[type[ast.AST], tuple[str, str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("add", "+", operator.add),
    ast.Sub: ("subtract", "-", operator.sub),
    ast.Mult: ("multiply", "*", operator.mul),
    ast.Div: ("divide", "/", operator.truediv),
    ast.FloorDiv: ("floor_divide", "//", operator.floordiv),
    ast.Mod: ("mod", "%", operator.mod),
    ast.Pow: ("power", "**", operator.pow),
    ast.MatMult: ("matmul", "@", operator.matmul),
    ast.BitAnd: ("and", "&", operator.and_),
    ast.BitOr: ("or", "|", operator.or_),
    ast.BitXor: ("xor", "^", operator.xor),
    ast.Eq: ("equal", "==", operator.eq),
    ast.NotEq: ("not_equal", "!=", operator.ne),
    ast.Lt: ("less", "<", operator.lt),
    ast.LtE: ("less_equal", "<=", operator.le),
    ast.Gt: ("greater", ">", operator.gt),
    ast.GtE: ("greater_equal", ">=", operator.ge),
}
_UNARY: dict[type[ast.AST], tuple[str, str, Callable[[Any], Any]]] = {
    ast.USub: ("negative", "-", operator.neg),
    ast.UAdd: ("", "+", operator.pos),
    ast.Not: ("logical_not", "not", operator.not_),
    ast.Invert: ("not", "~", operator.invert),
}
_BITWISE = ("and", "or", "xor", "not")  # of booleans logical_…, of integers bitwise_…
# Functions of a plain number stay plain numbers, so that `x / sqrt(64)` keeps the dtype of x.
_OF_NUMBERS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "tanh": math.tanh,
}
_FOREIGN: dict[type[ast.AST], tuple[str, str | None]] = {
    ast.IfExp: ("a formula takes no condition", "where(condition, a, b) chooses for each element"),
    ast.BoolOp: ("a formula takes no `and` and `or`", "& and | work on each element: (a > 0) & (a < 1)"),
    ast.Attribute: ("a formula takes no attributes", "functions are called by name: transpose(x), shape(x)[1]"),
    ast.Lambda: ("a formula takes no lambda", None),
    ast.Starred: ("a formula takes no *", None),
    ast.NamedExpr: ("a formula takes no :=", "name the result of a step: name: …"),
    ast.JoinedStr: ("a formula takes no f-strings", None),
    ast.Dict: ("a formula takes no mappings", None),
}
_NODES = (
    ast.Name,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Subscript,
    ast.Slice,
    ast.Call,
)


def _error(node: ast.AST, message: str, help: str | None = None) -> FormulaError:
    return FormulaError(message, help, getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0))


@lru_cache(4096)
def parse(text: str) -> ast.expr:
    """The formula's tree, whose offsets count characters of the text. Raises FormulaError."""
    if len(text) > TEXT_LIMIT:
        raise FormulaError(f"a formula has at most {TEXT_LIMIT:,} characters, got {len(text):,}", None, 0, len(text))
    for sign, what in (("#", "comments"), ("\\", "backslashes"), ("\0", "null characters")):
        if sign in text:
            raise FormulaError(f"a formula has no {what}", None, text.index(sign), text.index(sign) + 1)
    line = "".join(" " if c.isspace() else c for c in text)
    indent = len(line) - len(line.lstrip())
    try:
        tree = ast.parse(line.lstrip(), mode="eval").body
    except SyntaxError as error:
        if "nested" in error.msg or "recursion" in error.msg:
            raise _too_deep(text) from None
        at = indent + max(0, (error.offset or 1) - 1)
        end = indent + max(0, (error.end_offset or 0) - 1)
        raise FormulaError(f"the formula cannot be read: {error.msg}", None, at, max(end, at + 1)) from None
    except (RecursionError, MemoryError):
        raise _too_deep(text) from None
    except ValueError as error:
        raise FormulaError(f"the formula cannot be read: {error}", None, 0, len(text)) from None
    _check(tree, line, indent)
    return tree


def _too_deep(text: str) -> FormulaError:
    return FormulaError(
        f"the formula is nested more than {DEPTH_LIMIT} deep", "name parts of it: several steps", 0, len(text)
    )


def _check(tree: ast.expr, line: str, indent: int) -> None:
    """Sets the offsets to characters of the text, and raises FormulaError for what a formula may not hold."""
    encoded = line.lstrip().encode()
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > DEPTH_LIMIT:
            raise _too_deep(line)
        for node in level:
            if isinstance(node, ast.expr | ast.keyword):
                node.col_offset = indent + len(encoded[: node.col_offset].decode())
                node.end_col_offset = indent + len(encoded[: node.end_col_offset].decode())
        for node in level:
            _check_node(node)
        level = [child for node in level for child in _children(node)]


def _children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        yield from (*node.args, *node.keywords)
    else:
        yield from (c for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr | ast.keyword))


def _check_node(node: ast.AST) -> None:
    if isinstance(node, ast.keyword):
        if node.arg is None:
            raise _error(node, "a formula takes no **")
        return
    if not isinstance(node, _NODES):
        raise _error(node, *_FOREIGN.get(type(node), ("a formula cannot hold this", None)))
    if isinstance(node, ast.BinOp) and type(node.op) not in _BINARY:
        raise _error(node, "a formula takes no shifts", "left_shift(x, n) and right_shift(x, n) shift bits")
    if isinstance(node, ast.Compare) and (len(node.ops) > 1 or type(node.ops[0]) not in _BINARY):
        chained = len(node.ops) > 1
        help = "compare twice: (a < b) & (b < c)" if chained else "isin(x, values) looks values up"
        raise _error(node, "comparisons are single ones, of == != < <= > >=", help)
    if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
        raise _error(node.func, "functions are called by their bare names", "transpose(x), not x.transpose()")
    if isinstance(node, ast.Constant):
        _check_constant(node)


def _check_constant(node: ast.Constant) -> None:
    value = node.value
    if isinstance(value, str) and "__" in value:
        raise _error(node, "a text in a formula cannot hold __")
    if not (isinstance(value, int | float | str) or value is None or value is ...):
        raise _error(node, "constants are numbers, texts, True, False and None")
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
        raise _error(node, f"whole numbers have at most {INTEGER_BITS} bits")


def evaluate(tree: ast.expr, names: Mapping[str, Any], functions: Functions) -> Any:
    """The formula's value: tensors by name, and functions by the names of keras.ops. Raises FormulaError."""
    match tree:
        case ast.Constant(value=value):
            if value is ...:
                raise _error(tree, "... stands in slices only: x[..., 0]")
            return value
        case ast.Name(id=name):
            if name not in names:
                raise _error(tree, f"there is no tensor {name}", did_you_mean(name, names))
            return names[name]
        case ast.Tuple(elts=parts):
            return tuple(evaluate(part, names, functions) for part in parts)
        case ast.List(elts=parts):
            return [evaluate(part, names, functions) for part in parts]
        case ast.UnaryOp(op=op, operand=operand):
            return _unary(tree, op, evaluate(operand, names, functions), functions)
        case ast.BinOp(left=left, op=operation, right=right):
            pass
        case ast.Compare(left=left, ops=[operation], comparators=[right]):
            pass
        case ast.Subscript(value=value, slice=key):
            return _item(tree, evaluate(value, names, functions), _key(key, names, functions), functions)
        case ast.Call():
            return _call(tree, names, functions)
        case _:
            raise AssertionError(f"parse let {type(tree).__name__} pass")
    return _binary(tree, operation, evaluate(left, names, functions), evaluate(right, names, functions), functions)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or "bool" in str(getattr(value, "dtype", ""))


def _operand(node: ast.AST, symbol: str, value: object) -> None:
    """Raises FormulaError for what is neither a tensor nor a number nor a list of them."""
    if value is None or isinstance(value, str | Batch | tuple):
        what = "an unknown length" if value is None else "the batch" if isinstance(value, Batch) else repr(value)
        raise _error(node, f"{symbol} works on tensors and numbers, not on {what}")


def _binary(node: ast.expr, op: ast.AST, left: Any, right: Any, functions: Functions) -> Any:
    name, symbol, compute = _BINARY[type(op)]
    if isinstance(left, tuple) and isinstance(right, tuple) and symbol == "+":
        return left + right
    _operand(node, symbol, left)
    _operand(node, symbol, right)
    if _is_number(left) and _is_number(right):
        return _fold(node, symbol, compute, left, right)
    if name in _BITWISE:
        name = ("logical_" if _is_bool(left) and _is_bool(right) else "bitwise_") + name
    return _apply(node, functions, name, left, right)


def _unary(node: ast.expr, op: ast.AST, value: Any, functions: Functions) -> Any:
    name, symbol, compute = _UNARY[type(op)]
    _operand(node, symbol, value)
    if _is_number(value):
        if symbol == "~" and isinstance(value, bool):
            return not value
        return _fold(node, symbol, compute, value)
    if symbol == "+":
        return value
    if name in _BITWISE:
        name = ("logical_" if _is_bool(value) else "bitwise_") + name
    return _apply(node, functions, name, value)


def _fold(node: ast.expr, symbol: str, compute: Callable[..., Any], *numbers: Any) -> Any:
    """Arithmetic of constants, bounded. Raises FormulaError."""
    too_large = _error(node, f"whole numbers have at most {INTEGER_BITS} bits")
    if symbol == "**" and all(isinstance(n, int) for n in numbers):
        base, exponent = numbers
        if abs(base) > 1 and exponent > INTEGER_BITS:
            raise too_large
    try:
        result = compute(*numbers)
    except ZeroDivisionError:
        raise _error(node, "division by zero") from None
    except (OverflowError, ValueError, TypeError) as error:
        raise _error(node, f"{symbol} of {' and '.join(map(repr, numbers))} cannot be computed: {error}") from None
    if isinstance(result, complex):
        raise _error(node, f"{symbol} of {' and '.join(map(repr, numbers))} is no real number")
    if isinstance(result, int) and result.bit_length() > INTEGER_BITS:
        raise too_large
    return result


def _key(node: ast.expr, names: Mapping[str, Any], functions: Functions) -> Any:
    """What stands between the brackets."""
    match node:
        case ast.Constant(value=value) if value is ...:
            return ...
        case ast.Tuple(elts=parts):
            return tuple(_key(part, names, functions) for part in parts)
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(part and evaluate(part, names, functions) for part in (lower, upper, step)))
        case _:
            return evaluate(node, names, functions)


def _item(node: ast.expr, value: Any, key: Any, functions: Functions) -> Any:
    """Part of a tensor, or of a tuple such as split(…) or shape(x)."""
    if isinstance(value, list | tuple):
        if not isinstance(key, int | slice) or isinstance(key, bool):
            raise _error(node, "several results are picked from by whole numbers and slices")
        try:
            return value[key]
        except (IndexError, ValueError, TypeError) as error:
            raise _error(node, f"of {len(value)} results this one cannot be picked: {error}") from None
    if _is_number(value):
        raise _error(node, f"{value!r} is a number and has no parts")
    _operand(node, "[]", value)
    return _apply(node, functions, "get_item", value, key)


def _call(node: ast.Call, names: Mapping[str, Any], functions: Functions) -> Any:
    assert isinstance(node.func, ast.Name)
    name = node.func.id
    args = [evaluate(arg, names, functions) for arg in node.args]
    kwargs = {keyword.arg: evaluate(keyword.value, names, functions) for keyword in node.keywords if keyword.arg}
    if len(kwargs) < len(node.keywords):
        raise _error(node, f"{name} is given an argument twice")
    if name in _OF_NUMBERS and len(args) == 1 and not kwargs and _is_number(args[0]):
        return _fold(node, name, _OF_NUMBERS[name], args[0])
    return _apply(node, functions, name, *args, **kwargs)


def _apply(node: ast.expr, functions: Functions, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Calls the function; what it raises gets the place in the text."""
    try:
        return functions(name)(*args, **kwargs)
    except FormulaError:
        raise
    except ShapeError as error:
        raise _error(_blamed(node, getattr(error, "argument", None)), error.message, error.help) from error


def _blamed(node: ast.expr, argument: str | int | None) -> ast.AST:
    """The argument's place in the text, where the error names one."""
    if isinstance(node, ast.Call):
        if isinstance(argument, int) and argument < len(node.args):
            return node.args[argument]
        return next((k for k in node.keywords if k.arg == argument), node)
    return node
