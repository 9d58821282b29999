"""Functions that move, merge and repeat axes; the batch may be moved, but not mixed with the others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from archspec.layers.ops.common import (
    Axes,
    Tensor,
    axes_of,
    axis_of,
    equal_length,
    has_batch,
    lengths,
    need_rank,
    product,
    replace,
    total,
)
from archspec.layers.ops.common import array as as_array
from archspec.tensor import BATCH, Array, Batch, Dim, ShapeError, show_shape

_BATCH_HELP = "write -1 for the batch: reshape(x, (-1, …))"


def reshape(x: Tensor, newshape: int | Sequence[Dim]) -> Array:
    """The same elements in another shape; the batch is its -1, or shape(x)[0]."""
    tensor = as_array(x)
    new = (newshape,) if isinstance(newshape, int) else tuple(newshape)
    if any(isinstance(d, int) and d < -1 for d in new) or new.count(-1) > 1:
        raise ShapeError(f"reshape takes lengths and at most one -1, got {show_shape(new)}")
    return Array(_reshape_batch(tensor.shape, new) if has_batch(tensor) else _fill(tensor.shape, new), tensor.dtype)


def _reshape_batch(old: tuple[Dim, ...], new: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Both shapes without the batch must match, and as much must stand before it in both."""
    place = old.index(BATCH)
    if BATCH not in new:
        if -1 not in new:
            raise ShapeError(
                f"reshape to {show_shape(new)} would fix or mix the batch of {show_shape(old)}", _BATCH_HELP
            )
        if old.count(None) != new.count(None):  # where the guess is wrong the -1 would take more than the batch
            help = "write shape(x)[0] for the batch, and shape(x)[1] for such a length"
            raise ShapeError(f"reshape cannot tell the batch of {show_shape(old)} from its unknown lengths", help)
        new = tuple(BATCH if d == -1 else d for d in new)
    at = new.index(BATCH)
    rest_old, rest_new = (*old[:place], *old[place + 1 :]), (*new[:at], *new[at + 1 :])
    if BATCH in rest_old or BATCH in rest_new or not equal_length(product(old[:place]), product(new[:at])):
        raise ShapeError(f"reshape from {show_shape(old)} to {show_shape(new)} would mix the batch", _BATCH_HELP)
    filled = _fill(rest_old, rest_new, " for one example")
    return (*filled[:at], BATCH, *filled[at:])


def _fill(old: tuple[Dim, ...], new: tuple[Dim, ...], per: str = "") -> tuple[Dim, ...]:
    """The new shape with its -1 worked out. Raises ShapeError where the elements do not fit."""
    have = product(d for d in old if d is not None)
    want = product(d for d in new if d not in (None, -1))
    unknown = old.count(None) - new.count(None)
    if not isinstance(have, int) or not isinstance(want, int):
        raise ShapeError(f"reshape from {show_shape(old)} to {show_shape(new)} would mix the batch", _BATCH_HELP)
    if unknown:  # the unknown lengths may hold any factor
        return tuple(None if d == -1 else d for d in new)
    if -1 in new and want and have % want == 0:
        return tuple(have // want if d == -1 else d for d in new)
    if -1 in new or have != want:
        help = _BATCH_HELP if per else None
        raise ShapeError(
            f"cannot reshape {show_shape(old)} to {show_shape(new)}: {have} and {want} elements{per}", help
        )
    return new


def ravel(x: Tensor) -> Array:
    """All elements in one axis."""
    tensor = as_array(x)
    return Array((product(tensor.shape),), tensor.dtype)


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Array:
    """The axes in another order, by default reversed."""
    tensor = as_array(x)
    rank = len(tensor.shape)
    order = tuple(reversed(range(rank))) if axes is None else axes_of(axes, rank)
    if len(order) != rank:
        raise ShapeError(
            f"transpose needs each of the {rank} axes of {show_shape(tensor.shape)} once, got {tuple(axes or ())}",
            help="axis 0 is the batch: transpose(x, (0, 2, 1))",
        )
    return Array(tuple(tensor.shape[a] for a in order), tensor.dtype)


def swapaxes(x: Tensor, axis1: int, axis2: int) -> Array:
    """Two axes exchanged."""
    tensor = as_array(x)
    a, b = axis_of(axis1, len(tensor.shape)), axis_of(axis2, len(tensor.shape))
    shape = list(tensor.shape)
    shape[a], shape[b] = shape[b], shape[a]
    return Array(tuple(shape), tensor.dtype)


def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Array:
    """Axes moved to other places, the others in their order."""
    tensor = as_array(x)
    rank = len(tensor.shape)
    sources, targets = axes_of(source, rank), axes_of(destination, rank)
    if len(sources) != len(targets):
        raise ShapeError(f"moveaxis needs a destination for each source, got {len(sources)} and {len(targets)}")
    order = [a for a in range(rank) if a not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return Array(tuple(tensor.shape[a] for a in order), tensor.dtype)


def expand_dims(x: Tensor, axis: int | Sequence[int]) -> Array:
    """New axes of length 1 at these places of the result."""
    tensor = as_array(x)
    count = 1 if isinstance(axis, int) else len(axis)
    places = axes_of(axis, len(tensor.shape) + count)
    rest = iter(tensor.shape)
    return Array(tuple(1 if a in places else next(rest) for a in range(len(tensor.shape) + count)), tensor.dtype)


def squeeze(x: Tensor, axis: Axes = None) -> Array:
    """Axes of length 1 removed: all, or those given."""
    tensor = as_array(x)
    if axis is None:
        if None in tensor.shape:
            raise ShapeError("squeeze needs an axis where a length is not known", help="give axis=…")
        return Array(tuple(d for d in tensor.shape if d != 1), tensor.dtype)
    gone = axes_of(axis, len(tensor.shape))
    for a in gone:
        if not equal_length(tensor.shape[a], 1):
            raise ShapeError(f"squeeze removes axes of length 1; axis {a} of {show_shape(tensor.shape)} is none")
    return Array(tuple(d for a, d in enumerate(tensor.shape) if a not in gone), tensor.dtype)


def broadcast_to(x: Tensor, shape: Sequence[Dim]) -> Array:
    """The tensor repeated to a shape by NumPy's rule."""
    tensor = as_array(x)
    new = lengths(shape)
    if len(new) < len(tensor.shape):
        raise ShapeError(f"{show_shape(tensor.shape)} has more axes than {show_shape(new)}")
    for have, want in zip(reversed(tensor.shape), reversed(new), strict=False):
        if have != 1 and not equal_length(have, want):
            help = "write shape(x)[0] for the batch" if isinstance(have, Batch) else None
            raise ShapeError(f"{show_shape(tensor.shape)} does not broadcast to {show_shape(new)}", help)
    return Array(new, tensor.dtype)


def flip(x: Tensor, axis: Axes = None) -> Array:
    """The elements in reverse order along axes."""
    axes_of(axis, len(as_array(x).shape))
    return as_array(x)


def fliplr(x: Tensor) -> Array:
    """The elements in reverse order along axis 1."""
    need_rank("fliplr", as_array(x), 2)
    return as_array(x)


def flipud(x: Tensor) -> Array:
    """The elements in reverse order along axis 0."""
    need_rank("flipud", as_array(x), 1)
    return as_array(x)


def roll(x: Tensor, shift: int | Sequence[int], axis: Axes = None) -> Array:
    """The elements moved round along axes."""
    axes = axes_of(axis, len(as_array(x).shape))
    if axis is not None and not isinstance(shift, int) and len(shift) != len(axes):
        raise ShapeError(f"roll needs a shift for each axis, got {len(shift)} and {len(axes)}")
    return as_array(x)


def rot90(array: Tensor, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """The tensor turned k times by 90° in the plane of two axes."""
    tensor = as_array(array)
    first, second = axes_of(axes, len(tensor.shape))
    return swapaxes(tensor, first, second) if k % 2 else tensor


def tile(x: Tensor, repeats: int | Sequence[int]) -> Array:
    """The tensor laid side by side so many times along each axis."""
    tensor = as_array(x)
    times = (repeats,) if isinstance(repeats, int) else tuple(repeats)
    rank = max(len(times), len(tensor.shape))
    shape: tuple[Dim, ...] = (1,) * (rank - len(tensor.shape)) + tensor.shape
    times = (1,) * (rank - len(times)) + times
    lengths(times)
    return Array(tuple(product(pair) for pair in zip(shape, times, strict=True)), tensor.dtype)


def repeat(x: Tensor, repeats: int | Sequence[int], axis: int | None = None) -> Array:
    """Each element repeated along an axis."""
    tensor = as_array(x) if axis is not None else ravel(x)
    place = axis_of(axis or 0, len(tensor.shape))
    if isinstance(repeats, int):
        return Array(replace(tensor.shape, place, product((tensor.shape[place], repeats))), tensor.dtype)
    if len(repeats) != 1 and not equal_length(tensor.shape[place], len(repeats)):
        raise ShapeError(f"repeat needs a number for each of the {tensor.shape[place]} elements, got {len(repeats)}")
    length = product((tensor.shape[place], repeats[0])) if len(repeats) == 1 else total(repeats)
    return Array(replace(tensor.shape, place, length), tensor.dtype)


def pad(
    x: Tensor, pad_width: Sequence[Sequence[int]], mode: str = "constant", constant_values: float | None = None
) -> Array:
    """Elements added before and after along each axis: a pair for each, the batch's (0, 0) first."""
    tensor = as_array(x)
    if len(pad_width) != len(tensor.shape) or any(len(pair) != 2 for pair in pad_width):
        raise ShapeError(
            f"pad needs a (before, after) pair for each of the {len(tensor.shape)} axes of {show_shape(tensor.shape)}",
            help="axis 0 is the batch: pad(x, ((0, 0), (1, 1)))",
        )
    if mode not in ("constant", "reflect", "symmetric"):
        raise ShapeError(f"mode must be constant, reflect or symmetric, got {mode!r}")
    if constant_values is not None and mode != "constant":
        raise ShapeError(f"constant_values belongs to mode 'constant', got mode {mode!r}")
    for pair in pad_width:
        lengths(pair)
    return Array(tuple(total((d, *pair)) for d, pair in zip(tensor.shape, pad_width, strict=True)), tensor.dtype)


def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Array:
    """Axes split, reordered and merged by a pattern: 'b (h p) c -> b h (p c)' with p=2."""
    x = as_array(tensor)
    sides = [re.findall(r"\w+|\(.*?\)", side) for side in pattern.split("->")]
    if len(sides) != 2 or len(sides[0]) != len(x.shape):
        raise ShapeError(
            f"rearrange needs 'before -> after' with an axis for each of {show_shape(x.shape)}: {pattern!r}"
        )
    sizes: dict[str, Dim] = {}
    for group, length in zip(sides[0], x.shape, strict=True):
        sizes |= _split_axis(group, length, axes_lengths, pattern)
    names = re.findall(r"\w+", " ".join(sides[0]))
    after = re.findall(r"\w+", " ".join(sides[1]))
    if sorted(names) != sorted(after) or len(set(names)) != len(names):
        raise ShapeError(f"rearrange needs each axis once on both sides: {pattern!r}")
    if unused := sorted(set(axes_lengths) - set(names)):
        raise ShapeError(f"rearrange has no axis {unused[0]!r} in {pattern!r}")
    return Array(tuple(product(sizes[n] for n in re.findall(r"\w+", group)) for group in sides[1]), x.dtype)


def _split_axis(group: str, length: Dim, given: dict[str, int], pattern: str) -> dict[str, Dim]:
    """The lengths of a group's axes: at most one is worked out from the others."""
    names = re.findall(r"\w+", group)
    open_names = [n for n in names if n not in given or group == n]
    sizes: dict[str, Dim] = {n: given[n] for n in names if n not in open_names}
    inner = product(sizes.values())
    assert isinstance(inner, int)
    if len(open_names) > 1 or inner < 1:
        raise ShapeError(f"rearrange cannot split {group} of {pattern!r}", help="give all but one length: h=2")
    if isinstance(length, int) and (length % inner or (not open_names and length != inner)):
        raise ShapeError(f"rearrange cannot split an axis of {length} into {group} with {given}")
    if open_names:
        sizes[open_names[0]] = length if inner == 1 else length // inner if isinstance(length, int) else None
    return {n: sizes[n] for n in names}


def shape(x: Tensor) -> tuple[Dim, ...]:
    """The lengths of the axes, the batch first: shape(x)[0] is the batch."""
    return as_array(x).shape


def ndim(x: Tensor) -> int:
    """The number of axes, the batch among them."""
    return len(as_array(x).shape)
