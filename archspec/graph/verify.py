"""The invariants that every graph keeps. A breach is a bug of ours, never a mistake in a spec."""

from __future__ import annotations

from archspec.graph.ir import Edge, Graph, Node
from archspec.layers.base import Layer, WeightSpec, call_fields, group_inputs, tensor_parameters


def verify(graph: Graph) -> None:
    """Asserts that the graph is well formed; for tests and after passes. Linear in the graph.

    * Nodes stand under their own names, the inputs first; exactly the inputs have the layer InputLayer.
    * An edge points to an earlier node and to an output that it has; each goes to a parameter of the layer's call.
    * A node's outputs are what its layer infers from its inputs.
    * A node that shares weights points to an earlier node with the same layer and weights.
    """
    inputs = tuple(name for name, node in graph.nodes.items() if type(node.layer).__name__ == "InputLayer")
    assert set(inputs) == set(graph.inputs), f"inputs are {graph.inputs}, but InputLayer nodes are {inputs}"
    assert tuple(graph.nodes)[: len(inputs)] == graph.inputs, f"inputs {graph.inputs} must come first, in their order"
    seen: dict[str, Node] = {}
    for name, node in graph.nodes.items():
        assert node.name == name, f"node {node.name} stands under the name {name}"
        assert name, "a node has no name"
        _verify_inputs(node, seen)
        inferred = graph.infer(node)
        assert inferred == node.outputs, f"{name}: outputs are {_show(node.outputs)}, inferred {_show(inferred)}"
        if node.shares is not None:
            _verify_shares(graph, node, seen)
        seen[name] = node
    for kind, edges in (("output", graph.outputs), ("tensor", graph.tensors)):
        for name, edge in edges.items():
            _verify_edge(f"{kind} {name}", edge, seen)


def _verify_edge(reader: str, edge: Edge, seen: dict[str, Node]) -> None:
    assert edge.node in seen, f"{reader} reads {edge}, which is not an earlier node"
    outputs = len(seen[edge.node].outputs)
    assert 0 <= edge.index < outputs, f"{reader} reads {edge}, but {edge.node} has {outputs} outputs"


def _verify_inputs(node: Node, seen: dict[str, Node]) -> None:
    for edge in node.inputs:
        _verify_edge(node.name, edge, seen)
    assert len(node.inputs) == len(node.parameters), f"{node.name}: {len(node.inputs)} inputs for {node.parameters}"
    takes = {p.name: p for p in tensor_parameters(type(node.layer))}
    for name in node.parameters:
        assert name in takes, f"{node.name}: {type(node.layer).__name__} takes {', '.join(takes)}, not {name}"
        assert takes[name].several or node.parameters.count(name) == 1, f"{node.name}: {name} is given twice"
    for parameter in takes.values():
        assert not parameter.required or parameter.name in node.parameters, f"{node.name} lacks {parameter.name}"


def _verify_shares(graph: Graph, node: Node, seen: dict[str, Node]) -> None:
    assert node.shares in seen, f"{node.name} shares the weights of {node.shares}, which is not an earlier node"
    owner = seen[node.shares]
    assert made(node.layer) == made(owner.layer), f"{node.name} shares weights with {owner.name}, a different layer"
    own, others = _weights(graph, node), _weights(graph, owner)
    assert own == others, f"{node.name} shares weights with {owner.name}: {own} against {others}"


def made(layer: Layer) -> tuple[object, ...]:
    """What makes the layer itself: its class and all arguments but those of the call."""
    cls = type(layer)
    return cls, *(getattr(layer, name) for name in cls.model_fields if name not in call_fields(cls))


def _weights(graph: Graph, node: Node) -> tuple[WeightSpec, ...]:
    positional, named = group_inputs(type(node.layer), node.parameters, graph.input_types(node))
    return node.layer.weights(*positional, **named)


def _show(types: tuple[object, ...]) -> str:
    return ", ".join(map(str, types))
