"""A long column cut where one line alone goes on, its parts side by side; a long row the same, turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from archspec.draw.geometry import Layout, Place, Point, Rect, Way
from archspec.draw.model import Panel, boxes, groups

GUTTER = 14.0  # points between columns, for the line from one to the next
TOLERANCE = 0.3  # by how much of a column's height a cut may miss the equal division


@dataclass(frozen=True, slots=True)
class Turn:
    """A reflection that makes a column, first box on top, of what flows another way. It undoes itself."""

    point: Callable[[Point], Point]
    turned: bool = False

    def __call__(self, layout: Layout) -> Layout:
        return layout.mapped(self.point, self.turned)


TURNS = {
    "TB": Turn(lambda p: p),
    "BT": Turn(lambda p: (p[0], -p[1])),
    "LR": Turn(lambda p: (-p[1], -p[0]), turned=True),
}


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a column ends: the edge that goes on, how many boxes stand above, how high it is."""

    tail: str
    head: str
    above: int
    level: float


def wrapped(panel: Panel, layout: Layout, columns: int, rankdir: str = "TB") -> Layout:
    """The panel in as many columns, or rows where it lies; as it was where it cannot be cut."""
    turn = TURNS[rankdir]
    column = turn(layout)
    order = sorted(column.nodes, key=lambda id: -column.nodes[id].rect.top)
    cuts = _chosen(_possible(panel, column, order), column.rect, columns)
    return turn(_cut(panel, column, cuts, order)) if cuts else layout


def _possible(panel: Panel, layout: Layout, order: list[str]) -> list[Cut]:
    """Everywhere that a level line meets nothing but one edge."""
    found: list[Cut] = []
    lowest = float("inf")
    for place, id in enumerate(order[1:], 1):
        lowest = min(lowest, layout.nodes[order[place - 1]].rect.bottom)
        level = layout.nodes[id].rect.top
        if lowest < level or any(f.rect.bottom < lowest and f.rect.top > level for f in layout.frames.values()):
            continue
        above = set(order[:place])
        crossing = [edge for edge in panel.edges if (edge.tail in above) != (edge.head in above)]
        if len(crossing) == 1 and crossing[0].tail in above:
            found.append(Cut(crossing[0].tail, crossing[0].head, place, level))
    return found


def _chosen(possible: list[Cut], rect: Rect, columns: int) -> list[Cut]:
    """For each end of a column the nearest cut; none at all where a column would be far from its share."""
    share = rect.height / columns
    chosen: list[Cut] = []
    for number in range(1, columns):
        goal = rect.top - number * share
        best = min(possible, key=lambda cut: abs(cut.level - goal), default=None)
        if best is None or abs(best.level - goal) > TOLERANCE * share or best in chosen:
            return []
        chosen.append(best)
    return chosen


def _cut(panel: Panel, layout: Layout, cuts: list[Cut], order: list[str]) -> Layout:
    ends = [cut.above for cut in cuts]
    done: list[Layout] = []
    left = 0.0
    for start, end in zip([0, *ends], [*ends, len(order)], strict=True):
        piece = _piece(panel, layout, frozenset(order[start:end])).at(left, 0.0)
        done.append(piece)
        left = piece.rect.right + GUTTER
    nodes = {id: place for piece in done for id, place in piece.nodes.items()}
    ways = {ends: way for piece in done for ends, way in piece.ways.items()}
    for cut, (before, after) in zip(cuts, pairwise(done), strict=True):
        ways[cut.tail, cut.head] = _around(nodes[cut.tail], nodes[cut.head], before.rect, after.rect)
    return Layout(nodes, ways, {id: frame for piece in done for id, frame in piece.frames.items()})


def _piece(panel: Panel, layout: Layout, own: frozenset[str]) -> Layout:
    frames = {f"cluster_{g.id}" for g in groups(panel.items) if own.issuperset(box.id for box in boxes(g.items))}
    return replace(
        layout,
        nodes={id: place for id, place in layout.nodes.items() if id in own},
        ways={ends: way for ends, way in layout.ways.items() if own.issuperset(ends)},
        frames={id: frame for id, frame in layout.frames.items() if id in frames},
    )


def _around(tail: Place, head: Place, before: Rect, after: Rect) -> Way:
    """From under a column up to the top of the next, in the gutter between, with corners."""
    down = min(tail.rect.bottom, before.bottom) - GUTTER / 3
    up = max(head.rect.top, after.top) + GUTTER / 2
    gutter = (before.right + after.left) / 2
    tip = (head.x, head.rect.top)
    corners = [(tail.x, tail.rect.bottom), (tail.x, down), (gutter, down), (gutter, up), (head.x, up)]
    points: list[Point] = corners[:1]
    for a, b in pairwise([*corners, (tip[0], tip[1] + 4.5)]):
        points += [a, b, b]
    return Way(tuple(points), None, tip, gutter=True)
