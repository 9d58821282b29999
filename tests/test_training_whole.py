"""Data, objectives, interruption and reports together: what each part's own tests do not see."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import archspec
from archspec import cli
from archspec.train.evaluate import evaluate
from archspec.train.predict import predictor
from archspec.train.repeat import first_difference
from archspec.train.runs import list_runs, open_run
from tests.running import interrupted, results, resume, status, train

TESTS = Path(__file__).parent
BACKEND = keras.backend.backend()
jax = pytest.mark.skipif(BACKEND == "jax", reason="this is JAX")

VAE = """
archspec: 1
name: vae
inputs: {image: [64]}
blocks:
  encoder:
    layers: [Dense: 16, let: {h: x}, {Dense: 2, from: h, name: mean}, {Dense: 2, from: h, name: log_var}]
layers:
  - {encoder: , name: code}
  - {Sampling: , from: [code.mean, code.log_var]}
  - {Dense: {units: 64, activation: sigmoid}, name: decoded}
data:
  source: {sklearn: digits}
  inputs: {image: features}
  targets: {output: features}
  preprocess: [Rescaling: 0.0625]
  split: {validation: 0.1, test: 0.2}
  batch_size: 128
train:
  epochs: 3
  loss:
    output: BinaryCrossentropy
    kl: {expr: "-0.5 * mean(sum(1 + code.log_var - square(code.mean) - exp(code.log_var), -1))", weight: 0.02}
  metrics: [MeanSquaredError]
  callbacks: [EarlyStopping: {patience: 3, restore_best_weights: true}]
run: {checkpoint: {seconds: 0}}
"""

GAN = """
archspec: 1
name: gan
inputs: {image: [64]}
blocks:
  generate:
    layers: [Dense: {units: 16, activation: relu}, BatchNormalization, Dense: {units: 64, activation: sigmoid}]
  judge: {layers: [Dense: {units: 16, activation: relu}, Dropout: 0.2, Dense: 1]}
layers:
  - {weight: {shape: [4], initializer: zeros}, trainable: false, name: origin}
  - {Sampling: , from: [origin, origin], name: noise}
  - {generate: , from: noise, name: generator}
  - {judge: , from: image, name: discriminator}
  - {reuse: discriminator, from: generator, name: fake}
outputs: {generated: generator, real: discriminator, fake: fake}
data:
  source: {sklearn: digits}
  inputs: {image: features}
  preprocess: [Rescaling: 0.0625]
  split: {validation: 0.1, test: 0.1}
  batch_size: 128
train:
  epochs: 3
  phases:
    discriminator: {trains: discriminator, loss: {expr: mean(softplus(-discriminator)) + mean(softplus(fake))}}
    generator: {trains: generator, loss: {expr: mean(softplus(-fake))}, optimizer: {Adam: {learning_rate: 2e-4}}}
run: {checkpoint: {seconds: 0}}
"""


def archspec_command(*arguments: object, folder: Path, code: int = 0) -> str:
    command = [sys.executable, "-m", "archspec", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout


# --- a table, folds, predictions ------------------------------------------------------------------

TABLE = """
archspec: 1
name: shop
inputs: {features: [5], town: {shape: [], dtype: int32}}
layers:
  - {Embedding: {input_dim: 3, output_dim: 4}, from: town, name: place}
  - concat: [features, place]
  - {Dense: {units: 16, activation: relu}}
  - {Dense: {units: 2, activation: softmax}}
data:
  source:
    csv:
      path: shop.csv
      delimiter: ;
      target: buys
      columns: {features: [age, colour, size], town: town}
      types: {colour: onehot, town: class, buys: class, size: float}
      missing: {age: 40, size: drop}
  preprocess: {features: [Normalization]}
  split: {validation: 0.2}
  batch_size: 16
train: {epochs: 3, loss: SparseCategoricalCrossentropy, metrics: [accuracy], optimizer: {Adam: {learning_rate: 0.02}}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with (tmp_path / "shop.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["age", "colour", "town", "size", "buys"])
        for i in range(120):
            age, colour, town = int(rng.integers(18, 80)), rng.choice(["red", "green", "blue"]), rng.choice(list("ABC"))
            buys = "yes" if age < 45 and colour != "blue" else "no"
            writer.writerow(["" if i % 17 == 0 else age, colour, town, "" if i % 29 == 0 else 1.5, buys])
    (tmp_path / "shop.yaml").write_text(TABLE)
    return tmp_path


def test_folds_of_a_table(shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["archspec", "train", "shop.yaml", "--folds", "3"])
    assert cli.main() == 0
    said = capsys.readouterr().out
    assert "fold 3 of 3" in said and re.search(r"test accuracy: [\d.]+% ± [\d.]+%", said)
    folder = shop / "runs" / "shop-001"
    whole = results(folder)
    folds = [results(folder / f"fold-{i}") for i in (1, 2, 3)]
    assert sum(fold["examples"]["test"] for fold in folds) == 120 - len(range(0, 120, 29))
    mean = np.mean([fold["metrics"]["test"]["accuracy"] for fold in folds])
    assert whole["metrics"]["test"]["accuracy"] == pytest.approx(mean)
    assert all((folder / f"fold-{i}" / "report.html").is_file() for i in (1, 2, 3))
    listed = {run.path.relative_to(shop / "runs").as_posix(): run for run in list_runs(shop / "runs")}
    assert list(listed) == ["shop-001", "shop-001/fold-1", "shop-001/fold-2", "shop-001/fold-3"]
    assert all(run.is_finished for run in listed.values())
    assert listed["shop-001"].figures() == ("test", whole["metrics"]["test"])
    monkeypatch.setattr(sys, "argv", ["archspec", "runs"])
    assert cli.main() == 0
    assert "shop-001/fold-2" in capsys.readouterr().out


@pytest.mark.parametrize("beside", ["--resume", "--repeat"])
def test_folds_begin_new_runs(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["archspec", "train", str(shop / "shop.yaml"), "--folds", "3", beside, "x"])
    assert cli.main() == 2
    assert "neither --resume nor --repeat fits" in capsys.readouterr().err


def test_a_fold_is_a_run_that_predicts_as_it_was_tested(shop: Path) -> None:
    made = archspec.load(shop / "shop.yaml").train(folds=3, runs=shop / "runs", quiet=True)
    fold = made.folds[1].path
    rows = list(csv.DictReader((shop / "shop.csv").open(encoding="utf-8"), delimiter=";"))
    full = [row for row in rows if row["size"]]
    with (shop / "new.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["colour", "size", "town", "age", "note"], delimiter=";")
        writer.writeheader()
        writer.writerows({key: row[key] for key in ("colour", "size", "town", "age")} | {"note": "x"} for row in full)
    found = [*predictor(fold).predict([shop / "new.csv"])]
    keeper = predictor(fold)
    network, preprocess = keeper.network, keeper.preprocess["features"]
    colours, towns = ["blue", "green", "red"], ["A", "B", "C"]
    features = np.array(
        [[float(r["age"] or 40), *(float(r["colour"] == c) for c in colours), float(r["size"])] for r in full],
        "float32",
    )
    town = np.array([towns.index(row["town"]) for row in full], "int32")
    expected = network.predict((preprocess.predict(features, verbose=0), town), verbose=0)
    np.testing.assert_allclose([p.answers["output"].raw for p in found], expected, rtol=1e-5, atol=1e-6)
    with (shop / "new.csv").open("a", encoding="utf-8") as file:
        file.write("red;;A;30;x\n")
    with pytest.raises(Exception, match=rf"new.csv:{len(full) + 2}: column 'size' is empty"):
        list(predictor(fold).predict([shop / "new.csv"]))


def test_a_cross_validation_is_no_run_to_go_on_with(shop: Path) -> None:
    made = archspec.load(shop / "shop.yaml", set={"train.epochs": 1}).train(folds=2, runs=shop / "runs", quiet=True)
    with pytest.raises(Exception, match="holds no run that got as far"):
        open_run(made.path)


# --- formulas and phases, interrupted and resumed -------------------------------------------------


def test_a_vae_is_interrupted_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = train(VAE, tmp_path, "whole")
    run = interrupted(VAE, tmp_path, "run", "00001-00000004", signal.SIGTERM)
    ended = resume(run)
    assert status(run) == "finished"
    assert first_difference(whole.path, run) is None
    assert ended.metrics == whole.metrics and "kl_loss" in ended.metrics
    assert evaluate(run).metrics == ended.metrics
    found = results(run)
    assert evaluate(run).to_json()["figures"] == found["figures"] == results(whole.path)["figures"]


def check_gan(folder: Path) -> None:
    """Also run in a process of its own, on JAX."""
    whole = train(GAN, folder, "whole")
    for name, at in (("in", "00001-00000003"), ("between", "00002-00000000")):
        run = interrupted(GAN, folder, name, at, signal.SIGTERM)
        ended = resume(run)
        assert first_difference(whole.path, run) is None
        assert ended.metrics == whole.metrics
    assert {"learning_rate_discriminator", "learning_rate_generator", "generator_loss"} <= whole.history[0].keys()
    assert evaluate(whole.path).metrics == whole.metrics
    assert "Predictions" not in (whole.path / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_a_gan_is_interrupted_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    check_gan(tmp_path)


@pytest.mark.slow
def test_half_precision_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    """The losses' scale and the step of its last change are part of the optimizer."""
    for name, text in (("vae", VAE), ("gan", GAN)):
        text = text.replace("run: {", "run: {precision: mixed_float16, ").replace("epochs: 3", "epochs: 2")
        whole = train(text, tmp_path, f"{name}-whole")
        run = interrupted(text, tmp_path, name, "00001-00000003")
        resume(run)
        assert first_difference(whole.path, run) is None


@jax
@pytest.mark.slow
def test_a_gan_is_interrupted_and_resumed_bit_for_bit_on_jax(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    code = "from pathlib import Path; from tests.test_training_whole import check_gan; check_gan(Path('.').resolve())"
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_command_is_stopped_and_goes_on(tmp_path: Path) -> None:
    """SIGTERM in the middle; the spec and all else come from the run's folder."""
    (tmp_path / "vae.yaml").write_text(VAE.replace("epochs: 3", "epochs: 40"))
    command = [sys.executable, "-m", "archspec", "train", "vae.yaml"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"epoch +2/40", line):
            break
    process.terminate()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM and "archspec train --resume runs/vae-001" in said
    (tmp_path / "vae.yaml").unlink()
    assert "interrupted" in archspec_command("runs", folder=tmp_path)
    archspec_command("train", "--resume", "runs/vae-001", "train.epochs=4", "-q", folder=tmp_path)
    run = tmp_path / "runs" / "vae-001"
    again = json.loads(archspec_command("evaluate", run, "--json", folder=tmp_path))
    assert again["metrics"] == results(run)["metrics"]["test"]


# --- reports --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_of_formula_losses(tmp_path: Path) -> None:
    run = train(VAE, tmp_path, "run").path
    page = (run / "report.html").read_text("utf-8")
    for said in ("kl_loss", "output_loss", "mean_squared_error", "Farthest from their targets", "R²"):
        assert said in page, said
    figures, metrics = results(run)["figures"], results(run)["metrics"]["test"]
    assert list(figures) == ["output"] and figures["output"]["task"] == "amounts"
    network = keras.saving.load_model(run / "model.keras")
    assert figures["output"]["figures"]["mse"] == pytest.approx(metrics["mean_squared_error"], 1e-5)
    assert network.output_shape == (None, 64)


def test_what_only_a_formula_compares_has_no_figures_of_ours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 60, 4)).astype("float32")
    np.savez(tmp_path / "pairs.npz", left=left, right=right, same=rng.integers(0, 2, 60))
    text = (
        "archspec: 1\nname: pairs\ninputs: {left: [4], right: [4]}\nlayers:\n"
        "  - {Dense: 2, from: left, name: a}\n  - {reuse: a, from: right, name: b}\n"
        "  - expr: sum(square(a - b), axis=-1, keepdims=True)\n"
        "data: {source: {npz: pairs.npz}, targets: {output: same}, split: {test: 0.2}}\n"
        "train: {epochs: 1, loss: {expr: 'target * output + (1 - target) * square(maximum(1 - output, 0))'}}\n"
    )
    run = train(text, tmp_path, "run").path
    assert results(run)["figures"] == {} and "Predictions" not in (run / "report.html").read_text("utf-8")
    assert evaluate(run).metrics == results(run)["metrics"]["test"]


def segmentation(folder: Path) -> str:
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in ("photos", "masks"):
        (folder / kind).mkdir()
    for i in range(24):
        mask = np.zeros((16, 16), "uint8")
        top, left = rng.integers(1, 9, 2)
        mask[top : top + 6, left : left + 6] = 1
        shown = mask.copy()
        mask[rng.integers(1, 16, 3), rng.integers(0, 16, 3)] ^= 1  # what nobody can know
        mask[0, :] = 255
        photo = np.where(shown[..., None] == 1, [200, 40, 40], [40, 120, 40]) + rng.integers(0, 30, (16, 16, 3))
        Image.fromarray(photo.astype("uint8")).save(folder / "photos" / f"{i:02d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i:02d}.png")
    return (
        "archspec: 1\nname: squares\ninputs: {image: [16, 16, 3]}\n"
        "layers:\n  - Conv2D: {filters: 8, kernel_size: 3, padding: same, activation: relu}\n"
        "  - Conv2D: {filters: 2, kernel_size: 1}\n  - Softmax\n"
        "data:\n  source:\n    images: {path: photos, masks: masks, size: 16, classes: [ground, square], ignore: 255}\n"
        "  preprocess: [Rescaling: =1 / 255]\n  split: {test: 0.25}\n  batch_size: 6\n"
        "train:\n  epochs: 25\n  loss: {SparseCategoricalCrossentropy: {ignore_class: 255}}\n"
        "  optimizer: {Adam: {learning_rate: 0.03}}\n"
    )


def test_the_report_of_a_segmentation_and_predictions_for_images(tmp_path: Path) -> None:
    run = train(segmentation(tmp_path), tmp_path, "run").path
    found = results(run)["figures"]["output"]
    assert found["task"] == "segmentation" and found["figures"]["mean_iou"] > 0.6
    assert sum(map(sum, found["confusion"]["counts"])) == 6 * 15 * 16  # the ignored row of each image is left out
    page = (run / "report.html").read_text("utf-8")
    assert "mean IoU" in page and "of its pixels wrong" in page and "square" in page
    (prediction, *rest) = predictor(run).predict([tmp_path / "photos"])
    assert len(rest) == 23 and prediction.answers["output"].kind == "places"
    shares = dict(prediction.answers["output"].likely)
    assert shares["square"] == pytest.approx(36 / 256, abs=0.06)
    with pytest.raises(Exception, match=r"broken.png' cannot be read as an image"):
        (tmp_path / "broken.png").write_bytes((tmp_path / "photos" / "00.png").read_bytes()[:60])
        list(predictor(run).predict([tmp_path / "broken.png"]))


def test_predictions_for_text(tmp_path: Path) -> None:
    lines = [f"{word} {i % 7} thing,{label}" for i in range(40) for word, label in (("fine", "good"), ("awful", "bad"))]
    (tmp_path / "reviews.csv").write_text("\n".join(["review,mood", *lines]) + "\n", "utf-8")
    text = (
        "archspec: 1\nname: moods\ninputs: {text: {shape: [4], dtype: int64}}\n"
        "layers:\n  - Embedding: {input_dim: 50, output_dim: 8}\n  - GlobalAveragePooling1D\n"
        "  - Dense: {units: 2, activation: softmax}\n"
        "data:\n  source: {text: {path: reviews.csv, text: review, target: mood}}\n"
        "  preprocess: [TextVectorization: {max_tokens: 50, output_sequence_length: 4}]\n"
        "  split: {test: 0.2}\n  batch_size: 8\n"
        "train: {epochs: 8, loss: SparseCategoricalCrossentropy, optimizer: {Adam: {learning_rate: 0.05}}}\n"
    )
    run = train(text, tmp_path, "run").path
    (tmp_path / "new.txt").write_text("a fine one\n\nan awful one\n")
    (tmp_path / "new.csv").write_text("id,review\n1,a fine one\n2,an awful one\n")
    for name in ("new.txt", "new.csv"):  # the table's column is the training's
        found = list(predictor(run).predict([tmp_path / name]))
        assert [p.answers["output"].likely[0][0] for p in found] == ["good", "bad"]


# --- transfer learning ----------------------------------------------------------------------------


def test_a_frozen_backbone_from_a_run_is_counted_and_stays(tmp_path: Path) -> None:
    (tmp_path / "backbone.yaml").write_text(
        "archspec: 1\nname: backbone\ninputs: {image: [8, 8, 1]}\nlayers:\n  - Flatten\n"
        "  - {Dense: {units: 16, activation: relu, kernel_regularizer: l2}, name: features}\n  - BatchNormalization\n"
        "  - Dense: {units: 10, activation: softmax}\n"
        "data: {source: {sklearn: digits}, batch_size: 128}\n"
        "train: {epochs: 1, loss: SparseCategoricalCrossentropy}\n"
    )
    text = (
        "archspec: 1\nname: transfer\nuse: {backbone: backbone.yaml}\ninputs: {image: [8, 8, 1]}\n"
        "layers:\n  - backbone\n  - {Dense: {units: 10, activation: softmax}, from: backbone.features, name: head}\n"
        "data: {source: {sklearn: digits}, batch_size: 128, split: {test: 0.2}}\n"
        "train: {epochs: 2, loss: SparseCategoricalCrossentropy, metrics: [accuracy],\n"
        "  initial_weights: {backbone: runs/backbone-001}, frozen: [backbone]}\nrun: {checkpoint: {seconds: 0}}\n"
    )
    first = archspec.load(tmp_path / "backbone.yaml").train(runs=tmp_path / "runs", quiet=True).path
    net = archspec.loads(text, folder=tmp_path)
    head = 16 * 10 + 10
    assert net.summary().total.trainable == head
    run = interrupted(text, tmp_path, "transfer", "00001-00000003")
    ended = resume(run)
    network = keras.saving.load_model(run / "model.keras")
    counted = sum(int(np.prod(w.shape)) for w in network.trainable_weights)
    found = results(run)["parameters"]
    assert counted == head == found["trainable"] and found["total"] == network.count_params()
    assert f"{head:,} of them trainable" in (run / "report.html").read_text("utf-8")
    given, kept = (
        keras.saving.load_model(first / "model.keras").get_layer("features"),
        network.get_layer("backbone.features"),
    )
    for before, now in zip(given.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(before, now)
    assert evaluate(run).metrics == ended.metrics  # without penalties on what is frozen
    assert archspec.loads(text, folder=tmp_path, set={"train.frozen": []}).summary().total.trainable > head


def test_what_comes_out_is_plain_json(tmp_path: Path) -> None:
    """A parser that knows no NaN reads all that a run leaves."""

    def refuse(name: str) -> Any:
        raise AssertionError(name)

    run = train(VAE.replace("epochs: 3", "epochs: 1"), tmp_path, "run").path
    for file in run.glob("*.json"):
        json.loads(file.read_text("utf-8"), parse_constant=refuse)
