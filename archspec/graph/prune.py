"""Nodes that no output needs."""

from __future__ import annotations

from dataclasses import replace

from archspec.graph.ir import Graph


def pruned(graph: Graph) -> Graph:
    """The graph without the nodes that no output needs; inputs stay. The same object where all are needed."""
    needed = {edge.node for edge in graph.outputs.values()} | set(graph.inputs)
    for name in reversed(list(graph.nodes)):
        if name in needed:
            node = graph.nodes[name]
            needed.update(edge.node for edge in node.inputs)
            if node.shares:
                needed.add(node.shares)
    if len(needed) == len(graph.nodes):
        return graph
    nodes = {name: node for name, node in graph.nodes.items() if name in needed}
    return replace(graph, nodes=nodes, tensors={name: e for name, e in graph.tensors.items() if e.node in needed})
