"""The types of tensors: shapes without the batch, dtypes, bytes.

A spec never mentions the batch, so `TensorType.shape` leaves it out.  `keras.ops` counts it as axis 0,
so the shape rules of functions work on `Array`, whose shape has it: there the batch is the object `BATCH`,
which no arithmetic can mistake for a number or for an unknown length (`None`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

Shape = tuple[int | None, ...]


class Batch:
    """The length of the batch axis: one object, equal to itself only."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "batch"


BATCH: Final = Batch()
Dim = int | None | Batch

_BYTES = {"float64": 8, "int64": 8, "uint64": 8, "complex64": 8, "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2}
_BYTES |= {"int8": 1, "uint8": 1, "bool": 1, "complex128": 16}


def dtype_bytes(dtype: str) -> int:
    """Bytes of one element; 4 for float32 and int32, and for strings, whose size is not known."""
    return _BYTES.get(dtype, 4)


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The same in NumPy, which has bfloat16 of another package."""
    import numpy as np

    if dtype == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    found: np.dtype[Any] = np.dtype(dtype)
    return found


class ShapeError(ValueError):
    """A tensor does not fit where it is used.

    `message` says what was found and what was expected; `help` how to mend it.
    The stage that knows the place in the file turns it into a diagnostic.
    """

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def show_shape(shape: tuple[Dim, ...]) -> str:
    """`(28, 28, 512)` as people write it; an unknown length is `None`."""
    return f"({', '.join(str(d) for d in shape)}{',' if len(shape) == 1 else ''})"


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor's shape without the batch axis, and its dtype by Keras's name."""

    shape: Shape
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        """The number of axes, the batch not counted."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Elements for one example; an unknown length counts as one."""
        size = 1
        for length in self.shape:
            size *= 1 if length is None else length
        return size

    @property
    def bytes(self) -> int:
        """Bytes for one example."""
        return self.size * dtype_bytes(self.dtype)

    def with_shape(self, *shape: int | None) -> TensorType:
        return TensorType(shape, self.dtype)

    def __str__(self) -> str:
        return show_shape(self.shape) + ("" if self.dtype == "float32" else f" {self.dtype}")


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor as `keras.ops` sees it: the batch, where there is one, is among the axes."""

    shape: tuple[Dim, ...]
    dtype: str = "float32"

    @staticmethod
    def of(tensor: TensorType) -> Array:
        return Array((BATCH, *tensor.shape), tensor.dtype)

    def tensor(self) -> TensorType:
        """The same without its batch axis, which must be the first and only one. Raises ShapeError."""
        rest = tuple(d for d in self.shape[1:] if not isinstance(d, Batch))
        if not self.shape or self.shape[0] is not BATCH or len(rest) != len(self.shape) - 1:
            raise ShapeError(
                f"the result must keep the batch as its first axis, got {show_shape(self.shape)}",
                help="axis 0 is the batch: name axes from the end (-1, -2) or count from 1",
            )
        return TensorType(rest, self.dtype)


def broadcast(*shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape that arrays take together by NumPy's rule. Raises ShapeError where they do not fit."""
    rank = max(map(len, shapes))
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for axis, length in enumerate(shape, rank - len(shape)):
            seen = result[axis]
            if seen == 1 or (seen is None and length != 1):
                result[axis] = length
            elif length not in (1, None, seen):
                raise ShapeError(f"shapes {' and '.join(map(show_shape, shapes))} do not broadcast")
    return tuple(result)
