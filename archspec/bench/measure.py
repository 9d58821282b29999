"""Runtimes measured turn and turn about, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from archspec.bench.base import Runtime, Timed
from archspec.export.base import ExportFailed, Run, Source, need, short
from archspec.export.formats.keras import keras_run
from archspec.export.proof import default_tolerance, relative_error
from archspec.export.samples import random_inputs, random_outputs
from archspec.optimize.network import Array
from archspec.start import quiet

SECONDS = 1.0  # of measuring for each cell of the table
FEWEST, MOST = 6, 200  # calls
# Threads of the runtime before may still spin, and caches are cold: a turn begins with calls that do not count.
SETTLE, TURN = 0.05, 0.1  # seconds of a turn that do not count, and that do
WARM = 2  # calls that are not counted: buffers are made, and some runtimes choose their kernels
ALIKE = 1.03  # medians within this factor are not told apart
# Of the tolerance: runtimes sum in other orders, which adds up over a hundred layers of random weights (LiteRT is off
# by 2e-4 to 3e-4 in Inception v3), and what is asked here is only whether they run the same network.
ROUNDING = 10
PLUS = "+ "  # before the pass of a form that has one more than the optimised network


@dataclass(frozen=True)
class Cell:
    """One runtime, one form of the network, one batch size: the seconds of each call, or why there are none."""

    runtime: str
    variant: str
    batch: int
    seconds: tuple[float, ...] = ()
    error: float = 0.0  # of the outputs against Keras's
    reason: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The first and third quartile."""
        if len(self.seconds) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return low, high

    @property
    def throughput(self) -> float:
        """Examples a second."""
        return self.batch / self.median

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {"runtime": self.runtime, "variant": self.variant, "batch": self.batch}
        if not self.seconds:
            return made | {"reason": self.reason}
        low, high = self.spread
        return made | {
            "median_ms": 1e3 * self.median, "low_ms": 1e3 * low, "high_ms": 1e3 * high, "calls": len(self.seconds),
            "examples_per_second": self.throughput, "error": self.error,
        }  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """All cells, in the order of the runtimes."""

    cells: tuple[Cell, ...]
    places: Mapping[str, int] = field(default_factory=dict)

    def at(self, batch: int) -> list[Cell]:
        return [cell for cell in self.cells if cell.batch == batch]

    def best(self, batch: int) -> Cell | None:
        """The fastest; among equals the one that needs least: of the runtime, then the form that was given first."""
        there = [cell for cell in self.at(batch) if cell.seconds]
        if not there:
            return None
        fastest = min(cell.median for cell in there)
        alike = [cell for cell in there if cell.median <= ALIKE * fastest]
        return min(alike, key=lambda cell: self.places.get(cell.runtime, 0))


@dataclass(frozen=True)
class _Ready:
    runtime: str
    variant: str
    timed: Timed
    error: float
    seconds: list[float] = field(default_factory=list)


def measure(
    variants: Mapping[str, Source],
    runtimes: Sequence[Runtime],
    batches: Sequence[int],
    seconds: float = SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Measures each form of a network under each runtime. The first form is what the others must agree with."""
    cells = [cell for batch in batches for cell in _at_batch(variants, runtimes, batch, seconds, say)]
    return Measured(tuple(cells), {runtime.NAME: runtime.PLACE for runtime in runtimes})


def _at_batch(
    variants: Mapping[str, Source], runtimes: Sequence[Runtime], batch: int, seconds: float, say: Callable[[str], None]
) -> Iterator[Cell]:
    first = next(iter(variants.values()))
    inputs = random_inputs(first.graph, batch)
    expected = keras_run(first.model, first.graph)(inputs)
    tolerance = ROUNDING * default_tolerance(first.graph)
    with ExitStack() as stack:
        ready: list[_Ready] = []
        for runtime in runtimes:
            for variant, source in variants.items():
                say(f"batch {batch}: {runtime.NAME}, {variant}")
                try:
                    ready.append(_prepared(runtime, variant, source, inputs, expected, tolerance, stack))
                except ExportFailed as error:
                    yield Cell(runtime.NAME, variant, batch, reason=error.message)
        say(f"batch {batch}: measuring")
        _interleaved(ready, seconds)
        for each in ready:
            yield Cell(each.runtime, each.variant, batch, tuple(each.seconds), each.error)


def _prepared(
    runtime: Runtime,
    variant: str,
    source: Source,
    inputs: Sequence[Array],
    expected: Mapping[str, Array],
    tolerance: float,
    stack: ExitStack,
) -> _Ready:
    need(runtime.NEEDS, runtime.NAME)
    try:
        with quiet():  # TensorFlow warns of functions that are traced often, of which each form is one
            run, timed = runtime.prepare(source, inputs, stack)
            error = _error(run, inputs, expected, random_outputs(source.graph))
            for _ in range(WARM if error <= tolerance else 0):
                timed()
    except (RuntimeError, ValueError, TypeError, ImportError) as failure:  # what a runtime says that cannot take it
        raise ExportFailed(short(str(failure))) from failure
    if error > tolerance:
        raise ExportFailed(f"gives something else than Keras: off by {error:.1e} of the outputs' spread")
    return _Ready(runtime.NAME, variant, timed, error)


def _error(run: Run, inputs: Sequence[Array], expected: Mapping[str, Array], random: Collection[str]) -> float:
    """The largest, where what is drawn anew in each call need only have the right shape."""
    found = run(inputs)
    alike = {name for name in random if found[name].shape == expected[name].shape}
    return max((relative_error(expected[name], found[name]) for name in expected if name not in alike), default=0.0)


def _interleaved(ready: Sequence[_Ready], seconds: float) -> None:
    """Rounds in which each has its turn, until all have had their seconds; who has had them waits."""
    end = time.perf_counter() + 4 * seconds * len(ready)  # where another load makes all slow
    waiting = list(ready)
    while waiting:
        for each in waiting:
            _for(SETTLE, 1, each.timed)
            each.seconds.extend(_for(min(TURN, seconds), 2, each.timed))
        late = time.perf_counter() > end
        waiting = [
            each
            for each in waiting
            if len(each.seconds) < FEWEST or (sum(each.seconds) < seconds and len(each.seconds) < MOST and not late)
        ]


def _for(seconds: float, fewest: int, timed: Timed) -> list[float]:
    """The seconds of calls in a row, so long and so many at least."""
    found: list[float] = []
    while len(found) < fewest or (sum(found) < seconds and len(found) < MOST):
        found.append(timed())
    return found
