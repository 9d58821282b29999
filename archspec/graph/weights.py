"""What a weight of its own is read by."""

from __future__ import annotations

from archspec.graph.ir import Graph, Node
from archspec.layers.merging import Add, Average, Maximum, Minimum, Multiply, Subtract
from archspec.layers.weight import Weight

BROADCASTING = (Add, Subtract, Multiply, Average, Maximum, Minimum)


def broadcasts(graph: Graph, node: Node) -> bool:
    """Whether a weight needs no copy for each example: all that read it broadcast it over a tensor that has them."""
    if any(edge.node == node.name for edge in graph.outputs.values()):
        return False
    readers = [graph.nodes[name] for name in graph.readers[node.name]]
    return all(
        isinstance(reader.layer, BROADCASTING)
        and any(not isinstance(graph.nodes[edge.node].layer, Weight) for edge in reader.inputs)
        for reader in readers
    )
