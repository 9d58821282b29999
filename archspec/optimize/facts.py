"""What several passes ask of a layer."""

from __future__ import annotations

from typing import Any

from archspec.analysis.remat import repeatable
from archspec.graph.ir import Node
from archspec.importing.layers import Foreign
from archspec.layers.activation import ELU, LeakyReLU, ReLU, Softmax
from archspec.layers.base import Layer
from archspec.layers.conv import Conv1D, Conv2D, Conv3D
from archspec.layers.convolution import Convolution
from archspec.layers.core import Activation, Dense, EinsumDense
from archspec.layers.global_pooling import GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D
from archspec.layers.images import Image, Resized
from archspec.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from archspec.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from archspec.layers.reshaping import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from archspec.layers.separable import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from archspec.layers.shapes import per_axis

CONVOLUTIONS = (Conv1D, Conv2D, Conv3D)
DEPTHWISE = (DepthwiseConv1D, DepthwiseConv2D)
SEPARABLE = (SeparableConv1D, SeparableConv2D)
AVERAGE_POOLINGS = (AveragePooling1D, AveragePooling2D, AveragePooling3D)
GLOBAL_AVERAGES = (GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D)
MEANS = (*AVERAGE_POOLINGS, *GLOBAL_AVERAGES)
MAX_POOLINGS = (MaxPooling1D, MaxPooling2D, MaxPooling3D)
# Each by the number of its spatial axes, from one to three.
PADDINGS = (ZeroPadding1D, ZeroPadding2D, ZeroPadding3D)
CROPPINGS = (Cropping1D, Cropping2D, Cropping3D)
ENLARGING = (UpSampling1D, UpSampling2D, UpSampling3D)
DROPOUTS = (Dropout, AlphaDropout, GaussianDropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D)
NOISES = (*DROPOUTS, GaussianNoise, ActivityRegularization)

# Activations that never fall: the maximum of a window comes through them as it is. Those of Keras that turn (gelu,
# silu, mish) are not among them, nor those of several values (softmax).
RISING = frozenset(
    {"celu", "elu", "exponential", "hard_sigmoid", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "relu", "relu6",
     "selu", "sigmoid", "softplus", "softsign", "squareplus", "tanh"}
)  # fmt: skip
POINTWISE = RISING | {
    "gelu", "hard_shrink", "hard_silu", "hard_swish", "mish", "silu", "soft_shrink", "sparse_plus", "sparse_sigmoid",
    "swish", "tanh_shrink",
}  # fmt: skip


def augments(layer: Layer) -> bool:
    """Whether a layer changes images at random: those of Keras do so in training only, but for crops."""
    return isinstance(layer, Image) and not isinstance(layer, Resized) and "seed" in type(layer).model_fields


def activation_of(layer: Layer) -> str | None:
    """The name under which a convolution or a dense layer takes the activation that a layer is; None where none is."""
    if isinstance(layer, Activation):
        return layer.activation
    if isinstance(layer, ReLU) and not layer.negative_slope and not layer.threshold:
        return {None: "relu", 6.0: "relu6"}.get(layer.max_value)
    if isinstance(layer, LeakyReLU) and layer.negative_slope == 0.2:  # keras.activations.leaky_relu's
        return "leaky_relu"
    if isinstance(layer, ELU) and layer.alpha == 1:
        return "elu"
    if isinstance(layer, Softmax) and layer.axis == -1:
        return "softmax"
    return None


def rises(layer: Layer) -> bool:
    """Whether a layer is an activation that never falls."""
    if isinstance(layer, ReLU):
        return not layer.threshold or layer.max_value is None
    if isinstance(layer, LeakyReLU):
        return True
    if isinstance(layer, ELU):
        return layer.alpha >= 0
    return isinstance(layer, Activation) and layer.activation in RISING


def pointwise(layer: Layer) -> bool:
    """Whether a layer is an activation of each value by itself, without weights."""
    if isinstance(layer, ReLU | LeakyReLU | ELU):
        return True
    return isinstance(layer, Activation) and layer.activation in POINTWISE


def is_linear(layer: Layer) -> bool:
    """Whether a layer with an `activation` has none."""
    return getattr(layer, "activation", None) in (None, "linear")


def axes(layer: Any, value: int | tuple[int, ...]) -> tuple[int, ...]:
    """An argument of a convolution or a pooling for each spatial axis."""
    return per_axis(value, layer.RANK)


def spans(layer: Any) -> tuple[int, ...]:
    """Over how many places the window of a convolution or a pooling goes, for each spatial axis."""
    window = axes(layer, layer.pool_size if hasattr(layer, "pool_size") else layer.kernel_size)
    dilation = axes(layer, getattr(layer, "dilation_rate", 1))
    return tuple((size - 1) * rate + 1 for size, rate in zip(window, dilation, strict=True))


def zeros_of_same(length: int, span: int, stride: int) -> int:
    """How many `same` padding puts around an axis, the smaller half before it: those that ⌈n / stride⌉ windows need."""
    return max(0, (-(-length // stride) - 1) * stride + span - length)


def sides(value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """The widths of a pad or a crop at both ends of each axis."""
    pairs = per_axis(value, rank) if isinstance(value, int) or rank > 1 else (value,)
    return tuple((pair, pair) if isinstance(pair, int) else tuple(pair) for pair in pairs)


def spatial_rank(layer: Layer) -> int:
    """On how many axes a layer pads, crops or enlarges."""
    return 1 + next(family.index(type(layer)) for family in (PADDINGS, CROPPINGS, ENLARGING) if type(layer) in family)


def strides(layer: Any) -> tuple[int, ...]:
    """The strides of a convolution or a pooling for each spatial axis; those of a pooling default to its window."""
    value = layer.strides
    return axes(layer, layer.pool_size if value is None else value)


def is_one_by_one(layer: Layer) -> bool:
    """Whether a layer mixes channels only, position by position, but for strides: a convolution of window 1."""
    return isinstance(layer, CONVOLUTIONS) and set(axes(layer, layer.kernel_size)) == {1}


def is_dense(layer: Layer) -> bool:
    """Whether a layer maps the last axis linearly, with a kernel that nothing is added to."""
    return isinstance(layer, Dense) and not layer.lora_rank


def takes_activation(layer: Layer) -> bool:
    """Whether a layer applies an activation to what its kernel gives."""
    return isinstance(layer, Convolution | Dense | EinsumDense)


def deterministic(node: Node) -> bool:
    """Whether two nodes like this one give the same of the same: no chance, no state, nothing we do not know."""
    layer = node.layer
    if isinstance(layer, Foreign) or type(layer).ADAPTS or not repeatable(node):
        return False
    return "seed" not in type(layer).model_fields
