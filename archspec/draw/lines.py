"""Which of a tensor's ways are the main ones, and which are the long skips of an encoder and decoder."""

from __future__ import annotations

from itertools import pairwise

from archspec.draw.model import Panel, Wire, boxes
from archspec.graph.ir import Graph


def main_wires(graph: Graph) -> set[Wire]:
    """The longest ways through forks, which are drawn straight."""
    depths: dict[str, int] = {}
    for node in graph.nodes.values():
        depths[node.name] = 1 + max((depths[edge.node] for edge in node.inputs), default=0)
    heights: dict[str, int] = {}
    for name in reversed(tuple(graph.nodes)):
        heights[name] = 1 + max((heights[reader] for reader in graph.readers[name]), default=0)
    longest = {name: max(readers, key=heights.__getitem__) for name, readers in graph.readers.items() if readers}
    main: set[Wire] = set()
    for node in graph.nodes.values():
        deepest = max((edge.node for edge in node.inputs), key=depths.__getitem__, default="")
        for place, edge in enumerate(node.inputs):
            if edge.node == deepest and longest[edge.node] == node.name:
                main.add((edge.node, edge.index, node.name, place))
    return main


def long_skips(panel: Panel) -> tuple[tuple[str, str], ...]:
    """The pairs of boxes that skips join, outermost first, where they lie inside each other as in a U."""
    order = {box.id: place for place, box in enumerate(boxes(panel.items))}
    pairs = [
        (edge.tail, edge.head) for edge in panel.edges
        if edge.kind != "main" and edge.wires and order[edge.head] - order[edge.tail] > 1
    ]  # fmt: skip
    pairs.sort(key=lambda pair: (order[pair[0]], -order[pair[1]]))
    nested = all(order[a[0]] < order[b[0]] and order[a[1]] > order[b[1]] for a, b in pairwise(pairs))
    chain = all(sum(e.kind == "main" and e.tail == box for e in panel.edges) <= 1 for box in order)
    labels = [edge.label for edge in panel.edges if (edge.tail, edge.head) in pairs]
    return tuple(pairs) if nested and chain and len(set(labels)) == len(labels) else ()
