"""Nodes that no output needs."""

from __future__ import annotations

from dataclasses import replace

from archspec.graph.ir import Edge, Graph, Node


def pruned(graph: Graph) -> Graph:
    """The graph without the nodes that no output needs; inputs stay. The same object where all are needed.

    Where the use of a layer that makes its weights is not needed, but another is, that takes its place and name: so
    does Keras, whose layer has the name of its first use.
    """
    needed = {edge.node for edge in graph.outputs.values()} | set(graph.inputs)
    for name in reversed(list(graph.nodes)):
        if name in needed:
            needed.update(edge.node for edge in graph.nodes[name].inputs)
    if len(needed) == len(graph.nodes):
        return graph
    nodes: dict[str, Node] = {}
    owners: dict[str, str] = {}
    names: dict[str, str] = {}

    def moved(edge: Edge) -> Edge:
        return Edge(names[edge.node], edge.index)

    for name, node in graph.nodes.items():
        owner = owners[name] = owners[node.shares] if node.shares else name
        if name in needed:
            first = owner not in nodes
            new = names[name] = owner if first else name
            inputs = tuple(map(moved, node.inputs))
            nodes[new] = replace(node, name=new, inputs=inputs, shares=None if first else owner)
    outputs = {name: moved(edge) for name, edge in graph.outputs.items()}
    tensors = {name: moved(edge) for name, edge in graph.tensors.items() if edge.node in needed}
    return replace(graph, nodes=nodes, outputs=outputs, tensors=tensors)
