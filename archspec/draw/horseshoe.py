"""A U: the encoder down the left, the decoder up the right, what a skip joins at the same height."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, zip_longest

from archspec.draw.geometry import Layout, Place, Rect, Way
from archspec.draw.model import Edge, Panel, boxes
from archspec.draw.stacks import sides
from archspec.draw.style import Style

GAP = 12.0  # points between rows, with an arrow in it
TIP = 4.5  # an arrow's length
LEAST, MOST = 34.0, 96.0  # a skip's length: dashes are still seen, the eye still follows

Row = tuple[str | None, str | None]


def is_u(panel: Panel) -> bool:
    """Whether it is nothing but a chain with skips across; else Graphviz has to lay it out."""
    order = [box.id for box in boxes(panel.items)]
    chain = set(pairwise(order))
    across = {(edge.tail, edge.head) for edge in panel.edges} - chain
    return len(order) == len(panel.items) and across == set(panel.levels)


def u_layout(panel: Panel, sizes: Mapping[str, Place], width: float, style: Style) -> Layout:
    """The U in at most a width, if its boxes let it; skips as long as their labels need. `sizes` are the boxes'."""
    rows, bottom = _rows(panel)
    left = max(sizes[a].width for a, _ in rows if a)
    right = max(sizes[b].width for _, b in rows if b)
    labels = [_label_width(edge, style) + 14 for edge in panel.edges if _label_width(edge, style)]
    middle = max((sizes[id].width for id in bottom), default=0.0)
    free = min(MOST, width - left - right)
    between = max(LEAST, *labels, min(free, middle - (left + right) / 2)) if labels else max(LEAST, min(free, 60.0))
    columns = (left / 2, left + between + right / 2)
    places: dict[str, Place] = {}
    y = 0.0
    for row in rows:
        height = max(sizes[id].height for id in row if id)
        for x, id in zip(columns, row, strict=True):
            if id:
                places[id] = Place(x, y - height / 2, sizes[id].width, sizes[id].height)
        y -= height + GAP
    for id in bottom:
        places[id] = Place(sum(columns) / 2, y - sizes[id].height / 2, sizes[id].width, sizes[id].height)
        y -= sizes[id].height + GAP
    ways = {(edge.tail, edge.head): _way(edge, places, set(bottom), style) for edge in panel.edges}
    return Layout(places, ways, {})


def _rows(panel: Panel) -> tuple[list[Row], tuple[str, ...]]:
    """Boxes at equal height, from the top; what is above or between levels stands close to the lower one."""
    down, bottom, up = sides(panel)
    up = up[::-1]
    rows: list[Row] = []
    for a, b in panel.levels:
        i, j = down.index(a), up.index(b)
        rows += list(zip_longest(down[:i][::-1], up[:j][::-1]))[::-1]
        rows.append((a, b))
        down, up = down[i + 1 :], up[j + 1 :]
    return rows + list(zip_longest(down, up)), bottom


def _way(edge: Edge, places: Mapping[str, Place], bottom: set[str], style: Style) -> Way:
    tail, head = places[edge.tail], places[edge.head]
    if tail.y == head.y and edge.kind != "main":
        return _across(tail.rect, head.rect, tail.y, _label_width(edge, style), style)
    if edge.head in bottom and edge.tail not in bottom:
        return _line(_foot(tail, head), (_toward(head, tail), head.rect.top))
    if edge.tail in bottom and edge.head not in bottom:
        return _line((_toward(tail, head), tail.rect.top), _foot(head, tail))
    if tail.x == head.x:
        down = tail.y > head.y
        ends = (tail.rect.bottom, head.rect.top) if down else (tail.rect.top, head.rect.bottom)
        return _line((tail.x, ends[0]), (head.x, ends[1]))
    return _across(tail.rect, head.rect, tail.y, 0.0, style)


def _foot(side: Place, middle: Place) -> tuple[float, float]:
    """Where the line between a side's lowest box and the middle below leaves the side."""
    return (side.x + (middle.x - side.x) * 0.3, side.rect.bottom)


def _toward(middle: Place, side: Place) -> float:
    reach = min(abs(side.x - middle.x) * 0.6, middle.width * 0.3)
    return middle.x + (reach if side.x > middle.x else -reach)


def _across(tail: Rect, head: Rect, y: float, label: float, style: Style) -> Way:
    way = _line((tail.right, y), (head.left, y))
    if not label:
        return way
    middle = ((tail.right + head.left - TIP) / 2, y + style.small / 2 + 1.5)
    return Way(way.points, None, way.end, middle, (label, style.small + 2.0))


def _label_width(edge: Edge, style: Style) -> float:
    shown = edge.kind == "skip" and style.shapes != "none"
    return style.face.breadth(edge.label, style.small) if shown else 0.0


def _line(start: tuple[float, float], tip: tuple[float, float]) -> Way:
    """A straight line with an arrow."""
    dx, dy = tip[0] - start[0], tip[1] - start[1]
    length = max((dx * dx + dy * dy) ** 0.5, TIP)
    end = (tip[0] - dx / length * TIP, tip[1] - dy / length * TIP)
    third = [(start[0] + (end[0] - start[0]) * k / 3, start[1] + (end[1] - start[1]) * k / 3) for k in (1, 2)]
    return Way((start, *third, end), None, tip)
