"""How steps are run, measured at the start of a training: without a trace in its result, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import archspec
from archspec.train import tuning
from archspec.train.batches import StreamBatches, training_batches
from archspec.train.feed import Feed
from archspec.train.repeat import first_difference
from archspec.train.runs import open_run
from tests.running import TINY

SPEC = (
    TINY
    + """\
data: {source: {sklearn: digits}, split: {validation: 0.1}, batch_size: 16}
train: {epochs: 2, loss: SparseCategoricalCrossentropy, optimizer: {Adam: {use_ema: true}}}
"""
)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything is measured, however short the training."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "SHARE", 1e6)
    monkeypatch.setattr(tuning, "LONGEST", 1e6)
    monkeypatch.setattr(tuning, "_FEWEST", 1)


def train(folder: Path, run: str, *changes: str, **options: Any) -> dict[str, Any]:
    (folder / "spec.yaml").write_text(SPEC)
    archspec.load(folder / "spec.yaml", changes=changes).train(folder / run, quiet=True, **options)
    said: dict[str, Any] = json.loads((folder / run / "execution.json").read_text())
    return said


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_a_measurement_leaves_no_trace_and_is_kept(tmp_path: Path) -> None:
    measured = train(tmp_path, "measured")
    assert measured["why"] == "measured"
    assert len(measured["seconds"]) == 3
    fixed = [f"run.jit={str(measured['jit']).lower()}", f"train.steps_per_execution={measured['steps']}"]
    assert train(tmp_path, "fixed", *fixed)["why"] == "as given or Keras's own"
    assert first_difference(tmp_path / "measured", tmp_path / "fixed") is None
    assert train(tmp_path, "cached")["why"] == "cached"
    assert first_difference(tmp_path / "measured", tmp_path / "cached") is None


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_going_on_and_repeating_keep_what_the_run_has_chosen(tmp_path: Path) -> None:
    train(tmp_path, "run", "train.epochs=1")
    said = {"jit": True, "steps": 7, "why": "measured", "seconds": None}
    (tmp_path / "run" / "execution.json").write_text(json.dumps(said))
    network = open_run(tmp_path / "run", ["train.epochs=2"])[1]
    network.train(resume=tmp_path / "run", quiet=True)
    before = said | {"why": "as before", "took": None}
    assert json.loads((tmp_path / "run" / "execution.json").read_text()) == before
    again = open_run(tmp_path / "run")[1]
    assert again.train(tmp_path / "again", repeat=tmp_path / "run", quiet=True).path
    assert json.loads((tmp_path / "again" / "execution.json").read_text()) == before


def test_short_trainings_measure_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert train(tmp_path, "run")["steps"] == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("eager")
def test_what_xla_cannot_compile_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network is trained as Keras would, whatever the measurement meets."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX compiles everything")
    import tensorflow as tf

    fit = keras.Model.fit

    def refused(self: keras.Model, *arguments: Any, **named: Any) -> Any:
        if self.jit_compile:
            raise tf.errors.InvalidArgumentError(None, None, "no XLA kernel for it")
        return fit(self, *arguments, **named)

    monkeypatch.setattr(keras.Model, "fit", refused)
    said = train(tmp_path, "run")
    assert said["why"] == "measured"
    assert said["jit"] is False
    assert len(said["seconds"]) == 2


TIMES = {"jit": False, "steps": 1, "why": "measured", "took": 1.0}


@pytest.mark.parametrize(("seconds", "advised"), [(0.002, True), (0.009, False)])
def test_a_backend_that_was_faster_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, advised: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = keras.backend.backend()
    other = next(name for name in ("jax", "tensorflow") if name != here)
    chosen = tuning.Execution(False, 1, "cached", {"1": 0.02, "32": 0.01})
    assert tuning.advice(chosen, "name") is None
    cache = tmp_path / "archspec" / "execution"
    cache.mkdir(parents=True)
    (cache / f"name-{other}.json").write_text(json.dumps(TIMES | {"seconds": {"1": seconds}}))
    said = tuning.advice(chosen, "name")
    assert said == (
        f"on {other} a step of this training took 0.20 of the time: run.backend={other}" if advised else None
    )


BUNDLED = ["run.jit=true", "train.steps_per_execution=7"]


@pytest.mark.usefixtures("eager")
def test_bundled_steps_learn_what_single_ones_do(tmp_path: Path) -> None:
    """To rounding: 101 whole batches and a smaller one, in bundles of 7, of which the last holds 3."""
    sgd = "train.optimizer={SGD: {learning_rate: 0.05}}"  # Adam makes much of rounding where gradients are small
    train(tmp_path, "single", "run.jit=true", "train.steps_per_execution=1", sgd)
    train(tmp_path, "bundled", *BUNDLED, sgd)
    first, second = (
        [
            np.asarray(weight)
            for weight in keras.saving.load_model(tmp_path / run / "model.keras", compile=False).weights
        ]
        for run in ("single", "bundled")
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
    results = [json.loads((tmp_path / run / "results.json").read_text())["metrics"] for run in ("single", "bundled")]
    assert results[0]["train"] == pytest.approx(results[1]["train"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_bundled_steps_go_on_within_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, where the bundles lie otherwise from there on."""
    train(tmp_path, "whole", *BUNDLED)
    from archspec.train.folder import RunFailed
    from archspec.train.loop import Loop

    end = Loop.on_train_batch_end

    def stopped(self: Loop, batch: int, logs: Any = None) -> None:
        if self._epoch == 1 and batch > 20:
            self.parts.stop.asked = 2  # type: ignore[assignment]
        end(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "on_train_batch_end", stopped)
        with pytest.raises(RunFailed, match="interrupted in epoch 2"):
            train(tmp_path, "cut", *BUNDLED)
    (checkpoint,) = [
        p for p in (tmp_path / "cut" / "checkpoints").glob("00001-*.safetensors") if "-00000000" not in p.stem
    ]
    assert checkpoint.stem == "00001-00000028"
    open_run(tmp_path / "cut", ["train.steps_per_execution=9"])[1].train(resume=tmp_path / "cut", quiet=True)
    assert first_difference(tmp_path / "whole", tmp_path / "cut") is None


@pytest.mark.parametrize("weights", [None, {0: 2.0, 1: 0.5, 2: 1.0}])
def test_bundles_hold_the_batches_of_their_kind(weights: dict[int, float] | None) -> None:
    """Of arrays and of streams, from a step within an epoch on."""
    tf = pytest.importorskip("tensorflow")
    x, y = np.arange(60.0, dtype="float32").reshape(20, 3), np.arange(20) % 3
    stream = tf.data.Dataset.from_tensor_slices((x, y))
    for feed in (Feed(20, x, y), Feed(20, stream, None, stream)):
        batches = training_batches(feed, 3, 1, weights)
        batches.begin(1, 1)
        single = [*batches.get_jax_iterator()]
        batches.bundle = 4
        found: list[Any] = []
        for stacked, number, left in batches.get_tf_dataset():
            found += [keras.tree.map_structure(lambda v, i=i: v[i], stacked) for i in range(int(number))]
            found += [left] if len(left[0]) else []
        assert len(found) == len(single) == 6
        for one, other in zip(single, found, strict=True):
            assert len(one) == len(other) == (2 if weights is None else 3)
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_only_small_tensors_of_known_shape_are_bundled() -> None:
    tf = pytest.importorskip("tensorflow")
    assert training_batches(Feed(9, np.zeros((9, 5)), np.zeros(9)), 3, 0, None).fit_in_bundles(32)
    assert not training_batches(Feed(9, np.zeros((9, 50_000)), np.zeros(9)), 9, 0, None).fit_in_bundles(32)
    words = tf.data.Dataset.from_tensor_slices((np.array(["a", "b"]), np.zeros(2)))
    assert not training_batches(Feed(2, words, None, words), 2, 0, None).fit_in_bundles(32)


def test_a_trial_does_not_fill_the_buffer() -> None:
    """Each burst of a measurement would shuffle the stream anew."""
    tf = pytest.importorskip("tensorflow")
    stream = tf.data.Dataset.range(8).map(lambda i: (i, i))
    batches = training_batches(Feed(8, stream, None, stream), 2, 0, None)
    trial = batches.trial()
    assert isinstance(trial, StreamBatches)
    assert [int(x[0]) for x, _ in trial] == [0, 2, 4, 6]
    assert [int(x[0]) for x, _ in batches] != [0, 2, 4, 6]
