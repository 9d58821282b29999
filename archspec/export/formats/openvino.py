"""OpenVINO's IR: an .xml file with the graph and a .bin file beside it with the weights."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.export.base import ExportFailed, Format, Run, Source, cannot_express, short
from archspec.export.functions import backward_masks, frozen, unrolled
from archspec.graph.ir import Graph
from archspec.optimize.network import Array, Network
from archspec.start import quiet

if TYPE_CHECKING:
    import keras

_OPERATIONS = re.compile(r"No conversion rule found for operations?: (.+)")


class OpenVino(Format):
    """Inputs and outputs by their names; the batch is open.

    Recurrent layers that it cannot read are written out step by step.
    """

    NAME = "openvino"
    SUFFIX = ".xml"
    NEEDS: ClassVar[Mapping[str, str]] = {"openvino": "openvino"}
    FILES = (".bin",)

    def write(self, source: Source, path: Path) -> None:
        import openvino

        made = converted(source)
        try:
            with quiet():
                openvino.save_model(made, str(path), compress_to_fp16=False)
        except RuntimeError as error:  # as on a full disk, of which it says nothing
            raise ExportFailed(f"OpenVINO cannot save it: {short(str(error))}", "is there room on the disk?") from error

    def open(self, path: Path, source: Source) -> Run:
        import openvino

        return openvino_run(compiled(openvino.Core().read_model(str(path))), source)


def converted(source: Source) -> Any:
    """The network as OpenVINO's model. Raises ExportFailed."""
    graph = source.graph
    try:
        function, made = _read(source.model, graph)
    except ExportFailed:
        steps = unrolled(graph)
        if steps is None:
            raise
        from archspec.build.weights import built

        with backward_masks():
            function, made = _read(built(Network(steps, source.network.weights)), graph)
    made.set_friendly_name(graph.name)
    by_tensor = {name: port for port in made.inputs for name in port.get_names()}
    for name, tensor in zip(graph.inputs, function.inputs, strict=True):
        if tensor.name in by_tensor:
            by_tensor[tensor.name].set_names({name})
    places = {name: port for port in made.outputs for name in port.get_names()}
    for name, tensor in zip(graph.outputs, function.outputs, strict=True):
        if tensor.name not in places:  # it has one port for what is given twice, or goes straight through
            raise ExportFailed(f"OpenVINO has no output {name} of its own: it is the same as another, or an input")
        places[tensor.name].set_names({name})
    return made


def _read(model: keras.Model, graph: Graph) -> tuple[Any, Any]:
    """The frozen function, and what OpenVINO reads of it. Raises ExportFailed."""
    import openvino
    import tensorflow as tf
    from openvino import frontend

    failures = (frontend.OpConversionFailure, frontend.OpValidationFailure, frontend.GeneralFailure)
    with tempfile.TemporaryDirectory() as folder, quiet():
        function = frozen(model, graph)
        definition = function.graph.as_graph_def()
        tf.io.write_graph(definition, folder, "frozen.pb", as_text=False)
        try:
            return function, openvino.convert_model(str(Path(folder) / "frozen.pb"))
        except (*failures, RuntimeError, ValueError) as error:
            lacking = [name for line in _OPERATIONS.findall(str(error)) for name in line.split(", ")]
            nodes = [*definition.node, *(node for each in definition.library.function for node in each.node_def)]
            places = " ".join(node.name for node in nodes if node.op in lacking)
            raise cannot_express(graph, "OpenVINO", error, lacking, places) from error


def compiled(model: Any, precision: str = "f32") -> Any:
    """Ready to run. OpenVINO computes in bfloat16 on CPUs that have it, unless told not to: an error of 1 %."""
    import openvino

    with quiet():
        return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})


def openvino_run(ready: Any, source: Source) -> Run:
    there = {name for port in ready.inputs for name in port.get_names()}
    outputs = {name: port for port in ready.outputs for name in port.get_names()}
    request = ready.create_infer_request()

    def run(inputs: Sequence[Array]) -> Mapping[str, Array]:
        given = {n: x for n, x in zip(source.graph.inputs, inputs, strict=True) if n in there}
        found = request.infer(given, share_inputs=True)
        return {name: found[outputs[name]] for name in source.graph.outputs}

    return run
