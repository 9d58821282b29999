"""How steps are run, measured at the start of a training: without a trace in its result, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import archspec
from archspec.train import tuning
from archspec.train.repeat import first_difference
from archspec.train.runs import open_run

SPEC = """
archspec: 1
name: tiny
inputs: {features: [64]}
layers:
  - Rescaling: {scale: 0.0625}
  - Dense: {units: 16, activation: relu}
  - Dropout: 0.2
  - BatchNormalization
  - Dense: {units: 10, activation: softmax}
data: {source: {sklearn: digits}, split: {validation: 0.1}, batch_size: 16}
train: {epochs: 2, loss: SparseCategoricalCrossentropy, optimizer: {Adam: {use_ema: true}}}
"""


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


@pytest.mark.usefixtures("eager")
def test_going_on_and_repeating_keep_what_the_run_has_chosen(tmp_path: Path) -> None:
    train(tmp_path, "run", "train.epochs=1")
    said = {"jit": True, "steps": 7, "why": "measured", "seconds": None}
    (tmp_path / "run" / "execution.json").write_text(json.dumps(said))
    network = open_run(tmp_path / "run", ["train.epochs=2"])[1]
    network.train(resume=tmp_path / "run", quiet=True)
    assert json.loads((tmp_path / "run" / "execution.json").read_text()) == said | {"why": "as before"}
    again = open_run(tmp_path / "run")[1]
    assert again.train(tmp_path / "again", repeat=tmp_path / "run", quiet=True).path
    assert json.loads((tmp_path / "again" / "execution.json").read_text()) == said | {"why": "as before"}


def test_short_trainings_measure_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert train(tmp_path, "run")["steps"] == 1
    assert not (tmp_path / "cache").exists()
