"""What a runtime is: a network made ready for it, and one call to be measured."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from typing import ClassVar

from archspec.diagnostics import did_you_mean
from archspec.export.base import ExportFailed, Run, Source
from archspec.optimize.network import Array
from archspec.plugins import defined_in_package

Timed = Callable[[], float]  # runs one call and gives its seconds


class Runtime(ABC):
    """One runtime. NEEDS holds the modules that it takes and the extra that brings them.

    TO is the format of `archspec export` that it runs; None: a `.keras` file. USE says how a user runs that. PLACE
    orders the table, and decides between equals: the less is needed, the earlier.
    """

    NAME: ClassVar[str]
    NEEDS: ClassVar[Mapping[str, str]] = {}
    TO: ClassVar[str | None] = None
    USE: ClassVar[str]
    PLACE: ClassVar[int]

    @abstractmethod
    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        """The network for batches like this one: as a function, and as a call on these inputs that takes its own time.

        What has to be closed goes on the stack. Raises ExportFailed where the runtime cannot run the network.
        """


def timed(call: Callable[[], object]) -> Timed:
    """The seconds of a call that returns when it is done."""

    def measure() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return measure


@cache
def runtimes() -> Mapping[str, Runtime]:
    """Every runtime by its name, in the table's order."""
    found = [leaf() for leaf in defined_in_package("archspec.bench.runtimes", Runtime)]
    named = {each.NAME: each for each in sorted(found, key=lambda each: each.PLACE)}
    assert len(named) == len(found), "two runtimes have one name"
    return named


def chosen(names: Sequence[str]) -> list[Runtime]:
    """The runtimes of these names. Raises ExportFailed."""
    known = runtimes()
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"the runtimes are {', '.join(known)}"
            raise ExportFailed(f"there is no runtime {name!r}", hint)
    return [runtime for name, runtime in known.items() if name in names]
