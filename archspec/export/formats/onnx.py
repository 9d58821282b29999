"""ONNX: for ONNX Runtime and most other runtimes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from archspec.export.base import ExportFailed, Format, Run, Source, cannot_express, short
from archspec.export.functions import frozen_serving, serving, signature, traced
from archspec.graph.ir import Graph
from archspec.optimize.network import Array
from archspec.start import quiet

_OPERATIONS = re.compile(r"(?:No Op registered for|implementation for the node:\S+|find an implementation for) (\w+)")
OPSET = 18  # of 2022; ONNX Runtime 1.14 and later read it


class Onnx(Format):
    """Inputs and outputs by their names; the batch is open."""

    NAME = "onnx"
    SUFFIX = ".onnx"
    NEEDS: ClassVar[Mapping[str, str]] = {"tf2onnx": "onnx", "onnx": "onnx", "onnxruntime": "onnx"}

    def write(self, source: Source, path: Path) -> None:
        import onnx
        import tf2onnx

        _patch()
        try:
            with quiet():
                made, _ = tf2onnx.convert.from_function(
                    _function(source), signature(source.graph), opset=OPSET,
                    custom_op_handlers={"Erfc": (_erfc, [])},
                )  # fmt: skip
        except (ValueError, RuntimeError, KeyError, AttributeError, AssertionError) as error:
            raise cannot_express(source.graph, "ONNX", error) from error
        _name_sizes(made.graph, source.graph)
        made.graph.name = source.graph.name
        made.doc_string = source.about
        big = made.ByteSize() > onnx.checker.MAXIMUM_PROTOBUF
        if big:
            raise cannot_express(source.graph, "ONNX", "the weights are larger than 2 GiB, which one file cannot hold")
        onnx.save(made, str(path))

    def open(self, path: Path, source: Source) -> Run:
        return onnx_run(session(path, source.graph), source)


def _name_sizes(made: Any, graph: Graph) -> None:
    """The first size of inputs and outputs is the batch; tf2onnx loses others that are known."""
    types = {name: graph.nodes[name].outputs[0] for name in graph.inputs}
    types |= {name: graph.type(edge) for name, edge in graph.outputs.items()}
    for value in (*made.input, *made.output):
        sizes = value.type.tensor_type.shape.dim
        for size, known in zip(sizes, ("batch", *types[value.name].shape), strict=False):
            if isinstance(known, str):
                size.dim_param = known
            elif known is not None:
                size.dim_value = known


def _function(source: Source) -> Any:
    """With its variables, which tf2onnx finds; frozen where layers hold other tensors, as the mean of Normalization,

    which it takes for inputs. Loops over lists do not get through it when they are frozen.
    """
    import tensorflow as tf

    serve = serving(source.model, source.graph)
    held = traced(serve, source.graph).graph.external_captures
    others = any(tensor.dtype != tf.resource for tensor in held)
    return frozen_serving(source.model, source.graph) if others else serve


def session(path: Path, graph: Graph) -> Any:
    """The file in ONNX Runtime. Raises ExportFailed where it has no such operation."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidGraph, state.NotImplemented, state.RuntimeException) as error:
        raise cannot_express(graph, "ONNX", error, _OPERATIONS.findall(str(error))) from error


def onnx_run(opened: Any, source: Source) -> Run:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names, outputs = list(source.graph.inputs), list(source.graph.outputs)
    there = {value.name for value in opened.get_inputs()}  # an input that nothing depends on is left out

    def run(inputs: Sequence[Array]) -> Mapping[str, Array]:
        given = {name: value for name, value in zip(names, inputs, strict=True) if name in there}
        try:
            return dict(zip(outputs, opened.run(outputs, given), strict=True))
        except (state.Fail, state.InvalidArgument, state.NotImplemented, state.RuntimeException) as error:
            raise ExportFailed(f"ONNX Runtime cannot run it: {short(str(error))}") from error

    return run


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """1 - erf(x): TensorFlow's gelu has the operation erfc, ONNX has not."""
    import numpy as np
    from tf2onnx.utils import make_name, map_onnx_to_numpy_type

    result = node.output[0]
    shapes, dtypes = [context.get_shape(result)], [context.get_dtype(result)]
    erf = context.make_node("Erf", node.input, shapes=shapes, dtypes=dtypes)
    one = context.make_const(make_name("one"), np.ones((), map_onnx_to_numpy_type(dtypes[0])))
    context.remove_node(node.name)
    context.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=[result], shapes=shapes, dtypes=dtypes)


def _patch() -> None:
    """Keras's mending of tf2onnx for NumPy 2."""
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        patch_tf2onnx()
