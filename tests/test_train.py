"""Training: the whole way on small data, the run folder, and what happens when it goes wrong."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import archspec
from archspec.data.plan import plan
from archspec.train.check import check_settings
from archspec.train.class_weight import class_weight
from archspec.train.feed import Feeds, feeds
from archspec.train.fit import TrainedRun
from archspec.train.folder import RunFailed, new_folder
from tests.disk import WORDS, shades, words

SPEC = """
archspec: 1
name: tiny
description: A perceptron
inputs: {features: [64]}
layers:
  - Rescaling: {scale: 0.0625}
  - Dense: {units: 32, activation: relu}
  - Dense: {units: 10, activation: softmax}
data:
  source: {sklearn: digits}
  split: {validation: 0.1, test: 0.2}
train:
  epochs: 4
  loss: SparseCategoricalCrossentropy
  optimizer: {Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 1e-2, decay_steps: =steps}}}}
  metrics: [accuracy]
"""


def train(text: str, folder: Path, **options: Any) -> TrainedRun:
    return archspec.loads(text, folder=folder).train(runs=folder / "runs", quiet=True, **options)


def lines(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def fed(text: str, folder: Path) -> Feeds:
    spec = archspec.loads(text, folder=folder)
    settings = check_settings(spec.document, spec.graph)
    made = plan(spec.document, spec.graph, settings.data, settings.losses(spec.graph))
    return feeds(made, spec.graph, settings.data.batch_size)


def test_a_run_learns_and_keeps_everything(tmp_path: Path) -> None:
    run = train(SPEC, tmp_path)
    assert run.path == tmp_path / "runs" / "tiny-001"
    assert run.metrics["accuracy"] > 0.9
    kept = {file.name for file in run.path.iterdir()}
    assert {
        "spec.yaml", "resolved.yaml", "environment.json", "metrics.csv", "model.keras", "curves.svg", "curves.png",
        "results.json", "report.md", "status.json",
    } <= kept  # fmt: skip
    assert not [name for name in kept if name.endswith(".draft")]
    assert (run.path / "spec.yaml").read_text() == SPEC
    assert json.loads((run.path / "status.json").read_text())["status"] == "finished"
    facts = json.loads((run.path / "environment.json").read_text())
    assert facts["backend"] == keras.backend.backend()
    assert facts["data"].startswith("sha256:")
    results = json.loads((run.path / "results.json").read_text())
    assert results["metrics"]["test"] == dict(run.metrics)
    assert results["examples"] == {"train": 1257, "validation": 180, "test": 360}
    assert results["parameters"] == {"total": 64 * 32 + 32 + 330, "trainable": 64 * 32 + 32 + 330}
    assert "| accuracy |" in (run.path / "report.md").read_text()
    table = lines(run.path)
    assert [line["epoch"] for line in table] == ["1", "2", "3", "4"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"} < set(table[0])
    assert float(table[-1]["learning_rate"]) == pytest.approx(0, abs=1e-6)


def test_the_saved_model_has_the_test_accuracy(tmp_path: Path) -> None:
    run = train(SPEC, tmp_path)
    test = fed(SPEC, tmp_path).test
    assert test is not None
    predicted = keras.saving.load_model(run.path / "model.keras").predict(test.x, verbose=0).argmax(-1)
    assert (predicted == test.y).mean() == pytest.approx(run.metrics["accuracy"], abs=1e-6)


def test_a_seed_decides_a_run(tmp_path: Path) -> None:
    short = SPEC.replace("epochs: 4", "epochs: 1")
    one, two = train(short, tmp_path), train(short, tmp_path)
    assert two.path.name == "tiny-002"
    assert one.metrics == two.metrics
    other = train(short + "run: {seed: 1}\n", tmp_path)
    assert other.metrics != one.metrics


def test_an_extended_spec_keeps_both_files(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(SPEC)
    (tmp_path / "more.yaml").write_text("archspec: 1\nname: more\nextends: base.yaml\ntrain: {epochs: 1}\n")
    run = archspec.load(tmp_path / "more.yaml").train(tmp_path / "run", quiet=True)
    assert (run.path / "files" / "base.yaml").read_text() == SPEC
    assert "extends: base.yaml" in (run.path / "spec.yaml").read_text()
    assert "epochs: 1" in (run.path / "resolved.yaml").read_text()


# --- the folder -----------------------------------------------------------------------------------


def test_folders_are_numbered_and_never_reused(tmp_path: Path) -> None:
    made = [new_folder("a/b", None, tmp_path).name for _ in range(2)]
    (tmp_path / "a_b-007").mkdir()
    assert [*made, new_folder("a/b", None, tmp_path).name] == ["a_b-001", "a_b-002", "a_b-008"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(RunFailed, match="is not empty"):
        train(SPEC, tmp_path, run_dir=tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("  loss: SparseCategoricalCrossentropy\n", ""), "E504.*the spec names no loss"),
        (("units: 10", "units: 9"), "E502.*the data has 10 classes, Dense gives 9"),
        (("metrics: [accuracy]", "metrics: {otput: [accuracy]}"), "there is no output 'otput'"),
        (("metrics: [accuracy]", "class_weight: {ten: 2.0}"), "there is no class 'ten'"),
        (("metrics: [accuracy]", "metrics: [accuracies]"), "accuracies"),
        (
            (
                "split: {validation: 0.1, test: 0.2}\ntrain:\n",
                "split: {test: 0.2}\ntrain:\n  callbacks: [EarlyStopping]\n",
            ),
            "EarlyStopping watches val_loss, but no examples are for validation",
        ),
    ],
)
def test_a_wrong_spec_writes_nothing(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in SPEC
    with pytest.raises(archspec.SpecError, match=said):
        train(SPEC.replace(*change), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    wild = SPEC.replace("sklearn: digits", "sklearn: diabetes").replace("[64]", "[10]")
    wild = wild.replace("SparseCategoricalCrossentropy", "MeanSquaredError").replace("1e-2", "1e30")
    wild = wild.replace("units: 10, activation: softmax", "units: 1").replace("  metrics: [accuracy]\n", "")
    with pytest.raises(RunFailed, match=r"the loss is (nan|inf) (after|at step \d+ of) epoch") as caught:
        train(wild, tmp_path)
    folder = caught.value.folder
    assert folder is not None
    assert json.loads((folder / "status.json").read_text())["status"].startswith("failed: the loss is")
    assert len(lines(folder)) < 4
    assert (folder / "curves.svg").is_file()
    assert not (folder / "model.keras").exists()


def test_another_backend_needs_another_process(tmp_path: Path) -> None:
    other = "jax" if keras.backend.backend() == "tensorflow" else "tensorflow"
    with pytest.raises(RunFailed, match="Keras is already loaded"):
        train(SPEC + f"run: {{backend: {other}}}\n", tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- what reaches the network ---------------------------------------------------------------------


def test_adapt_sees_the_training_examples_only(tmp_path: Path) -> None:
    adapted = SPEC.replace("data:\n", "data:\n  preprocess: [Normalization]\n")
    raw, made = fed(SPEC, tmp_path), fed(adapted, tmp_path)
    assert made.validation is not None and raw.validation is not None
    np.testing.assert_allclose(made.train.x.mean(0), 0, atol=1e-5)
    mean, scale = raw.train.x.mean(0), np.maximum(raw.train.x.std(0), 1e-7)
    np.testing.assert_allclose(made.validation.x, (raw.validation.x - mean) / scale, atol=1e-3)
    assert abs(made.validation.x.mean(0)).max() > 0.01


def test_text_is_vectorized_by_the_training_examples(tmp_path: Path) -> None:
    words(tmp_path)
    run = train(WORDS, tmp_path)
    saved = keras.saving.load_model(run.path / "preprocess.keras")
    assert set(saved.layers[-1].get_vocabulary()) == {"", "[UNK]", "red", "green", "apple", "pear"}


def test_images_stream_through_augmentation(tmp_path: Path) -> None:
    shades(tmp_path)
    text = """
archspec: 1
name: shades
inputs: {image: [8, 8, 3]}
layers: [GlobalAveragePooling2D, Dense: {units: 2, activation: softmax}]
data:
  source: {images: {path: images, size: [6, 6]}}
  batch_size: 8
  preprocess: [Resizing: {height: 8, width: 8}, Rescaling: {scale: 0.00392156862745098}]
  augment: [RandomFlip: horizontal, GaussianNoise: 0.1]
train: {epochs: 30, loss: SparseCategoricalCrossentropy, optimizer: {Adam: 0.1}, metrics: [accuracy],
        class_weight: balanced}
"""
    run = train(text, tmp_path)
    assert run.metrics["accuracy"] == 1
    model = keras.saving.load_model(run.path / "model.keras")
    assert [layer.name for layer in model.layers if "augment" in layer.name] == []
    assert fed(text, tmp_path).sizes == {"train": 28, "validation": 4, "test": 8}


def test_augmentation_is_for_training_only() -> None:
    from archspec.train.compose import Augment

    noise = keras.Sequential([keras.Input((4,)), keras.layers.GaussianNoise(1.0)])
    layer, x = Augment(noise), np.ones((2, 4), "float32")
    assert not np.allclose(layer(x, training=True), x)
    np.testing.assert_array_equal(layer(x, training=False), x)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(80, 3)), rng.normal(size=(80, 2))
    np.savez(tmp_path / "d.npz", a=a, b=b, total=a.sum(1) + b.sum(1), sign=(a[:, 0] > 0).astype("int64"))
    text = """
archspec: 1
name: two
inputs: {b: [2], a: [3]}
layers:
  - Concatenate: {axis: -1}
    from: [a, b]
    name: both
  - Dense: 1
    name: total
  - Dense: {units: 2, activation: softmax}
    from: both
    name: sign
  - Dense: 5
    from: both
    name: unused
outputs: [total, sign, unused]
data:
  source: {npz: d.npz}
train:
  epochs: 40
  loss: {total: MeanSquaredError, sign: SparseCategoricalCrossentropy}
  loss_weights: {total: 2.0}
  metrics: {sign: [accuracy]}
  optimizer: {Adam: 0.05}
"""
    run = train(text, tmp_path)
    assert run.metrics["sign_accuracy"] > 0.8
    assert run.metrics["total_loss"] < 0.5


def test_class_weights(tmp_path: Path) -> None:
    def weights(given: str) -> dict[int, float] | None:
        spec = archspec.loads(SPEC + f"  class_weight: {given}\n")
        settings = check_settings(spec.document, spec.graph)
        made = plan(spec.document, spec.graph, settings.data, settings.losses(spec.graph))
        return class_weight(spec.document, settings, made)

    balanced = weights("balanced")
    assert balanced is not None and len(balanced) == 10
    assert all(0.9 < weight < 1.1 for weight in balanced.values())
    assert weights("{3: 2.5}") == {code: 2.5 if code == 3 else 1.0 for code in range(10)}


def test_jax_trains(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    text = SPEC.replace("epochs: 4", "epochs: 2") + "run: {backend: jax}\n"
    code = (
        "import archspec\n"
        f"run = archspec.loads({text!r}).train(runs={str(tmp_path)!r}, quiet=True)\n"
        "assert run.metrics['accuracy'] > 0.8, run.metrics\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180, env=environment)
