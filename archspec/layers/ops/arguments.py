"""Checks a call against a rule's signature: names, numbers and types of its arguments."""

from __future__ import annotations

import builtins
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from archspec.diagnostics import did_you_mean
from archspec.layers.ops import functions
from archspec.tensor import Array, Batch, ShapeError, show_shape

Rule = Callable[..., Any]
_UNIONS = (types.UnionType, typing.Union)
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Array: "a tensor",
    type(None): "None",
    builtins.slice: "a slice",
    types.EllipsisType: "...",
}


class ArgumentError(ShapeError):
    """A call does not fit the function; `argument` is the name or the place of the argument that is to blame."""

    def __init__(self, message: str, help: str | None = None, argument: str | int | None = None) -> None:
        super().__init__(message, help)
        self.argument = argument


@cache
def names() -> tuple[str, ...]:
    """The functions that formulas may call."""
    return tuple(name for name in functions() if not name.endswith("_macs"))


@cache
def hints(name: str) -> Mapping[str, Any]:
    return typing.get_type_hints(functions()[name])


@cache
def signature(name: str) -> inspect.Signature:
    return inspect.signature(functions()[name])


def find(name: str) -> Rule:
    """The rule of this name. Raises ArgumentError with the nearest known one."""
    if name not in names():
        raise ArgumentError(f"there is no function {name}", did_you_mean(name, names()))
    return functions()[name]


def usage(name: str) -> str:
    """`reshape(x, newshape)` for messages."""
    shown = [p.replace(annotation=p.empty) for p in signature(name).parameters.values()]
    return f"{name}{inspect.Signature(shown)}"


def check(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raises ArgumentError unless the function can be called so."""
    parameters = signature(name).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in kwargs:
        if key not in parameters and not open_ended:
            raise ArgumentError(f"{name} takes no argument {key}", did_you_mean(key, parameters) or usage(name), key)
    try:
        bound = signature(name).bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(f"{name}: {error}", f"call it as {usage(name)}") from error
    place = 0
    for key, value in bound.arguments.items():
        for part in _parts(parameters[key].kind, value):
            if not fits(part, hints(name)[key]):
                message = f"{key} of {name} must be {describe(hints(name)[key])}, got {show(part)}"
                raise ArgumentError(message, f"call it as {usage(name)}", key if key in kwargs else place)
            place += 1


def _parts(kind: object, value: Any) -> Sequence[Any]:
    """The values that an argument stands for: several for `*operands` and `**lengths`."""
    if kind is inspect.Parameter.VAR_KEYWORD:
        return tuple(value.values())
    return tuple(value) if kind is inspect.Parameter.VAR_POSITIONAL else (value,)


def fits(value: object, hint: Any) -> bool:
    """Whether a value has a type. Tuples and lists stand for each other."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in _UNIONS:
        return any(fits(value, arg) for arg in args)
    if origin is tuple and args[-1:] != (...,):
        return isinstance(value, list | tuple) and len(value) == len(args) and all(map(fits, value, args))
    if origin is not None:
        return isinstance(value, list | tuple) and all(fits(v, args[0]) for v in value)
    if hint is float or hint is int:
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(value, hint)


def describe(hint: Any) -> str:
    """A type in words."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        options = [a for a in args if a is not Batch and (Array not in args or a not in (bool, int, list[Any]))]
        if Array in args:
            options = [a for a in options if a is not float]
        return " or ".join(dict.fromkeys(describe(a) for a in options))
    if origin is not None:
        inner = describe(args[0])
        return "several tensors" if "tensor" in inner else f"a list of {inner.removeprefix('a ')}s"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def show(value: object) -> str:
    """A value in words."""
    if isinstance(value, Array):
        return f"a tensor {show_shape(value.shape)}"
    if isinstance(value, Batch):
        return "the batch"
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
