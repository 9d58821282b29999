"""Products of tensors: matmul, einsum and their kin. `NAME_macs` counts multiply-accumulates for one example."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.layers.ops.common import (
    Tensor,
    agree,
    array,
    axes_of,
    axis_of,
    count,
    equal_length,
    known,
    need_rank,
    product,
)
from archspec.layers.ops.promotion import promote
from archspec.tensor import Array, Dim, ShapeError, broadcast, show_shape


def _clash(name: str, a: Array, b: Array, help: str | None = None) -> ShapeError:
    return ShapeError(f"{name}: {show_shape(a.shape)} and {show_shape(b.shape)} do not fit", help)


def matmul(x1: Tensor, x2: Tensor) -> Array:
    """The matrix product of the last two axes, the others broadcast."""
    a, b = array(x1), array(x2)
    need_rank("matmul", a, 1)
    need_rank("matmul", b, 1)
    inner = b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    if not equal_length(a.shape[-1], inner):
        raise _clash("matmul", a, b, f"the last axis ({a.shape[-1]}) must be as long as the next to last ({inner})")
    shape = broadcast(a.shape[:-2], b.shape[:-2])
    dtype = "int32" if a.dtype == b.dtype == "int8" else promote(a.dtype, b.dtype)
    return Array((*shape, *a.shape[-2:-1], *(b.shape[-1:] if len(b.shape) > 1 else ())), dtype)


def matmul_macs(x1: Tensor, x2: Tensor) -> int:
    return count(matmul(x1, x2).shape) * count(array(x1).shape[-1:])


def dot(x1: Tensor, x2: Tensor) -> Array:
    """The sum over the last axis of x1 and the next to last of x2; all other axes are kept side by side."""
    a, b = array(x1), array(x2)
    dtype = promote(a.dtype, b.dtype)
    if not a.shape or not b.shape:
        return Array(a.shape + b.shape, dtype)
    place = max(0, len(b.shape) - 2)
    if not equal_length(a.shape[-1], b.shape[place]):
        raise _clash("dot", a, b, "the last axis of the first must be as long as the next to last of the second")
    return Array((*a.shape[:-1], *b.shape[:place], *b.shape[place + 1 :]), dtype)


def dot_macs(x1: Tensor, x2: Tensor) -> int:
    return count(dot(x1, x2).shape) * (count(array(x1).shape[-1:]) if array(x2).shape else 1)


def inner(x1: Tensor, x2: Tensor) -> Array:
    """The sum over the last axis of both; all other axes are kept side by side."""
    a, b = array(x1), array(x2)
    dtype = promote(a.dtype, b.dtype)
    if not a.shape or not b.shape:
        return Array(a.shape + b.shape, dtype)
    if not equal_length(a.shape[-1], b.shape[-1]):
        raise _clash("inner", a, b, "the last axes must be equally long")
    return Array(a.shape[:-1] + b.shape[:-1], dtype)


def inner_macs(x1: Tensor, x2: Tensor) -> int:
    return count(inner(x1, x2).shape) * (count(array(x1).shape[-1:]) if array(x2).shape else 1)


def outer(x1: Tensor, x2: Tensor) -> Array:
    """All products of an element of x1 (rows) and one of x2 (columns)."""
    a, b = array(x1), array(x2)
    return Array((product(a.shape), product(b.shape)), promote(a.dtype, b.dtype))


def outer_macs(x1: Tensor, x2: Tensor) -> int:
    return count(array(x1).shape) * count(array(x2).shape)


def vdot(x1: Tensor, x2: Tensor) -> Array:
    """The sum of the products of all elements."""
    a, b = array(x1), array(x2)
    if not equal_length(product(a.shape), product(b.shape)):
        raise _clash("vdot", a, b)
    return Array((), promote(a.dtype, b.dtype))


def vdot_macs(x1: Tensor, x2: Tensor) -> int:
    return count(array(x1).shape)


def kron(x1: Tensor, x2: Tensor) -> Array:
    """The Kronecker product."""
    a, b = array(x1), array(x2)
    rank = max(len(a.shape), len(b.shape))
    shapes = [(1,) * (rank - len(v.shape)) + v.shape for v in (a, b)]
    return Array(tuple(product(pair) for pair in zip(*shapes, strict=True)), promote(a.dtype, b.dtype))


def kron_macs(x1: Tensor, x2: Tensor) -> int:
    return count(array(x1).shape) * count(array(x2).shape)


def tensordot(x1: Tensor, x2: Tensor, axes: int | Sequence[int] | Sequence[Sequence[int]] = 2) -> Array:
    """The sum over pairs of axes; a number pairs the last of x1 with the first of x2."""
    a, b = array(x1), array(x2)
    left, right = _pairs(a, b, axes)
    kept = (*(d for i, d in enumerate(a.shape) if i not in left), *(d for i, d in enumerate(b.shape) if i not in right))
    return Array(kept, promote(a.dtype, b.dtype))


def tensordot_macs(x1: Tensor, x2: Tensor, axes: int | Sequence[int] | Sequence[Sequence[int]] = 2) -> int:
    left, _ = _pairs(array(x1), array(x2), axes)
    return count(tensordot(x1, x2, axes).shape) * count(array(x1).shape[i] for i in left)


def _pairs(
    a: Array, b: Array, axes: int | Sequence[int] | Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(axes, int):
        if not 0 <= axes <= min(len(a.shape), len(b.shape)):
            raise _clash(f"tensordot over {axes} axes", a, b)
        left, right = tuple(range(len(a.shape) - axes, len(a.shape))), tuple(range(axes))
    elif len(axes) != 2:
        raise ShapeError(f"tensordot's axes are a number, or those of each tensor, got {axes}")
    else:
        left, right = axes_of(axes[0], len(a.shape)), axes_of(axes[1], len(b.shape))
    fits = len(left) == len(right) and all(
        equal_length(a.shape[i], b.shape[j]) for i, j in zip(left, right, strict=True)
    )
    if not fits:
        raise _clash("tensordot", a, b, f"axes {left} and {right} must be equally long")
    return left, right


def cross(x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Array:
    """The vector product along an axis of length 3."""
    a, b = array(x1), array(x2)
    if axis is not None:
        axisa = axisb = axisc = axis
    shapes = []
    for v, at in ((a, axisa), (b, axisb)):
        place = axis_of(at, len(v.shape))
        if v.shape[place] != 3:
            raise ShapeError(f"cross needs vectors of length 3 along axis {at}, got {show_shape(v.shape)}")
        shapes.append((*v.shape[:place], *v.shape[place + 1 :]))
    shape = broadcast(*shapes)
    place = axis_of(axisc, len(shape) + 1)
    return Array((*shape[:place], 3, *shape[place:]), promote(a.dtype, b.dtype))


def cdist(x: Tensor, y: Tensor) -> Array:
    """The distance of each row of x from each row of y."""
    a, b = array(x), array(y)
    need_rank("cdist", a, 2)
    need_rank("cdist", b, 2)
    if not equal_length(a.shape[-1], b.shape[-1]):
        raise _clash("cdist", a, b, "the last axes must be equally long")
    agree("cdist", a.shape[:-2], b.shape[:-2])
    return Array((*a.shape[:-1], b.shape[-2]), promote(a.dtype, b.dtype))


def einsum(subscripts: str, *operands: Tensor) -> Array:
    """Einstein's sum: einsum('bij,bjk->bik', x, y); axes that the result leaves out are summed over."""
    arrays = [array(x) for x in operands]
    inputs, output = _subscripts(subscripts, arrays)
    lengths = _lengths(subscripts, inputs, arrays)
    dtypes = {x.dtype for x in arrays}
    dtype = "int32" if dtypes == {"int8"} else promote(*(x.dtype for x in arrays))
    return Array(tuple(lengths[label] for label in output), dtype)


def einsum_macs(subscripts: str, *operands: Tensor) -> int:
    """The operands are multiplied from left to right; axes that nothing later needs are summed at once."""
    arrays = [array(x) for x in operands]
    inputs, output = _subscripts(subscripts, arrays)
    lengths = _lengths(subscripts, inputs, arrays)
    macs = 0
    open_labels = set(inputs[0])
    for i, labels in enumerate(inputs[1:], 1):
        open_labels |= set(labels)
        macs += count(lengths[label] for label in open_labels)
        open_labels &= set(output).union(*inputs[i + 1 :])
    return macs


Labels = tuple[str, ...]


def _subscripts(text: str, arrays: Sequence[Array]) -> tuple[list[Labels], Labels]:
    """Each operand's axes and the result's by label; `…` stands for labels '0', '1', …, counted from the right."""
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays) or not arrays:
        raise ShapeError(f"einsum {text!r} names {len(terms)} tensors, got {len(arrays)}")
    inputs = []
    for term, x in zip(terms, arrays, strict=True):
        hidden = len(x.shape) - len(term.replace("...", ""))
        if hidden < 0 or (hidden and "..." not in term):
            raise ShapeError(f"einsum {text!r}: {term!r} does not fit {show_shape(x.shape)}; axis 0 is the batch")
        inputs.append(_labels(text, term, hidden))
    widest = max((sum(label.isdigit() for label in labels) for labels in inputs), default=0)
    if not arrow and "..." in left:
        raise ShapeError(f"einsum {text!r} must say its result where it has '...'", help="write it after ->")
    if not arrow:
        flat = [label for labels in inputs for label in labels]
        once = sorted({label for label in flat if flat.count(label) == 1})
        return inputs, tuple(once)
    output = _labels(text, right, widest)
    if len(set(output)) != len(output) or not set(output) <= {label for labels in inputs for label in labels}:
        raise ShapeError(f"einsum {text!r}: the result must name axes of the tensors, each once")
    return inputs, output


def _labels(text: str, term: str, hidden: int) -> Labels:
    before, dots, after = term.partition("...")
    if not all(c.isalpha() and c.isascii() for c in before + after):
        raise ShapeError(f"einsum {text!r}: axes are single letters, with '...' for any others")
    return (*before, *(str(i) for i in reversed(range(hidden if dots else 0))), *after)


def _lengths(text: str, inputs: Sequence[Labels], arrays: Sequence[Array]) -> dict[str, Dim]:
    lengths: dict[str, Dim] = {}
    for labels, x in zip(inputs, arrays, strict=True):
        for label, length in zip(labels, x.shape, strict=True):
            have = lengths.setdefault(label, length)
            if label.isdigit():
                (lengths[label],) = broadcast((have,), (length,))
            elif equal_length(have, length):
                lengths[label] = known(have, length)
            else:
                shapes = " and ".join(show_shape(v.shape) for v in arrays)
                raise ShapeError(f"einsum {text!r}: axis {label} is {have} and {length} in {shapes}")
    return lengths
