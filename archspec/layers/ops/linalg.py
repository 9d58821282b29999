"""Linear algebra on the last two axes: inverses, determinants, decompositions."""

from __future__ import annotations

from collections.abc import Callable

from archspec.layers.ops.common import Tensor, array, called, equal_length, need_float, need_rank
from archspec.layers.ops.indexing import diagonal
from archspec.layers.ops.promotion import COMPLEX, floating, real
from archspec.layers.ops.reductions import sum as _sum
from archspec.tensor import Array, Dim, ShapeError, broadcast, show_shape


def _least(a: Dim, b: Dim) -> Dim:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else a if a == b else None


def _matrix(name: str, x: Tensor, square: bool = True) -> Array:
    tensor = array(x)
    need_rank(name, tensor, 2)
    need_float(name, tensor, others=COMPLEX)
    if square and not equal_length(*tensor.shape[-2:]):
        raise ShapeError(f"{name} needs square matrices in the last two axes, got {show_shape(tensor.shape)}")
    return tensor


def _square(name: str, doc: str) -> Callable[[Tensor], Array]:
    @called(name, doc)
    def rule(x: Tensor) -> Array:
        return _matrix(name, x)

    return rule


def _number(name: str, doc: str) -> Callable[[Tensor], Array]:
    @called(name, doc)
    def rule(x: Tensor) -> Array:
        tensor = _matrix(name, x)
        return Array(tensor.shape[:-2], tensor.dtype if name == "det" else real(tensor.dtype))

    return rule


inv = _square("inv", "The inverse of square matrices.")
det = _number("det", "The determinant of square matrices.")
logdet = _number("logdet", "The logarithm of the determinant of positive definite matrices.")


def cholesky(x: Tensor, upper: bool = False) -> Array:
    """The triangular factor of positive definite matrices."""
    return _matrix("cholesky", x)


def cholesky_inverse(x: Tensor, upper: bool = False) -> Array:
    """The inverse of positive definite matrices, from their triangular factor."""
    return _matrix("cholesky_inverse", x)


def pinv(x: Tensor, rcond: float | None = None) -> Array:
    """The pseudo-inverse of matrices."""
    tensor = _matrix("pinv", x, square=False)
    return Array((*tensor.shape[:-2], tensor.shape[-1], tensor.shape[-2]), tensor.dtype)


def matrix_rank(x: Tensor, tol: float | None = None) -> Array:
    """The rank of matrices."""
    return Array(_matrix("matrix_rank", x, square=False).shape[:-2], "int32")


def solve(a: Tensor, b: Tensor) -> Array:
    """x of a · x = b; b holds vectors where it has an axis less than a."""
    left, right = _matrix("solve", a), array(b)
    vectors = len(right.shape) == len(left.shape) - 1
    rows = right.shape[-1] if vectors and right.shape else right.shape[-2] if len(right.shape) > 1 else 0
    if not equal_length(left.shape[-1], rows):
        raise ShapeError(f"solve: {show_shape(left.shape)} and {show_shape(right.shape)} do not fit")
    broadcast(left.shape[:-2], right.shape[: -1 if vectors else -2])
    return Array(right.shape, floating(left.dtype, right.dtype))


def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Array:
    """As `solve`, of triangular matrices."""
    return solve(a, b)


def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Array:
    """x for which a · x is nearest to b, of one matrix."""
    left, right = _matrix("lstsq", a, square=False), array(b)
    need_rank("lstsq", left, 2, 2)
    need_rank("lstsq", right, 1, 2)
    if not equal_length(left.shape[0], right.shape[0]):
        raise ShapeError(f"lstsq: {show_shape(left.shape)} and {show_shape(right.shape)} do not fit")
    return Array((left.shape[1], *right.shape[1:]), floating(left.dtype, right.dtype))


def qr(x: Tensor, mode: str = "reduced") -> tuple[Array, Array]:
    """An orthogonal and an upper triangular factor."""
    tensor = _matrix("qr", x, square=False)
    if mode not in ("reduced", "complete"):
        raise ShapeError(f"mode must be reduced or complete, got {mode!r}")
    *front, rows, columns = tensor.shape
    inner = _least(rows, columns) if mode == "reduced" else rows
    return Array((*front, rows, inner), tensor.dtype), Array((*front, inner, columns), tensor.dtype)


def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Array | tuple[Array, Array, Array]:
    """Singular values, between their left and right vectors unless compute_uv is false."""
    tensor = _matrix("svd", x, square=False)
    *front, rows, columns = tensor.shape
    inner = _least(rows, columns)
    values = Array((*front, inner), real(tensor.dtype))
    if not compute_uv:
        return values
    left, right = (rows, columns) if full_matrices else (inner, inner)
    return Array((*front, rows, left), tensor.dtype), values, Array((*front, right, columns), tensor.dtype)


def eigh(x: Tensor) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of symmetric matrices."""
    tensor = _matrix("eigh", x)
    return Array(tensor.shape[:-1], tensor.dtype), tensor


def eig(x: Tensor) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of square matrices, as complex numbers."""
    tensor = _matrix("eig", x)
    dtype = "complex128" if tensor.dtype in ("float64", "complex128") else "complex64"
    return Array(tensor.shape[:-1], dtype), Array(tensor.shape, dtype)


def lu_factor(x: Tensor) -> tuple[Array, Array]:
    """Both triangular factors in one matrix, and the exchanged rows."""
    tensor = _matrix("lu_factor", x)
    need_rank("lu_factor", tensor, 2, 2)
    return tensor, Array(tensor.shape[:-1], "int32")


def slogdet(x: Tensor) -> tuple[Array, Array]:
    """The sign of the determinant, and the logarithm of its size."""
    tensor = _matrix("slogdet", x)
    return Array(tensor.shape[:-2], tensor.dtype), Array(tensor.shape[:-2], real(tensor.dtype))


def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The sum of the diagonal of two axes."""
    result: Array = _sum(diagonal(x, offset, axis1, axis2), axis=-1)
    return result
