"""The catalogue's layers made into Keras's, and archspec's own Keras layers, on TensorFlow and on JAX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

import archspec.build.layers
from archspec.build.layers import Formula
from archspec.build.objects import call_arguments, keras_layer
from archspec.layers import catalogue, parse_layer
from archspec.layers.base import Example, Layer
from archspec.layers.weight import Weight as WeightLayer

EXAMPLES = [
    (cls, example)
    for name, cls in sorted(catalogue().items())
    if name == cls.__name__ and name != "InputLayer"
    for example in cls.EXAMPLES
]


@pytest.mark.parametrize(("cls", "example"), EXAMPLES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_example_of_the_catalogue_is_made(cls: type[Layer], example: Example) -> None:
    layer = cls.model_validate(example.arguments)
    made = keras_layer(layer, name="scope.layer1", trainable=False)
    assert type(made) is getattr(archspec.build.layers if cls.OWN else keras.layers, cls.__name__)
    assert made.name == "scope.layer1"
    assert not made.trainable
    assert keras_layer(layer).trainable
    call_arguments(layer)


def test_arguments_objects_and_nested_layers_arrive() -> None:
    dense = keras_layer(
        parse_layer({"Dense": {"units": 3, "kernel_initializer": {"HeNormal": 5}, "kernel_regularizer": {"L2": 0.5}}})
    )
    config = dense.get_config()
    assert config["kernel_initializer"]["config"]["seed"] == 5
    assert config["kernel_regularizer"]["config"] == {"l2": 0.5}
    assert config["bias_constraint"] is None
    assert dense.dtype_policy.name == "float32"
    assert keras_layer(parse_layer({"Dense": {"units": 3, "dtype": "float16"}})).dtype_policy.name == "float16"


@pytest.mark.parametrize(
    "spec", [{"Pipeline": {"layers": [{"Dense": 3}, {"Dense": 4}]}}, {"StackedRNNCells": {"cells": [{"LSTMCell": 3}]}}]
)
def test_lists_of_layers_survive_serialisation(spec: Any) -> None:
    made = keras_layer(parse_layer(spec))
    again = keras.layers.deserialize(keras.layers.serialize(made))
    assert again.get_config() == made.get_config()


def test_an_open_dtype_follows_the_global_policy() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert keras_layer(parse_layer({"Dense": 3})).compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_images_are_channels_last_whatever_keras_json_says() -> None:
    keras.config.set_image_data_format("channels_first")
    try:
        made = keras_layer(parse_layer({"Conv2D": {"filters": 2, "kernel_size": 3}}))
        assert made.data_format == "channels_last"
    finally:
        keras.config.set_image_data_format("channels_last")


def test_frozen_layers_have_no_trainable_weights() -> None:
    frozen = keras_layer(parse_layer({"Dense": 3}), trainable=False)
    frozen.build((None, 2))
    assert frozen.trainable_variables == []
    assert len(frozen.non_trainable_variables) == 2


@pytest.mark.parametrize(("shape", "dtype"), [((3,), None), ((2, 3), None), ((), None), ((2,), "mixed_float16")])
@pytest.mark.parametrize("per_example", [True, False])
def test_a_weight_stands_for_every_example(shape: tuple[int, ...], dtype: Any, per_example: bool) -> None:
    layer = WeightLayer(shape=shape, dtype=dtype)
    made = keras_layer(layer, name="token")
    made.per_example = per_example
    x = np.zeros((4, 7), "float32")
    value = made(x)
    assert tuple(value.shape) == (4 if per_example else 1, *shape)
    assert keras.backend.standardize_dtype(value.dtype) == layer.infer().dtype
    assert [(w.path, w.shape, w.dtype) for w in made.weights] == [
        (f"token/{spec.name}", spec.shape, spec.dtype) for spec in layer.weights()
    ]
    for example in np.asarray(value, "float32"):
        np.testing.assert_allclose(example, np.asarray(made.weight), rtol=1e-3)
    symbolic = made(keras.Input((7,)))
    assert (symbolic.shape, symbolic.dtype) == (
        (None, *layer.infer().shape),
        layer.infer().dtype,
    )


def test_a_weight_takes_objects_and_is_trained() -> None:
    layer = parse_layer({"Weight": {"shape": [2], "initializer": "ones", "regularizer": {"L2": 0.5}}})
    made = keras_layer(layer)
    made(np.zeros((1, 2)))
    assert float(made.losses[0]) == 1.0
    assert len(made.trainable_variables) == 1
    with pytest.raises(ValidationError):
        parse_layer({"Weight": {"shape": [0]}})


def model() -> keras.Model:
    x = keras.Input((4, 3), name="x")
    token = keras_layer(parse_layer({"Weight": {"shape": [1, 3], "initializer": "he_normal"}}), name="token")
    joined = keras.layers.Concatenate(axis=1)([token(x), x])
    return keras.Model(x, keras.layers.Dense(2)(joined))


def test_models_with_weights_load_in_safe_mode(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype("float32")
    first = model()
    path = tmp_path / "model.keras"
    first.save(path)
    again = keras.models.load_model(path, safe_mode=True)
    np.testing.assert_allclose(first.predict(x, verbose=0), again.predict(x, verbose=0), rtol=1e-6)
    assert isinstance(again.get_layer("token").initializer, keras.initializers.HeNormal)
    first.compile("sgd", "mse")
    before = np.array(first.get_layer("token").weight)
    first.fit(x, np.ones((5, 5, 2)), verbose=0)
    assert not np.allclose(before, np.asarray(first.get_layer("token").weight))


FORMULAS = [
    ("softmax(q @ swapaxes(k, -1, -2) / sqrt(8)) @ k", ("q", "k"), ((5, 8), (5, 8))),
    ("x[:, 0]", ("x",), ((5, 8),)),
    ("x[..., 1:] + 1", ("x",), ((5, 8),)),
    ("mean(x, axis=-1, keepdims=True) * x", ("x",), ((5, 8),)),
    ("concatenate([x, y], axis=1)", ("x", "y"), ((5, 8), (2, 8))),
    ("where(x > 0, x, 0.1 * x)", ("x",), ((8,),)),
    ("-x ** 2", ("x",), ((3,),)),
    ("split(x, 2, axis=-1)", ("x",), ((5, 8),)),
    ("one_hot(argmax(x, axis=-1), 8)", ("x",), ((5, 8),)),
    ("reshape(x, (shape(x)[0], 4, 10))", ("x",), ((5, 8),)),
    ("einsum('bqd,bkd->bqk', q, k)", ("q", "k"), ((5, 8), (3, 8))),
]


@pytest.mark.parametrize(("expression", "arguments", "shapes"), FORMULAS, ids=[text for text, *_ in FORMULAS])
def test_a_formula_computes_what_its_shape_rule_says(
    expression: str, arguments: tuple[str, ...], shapes: tuple[tuple[int, ...], ...]
) -> None:
    layer = parse_layer({"Formula": {"expression": expression, "arguments": arguments}})
    made = keras_layer(layer, name="formula")
    random = np.random.default_rng(0)
    values = [random.normal(size=(4, *shape)).astype("float32") for shape in shapes]
    computed = keras.tree.flatten(made(values))
    symbolic = keras.tree.flatten(made([keras.Input(shape) for shape in shapes]))
    assert len(computed) == len(symbolic)
    for value, spec in zip(computed, symbolic, strict=True):
        assert (None, *value.shape[1:]) == spec.shape
        assert keras.backend.standardize_dtype(value.dtype) == spec.dtype


def test_a_formula_gives_the_numbers_of_numpy() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    made = Formula("(x - mean(x, axis=-1, keepdims=True)) / sqrt(var(x, axis=-1, keepdims=True) + 1e-5)", ("x",))
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(np.asarray(made(x)), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.asarray(made([x])), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("expression", "passes"),
    [("x * sqrt(8)", True), ("tanh(x) + 1", True), ("flip(x, axis=1)", False), ("x[:, 1:]", False), ("x @ x", False)],
)
def test_a_mask_passes_elementwise_formulas_only(expression: str, passes: bool) -> None:
    tokens = np.array([[1, 2, 0], [3, 0, 0]])
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(tokens)
    made = Formula(expression, ("x",))
    if passes:
        np.testing.assert_array_equal(np.asarray(made([embedded])._keras_mask), tokens != 0)
    else:
        with pytest.warns(UserWarning, match="mask"):
            assert getattr(made([embedded]), "_keras_mask", None) is None


@pytest.mark.parametrize("expression", ["exec('1')", "__import__('os')", "custom_gradient(x)", "x.numpy()"])
def test_a_saved_formula_runs_nothing_else(expression: str) -> None:
    with pytest.raises((TypeError, ValueError), match=r"there is no function|bare names"):
        Formula.from_config({"expression": expression, "arguments": ["x"]})(np.zeros((1, 2)))


def test_models_with_formulas_load_in_safe_mode(tmp_path: Path) -> None:
    x = keras.Input((None, 4), name="x")
    parts = Formula("split(x, 2, axis=-1)", ("x",), name="parts")([x])
    model = keras.Model(x, Formula("a * sigmoid(b)", ("a", "b"), name="gate")(list(parts)))
    value = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(model.predict(value, verbose=0), again.predict(value, verbose=0), rtol=1e-6)
    assert again.output_shape == (None, None, 2)


def test_own_layers_run_on_jax(tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text(JAX)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


JAX = """
import keras, numpy as np
from archspec.build.layers import Formula
from archspec.build.objects import keras_layer
from archspec.layers import parse_layer

assert keras.backend.backend() == "jax"
x = keras.Input((4, 3))
token = keras_layer(parse_layer({"Weight": [1, 3]}), name="token")
joined = Formula("concatenate([t, x], axis=1)", ("t", "x"))([token(x), x])
model = keras.Model(x, [joined, Formula("softmax(x @ swapaxes(x, 1, 2)) @ x", ("x",))([joined])])
model.compile("sgd", ["mse", "mse"])
data = np.ones((5, 4, 3), "float32")
before = np.array(token.weight)
model.fit(data, [np.zeros((5, 5, 3))] * 2, verbose=0)
assert not np.allclose(before, np.asarray(token.weight))
first, second = model.predict(data, verbose=0)
np.testing.assert_allclose(first[2, 0], np.asarray(token.weight)[0], rtol=1e-6)
assert second.shape == (5, 5, 3)
"""
