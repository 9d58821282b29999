"""Functions that join tensors into one, or part one into several."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from archspec.layers.ops.common import (
    Tensor,
    array,
    axis_of,
    equal_length,
    known,
    need_length,
    need_rank,
    replace,
    total,
)
from archspec.layers.ops.promotion import promote
from archspec.layers.ops.shaping import expand_dims, ravel
from archspec.tensor import Array, Dim, ShapeError, show_shape


def _join(name: str, xs: Sequence[Array], axis: int) -> Array:
    if not xs:
        raise ShapeError(f"{name} needs at least one tensor")
    rank = len(xs[0].shape)
    place = axis_of(axis, rank)
    shape = xs[0].shape
    for x in xs[1:]:
        fits = len(x.shape) == rank and all(
            a == place or equal_length(d, e) for a, (d, e) in enumerate(zip(shape, x.shape, strict=True))
        )
        if not fits:
            shapes = " and ".join(show_shape(v.shape) for v in (xs[0], x))
            raise ShapeError(f"{name} along axis {axis} needs equal shapes elsewhere, got {shapes}")
        shape = tuple(map(known, shape, x.shape))
    length = total(x.shape[place] for x in xs)
    return Array(replace(shape, place, length), promote(*(x.dtype for x in xs)))


def concatenate(xs: Sequence[Tensor], axis: int = 0) -> Array:
    """Tensors one after the other along an axis."""
    return _join("concatenate", [array(x) for x in xs], axis)


def stack(x: Sequence[Tensor], axis: int = 0) -> Array:
    """Tensors of one shape along a new axis."""
    return _join("stack", [expand_dims(v, axis) for v in x], axis)


def hstack(xs: Sequence[Tensor]) -> Array:
    """Tensors one after the other along axis 1."""
    arrays = [array(x) for x in xs]
    return _join("hstack", arrays, 1 if arrays and len(arrays[0].shape) > 1 else 0)


def vstack(xs: Sequence[Tensor]) -> Array:
    """Tensors one after the other along axis 0."""
    arrays = [array(x) for x in xs]
    for x in arrays:
        need_rank("vstack", x, 2)
    return _join("vstack", arrays, 0)


def dstack(xs: Sequence[Tensor]) -> Array:
    """Tensors one after the other along axis 2."""
    return _join("dstack", [_least_three(array(x)) for x in xs], 2)


def _least_three(x: Array) -> Array:
    """With axes of length 1 as NumPy's atleast_3d adds them."""
    if len(x.shape) < 2:
        x = Array((1, *(x.shape or (1,))), x.dtype)
    return expand_dims(x, -1) if len(x.shape) == 2 else x


def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Array:
    """x2 after x1 along an axis; without one both are flattened."""
    if axis is None:
        return _join("append", [ravel(x1), ravel(x2)], 0)
    return _join("append", [array(x1), array(x2)], axis)


def meshgrid(*x: Tensor, indexing: str = "xy") -> tuple[Array, ...]:
    """The coordinates of a grid, from those along each of its axes."""
    if indexing not in ("xy", "ij"):
        raise ShapeError(f"indexing must be xy or ij, got {indexing!r}")
    arrays = [array(v) for v in x]
    for v in arrays:
        need_rank("meshgrid", v, 0, 1)
    shape: list[Dim] = [v.shape[0] if v.shape else 1 for v in arrays]
    if indexing == "xy" and len(shape) > 1:
        shape[:2] = shape[1], shape[0]
    return tuple(Array(tuple(shape), v.dtype) for v in arrays)


def split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Array, ...]:
    """Equal parts along an axis, or parts between the given indices."""
    tensor, place, length = _to_part("split", x, axis)
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or length % indices_or_sections:
            raise ShapeError(
                f"split cannot part an axis of {length} into {indices_or_sections} equal parts",
                help="array_split allows unequal ones; a list gives the indices",
            )
        return _parts(tensor, place, [length // indices_or_sections] * indices_or_sections)
    bounds = [0, *(i if i >= 0 else i + length for i in indices_or_sections), length]
    if sorted(bounds) != bounds:
        raise ShapeError(f"split needs rising indices up to {length}, got {tuple(indices_or_sections)}")
    return _parts(tensor, place, [b - a for a, b in pairwise(bounds)])


def array_split(x: Tensor, indices_or_sections: int, axis: int = 0) -> tuple[Array, ...]:
    """So many parts along an axis, of which the first may be longer by one."""
    tensor, place, length = _to_part("array_split", x, axis)
    if indices_or_sections < 1:
        raise ShapeError(f"array_split needs at least one part, got {indices_or_sections}")
    each, more = divmod(length, indices_or_sections)
    return _parts(tensor, place, [each + (i < more) for i in range(indices_or_sections)])


def hsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Array, ...]:
    """As `split` along axis 1."""
    return split(x, indices_or_sections, 1 if len(array(x).shape) > 1 else 0)


def vsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Array, ...]:
    """As `split` along axis 0."""
    need_rank("vsplit", array(x), 2)
    return split(x, indices_or_sections, 0)


def dsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Array, ...]:
    """As `split` along axis 2."""
    need_rank("dsplit", array(x), 3)
    return split(x, indices_or_sections, 2)


def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> tuple[Array, ...]:
    """The tensors that lie along an axis, without it."""
    tensor, place, length = _to_part("unstack", x, axis)
    if num not in (None, length):
        raise ShapeError(f"unstack finds {length} tensors along axis {axis}, not {num}")
    return (Array(replace(tensor.shape, place), tensor.dtype),) * length


def _to_part(name: str, x: Tensor, axis: int) -> tuple[Array, int, int]:
    tensor = array(x)
    place = axis_of(axis, len(tensor.shape))
    return tensor, place, need_length(name, tensor.shape[place])


def _parts(x: Array, axis: int, sizes: list[int]) -> tuple[Array, ...]:
    return tuple(Array(replace(x.shape, axis, size), x.dtype) for size in sizes)
