"""Where boxes, edges and frames are, in points, y upwards; read from Graphviz's JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

POINTS = 72.0  # in an inch

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rect:
    """Sides of a rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom

    def grown(self, by: float) -> Rect:
        return Rect(self.left - by, self.bottom - by, self.right + by, self.top + by)

    def within(self, other: Rect) -> bool:
        inside = other.left <= self.left and self.right <= other.right
        return inside and other.bottom <= self.bottom and self.top <= other.top

    def meets(self, other: Rect) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.top <= other.bottom or other.top <= self.bottom)

    @staticmethod
    def around(parts: Iterable[Rect]) -> Rect:
        """The smallest that holds all; there is at least one."""
        found = list(parts)
        return Rect(
            min(r.left for r in found),
            min(r.bottom for r in found),
            max(r.right for r in found),
            max(r.top for r in found),
        )


Move = Callable[[Point], Point]  # an isometry that keeps the axes, or exchanges them


@dataclass(frozen=True, slots=True)
class Place:
    """A box's middle and size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def rect(self) -> Rect:
        w, h = self.width / 2, self.height / 2
        return Rect(self.x - w, self.y - h, self.x + w, self.y + h)


@dataclass(frozen=True, slots=True)
class Way:
    """An edge's curve of Bézier pieces: its points, the tips of its arrows, its label's middle and size."""

    points: tuple[Point, ...]
    start: Point | None = None
    end: Point | None = None
    label: Point | None = None
    label_size: Point = (0.0, 0.0)
    gutter: bool = False  # from one column to the next

    @property
    def label_rect(self) -> Rect | None:
        if self.label is None:
            return None
        return Place(*self.label, *self.label_size).rect

    @property
    def rect(self) -> Rect:
        """Around the curve itself; its control points may lie outside."""
        xs, ys = zip(*samples(self.points), *(p for p in (self.start, self.end) if p), strict=True)
        line = Rect(min(xs), min(ys), max(xs), max(ys))
        return Rect.around([line, self.label_rect]) if self.label_rect else line


@dataclass(frozen=True, slots=True)
class Frame:
    """A cluster; its label's middle, and its size as Graphviz writes it."""

    rect: Rect
    label: Point | None
    label_size: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a panel's boxes, edges and frames are. Frames go by `cluster_` and the id."""

    nodes: Mapping[str, Place]
    ways: Mapping[tuple[str, str], Way]
    frames: Mapping[str, Frame]

    @property
    def rect(self) -> Rect:
        parts = (self.nodes.values(), self.frames.values(), self.ways.values())
        return Rect.around(item.rect for items in parts for item in items)

    def mapped(self, move: Move, turned: bool = False) -> Layout:
        """Every point moved; `turned` where that makes wide what was high."""
        nodes = {id: _mapped(place, move, turned) for id, place in self.nodes.items()}
        ways = {ends: _mapped_way(way, move, turned) for ends, way in self.ways.items()}
        return Layout(nodes, ways, {id: _mapped_frame(frame, move) for id, frame in self.frames.items()})

    def moved(self, dx: float, dy: float) -> Layout:
        return self.mapped(lambda p: (p[0] + dx, p[1] + dy))

    def at(self, left: float, top: float) -> Layout:
        """Moved so that its upper left corner is there."""
        rect = self.rect
        return self.moved(left - rect.left, top - rect.top)


def _mapped(place: Place, move: Move, turned: bool) -> Place:
    x, y = move((place.x, place.y))
    size = (place.height, place.width) if turned else (place.width, place.height)
    return Place(x, y, *size)


def _mapped_way(way: Way, move: Move, turned: bool) -> Way:
    start, end, label = (None if p is None else move(p) for p in (way.start, way.end, way.label))
    size = (way.label_size[1], way.label_size[0]) if turned else way.label_size
    return Way(tuple(map(move, way.points)), start, end, label, size, way.gutter)


def _mapped_frame(frame: Frame, move: Move) -> Frame:
    one, other = move((frame.rect.left, frame.rect.bottom)), move((frame.rect.right, frame.rect.top))
    rect = Rect(min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]), max(one[1], other[1]))
    return Frame(rect, None if frame.label is None else move(frame.label), frame.label_size)


def read(found: Mapping[str, Any]) -> Layout:
    """Graphviz's JSON as a layout."""
    names: dict[int, str] = {}
    nodes: dict[str, Place] = {}
    frames: dict[str, Frame] = {}
    for item in found.get("objects", ()):
        names[item["_gvid"]] = item["name"]
        if item["name"].startswith("cluster_"):
            label = _point(item["lp"]) if "lp" in item else None
            size = (item.get("lwidth", "0"), item.get("lheight", "0"))
            frames[item["name"]] = Frame(Rect(*map(float, item["bb"].split(","))), label, size)
        elif "pos" in item:
            x, y = _point(item["pos"])
            nodes[item["name"]] = Place(x, y, float(item["width"]) * POINTS, float(item["height"]) * POINTS)
    ways = {(names[e["tail"]], names[e["head"]]): _way(e) for e in found.get("edges", ()) if "pos" in e}
    return Layout(nodes, ways, frames)


def _point(value: str) -> Point:
    x, y = value.removesuffix("!").split(",")[:2]
    return float(x), float(y)


def _way(edge: Mapping[str, Any]) -> Way:
    start = end = None
    points: list[Point] = []
    for word in edge["pos"].split(";")[0].split():
        if word.startswith("s,"):
            start = _point(word[2:])
        elif word.startswith("e,"):
            end = _point(word[2:])
        else:
            points.append(_point(word))
    if "lp" not in edge:
        return Way(tuple(points), start, end)
    drawn = edge.get("_ldraw_", ())
    width = sum(op["width"] for op in drawn if op["op"] == "T")
    height = max((op["size"] for op in drawn if op["op"] == "F"), default=0.0)
    return Way(tuple(points), start, end, _point(edge["lp"]), (width, height))


def samples(points: tuple[Point, ...], steps: int = 20) -> list[Point]:
    """Points along a curve of Bézier pieces."""
    found: list[Point] = list(points[:1])
    for start in range(0, len(points) - 3, 3):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points[start : start + 4]
        for step in range(1, steps + 1):
            t = step / steps
            a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t**3
            found.append((a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy))
    return found


def halved(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The same curve in twice as many pieces, whose control points lie closer to it."""
    found = list(points[:1])
    for start in range(0, len(points) - 3, 3):
        a, b, c, d = points[start : start + 4]
        ab, bc, cd = _middle(a, b), _middle(b, c), _middle(c, d)
        abc, bcd = _middle(ab, bc), _middle(bc, cd)
        found += [ab, abc, _middle(abc, bcd), bcd, cd, d]
    return tuple(found)


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def framed(layout: Layout, inside: Mapping[str, frozenset[str]], room: float) -> Layout:
    """Frames grown so far that they hold the edges between the boxes inside them, which Graphviz may lead outside."""
    frames = dict(layout.frames)
    for id, own in sorted(inside.items(), key=lambda pair: len(pair[1])):
        inner = [frames[other].rect for other, boxes in inside.items() if boxes < own]
        ways = [way.rect for (tail, head), way in layout.ways.items() if tail in own and head in own]
        needed = [rect.grown(room) for rect in (*inner, *ways)]
        frames[id] = replace(frames[id], rect=Rect.around([frames[id].rect, *needed]))
    return replace(layout, frames=frames)
