"""Bytes that a network needs, from its shapes alone. Unknown lengths count as one.

These are lower bounds: what a framework keeps beside the tensors (workspaces, buffers, fragmentation, the inside of
layers such as attention scores or recurrent gates) is not in them, nor what it saves by fusing operations.
"""

from __future__ import annotations

from collections.abc import Mapping

from archspec.analysis.cost import graph_cost
from archspec.graph.ir import Edge, Graph


def weight_bytes(graph: Graph) -> int:
    """Bytes of all weights; shared ones count once."""
    return graph_cost(graph).weight_bytes


def activation_bytes(graph: Graph) -> int:
    """Bytes of all nodes' outputs for one example: what training keeps for the backward pass."""
    return graph_cost(graph).output_bytes


def peak_bytes(graph: Graph) -> int:
    """The most bytes of tensors alive at once when one example runs forward, in the graph's order, without weights.

    A tensor lives from the node that makes it to the last node that reads it; a result lives to the end, and inputs
    live from the start, as they come first. While a node runs, its inputs and outputs are both alive.
    """
    last_reader = _last_readers(graph)
    dying: dict[str, list[Edge]] = {}
    for edge, reader in last_reader.items():
        dying.setdefault(reader, []).append(edge)
    alive = peak = 0
    for node in graph.nodes.values():
        alive += sum(output.bytes for output in node.outputs)
        peak = max(peak, alive)
        alive -= sum(graph.type(edge).bytes for edge in dying.get(node.name, ()))
    return peak


def inference_bytes(graph: Graph, batch_size: int = 1) -> int:
    """Bytes to run a batch forward: weights + peak × batch size."""
    return weight_bytes(graph) + peak_bytes(graph) * batch_size


def training_bytes(graph: Graph, batch_size: int, slots: int = 2) -> int:
    """Bytes to train: weights + gradients + optimizer's slots + activations × batch size.

    Gradients, and each slot, take as many bytes as the trainable weights. Plain SGD has no slot, with momentum one,
    Adam two.
    """
    cost = graph_cost(graph)
    return cost.weight_bytes + (1 + slots) * cost.trainable_bytes + cost.output_bytes * batch_size


def _last_readers(graph: Graph) -> Mapping[Edge, str]:
    """The node after which each tensor is no longer needed: its own where nothing reads it. Results are left out."""
    last: dict[Edge, str] = {}
    for node in graph.nodes.values():
        last.update((edge, node.name) for edge in node.inputs)
        last.update((Edge(node.name, index), node.name) for index in range(len(node.outputs)))
    for edge in graph.outputs.values():
        last.pop(edge, None)
    return last
