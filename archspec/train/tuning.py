"""How many steps are run at once, and whether by XLA: measured on real batches where a training is long enough for it.

What is found is kept in the run's folder, so that going on and repeating compute the same, and in the user's cache for
other runs of the same network on the same machine. The weights that the measurement leaves are put back.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from archspec.train import cache
from archspec.train import checkpoint as checkpoints
from archspec.train.batches import Batches
from archspec.train.environment import BACKENDS
from archspec.train.folder import write_json
from archspec.train.loop import Parts

FILE = "execution.json"
_KIND = "execution"  # in the cache
SHARE = 0.05  # of the training's expected time that the measurement may take
LONGEST = 30.0  # seconds that it may take at all
STEPS = 32  # run at once, where that is faster
WAIT = 0.5  # seconds between two looks at signals, callbacks and the bar
_FEWEST = 1000  # steps of a training in which anything is measured
_BURST = 0.05  # seconds of one measurement
_ROUNDS = 3
_GAIN = 0.95  # of the time, above which a candidate is not worth its change
_WORTH = 0.8  # of the time, below which another backend is recommended
_LARGEST = 1 << 30  # bytes of variables up to which a copy of them is kept meanwhile


@dataclass(frozen=True)
class Execution:
    """`steps` run at once, compiled by XLA or not; why, the seconds a step that were measured, and those it took."""

    jit: bool
    steps: int
    why: str
    seconds: Mapping[str, float] | None = None
    took: float | None = None

    @property
    def name(self) -> str:
        return f"{'xla ' if self.jit else ''}{self.steps}"


@dataclass(frozen=True)
class Open:
    """What the spec leaves open, and a name for the network, its training and the machine by which it is cached."""

    jit: bool
    steps: bool
    key: str


def choose(parts: Parts, left_open: Open, earlier: Path | None) -> Execution:
    """Sets what the spec leaves open: as in an `earlier` run's folder, else as cached, else measured, else Keras's.

    Several devices run as Keras has it: TensorFlow's XLA is for one, and hosts must not choose differently.
    """
    model = parts.trained.model
    own = Execution(bool(model.jit_compile), model.steps_per_execution, "as given or Keras's own")
    chosen = own
    several = keras.distribution.distribution() or getattr(model, "_distribute_strategy", None)
    if (left_open.jit or left_open.steps) and several is None:
        known = _read(earlier / FILE, "as before") if earlier else None
        found = known or _read(cache.place(_KIND, left_open.key), "cached") or _measured(parts, left_open, own)
        jit, steps = found.jit if left_open.jit else own.jit, found.steps if left_open.steps else own.steps
        chosen = replace(found, jit=jit, steps=steps)
    write_json(parts.folder / FILE, asdict(chosen))
    _apply(model, parts.batches, chosen, {})
    return chosen


def advice(chosen: Execution, name: str) -> str | None:
    """What another backend makes of the same training on this machine, where that was measured and is faster."""
    backend = keras.backend.backend()
    if not chosen.seconds:
        return None
    for other in BACKENDS:
        found = _read(cache.place(_KIND, name, other), "cached") if other != backend else None
        if found is not None and found.seconds:
            share = min(found.seconds.values()) / min(chosen.seconds.values())
            if share < _WORTH:
                return f"on {other} a step of this training took {share:.2f} of the time: run.backend={other}"
    return None


def _read(path: Path, why: str) -> Execution | None:
    said = cache.read(path)
    try:
        return Execution(bool(said["jit"]), int(said["steps"]), why, said["seconds"])
    except (KeyError, TypeError, ValueError):
        return None


def _measured(parts: Parts, left_open: Open, own: Execution) -> Execution:
    """The fastest candidate, if the training is long enough to try any."""
    trained, model = parts.trained, parts.trained.model
    number = parts.batches.num_batches * parts.epochs
    size = sum(int(variable.nbytes) for variable in model.variables if hasattr(variable, "nbytes"))
    if number < _FEWEST or size > _LARGEST:
        return own
    before = checkpoints.values(trained, measured=False)
    trial = _Trial(parts, left_open, own, number)
    try:
        found = trial.fastest()
    finally:
        checkpoints.restore(trained, before)
        model.stop_training = False
    _apply(model, parts.batches, found, trial.functions)
    if found.seconds:
        cache.keep(cache.place(_KIND, left_open.key), asdict(found))
    return found


class _Trial:
    """Candidates timed in turn on the first batches of the data."""

    def __init__(self, parts: Parts, left_open: Open, own: Execution, number: int) -> None:
        self.model, self.batches = parts.trained.model, parts.batches.trial()
        self.left_open, self.own, self.number = left_open, own, number
        self.functions: dict[str, Any] = {}
        self.refusals = _refusals()
        self.spent = 0.0

    def fastest(self) -> Execution:
        first = self.time(self.own)
        if first is None or first.seconds is None:
            return self.own
        budget = min(LONGEST, SHARE * first.seconds * self.number)
        self.spent = 0.0  # the first compilation is the training's own
        best, times = self.own, {self.own.name: first.seconds}
        for candidate, cost in self.candidates(first):
            faster = replace(candidate, steps=best.steps) if candidate.steps == self.own.steps else candidate
            if self.spent + cost + 2 * _ROUNDS * _BURST > budget:
                continue
            found = self.compare(best, faster)
            if found is None:
                continue
            times |= {best.name: found[0], faster.name: found[1]}
            if found[1] < _GAIN * found[0]:
                best = faster
        if len(times) == 1:
            return self.own
        return replace(best, why="measured", seconds=times, took=round(self.spent, 3))

    def candidates(self, first: _Time) -> list[tuple[Execution, float]]:
        """What to try, and how many seconds its compilation may take."""
        found = []
        assert first.seconds is not None
        fits = STEPS * first.seconds <= WAIT and self.batches.num_batches >= 2 * STEPS
        jax = keras.backend.backend() == "jax"
        if self.left_open.steps and fits:
            found.append((replace(self.own, steps=STEPS), 0.0 if jax else 1.5 * first.compiled))
        if self.left_open.jit and not jax:  # JAX without it is no candidate: it runs each operation by itself
            found.append((replace(self.own, jit=not self.own.jit), (1 if self.own.jit else 3) * first.compiled))
        return found

    def compare(self, one: Execution, two: Execution) -> tuple[float, float] | None:
        """The medians of both, timed in turn."""
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(_ROUNDS):
            for execution, list_ in zip((one, two), times, strict=True):
                measured = self.time(execution)
                if measured is None or measured.seconds is None:
                    return None
                list_.append(measured.seconds)
        return statistics.median(times[0]), statistics.median(times[1])

    def time(self, execution: Execution) -> _Time | None:
        """The time that it takes; None where the network cannot be run so."""
        began = time.perf_counter()
        _apply(self.model, self.batches, execution, self.functions)
        self.batches.begin(0, 0)
        timer = _Timer(self.model, self.batches.num_batches)
        try:
            self.model.fit(self.batches, epochs=1, verbose=0, shuffle=False, callbacks=timer)
        except self.refusals:
            if execution == self.own:
                raise
            return None
        finally:
            self.spent += time.perf_counter() - began
        self.functions[execution.name] = self.model.train_function
        return timer.time(began)


def _refusals() -> tuple[type[Exception], ...]:
    """The errors by which a backend says that it cannot run a network in some way."""
    if keras.backend.backend() == "jax":
        return ()
    import tensorflow as tf

    return (tf.errors.OpError,)


@dataclass(frozen=True)
class _Time:
    """Seconds until the first step was done, and of a step after it if there were any."""

    compiled: float
    seconds: float | None


class _Timer(keras.callbacks.CallbackList):  # type: ignore[misc]
    """Ends an epoch after a burst of steps, timed from the end of the first execution on."""

    def __init__(self, model: keras.Model, number: int) -> None:
        super().__init__([], add_history=True, model=model)
        self.number = number
        self.first: tuple[int, float] | None = None
        self.last: tuple[int, float] | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Nothing: Keras's own list asks its callbacks in another thread."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step, now = min(batch + 1, self.number), time.perf_counter()
        if self.first is not None and now < self.first[1] + _BURST and step < self.number:
            return
        keras.ops.convert_to_numpy(logs["loss"])  # waits until it is there
        place = step, time.perf_counter()
        if self.first is None:
            self.first = place
        else:
            self.last = place
            self.model.stop_training = True

    def time(self, began: float) -> _Time | None:
        if self.first is None:
            return None
        compiled = self.first[1] - began
        if self.last is None or self.last[0] == self.first[0]:
            return _Time(compiled, None)
        return _Time(compiled, (self.last[1] - self.first[1]) / (self.last[0] - self.first[0]))


def _apply(model: keras.Model, batches: Batches, execution: Execution, functions: Mapping[str, Any]) -> None:
    """Has the model run so; functions that were compiled before are taken up again."""
    bundle = _bundle(model, batches, execution)
    same = (model.jit_compile, model.steps_per_execution, batches.bundle) == (execution.jit, execution.steps, bundle)
    batches.bundle = bundle
    model.jit_compile, model.steps_per_execution = execution.jit, execution.steps
    if same and not functions:
        return
    model.test_function = model.predict_function = None
    model.train_function = functions.get(execution.name)
    if bundle and model.train_function is None:
        from archspec.train.bundles import train_function

        model.train_function = train_function(model)


def _bundle(model: keras.Model, batches: Batches, execution: Execution) -> int:
    """How many batches are bundled for a loop that XLA compiles, 0 where they are not."""
    several = getattr(model, "_distribute_strategy", None) is not None
    wanted = execution.jit and execution.steps > 1 and keras.backend.backend() == "tensorflow" and not several
    return execution.steps if wanted and batches.fit_in_bundles(execution.steps) else 0
