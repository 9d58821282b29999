"""What the rules share: values as arrays, axes counted from either end, lengths multiplied and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from archspec.layers.ops.promotion import DTYPES, FLOATS, INTEGERS, promote
from archspec.tensor import BATCH, Array, Batch, Dim, ShapeError, show_shape

Tensor = Array | bool | int | float | list[Any]  # what Keras makes a tensor of: numbers, and nested lists of them
Axes = int | Sequence[int] | None


Rule = TypeVar("Rule", bound=Callable[..., Any])


def called(name: str, doc: str) -> Callable[[Rule], Rule]:
    """Gives a rule that a family's factory made its own name and docstring."""

    def rename(rule: Rule) -> Rule:
        rule.__name__ = rule.__qualname__ = name
        rule.__doc__ = doc
        return rule

    return rename


def array(value: Tensor) -> Array:
    """The array that Keras makes of a value. Raises ShapeError for a ragged list."""
    if isinstance(value, Array):
        return value
    if isinstance(value, list | tuple):
        parts = [array(v) for v in value]
        if not parts:
            return Array((0,))
        if any(p.shape != parts[0].shape for p in parts):
            shapes = ", ".join(sorted({show_shape(p.shape) for p in parts}))
            raise ShapeError(f"a list of tensors needs parts of one shape, got {shapes}")
        return Array((len(parts), *parts[0].shape), promote(*(p.dtype for p in parts)))
    if isinstance(value, bool):
        return Array((), "bool")
    if isinstance(value, int):
        return Array((), "int32" if -(2**31) <= value < 2**31 else "int64")
    if isinstance(value, float):
        return Array(())
    raise ShapeError(f"expected a tensor or numbers, got {value!r}")


def weak(value: Tensor) -> str:
    """The value's dtype for promotion: a bare number yields to the tensors beside it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return array(value).dtype
    return "int" if isinstance(value, int) else "float"


def axis_of(axis: int, rank: int, what: str = "axis") -> int:
    """The axis counted from 0. Raises ShapeError where there is no such axis."""
    if not -rank <= axis < rank:
        counts = f"-{rank} to {rank - 1} (the batch is axis 0)" if rank else "none: it is a single number"
        raise ShapeError(f"there is no {what} {axis}; the tensor's axes are {counts}")
    return axis % rank


def axes_of(axes: Axes, rank: int) -> tuple[int, ...]:
    """The axes counted from 0, all of them for None, each once."""
    if axes is None:
        return tuple(range(rank))
    result = tuple(axis_of(a, rank) for a in ([axes] if isinstance(axes, int) else axes))
    if len(set(result)) != len(result):
        raise ShapeError(f"each axis can be given once, got {tuple(axes) if not isinstance(axes, int) else axes}")
    return result


def replace(shape: tuple[Dim, ...], axis: int, *lengths: Dim) -> tuple[Dim, ...]:
    """The shape with other lengths in place of one axis."""
    return (*shape[:axis], *lengths, *shape[axis + 1 :])


def product(lengths: Iterable[Dim]) -> Dim:
    """The length of merged axes: unknown where one is, and where the batch is merged with others."""
    result: Dim = 1
    for length in lengths:
        if result == 1 or length == 0:
            result = length
        elif isinstance(result, int) and isinstance(length, int):
            result *= length
        elif length != 1 and result != 0:
            result = None
    return result


def total(lengths: Iterable[Dim]) -> Dim:
    """The length of axes put one after the other."""
    result: Dim = 0
    for length in lengths:
        if result == 0:
            result = length
        elif isinstance(result, int) and isinstance(length, int):
            result += length
        elif length != 0:
            result = None
    return result


def count(lengths: Iterable[Dim]) -> int:
    """Elements for one example: the batch and unknown lengths count as one."""
    result = 1
    for length in lengths:
        result *= length if isinstance(length, int) else 1
    return result


def equal_length(a: Dim, b: Dim) -> bool:
    """Whether two lengths can be the same; an unknown one can be anything."""
    return a is None or b is None or a == b


def known(a: Dim, b: Dim) -> Dim:
    """The one of two equal lengths that says more."""
    return b if a is None else a


def agree(what: str, *shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape that all have. Raises ShapeError where they differ."""
    result = shapes[0]
    for shape in shapes[1:]:
        if len(shape) != len(result) or not all(map(equal_length, result, shape)):
            raise ShapeError(f"{what} needs equal shapes, got {' and '.join(map(show_shape, (result, shape)))}")
        result = tuple(map(known, result, shape))
    return result


def need_rank(what: str, x: Array, least: int, most: int | None = None) -> None:
    """Raises ShapeError unless the tensor has this many axes, the batch counted."""
    if not least <= len(x.shape) <= (most or len(x.shape)):
        axes = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        raise ShapeError(f"{what} needs {axes} axes with the batch, got {show_shape(x.shape)}")


def need_float(what: str, *arrays: Array, others: tuple[str, ...] = ()) -> None:
    """Raises ShapeError for integers and booleans, which the function does not convert."""
    for x in arrays:
        if x.dtype not in FLOATS and x.dtype not in others:
            raise ShapeError(f"{what} needs floats, got {x.dtype}", help="cast it: cast(x, 'float32')")


def need_integer(what: str, *arrays: Array) -> None:
    """Raises ShapeError for anything but integers."""
    for x in arrays:
        if x.dtype not in INTEGERS:
            raise ShapeError(f"{what} needs integers, got {x.dtype}", help="cast it: cast(x, 'int32')")


def need_dtype(dtype: str | None, default: str) -> str:
    """The dtype that an argument names, or the default. Raises ShapeError for an unknown one."""
    aliases = {"int": "int32", "float": "float32", None: default}
    result = aliases.get(dtype, dtype)
    if result not in DTYPES and result != "string":
        raise ShapeError(f"dtype {dtype!r} is not known", help=f"dtypes: {', '.join(DTYPES)}")
    assert result is not None
    return result


def need_length(what: str, length: Dim) -> int:
    """The length as a number. Raises ShapeError for the batch and for unknown ones."""
    if not isinstance(length, int):
        kind = "is the batch" if isinstance(length, Batch) else "is not known"
        raise ShapeError(f"{what} needs an axis of known length; this one {kind}")
    return length


def lengths(shape: int | Sequence[Dim]) -> tuple[Dim, ...]:
    """A shape argument as a tuple. Raises ShapeError for negative lengths."""
    result: tuple[Dim, ...] = (shape,) if isinstance(shape, int) else tuple(shape)
    for length in result:
        if isinstance(length, int) and length < 0:
            raise ShapeError(f"a shape's lengths cannot be negative, got {show_shape(result)}")
    return result


def has_batch(x: Array) -> bool:
    return BATCH in x.shape
