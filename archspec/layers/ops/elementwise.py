"""Functions of each element by itself: arithmetic, exponentials, trigonometry, comparisons, logic, bits."""

from __future__ import annotations

from collections.abc import Callable

from archspec.layers.ops.common import Tensor, called, need_dtype, need_integer, weak
from archspec.layers.ops.common import array as as_array
from archspec.layers.ops.promotion import COMPLEX, FLOATS, UNSIGNED, floating, promote
from archspec.layers.ops.promotion import real as real_dtype
from archspec.tensor import Array, ShapeError, broadcast

Unary = Callable[[Tensor], Array]
Binary = Callable[[Tensor, Tensor], Array]
Dtypes = tuple[str, ...]

_NO_BOOL = ("bool",)


def _check(name: str, dtype: str, refused: Dtypes) -> None:
    if dtype in refused:
        raise ShapeError(f"{name} does not take {dtype}", help="cast it: cast(x, 'float32')")


def _unary(name: str, doc: str, dtype: Callable[[str], str], refused: Dtypes = ()) -> Unary:
    @called(name, doc)
    def rule(x: Tensor) -> Array:
        tensor = as_array(x)
        _check(name, tensor.dtype, refused)
        return Array(tensor.shape, dtype(tensor.dtype))

    return rule


def _same(name: str, doc: str, refused: Dtypes = ()) -> Unary:
    return _unary(name, doc, str, refused)


def _float(name: str, doc: str, refused: Dtypes = ()) -> Unary:
    return _unary(name, doc, floating, refused)


def _bool(name: str, doc: str, refused: Dtypes = ()) -> Unary:
    return _unary(name, doc, lambda dtype: "bool", refused)


def _binary(name: str, doc: str, dtype: Callable[[str, str], str], refused: Dtypes = (), bare: bool = False) -> Binary:
    """A function of two tensors; with `bare`, Keras makes tensors of numbers first, so that they no longer yield."""

    @called(name, doc)
    def rule(x1: Tensor, x2: Tensor) -> Array:
        a, b = as_array(x1), as_array(x2)
        dtypes = (a.dtype, b.dtype) if bare else (weak(x1), weak(x2))
        _check(name, promote(*dtypes), refused)
        return Array(broadcast(a.shape, b.shape), dtype(*dtypes))

    return rule


def _arithmetic(name: str, doc: str, refused: Dtypes = _NO_BOOL) -> Binary:
    return _binary(name, doc, promote, refused)


def _truth(name: str, doc: str, refused: Dtypes = ()) -> Binary:
    return _binary(name, doc, lambda *dtypes: "bool", refused)


def _bits(name: str, doc: str, bare: bool = True) -> Binary:
    @called(name, doc)
    def rule(x: Tensor, y: Tensor) -> Array:
        a, b = as_array(x), as_array(y)
        need_integer(name, a, b)
        return Array(broadcast(a.shape, b.shape), promote(a.dtype, b.dtype) if bare else promote(weak(x), weak(y)))

    return rule


def _bool_to_int(*dtypes: str) -> str:
    dtype = promote(*dtypes)
    return "int32" if dtype == "bool" else dtype


exp = _float("exp", "e to the power of each element.")
exp2 = _float("exp2", "2 to the power of each element.")
expm1 = _float("expm1", "exp(x) - 1, exact near 0.")
log = _float("log", "The natural logarithm.")
log10 = _float("log10", "The logarithm to base 10.")
log1p = _float("log1p", "log(1 + x), exact near 0.")
log2 = _float("log2", "The logarithm to base 2.")
sqrt = _float("sqrt", "The square root.")
cbrt = _float("cbrt", "The cube root.", COMPLEX)
sin = _float("sin", "The sine.")
cos = _float("cos", "The cosine.")
tan = _float("tan", "The tangent.")
sinh = _float("sinh", "The hyperbolic sine.")
cosh = _float("cosh", "The hyperbolic cosine.")
tanh = _float("tanh", "The hyperbolic tangent.")
arcsin = _float("arcsin", "The inverse sine.")
arccos = _float("arccos", "The inverse cosine.")
arctan = _float("arctan", "The inverse tangent.")
arcsinh = _float("arcsinh", "The inverse hyperbolic sine.")
arccosh = _float("arccosh", "The inverse hyperbolic cosine.")
arctanh = _float("arctanh", "The inverse hyperbolic tangent.")
sinc = _float("sinc", "sin(πx) / πx.")
deg2rad = _float("deg2rad", "Degrees to radians.")
rad2deg = _float("rad2deg", "Radians to degrees.")
i0 = _float("i0", "The modified Bessel function of the first kind, of order 0.", COMPLEX)
floor = _float("floor", "The greatest integer not above each element, as a float.", COMPLEX)
ceil = _float("ceil", "The least integer not below each element, as a float.", COMPLEX)
fabs = _float("fabs", "The absolute value, as a float.", COMPLEX)

abs = _unary("abs", "The absolute value.", real_dtype)
absolute = _unary("absolute", "The absolute value.", real_dtype)
angle = _unary("angle", "The angle of a complex number.", lambda dtype: real_dtype(floating(dtype)))
real = _unary("real", "The real part.", real_dtype, _NO_BOOL)
imag = _unary("imag", "The imaginary part.", real_dtype)
conj = _same("conj", "The complex conjugate.", _NO_BOOL)
conjugate = _same("conjugate", "The complex conjugate.", _NO_BOOL)
negative = _same("negative", "-x.", (*_NO_BOOL, *UNSIGNED))
sign = _same("sign", "-1, 0 or 1 by the sign of each element.", _NO_BOOL)
trunc = _same("trunc", "Each element without its fraction.", COMPLEX)
copy = _same("copy", "The same tensor anew.")
square = _unary("square", "x · x.", _bool_to_int)
bitwise_not = _same("bitwise_not", "Each bit inverted.", (*_NO_BOOL, *FLOATS, *COMPLEX))
bitwise_invert = _same("bitwise_invert", "Each bit inverted.", (*_NO_BOOL, *FLOATS, *COMPLEX))
reciprocal = _same("reciprocal", "1 / x, of floats.", (*_NO_BOOL, *UNSIGNED, "int8", "int16", "int32", "int64"))
rsqrt = _same("rsqrt", "1 / sqrt(x), of floats.", (*_NO_BOOL, *UNSIGNED, "int8", "int16", "int32", "int64"))

isfinite = _bool("isfinite", "Whether each element is neither infinite nor NaN.", COMPLEX)
isinf = _bool("isinf", "Whether each element is infinite.", COMPLEX)
isnan = _bool("isnan", "Whether each element is NaN.", COMPLEX)
isneginf = _bool("isneginf", "Whether each element is minus infinity.")
isposinf = _bool("isposinf", "Whether each element is plus infinity.")
isreal = _bool("isreal", "Whether each element has no imaginary part.")
signbit = _bool("signbit", "Whether each element's sign bit is set.")
logical_not = _bool("logical_not", "Whether each element is false or 0.")

add = _arithmetic("add", "x1 + x2.")
subtract = _arithmetic("subtract", "x1 - x2.")
multiply = _arithmetic("multiply", "x1 · x2.")
power = _arithmetic("power", "x1 to the power of x2.")
floor_divide = _arithmetic("floor_divide", "x1 / x2 rounded down.", (*_NO_BOOL, *COMPLEX))
maximum = _arithmetic("maximum", "The greater of each pair.", (*_NO_BOOL, *COMPLEX))
minimum = _arithmetic("minimum", "The lesser of each pair.", (*_NO_BOOL, *COMPLEX))
fmax = _arithmetic("fmax", "The greater of each pair; a NaN yields to a number.", (*_NO_BOOL, *COMPLEX))
fmin = _arithmetic("fmin", "The lesser of each pair; a NaN yields to a number.", (*_NO_BOOL, *COMPLEX))
mod = _binary("mod", "The remainder of x1 / x2, with the sign of x2.", _bool_to_int, COMPLEX)
fmod = _binary("fmod", "The remainder of x1 / x2, with the sign of x1.", _bool_to_int, COMPLEX)
divide = _binary("divide", "x1 / x2; of integers in float32.", floating)
true_divide = _binary("true_divide", "x1 / x2; of integers in float32.", floating)
divide_no_nan = _binary("divide_no_nan", "x1 / x2, and 0 where x2 is 0.", floating)
arctan2 = _binary("arctan2", "The angle of the point (x2, x1).", floating, COMPLEX, bare=True)
logaddexp = _binary("logaddexp", "log(exp(x1) + exp(x2)).", floating, COMPLEX, bare=True)
logaddexp2 = _binary("logaddexp2", "log2(2^x1 + 2^x2).", floating, COMPLEX, bare=True)
hypot = _binary("hypot", "sqrt(x1² + x2²).", floating, (*_NO_BOOL, *COMPLEX), bare=True)
heaviside = _binary("heaviside", "0 below 0, 1 above it, x2 at 0.", floating, (*_NO_BOOL, *COMPLEX), bare=True)
nextafter = _binary("nextafter", "The next float after x1 towards x2.", floating, COMPLEX, bare=True)

equal = _truth("equal", "x1 = x2.")
not_equal = _truth("not_equal", "x1 ≠ x2.")
less = _truth("less", "x1 < x2.", (*_NO_BOOL, *COMPLEX))
less_equal = _truth("less_equal", "x1 ≤ x2.", (*_NO_BOOL, *COMPLEX))
greater = _truth("greater", "x1 > x2.", (*_NO_BOOL, *COMPLEX))
greater_equal = _truth("greater_equal", "x1 ≥ x2.", (*_NO_BOOL, *COMPLEX))
logical_and = _truth("logical_and", "Whether both are true.")
logical_or = _truth("logical_or", "Whether one of both is true.")
logical_xor = _truth("logical_xor", "Whether just one of both is true.")

bitwise_and = _bits("bitwise_and", "The bits set in both.")
bitwise_or = _bits("bitwise_or", "The bits set in one of both.")
bitwise_xor = _bits("bitwise_xor", "The bits set in just one of both.")
left_shift = _bits("left_shift", "x with its bits shifted left by y.", bare=False)
right_shift = _bits("right_shift", "x with its bits shifted right by y.", bare=False)
bitwise_left_shift = _bits("bitwise_left_shift", "x with its bits shifted left by y.", bare=False)
bitwise_right_shift = _bits("bitwise_right_shift", "x with its bits shifted right by y.", bare=False)


def gcd(x1: Tensor, x2: Tensor) -> Array:
    """The greatest common divisor of each pair of integers."""
    return bitwise_and(x1, x2)


def lcm(x1: Tensor, x2: Tensor) -> Array:
    """The least common multiple of each pair of integers."""
    return bitwise_and(x1, x2)


def ldexp(x1: Tensor, x2: Tensor) -> Array:
    """x1 · 2^x2; x2 of integers."""
    a, b = as_array(x1), as_array(x2)
    need_integer("ldexp's x2", b)
    _check("ldexp", a.dtype, (*_NO_BOOL, *COMPLEX))
    return Array(broadcast(a.shape, b.shape), floating(a.dtype, b.dtype))


def clip(x: Tensor, x_min: Tensor | None, x_max: Tensor | None) -> Array:
    """Each element kept between two bounds."""
    tensor = as_array(x)
    _check("clip", tensor.dtype, COMPLEX)
    shapes = [tensor.shape]
    for bound in (x_min, x_max):
        if bound is not None:
            if tensor.dtype not in FLOATS and as_array(bound).dtype in FLOATS:
                raise ShapeError(f"clip needs bounds of the tensor's kind, got {tensor.dtype} and a float bound")
            shapes.append(as_array(bound).shape)
    return Array(broadcast(*shapes), _bool_to_int(tensor.dtype))


def round(x: Tensor, decimals: int = 0) -> Array:
    """Each element rounded to so many decimals."""
    tensor = as_array(x)
    _check("round", tensor.dtype, (*_NO_BOOL, *COMPLEX))
    return tensor


def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Array:
    """NaN and infinities replaced by numbers."""
    _check("nan_to_num", as_array(x).dtype, COMPLEX)
    return as_array(x)


def isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    """Whether each pair is equal within tolerances."""
    return equal(x1, x2)


def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Array:
    """Whether each element of x1 is among those of x2."""
    for x in (x1, x2):
        _check("isin", as_array(x).dtype, COMPLEX)
    return Array(as_array(x1).shape, "bool")


def where(condition: Tensor, x1: Tensor | None = None, x2: Tensor | None = None) -> Array:
    """x1 where the condition holds, else x2."""
    if x1 is None or x2 is None:
        raise ShapeError("where needs x1 and x2: without them its shape would depend on the data")
    shape = broadcast(*(as_array(x).shape for x in (condition, x1, x2)))
    return Array(shape, promote(weak(x1), weak(x2)))


def select(condlist: list[Tensor], choicelist: list[Tensor], default: Tensor = 0) -> Array:
    """For each element the choice of the first condition that holds."""
    if len(condlist) != len(choicelist) or not condlist:
        raise ShapeError(f"select needs as many choices as conditions, got {len(choicelist)} and {len(condlist)}")
    shapes = [as_array(x).shape for x in (*condlist, *choicelist, default)]
    return Array(broadcast(*shapes), promote(*map(weak, choicelist), weak(default)))


def cast(x: Tensor, dtype: str) -> Array:
    """The values in another dtype."""
    return Array(as_array(x).shape, need_dtype(dtype, dtype))


def saturate_cast(x: Tensor, dtype: str) -> Array:
    """The values in another dtype, clipped to its range."""
    return cast(x, dtype)


def stop_gradient(variable: Tensor) -> Array:
    """The same values; no gradient flows through them."""
    return as_array(variable)
