"""The algebra of linear layers against Keras: random kernels, biases, statistics and inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.optimize import algebra

keras = pytest.importorskip("keras")

Array = Any
SHAPES = {1: (9,), 2: (7, 8), 3: (4, 5, 6)}
FOLDED = [
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "same"}, 1),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, 1),
    ("Conv2D", {"filters": 6, "kernel_size": (3, 2), "strides": 2, "padding": "same"}, 2),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2, "use_bias": False}, 2),
    ("Conv3D", {"filters": 4, "kernel_size": 2}, 3),
    ("Dense", {"units": 5}, 2),
    ("Dense", {"units": 5, "use_bias": False}, 0),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, 1),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 3, "use_bias": False}, 2),
    ("SeparableConv1D", {"filters": 5, "kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, 1),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 3, "use_bias": False}, 2),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, 1),
    ("Conv2DTranspose", {"filters": 5, "kernel_size": (2, 3), "strides": 2}, 2),
    ("Conv3DTranspose", {"filters": 3, "kernel_size": 2, "use_bias": False}, 3),
]


def randomised(layer: Any, shape: tuple[int, ...], seed: int) -> Any:
    """The layer built, with weights that are neither zeros nor ones; every third gamma is negative."""
    rng = np.random.default_rng(seed)
    layer.build((None, *shape))
    for weight in layer.weights:
        value = rng.normal(0, 1, weight.shape)
        weight.assign(rng.uniform(0.3, 3, weight.shape) if "variance" in weight.path else value)
    return layer


def image(rank: int, channels: int = 4, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(0.5, 1, (2, *SHAPES.get(rank, ()), channels)).astype("float32")


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * max(1e-9, np.ptp(a)), np.abs(a - b).max() / np.ptp(a)


def weights_of(layer: Any) -> tuple[list[Array], Array | None]:
    """The kernels, and the bias if there is one."""
    arrays = [np.asarray(w) for w in layer.weights]
    return (arrays[:-1], arrays[-1]) if layer.use_bias else (arrays, None)


def affine_of(norm: Any) -> algebra.Affine:
    gamma = np.asarray(norm.gamma) if norm.scale else None
    beta = np.asarray(norm.beta) if norm.center else None
    return algebra.normalization(
        np.asarray(norm.moving_mean), np.asarray(norm.moving_variance), gamma, beta, norm.epsilon
    )


def with_bias(cls: str, arguments: dict[str, Any], shape: tuple[int, ...], weights: list[Array]) -> Any:
    layer = getattr(keras.layers, cls)(**{**arguments, "use_bias": True})
    layer.build((None, *shape))
    layer.set_weights(weights)
    return layer


def folded_back(cls: str, kernels: list[Array], bias: Array | None, affine: algebra.Affine) -> list[Array]:
    scale = algebra.scale_transposed_outputs if "Transpose" in cls else algebra.scale_outputs
    return [*kernels[:-1], scale(kernels[-1], affine.scale), algebra.shift_outputs(bias, affine)]


def folded_forward(
    cls: str, kernels: list[Array], bias: Array | None, affine: algebra.Affine, groups: int
) -> list[Array]:
    if cls.startswith("Depthwise"):
        return [
            algebra.scale_depthwise_inputs(kernels[0], affine.scale),
            algebra.shift_depthwise_inputs(kernels[0], affine.shift, bias),
        ]
    if cls.startswith("Separable"):
        between = algebra.shift_depthwise_inputs(kernels[0], affine.shift, None)
        first = algebra.scale_depthwise_inputs(kernels[0], affine.scale)
        return [first, kernels[1], algebra.shift_inputs(kernels[1], between, bias)]
    return [
        algebra.scale_inputs(kernels[0], affine.scale, groups),
        algebra.shift_inputs(kernels[0], affine.shift, bias, groups),
    ]


@pytest.mark.parametrize(("cls", "arguments", "rank"), FOLDED)
@pytest.mark.parametrize("options", [{}, {"scale": False, "epsilon": 1e-5}, {"center": False, "epsilon": 0.1}])
def test_a_normalization_folds_back(cls: str, arguments: dict[str, Any], rank: int, options: dict[str, Any]) -> None:
    x = image(rank)
    layer = randomised(getattr(keras.layers, cls)(**arguments), x.shape[1:], 0)
    y = layer(x)
    norm = randomised(keras.layers.BatchNormalization(**options), y.shape[1:], 1)
    new = with_bias(cls, arguments, x.shape[1:], folded_back(cls, *weights_of(layer), affine_of(norm)))
    close(norm(y, training=False), new(x))


FORWARD = [case for case in FOLDED if "Transpose" not in case[0] and case[1].get("padding", "valid") == "valid"]


@pytest.mark.parametrize(("cls", "arguments", "rank"), FORWARD)
def test_a_normalization_folds_forward(cls: str, arguments: dict[str, Any], rank: int) -> None:
    x = image(rank)
    norm = randomised(keras.layers.BatchNormalization(), x.shape[1:], 1)
    layer = randomised(getattr(keras.layers, cls)(**arguments), x.shape[1:], 0)
    weights = folded_forward(cls, *weights_of(layer), affine_of(norm), arguments.get("groups", 1))
    close(layer(norm(x, training=False)), with_bias(cls, arguments, x.shape[1:], weights)(x))


def test_a_normalization_does_not_fold_forward_into_padding() -> None:
    x = image(2)
    norm = randomised(keras.layers.BatchNormalization(), x.shape[1:], 1)
    arguments = {"filters": 3, "kernel_size": 3, "padding": "same"}
    layer = randomised(keras.layers.Conv2D(**arguments), x.shape[1:], 0)
    weights = folded_forward("Conv2D", *weights_of(layer), affine_of(norm), 1)
    right, wrong = layer(norm(x, training=False)), with_bias("Conv2D", arguments, x.shape[1:], weights)(x)
    close(right[:, 1:-1, 1:-1], wrong[:, 1:-1, 1:-1])
    with pytest.raises(AssertionError):
        close(right, wrong, 1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (0.0, 6.0), (-1.0, 1.0), (-np.inf, 0.5)])
def test_a_clipped_affine_map_is_a_clip_before(low: float, high: float, dtype: str) -> None:
    scale = np.array([1.5, -2.0, 0.0, 0.0, 1e-45, -1e-45, 1e-30, -0.1, 1e-7])
    shift = np.array([0.3, 1.0, 0.7, -0.7, 2.0, 2.0, -1.0, 9.0, -1.0])
    x = np.random.default_rng(0).normal(0, 20, (200, scale.size))
    clip = algebra.clip_before(algebra.Affine(scale, shift), low, high, dtype)
    assert not np.isnan([clip.lower, clip.upper, clip.after.scale, clip.after.shift]).any()
    close(np.clip(scale * x + shift, low, high), clip.after.apply(np.clip(x, clip.lower, clip.upper)))


@given(
    rank=st.integers(0, 3),
    windows=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    second=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_a_chain_of_linear_layers_is_one(
    rank: int, windows: tuple[int, int], stride: int, second: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    spatial = {0: (), 1: (15,), 2: (12, 13), 3: (10, 9, 10)}[rank]
    x = rng.normal(0, 1, (2, *spatial, 3)).astype("float32")
    make = linear_layer(rank)
    a = randomised(make(4, windows[0], stride), x.shape[1:], seed)
    y = a(x)
    b = randomised(make(5, windows[1], second), y.shape[1:], seed + 1)
    pairs = [algebra.Linear(*map(algebra.wide, layer.get_weights())) for layer in (a, b)]
    one = algebra.compose(*pairs, strides=(stride,) * rank)
    assert one.kernel.shape[:rank] == (stride * (windows[1] - 1) + windows[0],) * rank
    whole = make(5, one.kernel.shape[:rank], stride * second)
    whole.build(x.shape)
    whole.set_weights([one.kernel, one.bias])
    close(b(y), whole(x))


def linear_layer(rank: int) -> Callable[..., Any]:
    if rank == 0:
        return lambda units, *_: keras.layers.Dense(units)
    cls = getattr(keras.layers, f"Conv{rank}D")
    return lambda filters, window, stride: cls(filters, window, strides=stride)


def test_parallel_kernels_side_by_side() -> None:
    x = image(2)
    layers = [
        randomised(keras.layers.Conv2D(n, k, padding="same", use_bias=bias), x.shape[1:], n)
        for n, k, bias in ((3, 3, True), (2, 1, False), (4, (3, 1), True))
    ]
    parts = [weights_of(layer) for layer in layers]
    centred = [
        algebra.embed(kernels[0], (3, 3), tuple((3 - n) // 2 for n in kernels[0].shape[:2])) for kernels, _ in parts
    ]
    bias = algebra.biases_side_by_side([b for _, b in parts], [3, 2, 4])
    arguments = {"filters": 9, "kernel_size": 3, "padding": "same"}
    one = with_bias("Conv2D", arguments, x.shape[1:], [algebra.side_by_side(centred), bias])
    close(np.concatenate([np.asarray(layer(x)) for layer in layers], axis=-1), one(x))


def test_the_branches_of_repvgg_are_one_kernel() -> None:
    x = image(2)
    scale = np.array([1.0, -2.0, 0.5, 3.0])
    three = randomised(keras.layers.Conv2D(4, 3, padding="same"), x.shape[1:], 0)
    one = randomised(keras.layers.Conv2D(4, 1), x.shape[1:], 1)
    kernels = [np.asarray(three.kernel), np.asarray(one.kernel), algebra.identity(2, scale)]
    total = sum(algebra.embed(k, (3, 3), tuple((3 - n) // 2 for n in k.shape[:2])) for k in kernels)
    bias = algebra.wide(three.bias) + algebra.wide(one.bias)
    both = with_bias("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same"}, x.shape[1:], [total, bias])
    close(three(x) + one(x) + x * scale.astype("float32"), both(x))
