"""Functions that make tensors: constants, ranges, windows. Where none of their lengths is the batch, they hold once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from archspec.layers.ops.common import Tensor, axis_of, called, lengths, need_dtype, need_length, need_rank, weak
from archspec.layers.ops.common import array as as_array
from archspec.layers.ops.promotion import FLOAT, floating, promote
from archspec.tensor import Array, Dim, ShapeError, broadcast

Window = Callable[[int], Array]


def array(x: Tensor, dtype: str | None = None) -> Array:
    """A tensor of numbers or nested lists of them."""
    return Array(as_array(x).shape, need_dtype(dtype, as_array(x).dtype))


def convert_to_tensor(x: Tensor, dtype: str | None = None) -> Array:
    """A tensor of numbers or nested lists of them."""
    return array(x, dtype)


def zeros(shape: int | Sequence[Dim], dtype: str | None = None) -> Array:
    """Zeros."""
    return Array(lengths(shape), need_dtype(dtype, FLOAT))


def ones(shape: int | Sequence[Dim], dtype: str | None = None) -> Array:
    """Ones."""
    return zeros(shape, dtype)


def empty(shape: int | Sequence[Dim], dtype: str | None = None) -> Array:
    """Elements of no set value."""
    return zeros(shape, dtype)


def full(shape: int | Sequence[Dim], fill_value: Tensor, dtype: str | None = None) -> Array:
    """One value everywhere."""
    return Array(broadcast(lengths(shape), as_array(fill_value).shape), need_dtype(dtype, FLOAT))


def zeros_like(x: Tensor, dtype: str | None = None) -> Array:
    """Zeros in the shape of another tensor."""
    return array(x, dtype)


def ones_like(x: Tensor, dtype: str | None = None) -> Array:
    """Ones in the shape of another tensor."""
    return array(x, dtype)


def empty_like(x: Tensor, dtype: str | None = None) -> Array:
    """Elements of no set value in the shape of another tensor."""
    return array(x, dtype)


def full_like(x: Tensor, fill_value: Tensor, dtype: str | None = None) -> Array:
    """One value everywhere, in the shape of another tensor."""
    return array(x, dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Array:
    """Ones on a diagonal, zeros elsewhere."""
    return zeros((N, N if M is None else M), dtype)


def identity(n: int, dtype: str | None = None) -> Array:
    """Ones on the diagonal of a square, zeros elsewhere."""
    return zeros((n, n), dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Array:
    """Ones at and below a diagonal, zeros above."""
    return zeros((N, N if M is None else M), dtype)


def arange(start: float | Dim, stop: float | None = None, step: float | None = None, dtype: str | None = None) -> Array:
    """Numbers from start to before stop, or from 0 to before start where it stands alone."""
    given = [v for v in (start, stop, step) if isinstance(v, int | float)]
    result = need_dtype(dtype, promote(*map(weak, given)) if given else "int32")
    if not isinstance(start, int | float):
        if stop is not None or step not in (None, 1):
            raise ShapeError("arange can end at a length that is not known, but not begin there")
        return Array((start,), result)
    first, last = (0, start) if stop is None else (start, stop)
    by = 1 if step is None else step
    if by == 0:
        raise ShapeError("arange's step cannot be 0")
    return Array((max(0, math.ceil((last - first) / by)),), result)


def linspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: str | None = None, axis: int = 0,
) -> Array | tuple[Array, Array]:  # fmt: skip
    """So many numbers from start to stop, evenly spaced, along a new axis; with retstep, also the spacing."""
    spread = logspace(start, stop, num, endpoint, 10, dtype, axis)
    step = Array(broadcast(as_array(start).shape, as_array(stop).shape), spread.dtype)
    return (spread, step) if retstep else spread


def logspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, base: float = 10,
    dtype: str | None = None, axis: int = 0,
) -> Array:  # fmt: skip
    """So many numbers from base^start to base^stop, each the same multiple of the one before, along a new axis."""
    shape = broadcast(as_array(start).shape, as_array(stop).shape)
    place = axis_of(axis, len(shape) + 1)
    lengths(num)
    return Array((*shape[:place], num, *shape[place:]), need_dtype(dtype, floating(weak(start), weak(stop))))


def geomspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, dtype: str | None = None, axis: int = 0
) -> Array:
    """So many numbers from start to stop, each the same multiple of the one before, along a new axis."""
    return logspace(start, stop, num, endpoint, 10, dtype, axis)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Array:
    """The powers of a vector's elements, one a column."""
    tensor = as_array(x)
    need_rank("vander", tensor, 1, 1)
    return Array((tensor.shape[0], need_length("vander", tensor.shape[0]) if N is None else N), tensor.dtype)


def _window(name: str, doc: str) -> Window:
    @called(name, doc)
    def rule(x: int) -> Array:
        return Array(lengths(x))

    return rule


hamming = _window("hamming", "The Hamming window of so many points.")
hanning = _window("hanning", "The Hann window of so many points.")
blackman = _window("blackman", "The Blackman window of so many points.")
bartlett = _window("bartlett", "The Bartlett window of so many points.")


def kaiser(x: int, beta: float) -> Array:
    """The Kaiser window of so many points."""
    return Array(lengths(x))
