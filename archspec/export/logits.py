"""What outputs are before their last activation, where that squeezes: errors there are hard to see behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archspec.graph.ir import Edge, Graph, Node
from archspec.layers.core import Activation
from archspec.optimize.facts import activation_of, takes_activation
from archspec.optimize.network import Network
from archspec.optimize.rewrite import changed

SQUEEZING = ("sigmoid", "softmax", "tanh")  # of large values they give next to the same whatever those are


def with_logits(networks: Sequence[Network]) -> list[Network]:
    """The networks with a further output, `NAME before softmax`, for each that has the same end in all of them.

    An activation that is an argument of its layer becomes a layer behind it, which computes the same.
    """
    first, *others = [_ends(network.graph) for network in networks]
    alike = {name: end for name, end in first.items() if all(other.get(name) == end for other in others)}
    return [replace(network, graph=_shown(network.graph, alike)) for network in networks] if alike else list(networks)


def _ends(graph: Graph) -> dict[str, str]:
    """The squeezing activations of the outputs that end with one. Linear in the graph."""
    shared = {node.shares for node in graph.nodes.values()}
    found = {}
    for name, edge in graph.outputs.items():
        node = graph.nodes[edge.node]
        if takes_activation(node.layer):
            own = not node.shares and node.name not in shared  # one layer cannot have it for some of its uses only
            end = getattr(node.layer, "activation", None) if own else None
        else:
            end = activation_of(node.layer) if len(node.inputs) == 1 else None  # a softmax may take a mask
        if end in SQUEEZING:
            found[name] = end
    return found


def _shown(graph: Graph, ends: dict[str, str]) -> Graph:
    last = {graph.outputs[name].node: end for name, end in ends.items()}
    nodes: dict[str, Node] = {}
    moved: dict[Edge, Edge] = {}
    before: dict[str, Edge] = {}
    for name, node in graph.nodes.items():
        node = replace(node, inputs=tuple(moved.get(edge, edge) for edge in node.inputs))
        nodes[name] = node
        if name in last and takes_activation(node.layer):
            nodes[name] = replace(node, layer=changed(node.layer, activation=None))
            behind = _activation(graph, node, last[name])
            nodes[behind.name] = behind
            moved[Edge(name)] = Edge(behind.name)
            before[name] = Edge(name)
        elif name in last:
            before[name] = node.inputs[0]
    outputs = {name: moved.get(edge, edge) for name, edge in graph.outputs.items()}
    outputs |= {f"{name} before {end}": before[graph.outputs[name].node] for name, end in ends.items()}
    return replace(graph, nodes=nodes, outputs=outputs)


def _activation(graph: Graph, node: Node, activation: str) -> Node:
    name = f"{node.name}_{activation}"
    while name in graph.nodes:
        name += "_"
    layer = Activation.model_validate({"activation": activation, "dtype": node.layer.dtype})
    return Node(name, layer, (Edge(node.name),), ("inputs",), node.outputs, origin=node.origin)
