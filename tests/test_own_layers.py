"""archspec's own Keras layers for what Keras lacks: against TensorFlow's operations, on both backends, and saved."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from archspec.build.objects import keras_layer
from archspec.graph.ir import as_tuple
from archspec.layers import own, parse_layer
from archspec.layers.base import Example, Layer, tensor_parameters
from archspec.tensor import TensorType

CASES = [
    pytest.param(cls, example, id=f"{cls.__name__}-{i}")
    for cls in vars(own).values()
    if isinstance(cls, type) and issubclass(cls, Layer) and cls.__module__ == own.__name__
    for i, example in enumerate(cls.EXAMPLES)
]


def image(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def made(use: Any) -> Any:
    return keras_layer(parse_layer(use))


@pytest.mark.parametrize(("cls", "example"), CASES)
def test_shapes(cls: type[Layer], example: Example, tmp_path: Path) -> None:
    """Rule, announcement and result agree, for a model that is saved and loaded too."""
    layer = parse_layer({cls.__name__: dict(example.arguments)})
    types = [t if isinstance(t, TensorType) else TensorType(t) for t in example.inputs]
    names = [p.name for p in tensor_parameters(cls)]
    inputs = [keras.Input(t.shape, dtype=t.dtype) for t in types]
    outputs = keras.tree.flatten(keras_layer(layer)(inputs[0], **dict(zip(names[1:], inputs[1:], strict=False))))
    expected = as_tuple(layer.infer(*types))
    assert [tuple(o.shape) for o in outputs] == [(None, *t.shape) for t in expected]
    assert [o.dtype for o in outputs] == [t.dtype for t in expected]

    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(0)
    shapes = [(2, *(6 if n is None else n for n in t.shape)) for t in types]
    values = [
        rng.integers(0, example.values, shape).astype("int32") if t.dtype == "int32" else image(*shape)
        for t, shape in zip(types, shapes, strict=True)
    ]
    results = keras.tree.flatten(model(values))
    computed = as_tuple(layer.infer(*(TensorType(s[1:], t.dtype) for s, t in zip(shapes, types, strict=True))))
    assert [tuple(r.shape)[1:] for r in results] == [t.shape for t in computed]
    model.save(tmp_path / "model.keras")
    again = keras.tree.flatten(keras.models.load_model(tmp_path / "model.keras")(values))
    if cls.ROLE != "regularization":
        for a, b in zip(results, again, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("radius", [0, 2, 9])
def test_local_response_normalization_is_tensorflows(radius: int) -> None:
    x = image(2, 3, 4, 8)
    arguments = {"depth_radius": radius, "bias": 1.5, "alpha": 0.3, "beta": 0.75}
    ours = made({"LocalResponseNormalization": arguments})(x)
    np.testing.assert_allclose(ours, tf.nn.local_response_normalization(x, **arguments), rtol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("shape", [(2, 6, 4, 3), (2, 5, 7, 3), (1, 7, 8, 2)])
@pytest.mark.parametrize("pool", [(2, 2), (2, 3), (3, 1)])
def test_pooling_is_tensorflows(padding: str, shape: tuple[int, ...], pool: tuple[int, int]) -> None:
    x = np.round(image(*shape)) + 0.0  # with equal values in a window, but no -0.0, which Keras takes for less than 0
    maxima, places = made({"MaxPoolingWithArgmax2D": {"pool_size": list(pool), "padding": padding}})(x)
    expected, flat = tf.nn.max_pool_with_argmax(x, pool, pool, padding.upper())
    np.testing.assert_array_equal(maxima, expected)
    np.testing.assert_array_equal(places, np.asarray(flat) // shape[-1])  # TensorFlow's count the channels as well

    size = list(shape[1:3])
    unpool = made({"MaxUnpooling2D": {"pool_size": list(pool), "padding": padding, "size": size}})
    scattered = np.zeros((shape[0], size[0] * size[1], shape[-1]), "float32")
    b, *_, c = np.indices(maxima.shape)
    scattered[b, np.asarray(places), c] = maxima
    np.testing.assert_array_equal(unpool(maxima, places), scattered.reshape(shape))


def test_gradients_go_back_to_the_maxima() -> None:
    x = tf.constant(image(1, 5, 4, 2))
    pool, unpool = made("MaxPoolingWithArgmax2D"), made({"MaxUnpooling2D": {"size": [5, 4]}})
    with tf.GradientTape() as tape:
        tape.watch(x)
        kept = unpool(*pool(x))
        total = tf.reduce_sum(kept * 3)
    np.testing.assert_array_equal(tape.gradient(total, x), np.where(kept.numpy() != 0, 3, 0))


@pytest.mark.slow
@pytest.mark.parametrize("use", ["LocalResponseNormalization", {"MaxPoolingWithArgmax2D": {"padding": "same"}}])
def test_jax_computes_the_same(use: Any, tmp_path: Path) -> None:
    x = image(2, 5, 7, 6)
    np.save(tmp_path / "x.npy", x)
    inputs = keras.Input((None, None, 6))
    outputs = made(use)(inputs)
    if isinstance(outputs, tuple):
        outputs = [*outputs, made({"MaxUnpooling2D": {"padding": "same", "size": [5, 7]}})(*outputs)]
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    script = (
        "import keras, numpy as np, archspec.build.layers\n"
        "assert keras.backend.backend() == 'jax'\n"
        "outputs = keras.models.load_model('model.keras').predict(np.load('x.npy'), verbose=0)\n"
        "np.savez('y.npz', *keras.tree.flatten(outputs))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, check=True, timeout=300)
    computed = np.load(tmp_path / "y.npz")
    for mine, name in zip(keras.tree.flatten(model(x)), computed.files, strict=True):
        np.testing.assert_allclose(mine, computed[name], rtol=1e-5)
