"""Which of a tensor's ways are the main ones, and which are the long skips of an encoder and decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from archspec.draw.model import Panel, Wire, boxes
from archspec.graph.ir import Graph


def main_wires(graph: Graph) -> set[Wire]:
    """The longest ways through forks, which are drawn straight."""
    inputs = {node.name: [edge.node for edge in node.inputs] for node in graph.nodes.values()}
    main = main_ways(inputs)
    found: set[Wire] = set()
    for node in graph.nodes.values():
        found.update((e.node, e.index, node.name, i) for i, e in enumerate(node.inputs) if (e.node, node.name) in main)
    return found


def main_ways(inputs: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
    """Which of the ways into each are the longest from where they come, too. What is read stands before its readers."""
    depths: dict[str, int] = {}
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    for name, sources in inputs.items():
        depths[name] = 1 + max((depths.get(source, 0) for source in sources), default=0)
        for source in sources:
            readers[source].append(name)
    heights: dict[str, int] = {}
    for name in reversed(tuple(inputs)):
        heights[name] = 1 + max((heights.get(reader, 0) for reader in readers[name]), default=0)
    longest = {name: max(own, key=heights.__getitem__) for name, own in readers.items() if own}
    deepest = {name: max(own, key=lambda source: depths.get(source, 0)) for name, own in inputs.items() if own}
    return {(source, name) for name, source in deepest.items() if longest[source] == name}


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
