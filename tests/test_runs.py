"""Finished runs, and the commands that read them back: runs, evaluate, predict."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archspec
from archspec import cli
from archspec.train.evaluate import evaluate
from archspec.train.fit import TrainedRun
from archspec.train.folder import RunFailed, locked
from archspec.train.predict import predictor
from archspec.train.runs import flat, list_runs, open_run, read_run
from tests.disk import WORDS, shades, words

EVIL = "<script>alert('1')</script>"
Run = Callable[..., tuple[int, str, str]]


def train(text: str, folder: Path, **options: Any) -> TrainedRun:
    return archspec.loads(text, folder=folder).train(runs=folder / "runs", quiet=True, **options)


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def assert_stands_alone(self) -> None:
        """No script, and nothing that a browser would fetch."""
        assert "script" not in {tag for tag, _ in self.elements}
        for _, attributes in self.elements:
            for key, value in attributes.items():
                assert not key.startswith("on")
                if key in ("src", "href", "xlink:href", "action", "data"):
                    assert value is not None and value.startswith(("#", "data:image/png;base64,"))
        assert "url(http" not in self.text and "@import" not in self.text


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process: its exit code, and what it printed to both streams."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["archspec", *map(str, arguments)])
        code = cli.main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


# --- whole runs -----------------------------------------------------------------------------------

FRUIT = """
archspec: 1
name: fruit
description: "<b>bold</b> | text"
inputs: {features: [3]}
layers: [Dense: {units: 8, activation: relu}, Dense: UNITS]
data:
  source: {csv: {path: fruit.csv, target: kind}}
  preprocess: [Normalization]
train: {epochs: 8, loss: LOSS, optimizer: {Adam: 0.05}, metrics: [accuracy]}
"""


@pytest.fixture
def fruit(tmp_path: Path) -> Path:
    """A table of two kinds, told apart by weight: one of the classes is named like a script."""
    rng = np.random.default_rng(0)
    with (tmp_path / "fruit.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["weight", "colour", "length", "kind"])
        for _ in range(200):
            heavy = rng.random() > 0.5
            weight = rng.normal(2.2 if heavy else 0, 1)
            writer.writerow([f"{weight:.3f}", rng.choice(["red", "green"]), f"{rng.random():.3f}",
                             EVIL if heavy else "pear & co"])  # fmt: skip
    return tmp_path


def spec(units: str, loss: str) -> str:
    return FRUIT.replace("UNITS", units).replace("LOSS", loss)


SIGMOID = ("{units: 1, activation: sigmoid}", "BinaryCrossentropy")
SOFTMAX = ("{units: 2, activation: softmax}", "SparseCategoricalCrossentropy")


@pytest.mark.parametrize("head", [SIGMOID, SOFTMAX])
def test_a_run_reports_and_is_evaluated_bit_for_bit(fruit: Path, head: tuple[str, str], run: Run) -> None:
    made = train(spec(*head), fruit)
    found = results(made.path)
    figures = found["figures"]["output"]
    assert figures["figures"]["accuracy"] == pytest.approx(made.metrics["accuracy"], abs=1e-6)
    assert set(figures["classes"]) == {EVIL, "pear & co"}
    assert np.sum(figures["confusion"]["counts"]) == found["examples"]["test"] == figures["examples"]
    text = (made.path / "report.html").read_text()
    page = Page(text)
    page.assert_stands_alone()
    assert EVIL not in text and EVIL in page.text and "<b>bold</b>" in page.text
    assert "Examples that went wrong" in page.text and "Confusion matrix" in page.text
    assert "colourred" in page.text or "colourgreen" in page.text  # a column's name and its class, in two cells
    assert EVIL not in (made.path / "report.md").read_text()
    again = evaluate(made.path)
    assert again.metrics == found["metrics"]["test"]
    assert again.to_json()["figures"] == found["figures"]
    code, out, _ = run("evaluate", made.path, "--split", "validation", "--json")
    assert code == 0 and json.loads(out)["metrics"] == found["metrics"]["validation"]
    code, out, _ = run("evaluate", made.path, "--split", "all")
    assert code == 0 and "on 200 examples (all)" in out and EVIL in out


def test_evaluate_on_other_data(fruit: Path, run: Run) -> None:
    made = train(spec(*SOFTMAX), fruit)
    lines = (fruit / "fruit.csv").read_text().splitlines()
    (fruit / "half.csv").write_text("\n".join(lines[:101]))
    code, out, _ = run("evaluate", made.path, "data.source.csv.path=half.csv", "--split", "all", "--json")
    assert code == 0 and json.loads(out)["examples"] == 100
    (fruit / "other.csv").write_text("\n".join(lines[:101]).replace("pear & co", "quince"))
    code, _, err = run("evaluate", made.path, "data.source.csv.path=other.csv", "--split", "all")
    assert code == 1 and "'quince' is none of the run's classes" in err
    code, _, err = run("evaluate", made.path, "layers[0].Dense.units=9")
    assert code != 0
    (fruit / "fruit.csv").unlink()
    code, _, err = run("evaluate", made.path)
    assert code == 1 and "is not there" in err


def test_predict_reads_a_table_as_the_training_did(fruit: Path, run: Run) -> None:
    made = train(spec(*SIGMOID), fruit)
    (fruit / "new.csv").write_text("length,weight,colour,more\n0.5,3.5,red,x\n0.5,-1,green,y\n")
    code, out, _ = run("predict", made.path, fruit / "new.csv", "--json")
    heavy, light = json.loads(out)
    assert code == 0
    # Class 1 is "pear & co": the names are numbered in alphabetical order.
    assert heavy["output"]["class"] == EVIL and light["output"]["class"] == "pear & co"
    assert sum(each["probability"] for each in heavy["output"]["top"]) == pytest.approx(1)
    code, out, _ = run("predict", made.path, fruit / "new.csv", "-o", fruit / "made.csv")
    with (fruit / "made.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == [EVIL, "pear & co"] and rows[0]["input"] == "new.csv[0]"
    assert float(rows[0]["probability"]) == pytest.approx(heavy["output"]["probability"])
    code, _, err = run("predict", made.path, fruit / "new.csv", "-o", fruit / "new.csv")
    assert code == 1 and "new.csv is there already; --force replaces it" in err
    code, out, _ = run("predict", made.path, fruit / "new.csv")
    assert code == 0 and EVIL in out
    (fruit / "new.csv").write_text("length,weight,colour\n0.5,3.5,blue\n")
    code, _, err = run("predict", made.path, fruit / "new.csv")
    assert code == 1 and "column 'colour'" in err and "'blue'" in err
    (fruit / "new.csv").write_text("length,colour\n0.5,red\n")
    code, _, err = run("predict", made.path, fruit / "new.csv")
    assert code == 1 and "has no column 'weight'" in err


def test_predictions_are_those_of_the_evaluation(fruit: Path) -> None:
    made = train(spec(*SOFTMAX), fruit)
    said = [p.answers["output"].likely[0][0] for p in predictor(made.path).predict([fruit / "fruit.csv"])]
    with (fruit / "fruit.csv").open() as file:
        truth = [row["kind"] for row in csv.DictReader(file)]
    whole = evaluate(made.path, "all")
    assert np.mean(np.array(said) == np.array(truth)) == pytest.approx(whole.judged["output"].figures["accuracy"])


def test_predict_images_as_they_were_trained_on(tmp_path: Path, run: Run) -> None:
    shades(tmp_path, ("<i>dark", "light"))
    text = """
archspec: 1
name: shades
inputs: {image: [8, 8, 3]}
layers: [GlobalAveragePooling2D, Dense: {units: 2, activation: softmax}]
data: {source: {images: {path: images, size: [6, 6]}}, batch_size: 8,
       preprocess: [Resizing: {height: 8, width: 8}, Rescaling: {scale: 0.00392156862745098}]}
train: {epochs: 1, loss: SparseCategoricalCrossentropy, optimizer: {Adam: 0.01}, metrics: [accuracy]}
"""
    made = train(text, tmp_path)
    Page((made.path / "report.html").read_text()).assert_stands_alone()
    again = evaluate(made.path, "all")
    assert evaluate(made.path).metrics == results(made.path)["metrics"]["test"]
    code, out, _ = run("predict", made.path, tmp_path / "images", "--json")
    found = json.loads(out)
    assert code == 0 and len(found) == 40
    right = [each["output"]["class"] == Path(each["input"]).parent.name for each in found]
    assert np.mean(right) == pytest.approx(again.judged["output"].figures["accuracy"])
    (tmp_path / "broken.png").write_bytes(b"no image")
    code, _, err = run("predict", made.path, tmp_path / "images" / "light", tmp_path / "broken.png")
    assert code == 1 and "broken.png' cannot be read as an image" in err and "Traceback" not in err
    code, _, err = run("predict", made.path, tmp_path / "nowhere.png")
    assert code == 1 and "there is no file" in err


def test_amounts_several_outputs_and_arrays(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(80, 3)), rng.normal(size=(80, 2))
    np.savez(tmp_path / "d.npz", a=a, b=b, total=a.sum(1) + b.sum(1), sign=(a[:, 0] > 0).astype("int64"))
    text = """
archspec: 1
name: two
inputs: {b: [2], a: [3]}
layers:
  - {Concatenate: {axis: -1}, from: [a, b], name: both}
  - {Dense: 1, name: total}
  - {Dense: {units: 2, activation: softmax}, from: both, name: sign}
outputs: [total, sign]
data: {source: {npz: d.npz}}
train: {epochs: 20, loss: {total: MeanSquaredError, sign: SparseCategoricalCrossentropy}, optimizer: {Adam: 0.05}}
"""
    made = train(text, tmp_path)
    found = results(made.path)
    assert found["figures"]["total"]["figures"]["mse"] == pytest.approx(
        found["metrics"]["test"]["total_loss"], rel=1e-4
    )
    assert found["figures"]["sign"]["task"] == "classes" and found["figures"]["total"]["task"] == "amounts"
    page = Page((made.path / "report.html").read_text())
    assert "Predictions of total" in page.text and "Predictions of sign" in page.text
    code, _, _ = run("predict", made.path, tmp_path / "d.npz", "-o", tmp_path / "made.npz")
    with np.load(tmp_path / "made.npz") as arrays:
        assert code == 0 and arrays["total"].shape == (80, 1) and arrays["sign"].shape == (80, 2)
    np.savez(tmp_path / "odd.npz", a=a[:, :2], b=b)
    code, _, err = run("predict", made.path, tmp_path / "odd.npz")
    assert code == 1 and "gives a (2,) for each example, the network's data are (3,)" in err
    np.savez(tmp_path / "less.npz", a=a)
    code, _, err = run("predict", made.path, tmp_path / "less.npz")
    assert code == 1 and "no array for the input 'b'" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run("predict", made.path, tmp_path / "empty")
    assert code == 1 and "no images lie in" in err
    code, _, err = run("predict", made.path, made.path / "curves.png")
    assert code == 1 and "images are for a network with one input" in err


def test_text_and_its_mistakes(tmp_path: Path, run: Run) -> None:
    words(tmp_path, f"red apple {EVIL}")
    made = train(WORDS, tmp_path)
    page = Page((made.path / "report.html").read_text())
    page.assert_stands_alone()
    assert "red pear" in page.text or EVIL in page.text or "green" in page.text
    (tmp_path / "new.txt").write_text("red pear\n\ngreen pear\n")
    code, out, _ = run("predict", made.path, tmp_path / "new.txt", "--json", "--top", "1")
    found = json.loads(out)
    assert code == 0 and [each["input"] for each in found] == ["red pear", "green pear"]
    assert len(found[0]["output"]["top"]) == 1


def test_a_segmentation_shows_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((40, 16, 16, 1)).astype("float32")
    np.savez(tmp_path / "d.npz", x=x, y=(x[..., 0] > 0.5).astype("int64"))
    text = """
archspec: 1
name: masks
inputs: {image: [16, 16, 1]}
layers: [Conv2D: {filters: 2, kernel_size: 1, activation: softmax}]
data: {source: {npz: d.npz}, batch_size: 8}
train: {epochs: 3, loss: SparseCategoricalCrossentropy, optimizer: {Adam: 0.1}}
"""
    made = train(text, tmp_path)
    found = results(made.path)["figures"]["output"]
    assert found["task"] == "segmentation" and 0 < found["figures"]["mean_iou"] <= 1
    page = Page((made.path / "report.html").read_text())
    alts = [attributes.get("alt") for name, attributes in page.elements if name == "img"]
    assert {"the input image", "the target", "the output"} <= set(alts)


# --- run folders ----------------------------------------------------------------------------------


def test_runs_are_listed_and_compared(fruit: Path, run: Run) -> None:
    one = train(spec(*SOFTMAX), fruit)
    two = train(spec(*SOFTMAX).replace("epochs: 8", "epochs: 2").replace("units: 8", "units: 4"), fruit)
    code, out, _ = run("runs", fruit / "runs")
    assert code == 0 and "fruit-001" in out and "finished" in out and "accuracy" in out
    code, out, _ = run("runs", one.path, two.path, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["settings"] == {"layers[0].Dense.units": [8, 4], "train.epochs": [8, 2]}
    assert found["figures"]["test accuracy"] == [one.metrics["accuracy"], two.metrics["accuracy"]]
    code, out, _ = run("runs", one.path, two.path)
    assert code == 0 and re.search(r"train\.epochs +8 +2", out)
    code, out, _ = run("runs", fruit / "runs", "--json")
    assert [each["epochs"] for each in json.loads(out)] == [8, 2]


def test_an_unfinished_run_is_told_apart(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "runs" / "a-001"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"status": "running", "process": os.getpid()}))
    (folder / "metrics.csv").write_text("epoch,loss,val_loss,learning_rate,seconds\n1,2.5,2.25,0.1,1\n2,1.5,,0.1,1\n")
    found = read_run(folder)
    assert (found.status, found.epochs, found.figures()) == ("stopped", 2, ("train", {"loss": 1.5}))
    with locked(folder):
        assert read_run(folder).status == "running"
    assert read_run(folder).status == "stopped"
    for command in (("evaluate", folder), ("predict", folder, "x.npz")):
        code, _, err = run(*command)
        assert code == 1 and "got as far as writing down its spec" in err
    code, _, err = run("evaluate", tmp_path / "none")
    assert code == 1 and "there is no run" in err
    code, _, err = run("predict", tmp_path, "x.npz")
    assert code == 1 and "is no run: it has no status.json" in err
    code, _, err = run("runs", tmp_path / "none")
    assert code == 1 and "there is no folder" in err
    (folder / "status.json").write_text("{")
    code, _, err = run("runs", tmp_path / "runs")
    assert code == 1 and "status.json' cannot be read" in err
    assert list_runs(tmp_path) == []


def test_a_run_without_its_model_or_with_a_damaged_one(fruit: Path, run: Run) -> None:
    made = train(spec(*SOFTMAX).replace("epochs: 8", "epochs: 1"), fruit)
    model = made.path / "model.keras"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    for command in (("evaluate", made.path), ("predict", made.path, fruit / "fruit.csv")):
        code, _, err = run(*command)
        assert code == 1 and "model.keras' " in err and "bug" not in err
    model.unlink()
    code, _, err = run("predict", made.path, fruit / "fruit.csv")
    assert code == 1 and "has no trained model" in err


def test_a_saved_model_may_not_bring_code(fruit: Path) -> None:
    import keras

    made = train(spec(*SOFTMAX).replace("epochs: 8", "epochs: 1"), fruit)
    inputs = keras.Input((3,))
    evil = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    evil.save(made.path / "model.keras")
    with pytest.raises(RunFailed, match="cannot be loaded"):
        predictor(made.path)


def test_a_run_opens_without_the_spec(fruit: Path) -> None:
    made = train(spec(*SOFTMAX).replace("epochs: 8", "epochs: 1"), fruit)
    opened, architecture = open_run(made.path, ["data.batch_size=7"])
    assert opened.is_finished and architecture.document.folder == fruit.resolve()
    assert flat(architecture.document.raw)["data.batch_size"] == 7


def test_completion_knows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archspec.cli.common import complete_run

    (tmp_path / "runs" / "a-001").mkdir(parents=True)
    (tmp_path / "runs" / "a-001" / "status.json").write_text("{}")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    context: Any = None
    assert complete_run(context, context, "") == ["other/", "runs/", "runs/a-001"]
    assert complete_run(context, context, "runs/a") == ["runs/a-001"]


def test_reading_runs_loads_no_framework(tmp_path: Path) -> None:
    code = (
        "import sys; from archspec import cli; sys.argv = ['archspec', 'runs', sys.argv[1]]; assert cli.main() == 0\n"
        "assert not {'keras', 'tensorflow', 'jax', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


@pytest.mark.slow
def test_jax_reports_logs_and_is_evaluated(fruit: Path) -> None:
    pytest.importorskip("jax")
    pytest.importorskip("tensorboard")
    text = spec(*SIGMOID).replace("epochs: 8", "epochs: 2") + "run: {backend: jax, tensorboard: true}\n"
    (fruit / "spec.yaml").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}

    def archspec_command(*arguments: str) -> str:
        command = [sys.executable, "-m", "archspec", *arguments]
        return subprocess.run(
            command, check=True, timeout=240, env=environment, cwd=fruit, stdout=subprocess.PIPE, text=True
        ).stdout

    archspec_command("train", "spec.yaml", "-q")
    folder = fruit / "runs" / "fruit-001"
    found = results(folder)
    assert found["backend"] == "jax" and (folder / "report.html").is_file()
    assert {file.name for file in (folder / "tensorboard").iterdir()} == {"train", "validation"}
    again = json.loads(archspec_command("evaluate", str(folder), "--json"))
    assert again["metrics"] == found["metrics"]["test"] and again["figures"] == found["figures"]
    predicted = json.loads(archspec_command("predict", str(folder), "fruit.csv", "--json"))
    assert len(predicted) == 200
