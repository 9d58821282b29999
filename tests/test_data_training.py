"""Data on their way into a training: what layers learn from, what is loaded, and cross-validation."""

from __future__ import annotations

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
from archspec.train.check import check_settings
from archspec.train.class_weight import class_weight
from archspec.train.folder import RunFailed
from archspec.train.folds import train_folds
from tests.loading import planned

DENSE = """
archspec: 1
name: dense
inputs: {a: [3]}
layers: [Dense: {units: 4, activation: relu}, Dense: {units: 2, activation: softmax}]
data: {source: {npz: a.npz}}
train: {epochs: 1, loss: SparseCategoricalCrossentropy, metrics: [accuracy]}
"""


def train(text: str, folder: Path) -> Any:
    return archspec.loads(text, folder=folder).train(runs=folder / "runs", quiet=True)


def preprocessing(run: Any) -> Any:
    """The last layer of what the run put its examples through."""
    return keras.saving.load_model(run.path / "preprocess.keras").layers[-1]


# --- adapt sees the training split only: the others hold a giveaway -------------------------------


def test_normalization_learns_from_the_training_examples(tmp_path: Path) -> None:
    x = np.arange(90.0, dtype="float32").reshape(30, 3) % 7
    y = np.arange(30) % 2
    np.savez(
        tmp_path / "a.npz", x_train=x, y_train=y, x_validation=x[:6] + 1e6, y_validation=y[:6],
        x_test=x[:6] - 1e6, y_test=y[:6],
    )  # fmt: skip
    run = train(DENSE.replace("a.npz}", "a.npz}, preprocess: [Normalization]"), tmp_path)
    layer = preprocessing(run)
    np.testing.assert_allclose(np.ravel(layer.mean), x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.variance), x.var(0), rtol=1e-4)


def test_bins_and_words_come_from_the_training_examples(tmp_path: Path) -> None:
    rows = [f"{i % 10},{'red' if i % 2 else 'green'},{i % 2}" for i in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(["size,colour,kind", *rows, ""]))
    (tmp_path / "test.csv").write_text("size,colour,kind\n99999,giveaway,1\n99999,giveaway,0\n")
    text = """
archspec: 1
name: columns
inputs: {size: {shape: [1], dtype: int32}, colour: {shape: [1], dtype: int64}}
layers:
  - {Embedding: {input_dim: 6, output_dim: 2}, from: size, name: a}
  - {Embedding: {input_dim: 6, output_dim: 2}, from: colour, name: b}
  - concat: [a, b]
  - Flatten
  - Dense: {units: 2, activation: softmax}
data:
  source:
    csv:
      path: {train: train.csv, test: test.csv}
      target: kind
      types: {colour: string}
      columns: {size: [size], colour: colour}
  split: {validation: 0.1}
  preprocess:
    size: [Discretization: {num_bins: 4}]
    colour: [Reshape: [1], StringLookup: {}]
train: {epochs: 1, loss: SparseCategoricalCrossentropy}
"""
    run = train(text, tmp_path)
    bins = keras.saving.load_model(run.path / "preprocess-size.keras").layers[-1].bin_boundaries
    assert max(bins) < 10
    words = keras.saving.load_model(run.path / "preprocess-colour.keras").layers[-1].get_vocabulary()
    assert sorted(words) == ["[UNK]", "green", "red"]


def test_streams_adapt_to_the_training_images(tmp_path: Path) -> None:
    from PIL import Image

    for split, value in (("train", 50), ("validation", 250), ("test", 250)):
        for i, name in enumerate(("a", "b")):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for j in range(4):
                shade = value + (10 * i if split == "train" else 0)
                Image.new("L", (3, 3), shade).save(tmp_path / "images" / split / name / f"{j}.png")
    text = """
archspec: 1
name: shades
inputs: {image: [3, 3, 1]}
layers: [Flatten, Dense: {units: 2, activation: softmax}]
data:
  source: {images: {path: images, size: 3, color_mode: grayscale}}
  preprocess: [Normalization]
train: {epochs: 1, loss: SparseCategoricalCrossentropy, class_weight: balanced}
"""
    layer = preprocessing(train(text, tmp_path))
    assert float(np.ravel(layer.mean)[0]) == pytest.approx(55, abs=0.01)
    assert float(np.ravel(layer.variance)[0]) == pytest.approx(25, abs=0.1)


def test_the_vocabulary_of_texts_comes_from_the_training_split(tmp_path: Path) -> None:
    for split, word in (("train", ""), ("test", " giveaway")):
        for name in ("bad", "good"):
            (tmp_path / "texts" / split / name).mkdir(parents=True)
            for i in range(10):
                (tmp_path / "texts" / split / name / f"{i}.txt").write_text(f"a {name} film{word}")
    text = """
archspec: 1
name: words
inputs: {text: {shape: [4], dtype: int64}}
layers: [Embedding: {input_dim: 10, output_dim: 4}, GlobalAveragePooling1D, Dense: {units: 2, activation: softmax}]
data:
  source: {text: texts}
  preprocess: [TextVectorization: {output_sequence_length: 4}]
train: {epochs: 20, loss: SparseCategoricalCrossentropy, optimizer: {Adam: 0.1}, metrics: [accuracy]}
"""
    run = train(text, tmp_path)
    assert set(preprocessing(run).get_vocabulary()) == {"", "[UNK]", "a", "bad", "good", "film"}
    assert run.metrics["accuracy"] == 1


# --- several inputs, masks ------------------------------------------------------------------------


def test_a_network_learns_masks(tmp_path: Path) -> None:
    text = """
archspec: 1
name: discs
inputs: {image: [16, 16, 3]}
layers: [Conv2D: {filters: 8, kernel_size: 3, padding: same}, ReLU, Conv2D: {filters: 2, kernel_size: 1}, Softmax]
data: {source: {synthetic: {task: discs, shape: [16, 16, 3], examples: 120, noise: 0.2}}, batch_size: 16}
train: {epochs: 6, loss: SparseCategoricalCrossentropy, optimizer: {Adam: 0.02}, metrics: [accuracy]}
"""
    assert train(text, tmp_path).metrics["accuracy"] > 0.97


def test_masks_from_files_reach_the_loss(tmp_path: Path) -> None:
    from tests.test_streams import HALVES, write_masks

    write_masks(tmp_path, [HALVES, 2 - HALVES] * 10)
    text = """
archspec: 1
name: halves
inputs: {image: [4, 6, 3]}
layers: [Conv2D: {filters: 3, kernel_size: 1}, Softmax]
data: {source: {images: {path: images, masks: masks, size: [4, 6]}}, preprocess: [Rescaling: 0.004]}
train: {epochs: 2, loss: SparseCategoricalCrossentropy, metrics: [accuracy]}
"""
    assert set(train(text, tmp_path).metrics) >= {"loss", "accuracy"}
    with pytest.raises(archspec.SpecError, match="the data has 3 classes, Conv2D gives 2"):
        train(text.replace("filters: 3", "filters: 2"), tmp_path)
    with pytest.raises(archspec.SpecError, match="'mask' cannot be counted by class"):
        train(text.replace("epochs: 2,", "epochs: 2, class_weight: balanced,"), tmp_path)
    with pytest.raises(RunFailed, match=r"mask '.*png': the pixel in row 0, column \d is 2, none of the 2 classes"):
        train(text.replace("masks: masks,", "masks: masks, classes: 2,"), tmp_path)


def test_towers_learn_pairs(tmp_path: Path) -> None:
    text = """
archspec: 1
name: pairs
inputs: {left: [8], right: [8]}
layers:
  - expr: square(left - right)
  - Dense: {units: 1, activation: sigmoid}
data: {source: {synthetic: {task: pairs, shape: [8], examples: 300, classes: 5, noise: 0.2}}}
train: {epochs: 30, loss: BinaryCrossentropy, optimizer: {Adam: 0.1}, metrics: [accuracy]}
"""
    assert train(text, tmp_path).metrics["accuracy"] > 0.9


# --- class weights, folds -------------------------------------------------------------------------


def test_balanced_weights_count_the_training_examples(tmp_path: Path) -> None:
    y = np.array([0] * 30 + [1] * 10)
    np.savez(tmp_path / "a.npz", x_train=np.zeros((40, 3)), y_train=y, x_test=np.zeros((40, 3)), y_test=1 - y)
    text = DENSE.replace("epochs: 1,", "epochs: 1, class_weight: balanced,")
    spec = archspec.loads(text, folder=tmp_path)
    made = class_weight(spec.document, check_settings(spec.document, spec.graph), planned(text, tmp_path))
    assert made == {0: pytest.approx(40 / 60), 1: pytest.approx(2.0)}


def test_cross_validation(tmp_path: Path) -> None:
    text = DENSE.replace("npz: a.npz", "sklearn: iris").replace("[3]", "[4]").replace("units: 2", "units: 3")
    spec = archspec.loads(text.replace("epochs: 1", "epochs: 3"))
    done = train_folds(spec.document, spec.graph, 3, runs=tmp_path, quiet=True)
    assert done.path == tmp_path / "dense-001"
    folders = [done.path / f"fold-{i}" for i in (1, 2, 3)]
    each = [json.loads((folder / "results.json").read_text()) for folder in folders]
    assert [result["examples"] for result in each] == [{"train": 90, "validation": 10, "test": 50}] * 3
    figures = [result["metrics"]["test"]["accuracy"] for result in each]
    results = json.loads((done.path / "results.json").read_text())
    assert results["metrics"]["test"]["accuracy"] == pytest.approx(np.mean(figures))
    assert results["deviation"]["test"]["accuracy"] == pytest.approx(np.std(figures, ddof=1))
    assert [fold["metrics"] for fold in results["folds"]] == [result["metrics"] for result in each]
    assert " ± " in (done.path / "report.md").read_text()
    assert json.loads((done.path / "status.json").read_text())["status"] == "finished"
    assert (done.path / "spec.yaml").is_file()


def test_cross_validation_that_cannot_be(tmp_path: Path) -> None:
    text = DENSE.replace("npz: a.npz", "sklearn: linnerud").replace("SparseCategoricalCrossentropy", "MeanSquaredError")
    spec = archspec.loads(text.replace("units: 2, activation: softmax", "units: 3"))
    with pytest.raises(archspec.SpecError, match="20 examples cannot be cut into 21 folds"):
        train_folds(spec.document, spec.graph, 21, runs=tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_fold_that_fails_keeps_the_others(tmp_path: Path) -> None:
    made_up = "synthetic: {shape: [3], task: regression, examples: 30, noise: 1e30, targets: 2}"
    text = DENSE.replace("npz: a.npz", made_up).replace("softmax", "relu")
    text = text.replace("SparseCategoricalCrossentropy, metrics: [accuracy]", "MeanSquaredError")
    spec = archspec.loads(text)
    with pytest.raises(RunFailed, match="the loss is"):
        train_folds(spec.document, spec.graph, 2, run_dir=tmp_path / "run", quiet=True)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"].startswith("failed: the loss is")


# --- without TensorFlow ---------------------------------------------------------------------------

_BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


@pytest.mark.parametrize(
    "source",
    [
        "{npz: a.npz}",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("{csv: {path: a.csv, target: y}}", "{synthetic: [3]}", "{sklearn: digits}")
        ),
    ],
)
def test_jax_trains_on_arrays_without_tensorflow(tmp_path: Path, source: str) -> None:
    pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)).astype("float32"), np.arange(40) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    rows = [",".join(map(str, [*row, label])) for row, label in zip(x, y, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,c,y", *rows, ""]))
    text = DENSE.replace("{npz: a.npz}", f"{source}, preprocess: [Normalization]")
    if "sklearn" in source:
        text = text.replace("a: [3]", "features: [64]").replace("units: 2", "units: 10")
    code = f"{_BLOCK}import archspec\nspec = archspec.loads({text!r}, folder={str(tmp_path)!r})\n"
    code += f"run = spec.train({str(tmp_path / 'run')!r}, quiet=True)\n"
    code += "assert run.metrics['loss'] > 0 and 'tensorflow' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180, env={**os.environ, "KERAS_BACKEND": "jax"})


def test_jax_prepares_arrays_without_loading_tensorflow(tmp_path: Path) -> None:
    """Where TensorFlow is there, too: it takes seconds to load."""
    pytest.importorskip("jax")
    text = DENSE.replace("{npz: a.npz}", "{synthetic: {shape: [3], examples: 50}}, preprocess: [Normalization]")
    code = f"""
import sys, archspec
from archspec.data.plan import plan
from archspec.train.check import check_settings
from archspec.train.environment import choose_backend
spec = archspec.loads({text!r})
checked = check_settings(spec.document, spec.graph)
made = plan(spec.document, spec.graph, checked.data, checked.losses(spec.graph))
choose_backend("jax")
from archspec.train.feed import feeds
feeds(made, spec.graph, 8)
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180, env={**os.environ, "KERAS_BACKEND": "jax"})
