"""Graph, Node, Edge, Origin: all frozen. Edges go by name, so a graph prints, diffs and rewrites without rewiring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from archspec.diagnostics import Span
from archspec.layers.base import Layer, Outputs, WeightSpec, group_inputs
from archspec.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Edge:
    """One output of a node."""

    node: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.node}:{self.index}" if self.index else self.node


@dataclass(frozen=True, slots=True)
class Use:
    """A step that opened a scope on the way to a node: a block's use, a named group, a path, an iteration.

    `kind` is block, group, path or spec; `iteration` and `iterations` count from 1 where the step is repeated or
    looped, and `variables` holds the loop's variables and the block's arguments as they were.
    """

    kind: str
    name: str
    span: Span | None
    iteration: int = 0
    iterations: int = 0
    variables: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a node comes from: its step's place, and the uses that led to it, outermost first, one for each scope."""

    span: Span | None = None
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A layer applied to tensors.

    `parameters[i]` names the parameter of the layer's call that `inputs[i]` goes to (see `layers.base.group_inputs`).
    `shares` names the node whose weights this one uses. The name is the dotted scope and the layer's own name.
    """

    name: str
    layer: Layer
    inputs: tuple[Edge, ...]
    parameters: tuple[str, ...]
    outputs: tuple[TensorType, ...]
    shares: str | None = None
    trainable: bool = True
    origin: Origin = Origin()

    @property
    def scope(self) -> tuple[str, ...]:
        return tuple(self.name.split(".")[:-1])


@dataclass(frozen=True)
class Graph:
    """A network: nodes in topological order, its inputs first among them (layer InputLayer), and its named results.

    `tensors` holds the tensors that the spec named at its top level, for losses and drawings.
    """

    name: str
    nodes: Mapping[str, Node]
    inputs: tuple[str, ...]
    outputs: Mapping[str, Edge]
    tensors: Mapping[str, Edge] = field(default_factory=dict)

    def type(self, edge: Edge) -> TensorType:
        """The type of the tensor that an edge carries."""
        return self.nodes[edge.node].outputs[edge.index]

    def input_types(self, node: Node) -> tuple[TensorType, ...]:
        return tuple(self.type(edge) for edge in node.inputs)

    def infer(self, node: Node) -> tuple[TensorType, ...]:
        """The node's outputs by its layer's rule. Raises ShapeError."""
        return as_tuple(node.layer.infer(*_grouped(self, node)[0], **_grouped(self, node)[1]))

    def weights(self, node: Node) -> tuple[WeightSpec, ...]:
        """The weights that the node makes: none where it shares another's."""
        if node.shares:
            return ()
        positional, named = _grouped(self, node)
        return node.layer.weights(*positional, **named)

    def macs(self, node: Node) -> int:
        positional, named = _grouped(self, node)
        return node.layer.macs(*positional, **named)

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes that read each node, in order."""
        readers: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for edge in node.inputs:
                readers[edge.node].append(node.name)
        return {name: tuple(r) for name, r in readers.items()}


def owner(nodes: Mapping[str, Node], node: Node) -> Node:
    """The node that makes the weights that a node uses: itself where it shares none."""
    while node.shares is not None:
        node = nodes[node.shares]
    return node


def as_tuple(outputs: Outputs) -> tuple[TensorType, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _grouped(graph: Graph, node: Node) -> tuple[list[TensorType], dict[str, object]]:
    return group_inputs(type(node.layer), node.parameters, graph.input_types(node))
