"""Where a tensor comes into a frame and forks there: a point inside, from which its ways go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archspec.draw.model import Box, Edge, Group, boxes

Items = tuple[Box | Group, ...]


def with_entries(items: Items, edges: Sequence[Edge]) -> tuple[Items, tuple[Edge, ...]]:
    """The items and edges with such points in the frames, the main way first."""
    lines = list(edges)
    found = tuple(_entered(item, lines) if isinstance(item, Group) else item for item in items)
    return found, tuple(sorted(lines, key=lambda edge: edge.kind != "main"))


def _entered(group: Group, lines: list[Edge]) -> Group:
    own = {box.id for box in boxes(group.items)}
    ways: dict[str, list[Edge]] = {}
    for edge in lines:
        if edge.head in own and edge.tail not in own:
            ways.setdefault(edge.tail, []).append(edge)
    points: list[Box] = []
    for forks in ways.values():
        if len(forks) == 1:
            continue
        point = Box(f"{group.id}in{len(points) + 1}", "point", "", "fork")
        points.append(point)
        wires = tuple(wire for edge in forks for wire in edge.wires)
        lines[:] = [edge for edge in lines if edge not in forks]
        way = next((edge for edge in forks if edge.kind == "main"), forks[0])
        lines.append(replace(way, head=point.id, kind="main", wires=wires))
        lines += [replace(edge, tail=point.id, label="", wires=()) for edge in forks]
    inner = tuple(_entered(item, lines) if isinstance(item, Group) else item for item in group.items)
    return replace(group, items=(*points, *inner))
