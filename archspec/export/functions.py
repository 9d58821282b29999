"""A model as TensorFlow's functions, which the formats start from: with named inputs and outputs, and frozen."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archspec.export.base import ExportFailed, called, cannot_express
from archspec.graph.ir import Graph, Node
from archspec.layers.base import Layer

if TYPE_CHECKING:
    import keras

_LEGAL = re.compile(r"[A-Za-z0-9_.>-]*")  # of a scope within others
LONGEST_UNROLLED = 200  # steps of a recurrent layer that are written out one by one


def signature(graph: Graph, batch: int | None = None) -> list[Any]:
    """The inputs as TensorFlow's specs, by name. Shape: (batch, *shape) of each."""
    import tensorflow as tf

    types = [graph.nodes[name].outputs[0] for name in graph.inputs]
    return [tf.TensorSpec((batch, *t.shape), t.dtype, name=n) for n, t in zip(graph.inputs, types, strict=True)]


def serving(model: keras.Model, graph: Graph, batch: int | None = None, jit: bool = False) -> Any:
    """A tf.function of the inputs, in their order, that gives the outputs by name. Raises ExportFailed."""
    import tensorflow as tf

    if odd := next((name for name in graph.nodes if not _LEGAL.fullmatch(name)), None):
        raise ExportFailed(f"TensorFlow has no layers of the name {odd!r}: rename it")

    def serve(*inputs: Any) -> Any:
        return called(model, graph, inputs)

    return tf.function(serve, input_signature=signature(graph, batch), autograph=False, jit_compile=jit or None)


def frozen(model: keras.Model, graph: Graph, batch: int | None = None) -> Any:
    """The same with the weights as constants; gives the outputs as a list in their order. Raises ExportFailed."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    serve = serving(model, graph, batch)

    def ordered(*inputs: Any) -> Any:
        made = serve.python_function(*inputs)
        return [tf.identity(made[name], name=name_of_output(name)) for name in graph.outputs]

    function = tf.function(ordered, input_signature=signature(graph, batch), autograph=False)
    concrete = traced(function, graph)
    try:
        made = convert_variables_to_constants_v2(concrete)
    except ValueError as error:  # a variable is written to
        raise _no_constants(graph, "the state of what it draws at random changes", str(error)) from error
    if left := [tensor.name for tensor in made.inputs[len(graph.inputs) :]]:
        raise _no_constants(graph, "what it looks words up in is no constant", " ".join(left))
    return made


def _no_constants(graph: Graph, reason: str, places: str) -> ExportFailed:
    failed = cannot_express(graph, "a graph of constants, which this takes,", reason, places=places)
    return ExportFailed(failed.message, "savedmodel and keras keep what changes, and tables of words")


def traced(function: Any, graph: Graph) -> Any:
    """The function for its signature. Raises ExportFailed, as where Keras needs a size that the graph leaves open."""
    try:
        return function.get_concrete_function()
    except (TypeError, ValueError) as error:
        kind = re.match(r"Exception encountered when calling (\w+)\.call", str(error))
        nodes = [node for node in graph.nodes.values() if kind and type(node.layer).__name__ == kind[1]]
        sized = [node.name for node in nodes if any(None in graph.type(edge).shape for edge in node.inputs)]
        reason = "Keras needs the sizes there, and the inputs leave them open" if sized else error
        raise cannot_express(graph, "a graph of TensorFlow's", reason, places=" ".join(sized)) from error


def name_of_output(name: str) -> str:
    """An output's name as one of a TensorFlow graph's."""
    return "".join(c if c.isalnum() or c in "_.-" else "_" for c in f"output_{name}")


def frozen_serving(model: keras.Model, graph: Graph) -> Any:
    """As `serving`, with the weights as constants, and whatever else layers hold besides weights."""
    import tensorflow as tf

    function = frozen(model, graph)

    def serve(*inputs: Any) -> Any:
        return dict(zip(graph.outputs, function(*inputs), strict=True))

    return tf.function(serve, input_signature=signature(graph), autograph=False)


@contextlib.contextmanager
def frozen_folder(model: keras.Model, graph: Graph) -> Iterator[Path]:
    """A SavedModel of the frozen function, its inputs and outputs by name, for converters that read files."""
    import tensorflow as tf

    module = tf.Module()
    module.serve = frozen_serving(model, graph)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # that of silu cannot be saved frozen
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.serve, options=options)
        yield Path(folder)


def tensors(inputs: Sequence[np.ndarray]) -> list[Any]:
    import tensorflow as tf

    return [tf.constant(each) for each in inputs]


def unrolled(graph: Graph) -> Graph | None:
    """The graph with its recurrent layers written out step by step; None where there are none, or steps unknown.

    Their weights and results stay the same: `unroll` says only how Keras computes them.
    """
    nodes = {name: _unrolled(graph, node) for name, node in graph.nodes.items()}
    changed = {name for name, node in nodes.items() if node is not graph.nodes[name]}
    return replace(graph, nodes=nodes) if changed else None


@contextlib.contextmanager
def backward_masks() -> Iterator[None]:
    """Steps that are written out backwards, right where a mask leaves some out.

    Keras zeroes what they give at the places that the mask has forwards; so sequence and mask are turned beforehand.
    """
    from keras.src import backend

    rnn = backend.rnn

    def turned(
        step: Any, inputs: Any, *others: Any, mask: Any = None, go_backwards: bool = False, **options: Any
    ) -> Any:
        if go_backwards and mask is not None and options.get("unroll"):
            inputs, mask, go_backwards = backend.numpy.flip(inputs, 1), backend.numpy.flip(mask, 1), False
        return rnn(step, inputs, *others, mask=mask, go_backwards=go_backwards, **options)

    backend.rnn = turned
    try:
        yield
    finally:
        backend.rnn = rnn


def _unrolled(graph: Graph, node: Node) -> Node:
    steps = graph.type(node.inputs[0]).shape[0] if node.inputs and graph.type(node.inputs[0]).shape else None
    if steps is None or steps > LONGEST_UNROLLED:
        return node
    layer = _unroll(node.layer)
    return node if layer is node.layer else replace(node, layer=layer)


def _unroll(layer: Layer) -> Layer:
    if "unroll" in type(layer).model_fields:
        return layer.model_copy(update={"unroll": True})
    inner = {n: v for n in ("layer", "backward_layer") if isinstance(v := getattr(layer, n, None), Layer)}
    made = {name: _unroll(value) for name, value in inner.items()}
    changed = any(made[name] is not inner[name] for name in inner)
    return layer.model_copy(update=made) if changed else layer
