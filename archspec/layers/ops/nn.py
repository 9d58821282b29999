"""Activations, normalisation, attention and losses."""

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
    count,
    equal_length,
    need_float,
    need_integer,
    need_rank,
    replace,
)
from archspec.layers.ops.promotion import COMPLEX, FLOATS, floating, promote
from archspec.tensor import Array, ShapeError, broadcast, show_shape

Activation = Callable[[Tensor], Array]


def _activation(name: str, doc: str, others: tuple[str, ...] = ()) -> Activation:
    @called(name, doc)
    def rule(x: Tensor) -> Array:
        need_float(name, array(x), others=others)
        return array(x)

    return rule


sigmoid = _activation("sigmoid", "1 / (1 + exp(-x)).", COMPLEX)
silu = _activation("silu", "x · sigmoid(x).", COMPLEX)
swish = _activation("swish", "x · sigmoid(x).", COMPLEX)
log_sigmoid = _activation("log_sigmoid", "log(sigmoid(x)).")
hard_sigmoid = _activation("hard_sigmoid", "relu6(x + 3) / 6.")
hard_silu = _activation("hard_silu", "x · hard_sigmoid(x).")
hard_swish = _activation("hard_swish", "x · hard_sigmoid(x).")
hard_tanh = _activation("hard_tanh", "x kept between -1 and 1.")
tanh_shrink = _activation("tanh_shrink", "x - tanh(x).", COMPLEX)
softplus = _activation("softplus", "log(1 + exp(x)).")
softsign = _activation("softsign", "x / (1 + |x|).")
selu = _activation("selu", "The scaled exponential linear unit.")
sparse_plus = _activation("sparse_plus", "0 up to -1, x from 1 on, (x + 1)² / 4 between.")
sparse_sigmoid = _activation("sparse_sigmoid", "(x + 1) / 2 kept between 0 and 1.")
erf = _activation("erf", "The error function.")
erfc = _activation("erfc", "1 - erf(x).")
erfinv = _activation("erfinv", "The inverse of the error function.")


def relu(x: Tensor) -> Array:
    """max(x, 0)."""
    if array(x).dtype in ("bool", *COMPLEX):
        raise ShapeError(f"relu does not take {array(x).dtype}", help="cast it: cast(x, 'float32')")
    return array(x)


def relu6(x: Tensor) -> Array:
    """x kept between 0 and 6."""
    return relu(x)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Array:
    """x above 0, negative_slope · x below it."""
    return Array(relu(x).shape, floating(array(x).dtype))


def elu(x: Tensor, alpha: float = 1.0) -> Array:
    """x above 0, alpha · (exp(x) - 1) below it."""
    return softplus(x)


def celu(x: Tensor, alpha: float = 1.0) -> Array:
    """x above 0, alpha · (exp(x / alpha) - 1) below it."""
    return softplus(x)


def gelu(x: Tensor, approximate: bool = True) -> Array:
    """x · Φ(x), Φ being the normal distribution's."""
    return softplus(x)


def hard_shrink(x: Tensor, threshold: float = 0.5) -> Array:
    """x where |x| is above the threshold, else 0."""
    return sigmoid(x)


def soft_shrink(x: Tensor, threshold: float = 0.5) -> Array:
    """x moved by the threshold towards 0."""
    return softplus(x)


def threshold(x: Tensor, threshold: float, default_value: float) -> Array:
    """x where it is above the threshold, else the default value."""
    return softplus(x)


def squareplus(x: Tensor, b: int = 4) -> Array:
    """(x + sqrt(x² + b)) / 2."""
    return sigmoid(x)


def glu(x: Tensor, axis: int = -1) -> Array:
    """One half of an axis times the sigmoid of the other."""
    tensor = array(x)
    need_float("glu", tensor, others=COMPLEX)
    place = axis_of(axis, len(tensor.shape))
    length = tensor.shape[place]
    if isinstance(length, int) and length % 2:
        raise ShapeError(f"glu halves axis {axis}, whose length is odd in {show_shape(tensor.shape)}")
    return Array(replace(tensor.shape, place, length // 2 if isinstance(length, int) else None), tensor.dtype)


def softmax(x: Tensor, axis: Axes = -1) -> Array:
    """exp(x) divided by its sum over axes."""
    axes_of(axis, len(array(x).shape))
    return softplus(x)


def log_softmax(x: Tensor, axis: Axes = -1) -> Array:
    """log(softmax(x)), exact for small values."""
    return softmax(x, axis)


def sparsemax(x: Tensor, axis: int = -1) -> Array:
    """The nearest point of the simplex: as softmax, with many zeros."""
    return softmax(x, axis)


def normalize(x: Tensor, axis: Axes = -1, order: int = 2, epsilon: float | None = None) -> Array:
    """x divided by its norm over axes."""
    axes_of(axis, len(array(x).shape))
    return softplus(x)


def _scale(name: str, x: Array, scale: Tensor | None, axes: tuple[int, ...]) -> None:
    """Raises ShapeError unless the scale has the lengths of the normalised axes, or fits by broadcasting."""
    if scale is None:
        return
    given, expected = array(scale).shape, tuple(x.shape[a] for a in axes)
    fits = len(given) == len(expected) and all(map(equal_length, given, expected))
    if not fits and (len(given) != len(x.shape) or broadcast(x.shape, given) != x.shape):
        raise ShapeError(f"{name} needs {show_shape(expected)} for its scale and shift, got {show_shape(given)}")


def layer_normalization(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
) -> Array:  # fmt: skip
    """x with mean 0 and variance 1 over axes, then scaled and shifted."""
    tensor = array(x)
    axes = axes_of(axis, len(tensor.shape))
    _scale("layer_normalization", tensor, gamma, axes)
    _scale("layer_normalization", tensor, beta, axes)
    return tensor


def rms_normalization(
    x: Tensor, scale: Tensor | None = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Array:
    """x divided by its root mean square over axes, then scaled."""
    tensor = array(x)
    _scale("rms_normalization", tensor, scale, axes_of(axis, len(tensor.shape)))
    return tensor


def batch_normalization(
    x: Tensor, mean: Tensor, variance: Tensor, axis: int, offset: Tensor | None = None,
    scale: Tensor | None = None, epsilon: float = 1e-3,
) -> Array:  # fmt: skip
    """x with the given mean and variance taken out along an axis, then scaled and shifted."""
    tensor = array(x)
    need_float("batch_normalization", tensor)
    expected = (tensor.shape[axis_of(axis, len(tensor.shape))],)
    for vector in (mean, variance, offset, scale):
        if vector is not None:
            agree("batch_normalization", expected, array(vector).shape)
    return tensor


def dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, mask: Tensor | None = None,
    scale: float | None = None, is_causal: bool = False, flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Array:  # fmt: skip
    """softmax(query · keyᵀ · scale) · value for each head; shapes are (batch, length, heads, dim)."""
    q, k, v = array(query), array(key), array(value)
    for name, x in (("query", q), ("key", k), ("value", v)):
        need_rank(f"dot_product_attention's {name}", x, 4, 4)
    if attn_logits_soft_cap is not None:
        raise ShapeError("attn_logits_soft_cap is not supported")
    agree("dot_product_attention's key and value", k.shape, v.shape)
    heads = [q.shape[2], k.shape[2]]
    grouped = isinstance(heads[0], int) and isinstance(heads[1], int) and heads[1] > 0 and heads[0] % heads[1] == 0
    if not (grouped or None in heads) or not equal_length(q.shape[3], k.shape[3]):
        shapes = f"{show_shape(q.shape)} and {show_shape(k.shape)}"
        raise ShapeError(
            f"dot_product_attention: query and key do not fit, got {shapes}",
            help="the last axes must be equally long, the query's heads a multiple of the key's",
        )
    batch = agree("dot_product_attention's batch", q.shape[:1], k.shape[:1])
    logits = (*batch, q.shape[2], q.shape[1], k.shape[1])
    for name, extra in (("bias", bias), ("mask", mask)):
        if extra is not None and broadcast(logits, array(extra).shape) != logits:
            shapes = f"{show_shape(logits)}, got {show_shape(array(extra).shape)}"
            raise ShapeError(
                f"dot_product_attention's {name} must broadcast to (batch, heads, length, length) {shapes}"
            )
    return Array(q.shape, floating(q.dtype, k.dtype, v.dtype))


def dot_product_attention_macs(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, mask: Tensor | None = None,
    scale: float | None = None, is_causal: bool = False, flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> int:  # fmt: skip
    return 2 * count(array(query).shape) * count(array(key).shape[1:2])


def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Array:
    """The binary cross-entropy of each element."""
    return Array(agree("binary_crossentropy", array(target).shape, array(output).shape), _loss_dtype(output))


def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Array:
    """The cross-entropy of probabilities along an axis."""
    shape = agree("categorical_crossentropy", array(target).shape, array(output).shape)
    return Array(replace(shape, axis_of(axis, len(shape))), _loss_dtype(output))


def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Array:
    """The cross-entropy of integer classes and probabilities along an axis."""
    classes, scores = array(target), array(output)
    need_integer("sparse_categorical_crossentropy's target", classes)
    shape = replace(scores.shape, axis_of(axis, len(scores.shape)))
    given = (
        classes.shape[:-1] if classes.shape[-1:] == (1,) and len(classes.shape) == len(scores.shape) else classes.shape
    )
    return Array(agree("sparse_categorical_crossentropy", given, shape), _loss_dtype(output))


def _loss_dtype(output: Tensor) -> str:
    need_float("a cross-entropy's output", array(output))
    return array(output).dtype


def ctc_loss(
    target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int = 0
) -> Array:
    """The connectionist temporal classification loss of each sequence."""
    labels, scores = array(target), array(output)
    need_rank("ctc_loss's target", labels, 2, 2)
    need_rank("ctc_loss's output", scores, 3, 3)
    shapes = (labels.shape[:1], scores.shape[:1], array(target_length).shape, array(output_length).shape)
    return Array(agree("ctc_loss", *shapes), promote(scores.dtype, "float32"))


def ctc_decode(
    inputs: Tensor, sequence_lengths: Tensor, strategy: str = "greedy", beam_width: int = 100,
    top_paths: int = 1, merge_repeated: bool = True, mask_index: int = 0,
) -> tuple[Array, Array]:  # fmt: skip
    """The likeliest label sequences (paths, batch, length) and their scores (batch, paths)."""
    scores = array(inputs)
    need_rank("ctc_decode's inputs", scores, 3, 3)
    if strategy not in ("greedy", "beam_search"):
        raise ShapeError(f"strategy must be greedy or beam_search, got {strategy!r}")
    batch = agree("ctc_decode", scores.shape[:1], array(sequence_lengths).shape)
    paths = 1 if strategy == "greedy" else top_paths
    dtype = promote(scores.dtype, "float32") if scores.dtype in FLOATS else "float32"
    return Array((paths, *batch, scores.shape[1]), "int32"), Array((*batch, paths), dtype)
