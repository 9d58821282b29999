"""LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from archspec.bench.base import Runtime, Timed, timed
from archspec.export.base import Run, Source
from archspec.export.formats.litert import LiteRt, converted, litert_run
from archspec.optimize.network import Array


class LiteRtRuntime(Runtime):
    NAME = "litert"
    NEEDS = LiteRt.NEEDS
    TO = LiteRt.NAME
    USE = "ai_edge_litert"
    PLACE = 9

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        run = litert_run(converted(source), source)
        return run, timed(lambda: run(inputs))
