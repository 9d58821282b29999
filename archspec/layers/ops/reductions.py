"""Functions that fold axes away, or run along one: sums, extremes, statistics, cumulative sums, segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.layers.ops.common import (
    Axes,
    Tensor,
    agree,
    array,
    axes_of,
    axis_of,
    called,
    need_dtype,
    need_float,
    need_integer,
    need_rank,
    product,
    replace,
)
from archspec.layers.ops.promotion import COMPLEX, floating, promote
from archspec.layers.ops.promotion import real as real_dtype
from archspec.tensor import Array, Dim, ShapeError, broadcast, show_shape

Reduction = Callable[..., Array]


def _reduced(x: Array, axis: Axes, keepdims: bool = False) -> tuple[Dim, ...]:
    gone = axes_of(axis, len(x.shape))
    if keepdims:
        return tuple(1 if a in gone else d for a, d in enumerate(x.shape))
    return tuple(d for a, d in enumerate(x.shape) if a not in gone)


def _real(name: str, x: Array) -> None:
    if x.dtype in COMPLEX:
        raise ShapeError(f"{name} does not take {x.dtype}", help="take its abs, real or imag first")


def _wide(dtype: str) -> str:
    """The dtype of sums: small integers have room to grow."""
    return {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(dtype, dtype)


def _real_float(dtype: str) -> str:
    return real_dtype(floating(dtype))


def _fold(name: str, doc: str, dtype: Callable[[str], str], needs_real: bool = True) -> Reduction:
    @called(name, doc)
    def rule(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Array:
        tensor = array(x)
        if needs_real:
            _real(name, tensor)
        return Array(_reduced(tensor, axis, keepdims), dtype(tensor.dtype))

    return rule


def _fold_one(name: str, doc: str) -> Reduction:
    @called(name, doc)
    def rule(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Array:
        _real(name, array(x))
        return Array(_reduced(array(x), axis, keepdims), "int32")

    return rule


def _run(name: str, doc: str, needs_real: bool = False) -> Reduction:
    @called(name, doc)
    def rule(x: Tensor, axis: int | None = None, dtype: str | None = None) -> Array:
        tensor = array(x)
        if needs_real:
            _real(name, tensor)
        result = need_dtype(dtype, "int32" if tensor.dtype == "bool" else tensor.dtype)
        if axis is None:
            return Array((product(tensor.shape),), result)
        axis_of(axis, len(tensor.shape))
        return Array(tensor.shape, result)

    return rule


sum = _fold("sum", "The sum over axes.", _wide, needs_real=False)
mean = _fold("mean", "The mean over axes.", floating, needs_real=False)
var = _fold("var", "The variance over axes.", floating)
std = _fold("std", "The standard deviation over axes.", floating)
median = _fold("median", "The median over axes.", floating)
amax = _fold("amax", "The greatest element over axes.", str)
amin = _fold("amin", "The least element over axes.", str)
all = _fold("all", "Whether all elements over axes are true.", lambda dtype: "bool", needs_real=False)
any = _fold("any", "Whether any element over axes is true.", lambda dtype: "bool", needs_real=False)
nansum = _fold("nansum", "The sum over axes, NaNs left out.", _wide, needs_real=False)
nanprod = _fold("nanprod", "The product over axes, NaNs left out.", _wide, needs_real=False)
nanmean = _fold("nanmean", "The mean over axes, NaNs left out.", floating)
nanvar = _fold("nanvar", "The variance over axes, NaNs left out.", floating)
nanstd = _fold("nanstd", "The standard deviation over axes, NaNs left out.", floating)
nanmedian = _fold("nanmedian", "The median over axes, NaNs left out.", floating)
nanmax = _fold("nanmax", "The greatest element over axes, NaNs left out.", str)
nanmin = _fold("nanmin", "The least element over axes, NaNs left out.", str)

argmax = _fold_one("argmax", "The place of the greatest element along an axis.")
argmin = _fold_one("argmin", "The place of the least element along an axis.")
nanargmax = _fold_one("nanargmax", "The place of the greatest element along an axis, NaNs left out.")
nanargmin = _fold_one("nanargmin", "The place of the least element along an axis, NaNs left out.")

cumsum = _run("cumsum", "The sum of all elements up to each, along an axis.")
cumprod = _run("cumprod", "The product of all elements up to each, along an axis.")
nancumsum = _run("nancumsum", "The sum of all elements up to each, NaNs left out.", needs_real=True)
nancumprod = _run("nancumprod", "The product of all elements up to each, NaNs left out.", needs_real=True)


def max(x: Tensor, axis: Axes = None, keepdims: bool = False, initial: float | None = None) -> Array:
    """The greatest element over axes."""
    return amax(x, axis, keepdims)


def min(x: Tensor, axis: Axes = None, keepdims: bool = False, initial: float | None = None) -> Array:
    """The least element over axes."""
    return amin(x, axis, keepdims)


def ptp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Array:
    """The greatest less the least element over axes."""
    if array(x).dtype == "bool":
        raise ShapeError("ptp does not take bool", help="cast it: cast(x, 'int32')")
    return amax(x, axis, keepdims)


def prod(x: Tensor, axis: Axes = None, keepdims: bool = False, dtype: str | None = None) -> Array:
    """The product over axes."""
    tensor = array(x)
    return Array(_reduced(tensor, axis, keepdims), need_dtype(dtype, _wide(tensor.dtype)))


def count_nonzero(x: Tensor, axis: Axes = None) -> Array:
    """How many elements over axes are not 0."""
    return Array(_reduced(array(x), axis), "int32")


def logsumexp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over axes, without overflow."""
    need_float("logsumexp", array(x))
    return Array(_reduced(array(x), axis, keepdims), array(x).dtype)


def norm(x: Tensor, ord: int | float | str | None = None, axis: Axes = None, keepdims: bool = False) -> Array:
    """The norm of vectors along one axis, or of matrices along two."""
    tensor = array(x)
    axes = axes_of(axis, len(tensor.shape))
    if len(axes) not in (1, 2):
        raise ShapeError(f"norm needs one axis or two, got {len(axes)}", help="give axis=-1")
    return Array(_reduced(tensor, axis, keepdims), floating(tensor.dtype) if ord is None else _real_float(tensor.dtype))


def average(x: Tensor, axis: Axes = None, weights: Tensor | None = None) -> Array:
    """The weighted mean over axes."""
    tensor = array(x)
    if weights is None:
        return Array(_reduced(tensor, axis), floating(tensor.dtype))
    other = array(weights)
    if len(other.shape) == 1 and len(tensor.shape) > 1:
        if not isinstance(axis, int):
            raise ShapeError("average needs one axis where the weights are a list", help="give axis=…")
        other = Array(tuple(other.shape[0] if a == axis_of(axis, len(tensor.shape)) else 1
                            for a in range(len(tensor.shape))), other.dtype)  # fmt: skip
    shape = broadcast(tensor.shape, other.shape)
    if len(shape) != len(tensor.shape):
        raise ShapeError(f"average needs weights for {show_shape(tensor.shape)}, got {show_shape(other.shape)}")
    return Array(_reduced(tensor, axis), floating(tensor.dtype, other.dtype))


def moments(
    x: Tensor, axes: int | Sequence[int], keepdims: bool = False, synchronized: bool = False
) -> tuple[Array, Array]:
    """The mean and the variance over axes."""
    need_float("moments", array(x))
    result = Array(_reduced(array(x), axes, keepdims), array(x).dtype)
    return result, result


def quantile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Array:
    """The value that a share q of the elements over axes does not exceed; each q of a list gives one in front."""
    tensor = array(x)
    _real("quantile", tensor)
    if method not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ShapeError(f"method must be linear, lower, higher, midpoint or nearest, got {method!r}")
    return Array((*array(q).shape, *_reduced(tensor, axis, keepdims)), floating(tensor.dtype))


def percentile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Array:
    """As `quantile`, with q from 0 to 100."""
    return quantile(x, q, axis, method, keepdims)


def nanquantile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Array:
    """As `quantile`, NaNs left out."""
    return quantile(x, q, axis, method, keepdims)


def nanpercentile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Array:
    """As `percentile`, NaNs left out."""
    return quantile(x, q, axis, method, keepdims)


def trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Array:
    """The integral along an axis by the trapezoidal rule."""
    return Array(_reduced(array(y), axis), floating(array(y).dtype))


def diff(a: Tensor, n: int = 1, axis: int = -1) -> Array:
    """The n-th difference of neighbours along an axis."""
    tensor = array(a)
    place = axis_of(axis, len(tensor.shape))
    length = tensor.shape[place]
    if n < 0:
        raise ShapeError(f"diff needs n ≥ 0, got {n}")
    shorter = (length - n if length > n else 0) if isinstance(length, int) else length if n == 0 else None
    return Array(replace(tensor.shape, place, shorter), tensor.dtype)


def _segments(name: str, doc: str) -> Reduction:
    @called(name, doc)
    def rule(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Array:
        tensor, ids = array(data), array(segment_ids)
        need_rank(name, tensor, 1)
        need_integer(f"{name}'s segment_ids", ids)
        agree(f"{name}'s segment_ids", tensor.shape[:1], ids.shape)
        return Array((num_segments, *tensor.shape[1:]), tensor.dtype)

    return rule


segment_sum = _segments("segment_sum", "The sum of the rows with the same id.")
segment_max = _segments("segment_max", "The greatest of the rows with the same id.")
segment_min = _segments("segment_min", "The least of the rows with the same id.")
segment_prod = _segments("segment_prod", "The product of the rows with the same id.")


def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Array:
    """The peak signal-to-noise ratio of two images, of all elements together."""
    agree("psnr", array(x1).shape, array(x2).shape)
    return Array((), promote(array(x1).dtype, array(x2).dtype))


def corrcoef(x: Tensor) -> Array:
    """The correlation coefficients of the rows of a matrix."""
    need_rank("corrcoef", array(x), 1, 2)
    rows = array(x).shape[0] if len(array(x).shape) == 2 else None
    return Array(() if rows is None else (rows, rows), floating(array(x).dtype))
