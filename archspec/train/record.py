"""The figures of each epoch: one line of metrics.csv, on the disk before the next epoch begins."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from archspec.files import write_whole

TIMES = ("seconds",)  # columns that no two runs share
RATE = "learning_rate"  # with phases there is one for each: learning_rate_PHASE


def is_figure(column: str) -> bool:
    """Whether a column measures the network."""
    return column not in ("epoch", *TIMES) and not column.startswith(RATE)


class Record:
    """Writes metrics.csv and keeps the same lines.

    Figures have nine digits: so many tell every float32 from every other, and two runs can be compared by the file.
    """

    def __init__(self, path: Path, validated: bool) -> None:
        self.path = path
        self.validated = validated
        self.lines: list[Mapping[str, float]] = []
        self.names: list[str] = []

    def restore(self, names: tuple[str, ...], lines: tuple[Mapping[str, float], ...]) -> None:
        """Goes back to these lines, in the file as well."""
        self.names, self.lines = [*names], [*lines]
        if lines:
            self._write_all()
        else:
            self.path.unlink(missing_ok=True)

    def add(self, epoch: int, figures: Mapping[str, float], rates: Mapping[str, float], seconds: float) -> None:
        """Adds the line of an epoch, counted from 1. `rates` are learning rates by their column."""
        line = {"epoch": float(epoch), **figures, **rates, "seconds": seconds}
        measured = [name for name in figures if not name.startswith("val_") and name not in rates]
        later = [f"val_{name}" for name in measured] if self.validated else []
        names = [*dict.fromkeys(["epoch", *measured, *later, *rates, *TIMES])]
        self.lines.append(line)
        if self.names != names:  # the first line, or a callback came in when the run was resumed
            self.names = names
            self._write_all()
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([_text(name, line) for name in self.names])

    def measured(self) -> dict[str, float]:
        """The last line's figures on the training split."""
        return {n: self.lines[-1][n] for n in self.names if is_figure(n) and not n.startswith("val_")}

    def _write_all(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(self.names)
        writer.writerows([_text(name, line) for name in self.names] for line in self.lines)
        write_whole(self.path, text.getvalue())


def _text(name: str, line: Mapping[str, float]) -> str:
    """A figure as the table holds it; empty in epochs that were not validated."""
    if name not in line:
        return ""
    return str(int(line[name])) if name == "epoch" else f"{line[name]:.9g}"
