"""Runs that are interrupted and go on, for the tests of training."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import archspec
from archspec.train.fit import TrainedRun
from archspec.train.folder import RunFailed
from archspec.train.runs import open_run

TINY = """
archspec: 1
name: tiny
inputs: {features: [64]}
layers:
  - Rescaling: {scale: 0.0625}
  - Dense: {units: 16, activation: relu}
  - Dropout: 0.2
  - BatchNormalization
  - Dense: {units: 10, activation: softmax}
"""
"""A network with every kind of state, to which `data` and `train` are added."""


def train(text: str, folder: Path, run: str, **options: Any) -> TrainedRun:
    return archspec.loads(text, folder=folder).train(folder / run, **{"quiet": True, **options})


def resume(run: Path, *changes: str, quiet: bool = True) -> TrainedRun:
    return open_run(run, changes)[1].train(resume=run, quiet=quiet)


def status(run: Path) -> str:
    said: str = json.loads((run / "status.json").read_text())["status"]
    return said


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text("utf-8"))
    return found


@contextmanager
def at_checkpoint(run: Path, name: str, act: Callable[[], None]) -> Iterator[None]:
    """Does something as soon as a checkpoint of this place, or a later one, is there."""

    def watch() -> None:
        while not over.is_set():
            if any(path.name >= name for path in run.glob("checkpoints/*.safetensors")):
                act()
                return
            time.sleep(0.003)

    over = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def interrupted(text: str, folder: Path, name: str, at: str, number: int = signal.SIGINT) -> Path:
    """A run that a signal ends at a checkpoint."""
    with (
        at_checkpoint(folder / name, at, lambda: os.kill(os.getpid(), number)),
        pytest.raises(RunFailed, match="interrupted") as caught,
    ):
        train(text, folder, name)
    assert caught.value.stopped_by == number
    assert status(folder / name).startswith("interrupted in epoch")
    return folder / name
