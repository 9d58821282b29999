"""Every counterpart of a keras.applications model computes what the original computes, from the same random weights.

The weights, biases and moving statistics of the original are random, and go into ours by the ready mapping.
"""

from __future__ import annotations

import ast
import gc
import importlib
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import yaml

import archspec
from archspec.start import start_keras
from archspec.weights import find_mapping, load, mappings, read

start_keras()
keras = pytest.importorskip("keras")
gc.freeze()  # what stays anyway need not be looked through after each test

SPECS = Path(__file__).parent.parent / "specs"
INDEX: Mapping[str, str] = {
    name.removeprefix("keras/"): line
    for name, line in yaml.safe_load((SPECS / "index.yaml").read_text("utf-8")).items()
    if name.startswith("keras/")
}

TOLERANCE = 1e-4  # of the largest magnitude, in float32

# At its own size one network a family, as how a stride meets an even or an odd size depends on the size; the others at
# a small one, which some constructors bound from below.
FULL = {"ResNet50", "ResNet50V2", "VGG16", "DenseNet121", "MobileNet", "MobileNetV2", "MobileNetV3Small", "InceptionV3",
        "EfficientNetB0", "EfficientNetB1", "EfficientNetV2B0", "Xception", "NASNetMobile"}  # fmt: skip
SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
SMALL = 64


def original(name: str) -> tuple[str, dict[str, Any]]:
    """`ResNet50(classes=10)` as the constructor's name and its arguments."""
    call = ast.parse(name, mode="eval").body
    if isinstance(call, ast.Name):
        return call.id, {}
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    return call.func.id, {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}


def pair(name: str) -> tuple[keras.Model, keras.Model]:
    """The original with random weights, and ours with fresh ones."""
    constructor, arguments = original(name)
    spec, *changes = INDEX[name].split()
    if name not in FULL:
        size = SMALLEST.get(constructor, SMALL)
        arguments["input_shape"] = (size, size, 3)
        changes = [*(c for c in changes if not c.startswith("params.size=")), f"params.size={size}"]
    ours = archspec.load(SPECS / spec, changes=changes).build()
    arguments.setdefault("input_shape", ours.input_shape[1:])  # MobileNetV3 would leave the size open
    theirs = getattr(keras.applications, constructor)(weights=None, **arguments)
    assert ours.input_shape == theirs.input_shape
    return theirs, ours


def randomise(model: keras.Model, images: np.ndarray, seed: int) -> None:
    """Random weights by which signals neither vanish nor explode, however deep the model is, nor softmax saturates.

    Each normalisation gets about the statistics of what it meets, so that its output has about unit variance.
    """
    random = np.random.default_rng(seed)
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    for weight in model.weights:
        shape, kind = tuple(weight.shape), weight.name
        if "kernel" in kind:
            fan_in = np.prod(shape[:2]) if "depthwise" in weight.path else np.prod(shape[:-1])
            value = random.normal(0, np.sqrt(1.5 / fan_in), shape)
        elif kind in ("gamma", "moving_variance", "variance"):
            value = random.uniform(0.5, 1.5, shape)
        elif kind == "count":
            continue
        else:
            value = random.normal(0, 0.2, shape)
        weight.assign(value / 128 if weight is kernels[0] else value)  # images have numbers up to 255
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with what it derives from its weights
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        mean, variance = map(keras.ops.convert_to_numpy, (layer.moving_mean, layer.moving_variance))
        variance = np.maximum(variance, 0.1 * variance.mean()) * random.uniform(0.6, 1.6, variance.shape)
        layer.moving_variance.assign(variance)
        layer.moving_mean.assign(mean + 0.2 * np.sqrt(variance) * random.normal(size=mean.shape))
    while is_probability(output := outputs(model, images)) and output.min() < 1e-6:
        kernels[-1].assign(kernels[-1] / 2)


def arrays(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=False)).astype("float64")


def is_probability(output: np.ndarray) -> bool:
    return output.ndim == 2 and np.allclose(output.sum(-1), 1, atol=1e-3) and (output >= 0).all()


def scores(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The output, of a classifier before its softmax (but for a constant): after it differences could hide."""
    output = outputs(model, images)
    if is_probability(output):
        output = np.log(output)
        output -= output.mean(-1, keepdims=True)
    return output


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def images_for(model: keras.Model, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (2, *model.input_shape[1:])).astype("float32")


@pytest.fixture(autouse=True)
def forget():
    yield
    keras.backend.clear_session()


def carried_over(name: str) -> tuple[keras.Model, keras.Model, np.ndarray]:
    theirs, ours = pair(name)
    images = images_for(theirs, seed=1)
    randomise(theirs, images, seed=2)
    source = arrays(theirs)
    load(ours, source, mappings()[find_mapping(ours, source)])
    return theirs, ours, images


@pytest.mark.slow
@pytest.mark.parametrize("name", INDEX)
def test_same_outputs(name: str):
    theirs, ours, images = carried_over(name)
    expected, got = scores(theirs, images), scores(ours, images)
    assert np.isfinite(expected).all()
    assert 0.05 < expected.std() < 1e4, "the output is degenerate"
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * np.abs(expected).max(), "the input makes no difference"
    assert difference(got, expected) <= TOLERANCE


@pytest.mark.slow
def test_deliberate_breakages_are_noticed():
    theirs, ours, images = carried_over("MobileNetV2(alpha=0.35)")
    expected = scores(theirs, images)
    convolutions = [layer for layer in ours.layers if isinstance(layer, keras.layers.Conv2D)]
    norms = [layer for layer in ours.layers if isinstance(layer, keras.layers.BatchNormalization)]
    alike = next((a, b) for a, b in pairwise(norms) if a.gamma.shape == b.gamma.shape)

    def noticed() -> bool:
        return difference(scores(ours, images), expected) > TOLERANCE

    assert not noticed()
    first, second = (keras.ops.convert_to_numpy(norm.gamma) for norm in alike)
    alike[0].gamma.assign(second), alike[1].gamma.assign(first)
    assert noticed(), "two arrays swapped"
    alike[0].gamma.assign(first), alike[1].gamma.assign(second)
    norms[5].epsilon, epsilon = 2 * norms[5].epsilon, norms[5].epsilon
    assert noticed(), "another epsilon"
    norms[5].epsilon = epsilon
    kernel = keras.ops.convert_to_numpy(convolutions[0].kernel)
    convolutions[0].kernel.assign(kernel.transpose(1, 0, 2, 3))
    assert noticed(), "height and width swapped"
    convolutions[0].kernel.assign(kernel)
    assert not noticed()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Xception(include_top=False,input_shape=(299, 299, 3))", "MobileNetV3Small"])
@pytest.mark.parametrize("file", ["a.weights.h5", "a.h5"])
def test_files_that_keras_saves(name: str, file: str, tmp_path: Path):
    theirs, ours = pair(name)
    theirs.save_weights(tmp_path / file) if "weights" in file else theirs.save(tmp_path / file)
    source = read(tmp_path / file)
    load(ours, source, mappings()[find_mapping(ours, source)])
    images = images_for(theirs, seed=1)
    assert difference(outputs(ours, images), outputs(theirs, images)) <= TOLERANCE


@pytest.mark.slow
def test_the_network_that_keras_makes_for_its_trained_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """EfficientNet v1 alone differs from the one with weights=None: what it is trained on is scaled once more."""
    file = tmp_path / "efficientnetb0.weights.h5"
    untrained = keras.applications.EfficientNetB0(weights=None)
    images = images_for(untrained, seed=1)
    randomise(untrained, images, seed=2)
    untrained.save_weights(file)
    module = importlib.import_module("keras.src.applications.efficientnet")
    monkeypatch.setattr(module.file_utils, "get_file", lambda *_, **__: file)  # instead of a download
    theirs = keras.applications.EfficientNetB0(weights="imagenet")
    images /= 4  # the second scaling would saturate the softmax
    source = read(file)
    spec = SPECS / "efficientnet.yaml@b0"
    for preprocessing, same in {"pretrained": True, "measured": False}.items():
        ours = archspec.load(spec, params={"preprocessing": preprocessing}).build()
        load(ours, source, mappings()[find_mapping(ours, source)])
        assert (difference(scores(ours, images), scores(theirs, images)) <= TOLERANCE) == same
