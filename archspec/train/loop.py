"""The training's loop: what happens at each step and each epoch beside the step itself.

It is Keras's `fit` that runs the steps; this is the list of callbacks that it calls. Keras's own list turns the figures
of every step into numbers, which waits for the device, and hands each to a thread: on a small network that takes longer
than the step. Here figures are read only when they are shown or kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras.src.utils.python_utils import pythonify_logs

from archspec.train import checkpoint as checkpoints
from archspec.train.batches import Batches
from archspec.train.checkpoint import Checkpoint, Position, Trained
from archspec.train.folder import RunFailed
from archspec.train.progress import Progress
from archspec.train.record import Record
from archspec.train.stop import Stop

_SHARE = 1 / 100  # of the time that writing checkpoints at the ends of epochs may take


@dataclass(frozen=True)
class Parts:
    """What the loop works with.

    `seconds` is the longest time between two checkpoints, `begin` where to begin, and `fresh` names variables of the
    optimizers that the spec gives anew rather than the checkpoint.
    """

    folder: Path
    trained: Trained
    batches: Batches
    epochs: int
    seconds: float
    record: Record
    progress: Progress
    stop: Stop
    begin: Checkpoint
    fresh: tuple[str, ...] = ()


Callbacks = Sequence[keras.callbacks.Callback]


def run_loop(parts: Parts, callbacks: Callbacks, validation: Mapping[str, Any], loggers: Callbacks = ()) -> None:
    """Trains from where `parts.begin` is to the last epoch; `build` has made the variables.

    `validation` holds the arguments of `fit` for it. `loggers` are further callbacks, which checkpoints leave out.
    Raises RunFailed where the training is to stop, and where the loss is no number or the checkpoint does not fit the
    model.
    """
    model, begin = parts.trained.model, parts.begin
    parts.record.restore(begin.position.names, begin.position.lines)
    if begin.arrays:
        try:
            checkpoints.restore(parts.trained, begin.arrays, fresh=parts.fresh)
        except ValueError as error:
            raise RunFailed(f"the checkpoint does not fit: {error}", parts.folder) from error
    parts.stop.gentle = True
    try:
        model.fit(
            parts.batches,
            initial_epoch=parts.epochs if begin.position.stopped else min(begin.position.epoch, parts.epochs),
            epochs=parts.epochs,
            callbacks=Loop(parts, callbacks, loggers),
            verbose=0,
            shuffle=False,
            **validation,
        )
    finally:
        parts.stop.gentle = False


def build(parts: Parts) -> None:
    """Makes all variables, so that they are there to be set."""
    model = parts.trained.model
    model._symbolic_build(data_batch=parts.batches.symbolic())
    if getattr(model, "_distribute_strategy", None) is not None:  # TensorFlow's, for several devices
        from archspec.train.shares import sum_gradients_first, weigh_shares

        model._maybe_symbolic_build = lambda **_: None  # Keras would build again, with the mean of the first batches
        sum_gradients_first(model.optimizer)
        if parts.batches.uneven:
            weigh_shares(model)


class Loop(keras.callbacks.CallbackList):  # type: ignore[misc]
    """Calls the spec's callbacks, then records, shows and keeps."""

    def __init__(self, parts: Parts, callbacks: Callbacks, loggers: Callbacks) -> None:
        self.parts = parts
        self.given = tuple(callbacks)
        self.steps = parts.batches.num_batches
        base = keras.callbacks.Callback
        self._at_steps = [c for c in callbacks if type(c).on_batch_end is not base.on_batch_end]
        self._cut = False  # whether the epoch was ended early because its first steps were done before
        self._epoch = self._first = self._step = 0
        self._began = self._trained = self._kept = time.perf_counter()
        self._cost = 0.0  # seconds that the last checkpoint took
        super().__init__(
            [*callbacks, *loggers], add_history=True, model=parts.trained.model, epochs=parts.epochs, steps=self.steps
        )

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        super().on_train_begin(logs)  # there Keras's callbacks forget all
        checkpoints.restore_callbacks(self.given, self.parts.begin)
        self._kept = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        begin = self.parts.begin.position
        resumed = epoch == begin.epoch and begin.step > 0
        self._epoch, self._first = epoch, begin.step if resumed else 0
        self._step = self._first
        self.parts.batches.begin(epoch, self._first)
        super().on_epoch_begin(epoch, logs)
        if resumed:
            checkpoints.restore_metrics(self.parts.trained, self.parts.begin.arrays)
        self._began = time.perf_counter() - (begin.seconds if resumed else 0.0)
        self.parts.progress.begin(self._first)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """No callback that a spec can name has anything to do here, nor at the steps of a validation."""

    on_test_batch_begin = on_train_batch_begin
    on_test_batch_end = on_train_batch_begin

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self._at_steps:
            callback.on_train_batch_end(batch, pythonify_logs(logs))
        parts = self.parts
        self._step = min(self._first + batch + 1, self.steps)  # the last execution may be short of steps
        now = time.perf_counter()
        if now >= parts.progress.due:  # asked here: of a small network's steps each call is a hundredth
            figures = self._figures(logs)  # which waits for the step: backends run ahead
            parts.progress.step(time.perf_counter(), self._place(), figures)
        if self._step == self.steps:
            _numbers(logs)  # waits as well
            self._trained = time.perf_counter()
            if self._first and not self.model.stop_training:
                self.model.stop_training = self._cut = True  # Keras would ask for as many steps as in any epoch
        elif parts.stop.asked or now >= self._kept + parts.seconds:
            self._figures(logs)
            self._keep(Position(self._epoch, self._step, now - self._began), measured=True)
            self._end_if_asked()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._cut:
            self.model.stop_training = self._cut = False
        figures = _numbers(logs)
        super().on_epoch_end(epoch, logs)
        seconds = time.perf_counter() - self._began
        self.parts.record.add(epoch + 1, figures, self._rates(), seconds)
        self._figures(logs)
        self.parts.progress.end(self._place(), figures, self._trained, seconds)
        now, stopped = time.perf_counter(), bool(self.model.stop_training)
        last = stopped or epoch + 1 == self.parts.epochs or self.parts.stop.asked
        if last or now - self._kept >= min(self.parts.seconds, self._cost / _SHARE):
            self._keep(Position(epoch + 1, stopped=stopped), measured=False)
        self._end_if_asked()

    def _place(self) -> tuple[int, int, int, int]:
        return self._epoch + 1, self.parts.epochs, self._step, self.steps

    def _figures(self, logs: Mapping[str, Any] | None) -> dict[str, float]:
        """The figures as numbers. Raises RunFailed where the loss is none."""
        figures = _numbers(logs)
        loss = figures.get("loss", 0.0)
        if not math.isfinite(loss):
            when = "after" if self._step == self.steps else f"at step {self._step} of"
            help = "lower the learning rate, clip the gradients (clipnorm: 1.0), or look for NaN among the data"
            raise RunFailed(f"the loss is {loss} {when} epoch {self._epoch + 1}", self.parts.folder, help)
        return figures

    def _rates(self) -> dict[str, float]:
        """Learning rates by their column."""
        optimizers = self.parts.trained.optimizers
        values = {name: float(keras.ops.convert_to_numpy(each.learning_rate)) for name, each in optimizers.items()}
        if len(values) == 1:
            return {"learning_rate": next(iter(values.values()))}
        return {f"learning_rate_{name}": value for name, value in values.items()}

    def _keep(self, position: Position, *, measured: bool) -> None:
        """Writes a checkpoint."""
        before = time.perf_counter()
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        states, arrays = checkpoints.callback_states(self.given)
        record = self.parts.record
        whole = Position(
            position.epoch, position.step, position.seconds, position.stopped,
            tuple(record.names), tuple(record.lines), states,
        )  # fmt: skip
        values = checkpoints.values(self.parts.trained, measured=measured)
        checkpoints.write(self.parts.folder / checkpoints.FOLDER, Checkpoint(whole, values | arrays))
        self._kept = time.perf_counter()
        self._cost = self._kept - before

    def _end_if_asked(self) -> None:
        """Raises RunFailed if somebody wants the training to end here."""
        asked = self.parts.stop.asked
        if asked is not None:
            message = f"interrupted in epoch {self._epoch + 1} of {self.parts.epochs}"
            help = f"archspec train --resume {self.parts.folder}"
            raise RunFailed(message, self.parts.folder, help, asked)


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: value for name, value in pythonify_logs(logs).items() if isinstance(value, float)}
