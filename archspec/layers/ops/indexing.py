"""Functions that pick, place and order elements: slices, look-ups, one-hot codes, sorting."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

from archspec.layers.ops.common import (
    Tensor,
    agree,
    array,
    axis_of,
    lengths,
    need_dtype,
    need_integer,
    need_length,
    need_rank,
    replace,
)
from archspec.layers.ops.promotion import COMPLEX, FLOAT
from archspec.layers.ops.shaping import ravel
from archspec.tensor import Array, Dim, ShapeError, broadcast, show_shape

Index = int | builtins.slice | EllipsisType | None | Array


def get_item(x: Tensor, key: Index | tuple[Index, ...]) -> Array:
    """x[key]: indices, slices, new axes (None) and the rest (…); axis 0 is the batch."""
    tensor = array(x)
    keys = list(key) if isinstance(key, tuple) else [key]
    used = sum(k is not None and k is not ... for k in keys)
    if used > len(tensor.shape) or sum(k is ... for k in keys) > 1:
        raise ShapeError(f"{show_shape(tensor.shape)} has {len(tensor.shape)} axes with the batch, got {used} indices")
    if not any(k is ... for k in keys):
        keys.append(...)
    at = next(i for i, k in enumerate(keys) if k is ...)
    rest: list[Index] = [builtins.slice(None)] * (len(tensor.shape) - used)
    result: list[Dim] = []
    axis = 0
    for k in [*keys[:at], *rest, *keys[at + 1 :]]:
        if k is None:
            result.append(1)
            continue
        result += _indexed(tensor.shape[axis], k, axis)
        axis += 1
    return Array(tuple(result), tensor.dtype)


def _indexed(length: Dim, key: Index, axis: int) -> list[Dim]:
    """What an index leaves of an axis: nothing, or a length."""
    if isinstance(key, Array):
        need_integer("an index", key)
        if key.shape:
            raise ShapeError("an index must be a single number", help="take(x, indices, axis=…) picks several")
        return []
    if isinstance(key, builtins.slice):
        if any(isinstance(part, Array) for part in (key.start, key.stop, key.step)):
            return [None]
        if not isinstance(length, int):
            return [length if key.start is key.stop is None and key.step in (None, 1, -1) else None]
        if key.step == 0:
            raise ShapeError("a slice's step cannot be 0")
        return [len(range(*key.indices(length)))]
    assert isinstance(key, int)
    if isinstance(length, int) and not -length <= key < length:
        raise ShapeError(f"index {key} is out of range for axis {axis} of length {length}")
    return []


def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Array:
    """The elements at these places of an axis, of the flattened tensor without one."""
    tensor, places = array(x) if axis is not None else ravel(x), array(indices)
    need_integer("take's indices", places)
    return Array(replace(tensor.shape, axis_of(axis or 0, len(tensor.shape)), *places.shape), tensor.dtype)


def take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Array:
    """For each row along an axis the elements at the places that the row of indices gives."""
    tensor, places = array(x) if axis is not None else ravel(x), array(indices)
    need_integer("take_along_axis's indices", places)
    if axis is None:
        places = ravel(places)
    if len(tensor.shape) != len(places.shape):
        shapes = f"{show_shape(tensor.shape)} and {show_shape(places.shape)}"
        raise ShapeError(f"take_along_axis needs as many axes in both, got {shapes}")
    place = axis_of(axis or 0, len(tensor.shape))
    shape = broadcast(replace(tensor.shape, place, 1), replace(places.shape, place, 1))
    return Array(replace(shape, place, places.shape[place]), tensor.dtype)


def slice(inputs: Tensor, start_indices: Sequence[int], shape: Sequence[Dim]) -> Array:
    """A block of this shape from a place on; the batch's length is shape(x)[0]."""
    tensor = array(inputs)
    block = lengths(shape)
    if not len(tensor.shape) == len(start_indices) == len(block):
        raise ShapeError(f"slice needs a start and a length for each axis of {show_shape(tensor.shape)}")
    for length, start, size in zip(tensor.shape, start_indices, block, strict=True):
        if isinstance(length, int) and isinstance(size, int) and not 0 <= start <= length - size:
            raise ShapeError(f"slice of {size} from {start} on does not lie in an axis of {length}")
        if size is not length and not (isinstance(size, int) and isinstance(length, int)) and start != 0:
            raise ShapeError(f"slice from {start} on does not fit {show_shape(tensor.shape)}")
    return Array(block, tensor.dtype)


def slice_update(inputs: Tensor, start_indices: Sequence[int], updates: Tensor) -> Array:
    """The tensor with a block replaced from a place on."""
    tensor, block = array(inputs), array(updates)
    slice(tensor, start_indices, block.shape)
    return tensor


def scatter(indices: Tensor, values: Tensor, shape: Sequence[Dim]) -> Array:
    """Zeros of a shape with values at these places."""
    need_integer("scatter's indices", array(indices))
    return Array(lengths(shape), array(values).dtype)


def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Array:
    """The tensor with values replaced at these places, or combined with them."""
    need_integer("scatter_update's indices", array(indices))
    array(updates)
    return array(inputs)


def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: str | None = None) -> Array:
    """For each integer a vector with 1 at its place, along a new axis."""
    tensor = array(x)
    need_integer("one_hot", tensor)
    place = axis_of(axis, len(tensor.shape) + 1)
    shape = (*tensor.shape[:place], num_classes, *tensor.shape[place:])
    return Array(shape, need_dtype(dtype, FLOAT))


def multi_hot(inputs: Tensor, num_classes: int | None = None, axis: int = -1, dtype: str | None = None) -> Array:
    """A vector with 1 at the place of each integer along axis 1."""
    if num_classes is None:
        raise ShapeError("multi_hot needs num_classes")
    coded = one_hot(inputs, num_classes, axis, dtype)
    return Array(replace(coded.shape, 1 if len(coded.shape) > 2 else 0), coded.dtype)


def sort(x: Tensor, axis: int = -1) -> Array:
    """The elements in rising order along an axis."""
    tensor = array(x)
    axis_of(axis, len(tensor.shape))
    if tensor.dtype in COMPLEX:
        raise ShapeError(f"sort does not take {tensor.dtype}")
    return tensor


def argsort(x: Tensor, axis: int = -1) -> Array:
    """The places of the elements in rising order along an axis."""
    return Array(sort(x, axis).shape, "int32")


def argpartition(x: Tensor, kth: int, axis: int = -1) -> Array:
    """Places of the elements such that the k-th is where sorting puts it, with lesser ones before it."""
    need_rank("argpartition", array(x), 1, 2)
    return argsort(x, axis)


def top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Array, Array]:
    """The k greatest elements of the last axis, and their places."""
    tensor = array(x)
    need_rank("top_k", tensor, 1)
    length = tensor.shape[-1]
    if k < 0 or (isinstance(length, int) and k > length):
        raise ShapeError(f"top_k finds at most {length} elements along the last axis, not {k}")
    shape = (*tensor.shape[:-1], k)
    return Array(shape, tensor.dtype), Array(shape, "int32")


def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Array:
    """Whether each row's target is among its k greatest predictions."""
    need_integer("in_top_k's targets", array(targets))
    need_rank("in_top_k's predictions", array(predictions), 2, 2)
    return Array(agree("in_top_k", array(targets).shape, array(predictions).shape[:1]), "bool")


def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Array:
    """Where each of a vector's values would be put in a sorted vector."""
    need_rank("searchsorted's sorted_sequence", array(sorted_sequence), 1, 1)
    need_rank("searchsorted's values", array(values), 1, 1)
    if side not in ("left", "right"):
        raise ShapeError(f"side must be left or right, got {side!r}")
    return Array(array(values).shape, "int32")


def digitize(x: Tensor, bins: Tensor) -> Array:
    """The number of the bin that each element falls in."""
    need_rank("digitize's bins", array(bins), 1, 1)
    return Array(array(x).shape, "int32")


def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Array, ...]:
    """The place along each axis of a shape, from places in the flattened one."""
    need_integer("unravel_index", array(indices))
    return (array(indices),) * len(lengths(shape))


def tril(x: Tensor, k: int = 0) -> Array:
    """The last two axes' lower triangle, 0 elsewhere."""
    need_rank("tril", array(x), 2)
    return array(x)


def triu(x: Tensor, k: int = 0) -> Array:
    """The last two axes' upper triangle, 0 elsewhere."""
    need_rank("triu", array(x), 2)
    return array(x)


def diag(x: Tensor, k: int = 0) -> Array:
    """A matrix with the vector as its diagonal; of a matrix, its diagonal."""
    tensor = array(x)
    need_rank("diag", tensor, 1, 2)
    if len(tensor.shape) == 2:
        return diagonal(tensor, k)
    side = need_length("diag", tensor.shape[0]) + builtins.abs(k)
    return Array((side, side), tensor.dtype)


def diagflat(x: Tensor, k: int = 0) -> Array:
    """A matrix with all elements on its diagonal."""
    return diag(ravel(x), k)


def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The diagonal of two axes, as the last axis."""
    tensor = array(x)
    rank = len(tensor.shape)
    first, second = axis_of(axis1, rank), axis_of(axis2, rank)
    if first == second:
        raise ShapeError(f"diagonal needs two axes, got {axis1} twice")
    rows, columns = tensor.shape[first], tensor.shape[second]
    length: Any = None
    if isinstance(rows, int) and isinstance(columns, int):
        length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    return Array((*(d for a, d in enumerate(tensor.shape) if a not in (first, second)), length), tensor.dtype)
