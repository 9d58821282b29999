"""A network whose chosen blocks compute their tensors again in the backward pass, in place of keeping them.

Keras's own RematScope wraps single layers, which keeps every layer's input, and draws dropout anew. Here a whole block
is one function of its inputs and variables, with the states of its random layers among them, so that both passes see
the same numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from archspec.build.lower import call_tensors
from archspec.build.objects import call_arguments
from archspec.graph.ir import Edge, Graph, Node, owner
from archspec.layers.core import InputLayer

Values = dict[Edge, Any]


def rematerialised(graph: Graph, network: keras.Model, blocks: Sequence[Sequence[str]]) -> keras.Model:
    """A model with the network's inputs, outputs and weights that computes the blocks again; itself where none is."""
    if not blocks:
        return network
    inputs = [keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in network.inputs]
    given = inputs if len(inputs) > 1 else inputs[0]
    return keras.Model(given, Rematerialised(graph, network, blocks)(given), name=network.name)


@dataclass(frozen=True)
class _Part:
    """Nodes that run together: what enters them, and what others read. `again`: computed in the backward pass, too."""

    nodes: tuple[Node, ...]
    reads: tuple[Edge, ...]
    gives: tuple[Edge, ...]
    again: bool


class Rematerialised(keras.Model):  # type: ignore[misc]
    """The network, with the same layers and weights, which runs the named blocks as functions computed twice.

    `blocks` hold the names of nodes that follow each other in the graph. It is called, and answers, like the network.
    """

    def __init__(self, graph: Graph, network: keras.Model, blocks: Sequence[Sequence[str]]) -> None:
        super().__init__(name=f"{network.name}_rematerialised")
        self.network = network
        self._graph = graph
        self._parts = _parts(graph, blocks)
        self._several = isinstance(network.output, Mapping)

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        given = [inputs] if len(self._graph.inputs) == 1 else list(inputs)
        values: Values = {Edge(name): value for name, value in zip(self._graph.inputs, given, strict=True)}
        for part in self._parts:
            if part.again:
                values.update(self._again(part, values, training))
            else:
                self._run(part.nodes, values, training)
        named = {name: values[edge] for name, edge in self._graph.outputs.items()}
        return named if self._several else next(iter(named.values()))

    def compute_output_spec(self, inputs: Any, **_: Any) -> Any:
        return self.network.compute_output_spec(inputs)

    def _run(self, nodes: Sequence[Node], values: Values, training: bool | None) -> None:
        for node in nodes:
            layer = self._layer(node)
            given = [values[edge] for edge in node.inputs]
            args, kwargs = call_tensors(layer, node, given)
            if not node.inputs:
                args = [values[Edge(self._graph.inputs[0])]]
            if "training" in inspect.signature(layer.call).parameters:
                kwargs["training"] = training
            made = keras.tree.flatten(layer(*args, **kwargs, **call_arguments(node.layer)))
            values.update({Edge(node.name, i): value for i, value in enumerate(made)})

    def _layer(self, node: Node) -> keras.Layer:
        return self.network.get_layer(owner(self._graph.nodes, node).name)

    def _again(self, part: _Part, values: Values, training: bool | None) -> Values:
        """The block as a function of flat tensors, since TensorFlow's recomputation takes gradients of no others."""
        layers = {id(layer): layer for layer in map(self._layer, part.nodes)}.values()
        learning = _unique(v for layer in layers for v in layer.trainable_variables)
        states = _unique(v for layer in layers for v in layer.non_trainable_variables)
        begin = [variable.value * 1 for variable in states]  # copied: TensorFlow would read them late
        floats = [edge for edge in part.reads if "float" in keras.backend.standardize_dtype(values[edge].dtype)]

        def block(*tensors: Any) -> tuple[Any, ...]:
            mapping = [*zip(learning, tensors, strict=False), *zip(states, begin, strict=True)]
            inside = {edge: values[edge] for edge in part.reads} | dict(
                zip(floats, tensors[len(learning) :], strict=True)
            )
            with keras.StatelessScope(state_mapping=mapping) as scope:
                self._run(part.nodes, inside, training)
            after = [scope.get_current_value(variable) for variable in states]
            ends = [end if end is not None else start for end, start in zip(after, begin, strict=True)]
            return (*(inside[edge] for edge in part.gives), *ends)

        made = keras.remat(block)(*map(keras.ops.convert_to_tensor, learning), *(values[edge] for edge in floats))
        for variable, value in zip(states, made[len(part.gives) :], strict=True):
            variable.assign(value)
        return dict(zip(part.gives, made, strict=False))


def _unique(variables: Any) -> list[Any]:
    return list({id(variable): variable for variable in variables}.values())


def _parts(graph: Graph, blocks: Sequence[Sequence[str]]) -> tuple[_Part, ...]:
    """The network cut into its blocks and what lies between them, in the graph's order."""
    block_of = {name: i for i, names in enumerate(blocks) for name in names}
    runs: list[tuple[int | None, list[Node]]] = []
    for node in graph.nodes.values():
        if isinstance(node.layer, InputLayer):
            continue
        block = block_of.get(node.name)
        if not runs or runs[-1][0] != block:
            runs.append((block, []))
        runs[-1][1].append(node)
    found = [block for block, _ in runs if block is not None]
    assert len(found) == len(set(found)), "the nodes of a block must follow each other"
    return tuple(_part(graph, nodes, block is not None) for block, nodes in runs)


def _part(graph: Graph, nodes: Sequence[Node], again: bool) -> _Part:
    inside = {node.name for node in nodes}
    reads = dict.fromkeys(edge for node in nodes for edge in node.inputs if edge.node not in inside)
    if any(not node.inputs for node in nodes):
        reads[Edge(graph.inputs[0])] = None
    results = set(graph.outputs.values())
    gives = [
        edge
        for node in nodes
        for edge in (Edge(node.name, i) for i in range(len(node.outputs)))
        if edge in results or any(edge in graph.nodes[r].inputs for r in graph.readers[node.name] if r not in inside)
    ]
    return _Part(tuple(nodes), tuple(reads), tuple(gives), again)
