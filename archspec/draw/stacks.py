"""Which boxes of a panel stand under each other, so that they get one width, before anything is laid out."""

from __future__ import annotations

from collections import Counter

from archspec.draw.model import Edge, Panel, boxes


def stacks(panel: Panel) -> list[tuple[str, ...]]:
    """The ids of each column's boxes: those along main lines, and those that only read each other."""
    if panel.shape == "u":
        return [ids for ids in sides(panel) if ids]
    leader = {box.id: box.id for box in boxes(panel.items)}
    for edge in _straight(panel.edges):
        leader[_first(leader, edge.head)] = _first(leader, edge.tail)
    found: dict[str, list[str]] = {}
    for id in leader:
        found.setdefault(_first(leader, id), []).append(id)
    return [tuple(ids) for ids in found.values()]


def sides(panel: Panel) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Of a U: the boxes on its left, the one that may lie in the middle of its bottom, those on its right, in order."""
    order = tuple(box.id for box in boxes(panel.items))
    first, last = order.index(panel.levels[-1][0]) + 1, order.index(panel.levels[-1][1])
    half = (last - first) // 2
    return order[: first + half], order[first + half : last - half], order[last - half :]


def _straight(edges: tuple[Edge, ...]) -> list[Edge]:
    sources, readers = Counter(edge.head for edge in edges), Counter(edge.tail for edge in edges)
    main = [edge for edge in edges if edge.kind == "main"]
    ins, outs = Counter(edge.head for edge in main), Counter(edge.tail for edge in main)
    return [
        edge
        for edge in edges
        if (readers[edge.tail] == sources[edge.head] == 1)
        or (edge.kind == "main" and ins[edge.head] == outs[edge.tail] == 1)
    ]


def _first(leader: dict[str, str], id: str) -> str:
    while leader[id] != id:
        leader[id] = id = leader[leader[id]]
    return id
