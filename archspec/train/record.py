"""What is written while the network trains: one line an epoch, on the disk before the next one begins."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

import keras


class Record(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes metrics.csv and keeps the same lines; stops the training when the loss is no number."""

    def __init__(self, path: Path, validated: bool) -> None:
        super().__init__()
        self.path = path
        self.validated = validated
        self.lines: list[dict[str, float]] = []
        self.names: list[str] = []
        self.broken: str | None = None
        self.began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        line = {"epoch": float(epoch + 1), **values, "learning_rate": rate}
        line["seconds"] = time.perf_counter() - self.began
        if not self.lines:
            measured = [name for name in values if not name.startswith("val_")]
            later = [f"val_{name}" for name in measured] if self.validated else []
            self.names = ["epoch", *dict.fromkeys([*measured, *later, "learning_rate", "seconds"])]
        self.lines.append(line)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if len(self.lines) == 1:
                writer.writerow(self.names)
            writer.writerow([_text(name, line) for name in self.names])
        if not math.isfinite(values["loss"]):
            self.broken = f"the loss is {values['loss']} after epoch {epoch + 1}"
            self.model.stop_training = True


def _text(name: str, line: dict[str, float]) -> str:
    """A figure as the table holds it; empty in epochs that were not validated."""
    if name not in line:
        return ""
    return str(int(line[name])) if name == "epoch" else f"{line[name]:.6g}"
