"""Small trainings of the zoo's networks that are more than classifiers, on the data of their own specs: each must show
that it has learnt, beside what needs no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import archspec
from archspec.data.plan import plan
from archspec.train.check import check_settings
from archspec.train.fit import TrainedRun
from archspec.train.runs import read_run, told
from tests.disk import script

ROOT = Path(__file__).parent.parent
SPECS = ROOT / "specs"
DIGITS = load_digits()


def train(reference: str, tmp_path: Path, **changes: Any) -> tuple[TrainedRun, keras.Model]:
    set = {name.replace("__", "."): value for name, value in changes.items()}
    run = archspec.load(SPECS / reference, set=set).train(runs=tmp_path, quiet=True)
    return run, keras.saving.load_model(run.path / "model.keras")


def figures(run: TrainedRun) -> dict[str, float]:
    """What the predictions for the test examples of the only output score."""
    ((_, judged),) = json.loads((run.path / "results.json").read_text("utf-8"))["figures"].items()
    found: dict[str, float] = judged["figures"]
    return found


@pytest.mark.slow
def test_a_vae_reconstructs(tmp_path: Path) -> None:
    run, model = train("vae.yaml@digits", tmp_path, train__epochs=30)
    losses = [line["loss"] for line in run.history]
    assert losses[-1] < 0.75 * losses[0]
    images = DIGITS.data / 16
    variance = np.mean((images - images.mean(0)) ** 2)
    assert run.metrics["mean_squared_error"] < 0.6 * variance
    assert 1 < run.metrics["kl_loss"] < 8  # the code is used, and held back
    made = model.predict(images[:100].astype("float32"), verbose=0)
    nearest = KNeighborsClassifier(1).fit(images, DIGITS.target)
    assert nearest.score(made, DIGITS.target[:100]) > 0.5


@pytest.mark.slow
def test_a_gan_draws_digits(tmp_path: Path) -> None:
    """Its images are nearer to digits than noise of the same values is, and of many classes."""
    run, model = train("gan_training.yaml", tmp_path, train__epochs=60)
    images = (DIGITS.images[..., None] / 8 - 1).astype("float32")
    drawn = model.predict(images[:500], verbose=0)["generated"].reshape(500, -1)
    flat = images.reshape(len(images), -1)
    nearest = KNeighborsClassifier(1).fit(flat, DIGITS.target)
    shuffled = np.random.default_rng(0).permuted(flat, axis=0)[:500]
    distance, noise = (nearest.kneighbors(x)[0].mean() for x in (drawn, shuffled))
    assert distance < 0.9 * noise
    assert (np.bincount(nearest.predict(drawn), minlength=10) > 5).sum() >= 8
    assert (run.path / "report.html").read_text("utf-8").count('alt="drawn by generated"') == 32


@pytest.mark.slow
def test_a_siamese_net_tells_pairs_apart(tmp_path: Path) -> None:
    """No digit of a test pair was in a pair of the training. The distance of the pixels tells 81 % of them apart."""
    run, _ = train("siamese.yaml@digits", tmp_path, train__epochs=10)
    assert run.metrics["binary_accuracy"] > 0.93


@pytest.mark.slow
def test_clip_finds_the_text_of_an_image(tmp_path: Path) -> None:
    """One image of each of the 32 kinds against one text of each, none of which was in the training."""
    run, model = train("clip.yaml@small", tmp_path, train__epochs=8)
    first, last = run.history[0]["loss"], run.history[-1]["loss"]
    assert first > 1.5 and last < 0.5 * first
    assert run.metrics["images_loss"] == pytest.approx(run.metrics["texts_loss"], abs=0.3)
    ready = planned("clip.yaml@small")
    test = ready.source.read(ready.parts.test).values
    one = [np.flatnonzero(test["label"] == kind)[0] for kind in range(32)]
    image, text = np.repeat(one, 32), np.tile(one, 32)
    logits = model.predict([test["image"][image], test["tokens"][text]], verbose=0).reshape(32, 32)
    assert (logits.argmax(1) == np.arange(32)).mean() > 0.4


@pytest.mark.parametrize("classes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_unet_finds_masks(tmp_path: Path, classes: int) -> None:
    """Each pixel's value alone gives a mean IoU below one half (gallery/training.md), so it must look around."""
    run, _ = train(
        "unet.yaml@small", tmp_path, params__size=32, params__filters=[8, 16], params__classes=classes,
        train__epochs=3, train__optimizer={"Adam": 1e-2},
    )  # fmt: skip
    assert run.metrics["accuracy"] > 0.93
    assert figures(run)["mean_iou"] > 0.75
    assert list(told(read_run(run.path).results)) == ["mean_iou"]  # which the list of runs shows


@pytest.mark.slow
def test_a_gcn_labels_the_rest_of_a_graph(tmp_path: Path) -> None:
    """Logistic regression on the features alone gets 54 % of the test's nodes right."""
    run, _ = train("gcn.yaml@small", tmp_path, train__epochs=40)
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]
    assert figures(run)["accuracy"] > 0.9
    page = (run.path / "report.html").read_text("utf-8")
    assert "On 1 example of" in page and "– –" not in page  # nodes that have no label in the test are left out


@pytest.mark.slow
def test_an_lstm_reads_whether_a_text_is_negated(tmp_path: Path) -> None:
    """Counting words tells nothing: each is as frequent in praise as in blame."""
    run, _ = train("lstm_text.yaml@small", tmp_path)
    assert run.metrics["accuracy"] > 0.9


def test_an_autoencoder_reconstructs(tmp_path: Path) -> None:
    run, _ = train("autoencoder.yaml@digits", tmp_path, train__epochs=15)
    images = DIGITS.data / 16
    assert run.metrics["mean_squared_error"] < 0.6 * np.mean((images - images.mean(0)) ** 2)
    page = (run.path / "report.html").read_text("utf-8")
    assert page.count('alt="the target"') == page.count('alt="the output"') == 8  # not as 64 numbers each


# --- what is on show ------------------------------------------------------------------------------


def planned(reference: str) -> Any:
    network = archspec.load(SPECS / reference)
    settings = check_settings(network.document, network.graph)
    return plan(network.document, network.graph, settings.data, settings.losses(network.graph))


shown = script("make_training")
REFERENCES = [entry.reference for entry in shown.ENTRIES]
KEPT = json.loads((shown.PICTURES / "training.json").read_text("utf-8"))


@pytest.mark.parametrize("reference", [*REFERENCES, "siamese.yaml@mini"])
def test_small_networks_need_no_files(reference: str) -> None:
    """Their data can be had anywhere, and fit."""
    ready = planned(reference)
    assert all(ready.parts.__dict__.values())


@pytest.mark.parametrize("entry", shown.ENTRIES, ids=REFERENCES)
def test_the_page_tells_of_the_spec_as_it_is(entry: Any) -> None:
    facts = entry.facts()
    assert {name: KEPT[entry.name][name] for name in facts} == facts, f"make training: {entry.name} has changed"


def test_the_page_shows_what_was_measured() -> None:
    assert shown.PAGE.read_text("utf-8") == shown.markdown(KEPT)
    files = {path.name: path.stat().st_size for path in shown.PICTURES.iterdir()}
    assert set(files) == {f"{entry.name}.png" for entry in shown.ENTRIES} | {"training.json"}
    assert sum(files.values()) < 300_000
