"""Dtypes that results take: Keras's promotion, in which Python's numbers yield to a tensor's dtype.

The lattice is JAX's (jax.readthedocs.io, "Type promotion semantics"), which Keras adopted: each dtype is followed by
those directly above it, and dtypes meet at their least common one. `int` and `float` are Python's numbers.
"""

from __future__ import annotations

from functools import cache, lru_cache

from archspec.tensor import ShapeError

FLOAT = "float32"  # Keras's floatx
FLOATS = ("bfloat16", "float16", "float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
COMPLEX = ("complex64", "complex128")

_ABOVE: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8", "complex64"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex64": ("complex128",),
    "complex128": (),
}
DTYPES = tuple(d for d in _ABOVE if d not in ("int", "float"))
_STRONG = {"int": "int32", "float": "float32"}
_RESULTS = {**_STRONG, "uint64": "uint32", "complex128": "complex64"}  # what Keras never promotes to


@cache
def _bounds(dtype: str) -> frozenset[str]:
    """The dtype and all above it."""
    return frozenset({dtype}).union(*map(_bounds, _ABOVE[dtype]))


@lru_cache(1024)
def promote(*dtypes: str) -> str:
    """The dtype in which values of these dtypes meet; `int` and `float` stand for Python's numbers. Raises ShapeError.

    The complex dtypes are above weak integers but not above weak floats in Keras's lattice; it is followed in that too.
    """
    for dtype in dtypes:
        if dtype not in _ABOVE:
            raise ShapeError(f"dtype {dtype} cannot be computed with", help="cast it: cast(x, 'float32')")
    if all(d in _STRONG or d == "bool" for d in dtypes):
        return next((_STRONG[d] for d in ("float", "int") if d in dtypes), "bool")
    common = frozenset.intersection(*map(_bounds, dtypes))
    least = [d for d in common if common <= _bounds(d)]
    if not least:
        raise ShapeError(f"no dtype holds both {' and '.join(dtypes)}", help="cast one of them: cast(x, 'float32')")
    return _RESULTS.get(least[0], least[0])


def floating(*dtypes: str) -> str:
    """As `promote`, but integers become float32, as in a division."""
    dtype = promote(*dtypes)
    return FLOAT if dtype in INTEGERS or dtype == "bool" else promote(*dtypes, "float")


def real(dtype: str) -> str:
    """The dtype of a complex number's parts; the same for others."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
