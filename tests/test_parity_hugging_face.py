"""The specs compute what Hugging Face's models compute, with the same random weights: `make parity`.

The models run in a process of their own, as torch and TensorFlow cannot share one; hugging_face_models.py has them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

import archspec
from archspec.start import start_keras
from archspec.weights import WeightsError, find_mapping, load, mappings, read

MISSING = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: make parity installs the extra `parity`"),
]

start_keras()
keras = pytest.importorskip("keras")

SPECS = Path(__file__).parent.parent / "specs"
MODELS = Path(__file__).with_name("hugging_face_models.py")
TOLERANCE = 1e-4  # of the largest magnitude, in float32

SMALL = {"depth": 3, "dim": 48, "heads": 4}
SMALL_IMAGES = SMALL | {"size": 48, "patch": 8, "classes": 10, "epsilon": 1e-12, "activation": "linear"}
CASES = {
    "bert": ("bert.yaml", SMALL | {"vocabulary": 256, "length": 64}, "bert"),
    "gpt2": ("gpt2.yaml", SMALL | {"vocabulary": 256, "length": 64}, "gpt2"),
    "t5": ("t5.yaml", {"vocabulary": 256, "length": 320, "depth": 3, "dim": 48, "heads": 2, "inner": 32}, "t5"),
    "vit": ("vit.yaml", SMALL_IMAGES | {"mlp": 96}, "vit"),
    "deit": ("deit.yaml", SMALL_IMAGES, "deit"),
    "deit_distilled": ("deit.yaml", SMALL_IMAGES | {"distilled": True}, "deit"),
    "swin": ("swin.yaml", {"size": 64, "window": 4, "dim": 24, "depths": [2, 4, 2], "heads": [2, 3, 6], "classes": 10,
                           "activation": "linear"}, "swin"),
    "clip": ("clip.yaml", {"size": 48, "patch": 8, "vision": [48, 3, 4], "vocabulary": 256, "length": 16,
                           "text": [32, 3, 4], "embedding": 24}, "clip"),
    "resnet18": ("resnet.yaml@resnet18", {"size": 96, "widths": [16, 32, 48, 64], "classes": 10}, "resnet"),
    "resnet50": ("resnet.yaml@resnet50", {}, "resnet"),
    "vit_b16": ("vit.yaml@b16", {"epsilon": 1e-12, "activation": "linear"}, "vit"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models lie, that are made once for all tests."""
    folder = tmp_path_factory.mktemp("hugging_face")
    done = subprocess.run([sys.executable, MODELS, folder], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return folder


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def outputs(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    tensors = [inputs[tensor.name] for tensor in model.inputs]
    made = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    named = made if isinstance(made, dict) else {"logits": made}
    return {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}


def difference(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """The largest, relative to the largest magnitude; of classes' scores but for a constant, as softmax has it."""
    assert found.keys() == expected.keys()
    worst = 0.0
    for name, ours in found.items():
        a, b = ours.astype("float64"), expected[name].astype("float64")
        assert a.shape == b.shape
        if is_probability(a):
            a, b = (x - x.mean(-1, keepdims=True) for x in (np.log(a), b))
        worst = max(worst, float(np.abs(a - b).max() / np.abs(b).max()))
    return worst


def is_probability(output: np.ndarray) -> bool:
    return bool(output.shape[-1] > 1 and (output >= 0).all() and np.allclose(output.sum(-1), 1, atol=1e-3))


def ours(name: str, old: str = "", new: str = "") -> keras.Model:
    """Our model, or one that another text in its spec breaks."""
    spec, params, _ = CASES[name]
    if not old:
        return archspec.load(SPECS / spec, params=params).build()
    file, _, variant = spec.partition("@")
    text = (SPECS / file).read_text("utf-8")
    assert old in text
    return archspec.loads(text.replace(old, new), params=params, variant=variant or None, folder=SPECS).build()


def loaded(name: str, folder: Path, *change: str) -> keras.Model:
    model = ours(name, *change)
    load(model, read(folder / name / "model.safetensors"), mappings()[f"hugging_face_{CASES[name][2]}"])
    return model


@pytest.fixture(autouse=True)
def forget():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize("name", CASES)
def test_same_outputs(name: str, folder: Path):
    expected = arrays(folder / name / "outputs.npz")
    for output in expected.values():
        assert np.isfinite(output).all()
        assert output.std() > 0.2, "the output is degenerate"
        assert np.abs(output[0] - output[1]).max() > 0.02 * np.abs(output).max(), "the input makes no difference"
    assert difference(outputs(loaded(name, folder), arrays(folder / name / "inputs.npz")), expected) <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_each_normalisation_has_its_epsilon(name: str, folder: Path):
    """Outputs hardly show it, where a layer normalisation sees much larger variances."""
    model, state = ours(name), arrays(folder / name / "state.npz")
    epsilons = json.loads((folder / name / "epsilons.json").read_text("utf-8"))
    report = load(model, state, mappings()[f"hugging_face_{CASES[name][2]}"])
    layers = {
        match.array.removesuffix(".weight"): match.weight.rpartition("/")[0]
        for match in report.matches
        if match.weight.endswith(("/gamma", "/scale"))
    }
    assert layers.keys() == epsilons.keys()
    for theirs, layer in layers.items():
        assert model.get_layer(layer).epsilon == pytest.approx(epsilons[theirs], rel=1e-6), layer


@pytest.mark.parametrize("name", CASES)
def test_files_and_memory_have_one_mapping(name: str, folder: Path):
    """It is found from the names, which differ between the two."""
    model = ours(name)
    weights = []
    for source in (read(folder / name / "model.safetensors"), arrays(folder / name / "state.npz")):
        mapping = find_mapping(model, source)
        assert mapping == f"hugging_face_{CASES[name][2]}" or (name, mapping) == ("vit", "hugging_face_deit")
        load(model, source, mappings()[mapping])
        weights.append([keras.ops.convert_to_numpy(weight) for weight in model.weights])
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


BREAKAGES = [
    ("bert", "mlp: =4 * dim", 'mlp: {hidden: =4 * dim, activation: [expr: "gelu(x, True)"]}'),
    ("bert", "key_dim: =dim // heads,", "key_dim: =dim // heads, use_causal_mask: true,"),
    ("bert", "from: {query: x, value: x, value_mask: mask}", "from: {query: x, value: x, query_mask: mask}"),
    ("bert", "activation: tanh", "activation: sigmoid"),
    ("gpt2", "approximate=True", "approximate=False"),
    ("gpt2", "causal: true", "causal: false"),
    ("t5", "default: 128", "default: 112"),
    ("t5", "arange(length) > arange(length)[:, None]", "arange(length) < arange(length)[:, None]"),
    ("t5", "where(source == 0, -1e9, 0.0)", "where(source == 0, -1.0, 0.0)"),
    ("t5", "x / sqrt(dim)", "x / sqrt(dim + 0.1)"),
    ("vit", "encoded[:, 0]", "encoded[:, 1]"),
    ("vit", "[Activation: gelu", '[expr: "gelu(x, True)"'),
    ("deit_distilled", "encoded[:, 1]", "encoded[:, 2]"),
    ("swin", "(-shift, -shift)", "(shift, shift)"),
    ("swin", "0.0, -100.0", "0.0, -1.0"),
    ("swin", "x[:, 1::2, 0::2], x[:, 0::2, 1::2]", "x[:, 0::2, 1::2], x[:, 1::2, 0::2]"),
    ("swin", "arange(window)[:, None] - arange(window)", "arange(window) - arange(window)[:, None]"),
    ("clip", "1.702 * x", "1.7 * x"),
    ("clip", "argmax(tokens, axis=-1)", "argmin(tokens, axis=-1)"),
    ("clip", "normalize: true", "normalize: false"),
    ("resnet18", "pool_size: 3", "pool_size: 2"),
]


@pytest.mark.parametrize(("name", "old", "new"), BREAKAGES)
def test_deliberate_breakages_are_noticed(name: str, old: str, new: str, folder: Path):
    model = loaded(name, folder, old, new)
    inputs, expected = (arrays(folder / name / f"{kind}.npz") for kind in ("inputs", "outputs"))
    assert difference(outputs(model, inputs), expected) > TOLERANCE


@pytest.mark.parametrize(("theirs", "swapped"), [
    ("encoder.layer.1.attention.self.query.weight", "encoder.layer.1.attention.self.key.weight"),
    ("encoder.layer.0.output.LayerNorm.bias", "encoder.layer.1.output.LayerNorm.bias"),
])  # fmt: skip
def test_swapped_arrays_are_noticed(theirs: str, swapped: str, folder: Path):
    source = read(folder / "bert" / "model.safetensors")
    source[theirs], source[swapped] = source[swapped], source[theirs]
    model = ours("bert")
    load(model, source, mappings()["hugging_face_bert"])
    inputs, expected = (arrays(folder / "bert" / f"{kind}.npz") for kind in ("inputs", "outputs"))
    assert difference(outputs(model, inputs), expected) > TOLERANCE


def test_files_with_more_than_the_spec_has(folder: Path):
    """The oldest files name gamma and beta, have a head that the spec lacks, and list shared arrays twice."""
    source = read(folder / "bert" / "model.safetensors")
    old = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in source.items()
    }
    old["cls.predictions.decoder.weight"] = source["embeddings.word_embeddings.weight"]
    model = ours("bert")
    report = load(model, old, mappings()[find_mapping(model, old)])
    assert report.unused == ("cls.predictions.decoder.weight",)
    expected = arrays(folder / "bert" / "outputs.npz")
    assert difference(outputs(model, arrays(folder / "bert" / "inputs.npz")), expected) <= TOLERANCE


def test_a_head_that_is_not_tied_is_refused(folder: Path):
    source = arrays(folder / "gpt2" / "state.npz")
    source["lm_head.weight"] = source["lm_head.weight"] + 1
    with pytest.raises(WeightsError) as raised:
        load(ours("gpt2"), source, mappings()["hugging_face_gpt2"])
    assert list(raised.value.doubled) == [("embedding/embeddings", ("transformer.wte.weight", "lm_head.weight"))]


def test_another_depth_is_refused(folder: Path):
    spec, params, _ = CASES["vit"]
    model = archspec.load(SPECS / spec, params=params | {"depth": 4}).build()
    with pytest.raises(WeightsError) as raised:
        load(model, read(folder / "vit" / "model.safetensors"), mappings()["hugging_face_vit"])
    assert {weight.partition(".")[0] for weight in raised.value.unmatched_weights} == {"encoder4"}
    assert not raised.value.unmatched_arrays
