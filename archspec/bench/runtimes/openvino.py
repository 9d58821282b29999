"""OpenVINO, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from archspec.bench.base import Runtime, Timed, timed
from archspec.export.base import Run, Source
from archspec.export.formats.openvino import OpenVino, compiled, converted, openvino_run
from archspec.optimize.network import Array


class OpenVinoRuntime(Runtime):
    NAME = "openvino"
    NEEDS = OpenVino.NEEDS
    TO = OpenVino.NAME
    USE = "openvino with INFERENCE_PRECISION_HINT f32"
    PLACE = 8

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        made = converted(source)
        shapes = dict(zip(source.graph.inputs, (list(x.shape) for x in inputs), strict=True))
        made.reshape({port: shapes[port.get_any_name()] for port in made.inputs})
        run = openvino_run(compiled(made), source)
        return run, timed(lambda: run(inputs))
