"""Models of Keras read to be optimised: built again from their graph and weights they compute what Keras loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from archspec.build.weights import built
from archspec.graph.ir import Graph
from archspec.graph.verify import verify
from archspec.importing import read_network
from archspec.layers import catalogue, parse_layer
from archspec.layers.base import Example, Layer
from archspec.optimize.network import Network

from test_catalogue import applied, flat

layers, ops = keras.layers, keras.ops


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with random weights and statistics, none of which is what an initializer would give."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        name, shape = weight.path.rpartition("/")[2], tuple(weight.shape)
        if weight.dtype in ("int64", "int32"):
            continue
        if any(word in name for word in ("variance", "stddev", "gamma", "scale")):
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = random.normal(0, 1 / np.sqrt(max(1, np.prod(shape[:-1]))), shape) + 0.02
        weight.assign(value)
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def values(tensor: Any, bound: int, seed: int) -> Any:
    """A batch of 3 for an input; unknown lengths are 7."""
    shape = (3, *(7 if n is None else n for n in tensor.shape[1:]))
    random = np.random.default_rng(seed)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype == "string":
        return np.full(shape, "a b")
    if dtype == "bool":
        return random.random(shape) < 0.7
    return random.integers(0, bound, shape).astype(dtype) if "int" in dtype else random.normal(size=shape).astype(dtype)


def structure(model: keras.Model) -> Any:
    return model.inputs[0] if isinstance(model, keras.Sequential) else model._inputs_struct


def called(model: keras.Model, inputs: Sequence[Any]) -> list[Any]:
    given = keras.tree.pack_sequence_as(structure(model), inputs)
    return [np.asarray(one) for one in keras.tree.flatten(model(given, training=False))]


def read_again(model: keras.Model, folder: Path) -> Network:
    """What the saved model is read as."""
    model.save(folder / "m.keras")
    graph, weights = read_network(folder / "m.keras")
    verify(graph)
    return Network(graph, weights)


def check(model: keras.Model, folder: Path, bound: int = 5, tolerance: float = 1e-5) -> Graph:
    """Reads the model again, with random weights, and compares it with what Keras loads."""
    network = read_again(randomised(model), folder)
    loaded = keras.models.load_model(folder / "m.keras")
    again = finished(built(network))
    inputs = [values(tensor, bound, seed) for seed, tensor in enumerate(keras.tree.flatten(structure(loaded)))]
    expected = called(loaded, inputs)
    made = again(inputs if len(inputs) > 1 else inputs[0], training=False)
    named = made if isinstance(made, dict) else {"output": made}
    found = [np.asarray(named[name]) for name in network.graph.outputs]
    assert [one.shape for one in found] == [one.shape for one in expected]
    for one, other in zip(found, expected, strict=True):
        if one.dtype.kind not in "fV":
            np.testing.assert_array_equal(one, other)
            continue
        one, other = one.astype("float64"), other.astype("float64")
        spread = np.abs(other).max() or 1.0
        assert np.isfinite(other).all() and np.abs(one - other).max() <= tolerance * spread
    return network.graph


def finished(model: keras.Model) -> keras.Model:
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def kinds(graph: Graph) -> list[str]:
    return [type(node.layer).__name__ for node in graph.nodes.values()]


def test_a_sequential_model(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((9, 9, 3)), layers.Conv2D(4, 3, activation="relu", name="a"), layers.BatchNormalization(),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3, activation="softmax"),
        ]
    )  # fmt: skip
    graph = check(model, tmp_path)
    assert list(graph.nodes)[1:] == [layer.name for layer in model.layers]


EXAMPLES = [
    pytest.param(cls, example, id=f"{cls.__name__}-{i}")
    for cls in catalogue().values()
    for i, example in enumerate(cls.EXAMPLES)
    if cls.__name__ != "InputLayer"
]


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_every_layer_of_the_catalogue(cls: type[Layer], example: Example, tmp_path: Path) -> None:
    keras.utils.clear_session(free_memory=False)
    layer, pairs = parse_layer({cls.__name__: dict(example.arguments)}), flat(cls, example)
    tensors = [(name, keras.Input(t.shape, dtype=t.dtype)) for name, t in pairs]
    _, outputs = applied(layer, tensors)
    check(keras.Model([tensor for _, tensor in tensors], outputs), tmp_path, bound=example.values)
