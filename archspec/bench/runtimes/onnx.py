"""ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from archspec.bench.base import Runtime, Timed, timed
from archspec.export.base import Run, Source
from archspec.export.formats.onnx import Onnx, onnx_run, session
from archspec.optimize.network import Array


class OnnxRuntime(Runtime):
    NAME = "onnx"
    NEEDS = Onnx.NEEDS
    TO = Onnx.NAME
    USE = "onnxruntime"
    PLACE = 7

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        Onnx().write(source, folder / "model.onnx")
        run = onnx_run(session(folder / "model.onnx", source.graph), source)
        return run, timed(lambda: run(inputs))
