"""LiteRT (TensorFlow Lite): for telephones, small computers, and CPUs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from archspec.export.base import ExportFailed, Format, Run, Source, cannot_express, short
from archspec.export.functions import backward_masks, frozen_folder, unrolled
from archspec.optimize.network import Array, Network
from archspec.start import quiet

_OPERATIONS = re.compile(r'(?:^\s*(?:tf\.|Flex)|error: loc\(callsite\(fused\[")(\w+)', re.MULTILINE)
THREADS = 4  # at most; small networks gain nothing beyond


class LiteRt(Format):
    """The signature `serving_default` takes the inputs and gives the outputs by their names; the batch is open.

    With int8, weights and activations are integers, by the ranges that the samples take; inputs and outputs stay
    floats. Jacob et al. 2017, arXiv:1712.05877. Recurrent layers are written out step by step.
    """

    NAME = "litert"
    SUFFIX = ".tflite"
    NEEDS: ClassVar[Mapping[str, str]] = {"ai_edge_litert": "litert"}
    INT8 = True

    def write(self, source: Source, path: Path) -> None:
        path.write_bytes(converted(source))

    def open(self, path: Path, source: Source) -> Run:
        return litert_run(path.read_bytes(), source)


def converted(source: Source) -> bytes:
    """The network as a file of LiteRT's. Raises ExportFailed."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    graph, model = source.graph, source.model
    steps = unrolled(graph)
    masks = contextlib.nullcontext() if steps is None else backward_masks()
    if steps is not None:  # LiteRT's own operations have no loops over lists of tensors
        from archspec.build.weights import built

        model = built(Network(steps, source.network.weights))
    if source.int8 and not source.samples:
        raise ExportFailed("integers are calibrated on examples, and there are none", "give the spec a data section")
    try:
        with quiet(), masks, frozen_folder(model, graph) as folder:
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
            if source.int8:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: _representative(source)
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            made: bytes = converter.convert()
    except (ConverterError, RuntimeError, ValueError) as error:
        raise cannot_express(graph, "LiteRT", error, _OPERATIONS.findall(str(error))) from error
    return made


def _representative(source: Source) -> Iterator[Mapping[str, Array]]:
    """Examples one by one, by the inputs' names."""
    for batch in source.samples:
        for i in range(len(batch[0])):
            yield {name: value[i : i + 1] for name, value in zip(source.graph.inputs, batch, strict=True)}


def litert_run(content: bytes, source: Source) -> Run:
    """The file's one signature as a function; its buffers are made anew where the batch changes."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        opened = Interpreter(model_content=content, num_threads=min(THREADS, os.cpu_count() or 1))
        opened.allocate_tensors()
        runner = opened.get_signature_runner()
    names = set(runner.get_input_details())

    def run(inputs: Sequence[Array]) -> Mapping[str, Array]:
        assert opened is not None  # which the runner only borrows
        given = {n: x for n, x in zip(source.graph.inputs, inputs, strict=True) if n in names}
        try:
            found = runner(**given)
        except RuntimeError as error:  # as of a recurrent layer with a mask, in integers
            raise ExportFailed(f"LiteRT cannot run what it makes of the network: {short(str(error))}") from error
        return {name: found[name] for name in source.graph.outputs}

    return run
