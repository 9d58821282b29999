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
    made = convert_variables_to_constants_v2(function.get_concrete_function())
    if left := [tensor.name for tensor in made.inputs[len(graph.inputs) :]]:
        reason = "what it looks words up in is no constant"
        raise cannot_express(graph, "a graph of constants", reason, places=" ".join(left))
    return made


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
