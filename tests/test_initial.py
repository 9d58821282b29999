"""Initial values drawn with NumPy: Keras's distributions, repeatable, and Keras's own where a seed is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.graphs import GraphBuilder, resnet50

keras = pytest.importorskip("keras")

from archspec.build import build  # noqa: E402
from archspec.build.initial import numpy_initializer  # noqa: E402

INITIALIZERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeNormal", {}),
    ("HeUniform", {}),
    ("LecunNormal", {}),
    ("LecunUniform", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"input_axes": [0], "output_axes": [1, 2]}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("RandomNormal", {"mean": 2.0, "stddev": 0.5}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 0.3}),
    ("Orthogonal", {"gain": 2.0}),
    ("Zeros", {}),
    ("Ones", {}),
)


@pytest.mark.parametrize("shape", [(3, 3, 64, 192), (310, 20, 17)])
@pytest.mark.parametrize("name, arguments", INITIALIZERS)
def test_the_distributions_are_those_of_keras(name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    keras.utils.set_random_seed(1)
    initializer = getattr(keras.initializers, name)(**arguments)
    drawing = numpy_initializer(initializer)
    assert drawing is not initializer
    ours = drawing(shape, dtype="float32")
    theirs = keras.ops.convert_to_numpy(initializer(shape, dtype="float32"))
    assert isinstance(ours, np.ndarray) and ours.dtype == theirs.dtype and ours.shape == theirs.shape
    points = np.linspace(0.02, 0.98, 9)
    spread = max(float(theirs.std()), 1e-12)
    assert np.abs(np.quantile(ours, points) - np.quantile(theirs, points)).max() < 0.05 * spread
    assert abs(ours.std() - theirs.std()) < 0.02 * spread
    if name in ("TruncatedNormal", "HeNormal") or "Uniform" in name:
        assert abs(ours.max() - theirs.max()) < 0.05 * spread and abs(ours.min() - theirs.min()) < 0.05 * spread


@pytest.mark.parametrize("shape", [(40, 10), (10, 40), (3, 3, 2, 30)])
def test_orthogonal_weights_are_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = numpy_initializer(keras.initializers.Orthogonal())(shape, dtype="float32").reshape(-1, shape[-1])
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5)


def test_a_seed_of_its_own_keeps_kerass_numbers() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (6,))
    dense = {"Dense": {"units": 4, "kernel_initializer": {"HeNormal": {"seed": 3}}}}
    model = build(builder.graph(builder.apply(dense, x)))
    expected = keras.initializers.HeNormal(seed=3)((6, 4))
    np.testing.assert_array_equal(np.asarray(model.weights[0]), keras.ops.convert_to_numpy(expected))


def test_builds_repeat_after_a_global_seed_and_differ_without() -> None:
    def kernels() -> list[Any]:
        return [np.asarray(w) for w in build(resnet50(classes=3)).weights if w.name == "kernel"]

    keras.utils.set_random_seed(5)
    first, other = kernels(), kernels()
    keras.utils.set_random_seed(5)
    again = kernels()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    same_shape = [k for k in first if k.shape == first[-2].shape]
    assert len(same_shape) > 1 and not np.array_equal(same_shape[0], same_shape[1])


def test_other_dtypes_and_initializers_are_kerass() -> None:
    half = numpy_initializer(keras.initializers.HeNormal())((4, 4), dtype="float16")
    assert keras.backend.standardize_dtype(half.dtype) == "float16"
    identity = keras.initializers.Identity()
    assert numpy_initializer(identity) is identity
