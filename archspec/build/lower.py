"""Graph → keras.Model: each node is one call of a Keras layer, and Keras is told the shapes that the graph knows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from archspec.build.initial import drawn_with_numpy
from archspec.build.objects import call_arguments, keras_layer
from archspec.graph.ir import Graph, Node
from archspec.graph.names import legal_name
from archspec.graph.weights import broadcasts
from archspec.layers.base import group_inputs, tensor_parameters
from archspec.layers.core import InputLayer
from archspec.layers.weight import Weight
from archspec.tensor import TensorType

Tensors = dict[str, list[keras.KerasTensor]]


def build(graph: Graph) -> keras.Model:
    """A functional model: layers named as the nodes, several outputs as a dict by the names that the spec gives them.

    Weights that nodes share are those of one layer, called several times.
    """
    uses = _uses(graph)
    layers: dict[str, keras.Layer] = {}
    tensors: Tensors = {}
    for node in graph.nodes.values():
        if isinstance(node.layer, InputLayer):
            (tensor,) = node.outputs
            tensors[node.name] = [keras.Input(tensor.shape, dtype=tensor.dtype, name=node.name)]
            continue
        if node.name in uses:
            layer = _layer(graph, uses[node.name])
            layers |= dict.fromkeys((use.name for use in uses[node.name]), layer)
        tensors[node.name] = _call(layers[node.name], node, tensors, tensors[graph.inputs[0]][0])
    inputs = [tensors[name][0] for name in graph.inputs]
    outputs = {name: tensors[edge.node][edge.index] for name, edge in graph.outputs.items()}
    model = keras.Model(
        inputs if len(inputs) > 1 else inputs[0],
        outputs if len(outputs) > 1 else next(iter(outputs.values())),
        name=legal_name(graph.name),
    )
    _assert_weights(graph, layers)
    return model


def _uses(graph: Graph) -> Mapping[str, list[Node]]:
    """The nodes that use the weights of each node that makes its own, itself first."""
    uses: dict[str, list[Node]] = {}
    owners: dict[str, str] = {}
    for node in graph.nodes.values():
        owners[node.name] = owners[node.shares] if node.shares else node.name
        uses.setdefault(owners[node.name], []).append(node)
    return uses


def _layer(graph: Graph, uses: list[Node]) -> keras.Layer:
    owner = uses[0]
    layer = keras_layer(owner.layer, name=owner.name, trainable=owner.trainable)
    if isinstance(owner.layer, Weight):
        layer.per_example = not all(broadcasts(graph, use) for use in uses)
    return layer


def _call(layer: keras.Layer, node: Node, tensors: Tensors, first: keras.KerasTensor) -> list[keras.KerasTensor]:
    args, kwargs = call_tensors(layer, node, [tensors[edge.node][edge.index] for edge in node.inputs])
    if not node.inputs:
        args = [first]
    with drawn_with_numpy(layer), _known_outputs(layer, node.outputs, args, kwargs):
        made: list[keras.KerasTensor] = keras.tree.flatten(layer(*args, **kwargs, **call_arguments(node.layer)))
    return made


def call_tensors(layer: keras.Layer, node: Node, values: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The call's tensors: the first parameter's by position, as Keras asks for masks and build, the others by name."""
    positional, named = group_inputs(type(node.layer), node.parameters, tuple(values))
    named = {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}
    nesting = _state_nesting(layer)
    for name in {"initial_state", "states"} & named.keys() if nesting else ():
        named[name] = keras.tree.pack_sequence_as(nesting, named[name])
    if positional:
        return [positional], named
    for parameter in tensor_parameters(type(node.layer))[:1]:
        return [named.pop(parameter.name)] if parameter.name in named else [], named
    return [], named


def _state_nesting(layer: keras.Layer) -> list[Any] | None:
    """How Keras nests the states of a stack of cells, one entry for each cell; None where it takes them flat."""
    if isinstance(layer, keras.layers.Bidirectional):
        forward, backward = _state_nesting(layer.forward_layer), _state_nesting(layer.backward_layer)
        return [*forward, *backward] if forward and backward else None
    cells = getattr(layer, "cell", layer)
    if not isinstance(cells, keras.layers.StackedRNNCells):
        return None
    return [list(size) if isinstance(size, list | tuple) else size for size in cells.state_size]


@contextmanager
def _known_outputs(
    layer: keras.Layer, outputs: tuple[TensorType, ...], args: list[Any], kwargs: Mapping[str, Any]
) -> Iterator[None]:
    """Within the context, a symbolic call takes the outputs that the graph knows instead of tracing the layer.

    Keras finds them itself where it computes in another dtype than the graph assumed (mixed precision), or where
    tensors may be sparse, which the graph does not say.
    """
    sparse = getattr(layer, "sparse", False) or any(x.sparse for x in keras.tree.flatten((args, dict(kwargs))))
    if sparse or any("float" in t.dtype and t.dtype != layer.compute_dtype for t in outputs):
        yield
        return
    known = [keras.KerasTensor((None, *t.shape), dtype=t.dtype) for t in outputs]
    vars(layer)["compute_output_spec"] = lambda *_, **__: known[0] if len(known) == 1 else tuple(known)
    try:
        yield
    finally:
        del vars(layer)["compute_output_spec"]


def _assert_weights(graph: Graph, layers: Mapping[str, keras.Layer]) -> None:
    """The graph's rules and Keras must agree on every layer's weights: anything else is our bug."""
    for name, layer in layers.items():
        if graph.nodes[name].shares:
            continue
        said = sum(weight.size for weight in graph.weights(graph.nodes[name]))
        made = sum(math.prod(weight.shape) for weight in layer.weights)
        assert said == made, f"{name} ({type(layer).__name__}) has {made} parameters, the graph says {said}"
