"""Small trainings of the zoo's networks that are more than classifiers: each must show that it has learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import archspec
from archspec.train.fit import TrainedRun

SPECS = Path(__file__).parent.parent / "specs"
DIGITS = load_digits()


def train(reference: str, tmp_path: Path, **changes: Any) -> tuple[TrainedRun, keras.Model]:
    set = {name.replace("__", "."): value for name, value in changes.items()}
    run = archspec.load(SPECS / reference, set=set).train(runs=tmp_path, quiet=True)
    return run, keras.saving.load_model(run.path / "model.keras")


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
    _, model = train("gan_training.yaml", tmp_path, train__epochs=60)
    images = (DIGITS.images[..., None] / 8 - 1).astype("float32")
    drawn = model.predict(images[:500], verbose=0)["generated"].reshape(500, -1)
    flat = images.reshape(len(images), -1)
    nearest = KNeighborsClassifier(1).fit(flat, DIGITS.target)
    shuffled = np.random.default_rng(0).permuted(flat, axis=0)[:500]
    distance, noise = (nearest.kneighbors(x)[0].mean() for x in (drawn, shuffled))
    assert distance < 0.9 * noise
    assert (np.bincount(nearest.predict(drawn), minlength=10) > 5).sum() >= 8


def pairs(path: Path, count: int = 2000) -> None:
    rng = np.random.default_rng(0)
    features = (DIGITS.data / 16).astype("float32")
    left = rng.integers(0, len(features), count)
    same = rng.integers(0, 2, count)
    right = [
        rng.choice(np.flatnonzero((DIGITS.target == DIGITS.target[i]) == s)) for i, s in zip(left, same, strict=True)
    ]
    np.savez(path, left=features[left], right=features[right], same=same)


def test_a_siamese_net_separates_pairs(tmp_path: Path) -> None:
    pairs(tmp_path / "pairs.npz")
    source = {"npz": {"path": str(tmp_path / "pairs.npz")}}
    _, model = train("siamese.yaml@mnist", tmp_path, params__input=[64], data__source=source, train__epochs=12)
    pairs(tmp_path / "new.npz", 400)
    new = np.load(tmp_path / "new.npz")
    distance = model.predict([new["left"], new["right"]], verbose=0)[:, 0]
    assert ((distance < 0.5) == new["same"]).mean() > 0.93
    assert distance[new["same"] == 0].mean() > 2 * distance[new["same"] == 1].mean()


@pytest.mark.slow
def test_clip_finds_the_text_of_an_image(tmp_path: Path) -> None:
    """Images of 16 patterns under noise; two words of a text say which."""
    rng = np.random.default_rng(0)
    place = rng.integers(0, 16, 800)
    image = (rng.normal(size=(16, 16, 16, 3))[place] + rng.normal(0, 0.5, (800, 16, 16, 3))).astype("float32")
    tokens = np.zeros((800, 16), "int32")
    tokens[:, :4] = np.stack([np.full(800, 1), 10 + place // 4, 20 + place % 4, np.full(800, 255)], 1)
    np.savez(tmp_path / "captions.npz", image=image, tokens=tokens)
    source = {"npz": {"path": str(tmp_path / "captions.npz")}}
    run, model = train(
        "clip.yaml@tiny", tmp_path, params__size=16, data__source=source, data__batch_size=16, train__epochs=8,
        train__optimizer={"Adam": 3e-3},
    )  # fmt: skip
    first, last = run.history[0]["loss"], run.history[-1]["loss"]
    assert first > 1.5 and last < 0.5 * first
    assert run.metrics["images_loss"] == pytest.approx(run.metrics["texts_loss"], abs=0.3)
    one = {p: np.flatnonzero(place == p)[0] for p in range(16)}
    pairs = [(i, j) for i in one.values() for j in one.values()]
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    logits = model.predict([image[left], tokens[right]], verbose=0).reshape(16, 16)
    assert (logits.argmax(1) == np.arange(16)).mean() > 0.8


@pytest.mark.parametrize("classes", [1, 2])
def test_a_unet_finds_masks(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(0, 0.3, (200, 16, 16, 1)).astype("float32")
    mask = np.zeros((200, 16, 16), "int64")
    for i in range(200):
        y, x, size = rng.integers(0, 10), rng.integers(0, 10), rng.integers(3, 7)
        mask[i, y : y + size, x : x + size] = 1
    image += mask[..., None]
    np.savez(tmp_path / "masks.npz", image=image, mask=mask[..., None] if classes == 1 else mask)
    run, model = train(
        "unet.yaml@small", tmp_path, params__size=16, params__filters=[4, 8], params__classes=classes,
        data__source={"npz": {"path": str(tmp_path / "masks.npz")}}, train__epochs=12, train__optimizer={"Adam": 1e-2},
    )  # fmt: skip
    assert run.metrics["accuracy"] > 0.97
    made = model.predict(image, verbose=0)
    found = made[..., 0] > 0.5 if classes == 1 else made.argmax(-1) == 1
    assert (found & (mask == 1)).sum() / (found | (mask == 1)).sum() > 0.8


def graph(path: Path) -> np.ndarray:
    """Three communities of 20 nodes, 4 of each with labels to train by. Gives the classes of the others."""
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(3), 20)
    links = rng.random((60, 60)) < np.where(kind[:, None] == kind, 0.3, 0.02)
    adjacency = np.maximum(links | links.T, np.eye(60)).astype("float32")
    root = 1 / np.sqrt(adjacency.sum(1))
    adjacency *= root[:, None] * root
    features = np.eye(60, dtype="float32")
    known = np.isin(np.arange(60) % 20, range(4))
    label = np.where(known, kind, -1)
    hidden = np.where(known, -1, kind)
    values = {"features": features, "adjacency": adjacency, "label": label}
    arrays = {f"{name}_train": value[None] for name, value in values.items()}
    for part in ("validation", "test"):
        arrays |= {f"{name}_{part}": value[None] for name, value in (values | {"label": hidden}).items()}
    np.savez(path, **arrays)
    return hidden


def test_a_gcn_labels_the_rest_of_a_graph(tmp_path: Path) -> None:
    hidden = graph(tmp_path / "graph.npz")
    run, model = train(
        "gcn.yaml", tmp_path, params__nodes=60, params__features=60, params__classes=3,
        data__source={"npz": {"path": str(tmp_path / "graph.npz")}}, train__epochs=100,
    )  # fmt: skip
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]
    data = np.load(tmp_path / "graph.npz")
    made = model.predict([data["features_test"], data["adjacency_test"]], verbose=0)[0].argmax(-1)
    assert (made == hidden)[hidden >= 0].mean() > 0.9


@pytest.mark.slow
def test_an_lstm_reads_whether_a_text_is_negated(tmp_path: Path) -> None:
    """`good` and `bad` count by whether `not` stands before them: words alone do not say it."""
    rng = np.random.default_rng(0)
    rows = ["text,label"]
    for _ in range(600):
        good, negated = rng.integers(0, 2, 2)
        words = [
            *rng.choice(["the", "film", "was", "so"], rng.integers(1, 4)),
            *["not"] * negated,
            "good" if good else "bad",
        ]
        rows.append(f"{' '.join(words)},{good ^ negated}")
    (tmp_path / "reviews.csv").write_text("\n".join(rows) + "\n")
    source = {"csv": {"path": str(tmp_path / "reviews.csv"), "target": "label", "types": {"text": "string"}}}
    run, _ = train(
        "lstm_text.yaml", tmp_path, params__vocabulary=20, params__length=8, params__dim=8, params__units=8,
        data__source=source, train__epochs=12, train__optimizer={"Adam": 1e-2}, expect={},
    )  # fmt: skip
    assert run.metrics["accuracy"] > 0.95


def test_an_autoencoder_reconstructs(tmp_path: Path) -> None:
    run, _ = train("autoencoder.yaml@deep", tmp_path, params__pixels=64, train__epochs=20)
    images = DIGITS.data / 16
    assert run.metrics["mean_squared_error"] < 0.7 * np.mean((images - images.mean(0)) ** 2)
