"""What a figure measures, read from Graphviz's own geometry: sizes, text, overlaps, edges through foreign boxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from archspec.draw.compose import POINTS, Composed, Place, Point, Way, read
from archspec.draw.engine import Engine, render
from archspec.draw.model import Figure, count

TOUCH = 0.75  # points by which boxes may share a border line
NOTES = ("legend", "note", "title")


@dataclass(frozen=True, slots=True)
class Report:
    """Inches and points; `overlaps` and `crossings` name the boxes and edges."""

    nodes: int
    width: float
    height: float
    smallest_text: float
    overlaps: tuple[tuple[str, str], ...]
    crossings: tuple[tuple[str, str, str], ...]

    @property
    def aspect(self) -> float:
        return self.height / self.width

    def __str__(self) -> str:
        return (
            f"nodes {self.nodes} · size {self.width:.2f} × {self.height:.2f} in · aspect {self.aspect:.2f}"
            f" · smallest text {self.smallest_text:g} pt · overlaps {len(self.overlaps)}"
            f" · edges through foreign boxes {len(self.crossings)}"
        )


def report(figure: Figure, composed: Composed, engine: Engine) -> Report:
    found = json.loads(render(composed.dot, "json", engine, placed=True))
    left, bottom, right, top = map(float, found["bb"].split(","))
    layout = read(found)
    sizes = [op["size"] for item in (found, *found["objects"], *found.get("edges", ())) for ops in ("_ldraw_",)
        for op in item.get(ops, ()) if op["op"] == "F"]  # fmt: skip
    nodes = list(layout.nodes.items())
    overlaps = tuple(
        (a, b) for i, (a, p) in enumerate(nodes) for b, q in nodes[i + 1 :]
        if _overlap(p, q)
    )  # fmt: skip
    crossings = tuple(
        (tail, head, id) for (tail, head), way in layout.ways.items() for id, place in nodes
        if id not in (tail, head, *NOTES) and place.width > 5 and _through(way, place)
    )  # fmt: skip
    pad = 2 * 0.02 * POINTS
    return Report(
        count(figure),
        (right - left + pad) / POINTS,
        (top - bottom + pad) / POINTS,
        min(sizes, default=0.0),
        overlaps,
        crossings,
    )


def _overlap(a: Place, b: Place) -> bool:
    return abs(a.x - b.x) < (a.width + b.width) / 2 - TOUCH and abs(a.y - b.y) < (a.height + b.height) / 2 - TOUCH


def _through(way: Way, place: Place) -> bool:
    return any(
        abs(x - place.x) < place.width / 2 - TOUCH and abs(y - place.y) < place.height / 2 - TOUCH
        for x, y in _samples(way.points)
    )


def _samples(points: tuple[Point, ...]) -> list[Point]:
    """Points along a curve of Bézier pieces."""
    found: list[Point] = []
    for start in range(0, len(points) - 3, 3):
        a, b, c, d = points[start : start + 4]
        for step in range(21):
            t = step / 20
            w = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t**3)
            found.append(tuple(sum(k * p[axis] for k, p in zip(w, (a, b, c, d), strict=True)) for axis in (0, 1)))  # type: ignore[arg-type]
    return found


def to_json(report: Report) -> dict[str, Any]:
    return {"nodes": report.nodes, "width": round(report.width, 3), "height": round(report.height, 3),
        "aspect": round(report.aspect, 3), "smallest_text": report.smallest_text,
        "overlaps": [list(pair) for pair in report.overlaps], "crossings": [list(c) for c in report.crossings]}  # fmt: skip  # noqa: E501
