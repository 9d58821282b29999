"""What is seen while the network trains: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

EVERY = 0.2  # seconds between two drawings of the bar
PLAIN_EVERY = 60.0  # seconds between two plain lines within an epoch
_BAR = 24  # characters


@dataclass(frozen=True)
class Moment:
    """A moment of a training, for showing it. Seconds and steps are those of this process in this epoch."""

    epoch: int  # from 1
    epochs: int
    step: int
    steps: int
    rate: float  # examples per second
    left: float  # seconds until the last epoch ends
    figures: Mapping[str, float]


def bar(moment: Moment, width: int) -> str:
    """The moment on one line of at most `width` characters."""
    full = round(_BAR * moment.step / moment.steps)
    parts = [
        f"epoch {moment.epoch:{len(str(moment.epochs))}}/{moment.epochs} {'━' * full}{'╌' * (_BAR - full)}",
        f"{moment.step:{len(str(moment.steps))}}/{moment.steps}",
        f"{clock(moment.left)} left",
        f"{moment.rate:,.0f}/s",
        *_figures(moment.figures),
    ]
    return "  ".join(parts)[: max(1, width - 1)]


def plain(moment: Moment) -> str:
    """The moment as a line of a log."""
    head = f"epoch {moment.epoch}/{moment.epochs} step {moment.step}/{moment.steps}"
    return "  ".join([head, f"{clock(moment.left)} left", f"{moment.rate:,.0f}/s", *_figures(moment.figures)])


def summary(moment: Moment, seconds: float) -> str:
    """An epoch that is over, on one line."""
    head = f"epoch {moment.epoch:{len(str(moment.epochs))}}/{moment.epochs}"
    return "  ".join([head, f"{seconds:.1f} s", f"{moment.rate:,.0f}/s", *_figures(moment.figures)])


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _figures(figures: Mapping[str, float]) -> list[str]:
    """The loss stands first; Keras gives the figures in the order of the alphabet."""
    return [f"{name} {figures[name]:.4g}" for name in sorted(figures, key=lambda name: name != "loss")]


class Progress:
    """Draws moments as they come, at most a few times in a second."""

    def __init__(self, quiet: bool, batch_size: int, out: TextIO | None = None) -> None:
        self.quiet, self.batch_size = quiet, batch_size
        self.out = sys.stdout if out is None else out
        self.terminal = self.out.isatty()
        self.due = 0.0
        self.drawn = False
        self._began, self._first = 0.0, 0

    def begin(self, step: int) -> None:
        """An epoch begins, at this step."""
        self._began, self._first = time.perf_counter(), step
        self.due = math.inf if self.quiet else self._began + (EVERY if self.terminal else PLAIN_EVERY)

    def step(self, now: float, place: tuple[int, int, int, int], figures: Mapping[str, float]) -> None:
        """After a step, at or after `due`: draws. `place` is epoch and epochs, step and steps; `now` perf_counter's."""
        self.due = now + (EVERY if self.terminal else PLAIN_EVERY)
        moment = self._moment(now, place, figures)
        if self.terminal:
            width = shutil.get_terminal_size().columns
            self._write(f"\r{bar(moment, width):<{width - 1}}")
            self.drawn = True
        else:
            self._write(plain(moment) + "\n")

    def end(self, place: tuple[int, int, int, int], figures: Mapping[str, float], trained: float, whole: float) -> None:
        """An epoch is over: `trained` is perf_counter at its last step, `whole` the seconds that all of it took."""
        if not self.quiet:
            self.say(summary(self._moment(trained, place, figures), whole))

    def say(self, text: str) -> None:
        """A line of its own, in place of the bar."""
        if not self.quiet:
            self._write(("\r\x1b[K" if self.drawn else "") + text + "\n")
            self.drawn = False

    def _moment(self, now: float, place: tuple[int, int, int, int], figures: Mapping[str, float]) -> Moment:
        epoch, epochs, step, steps = place
        done, seconds = max(1, step - self._first), max(1e-9, now - self._began)
        left = ((epochs - epoch) * steps + steps - step) * seconds / done
        return Moment(epoch, epochs, step, steps, done * self.batch_size / seconds, left, figures)

    def _write(self, text: Any) -> None:
        self.out.write(text)
        self.out.flush()
