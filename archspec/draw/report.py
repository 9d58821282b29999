"""What a figure measures, read from Graphviz's own geometry: sizes, text, overlaps, edges through foreign boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from archspec.draw.compose import Composed
from archspec.draw.engine import Engine, render
from archspec.draw.geometry import POINTS, Layout, Rect, read, samples
from archspec.draw.markup import ROWS
from archspec.draw.model import Figure, Panel, boxes, count, groups
from archspec.draw.stacks import stacks

TOUCH = 0.75  # points by which boxes may share a border line
PAD = 2 * 0.02 * POINTS  # that Graphviz adds around what it draws
ALONE = ("legend", "note", "title")  # how the ids of text that stands alone begin


@dataclass(frozen=True, slots=True)
class Report:
    """Inches and points; the rest names the boxes and edges where something is wrong.

    overlaps: boxes over each other. crossings: an edge's ends and the foreign box that it goes through. outside: edges
    that leave the frame around both their ends. tight: boxes whose text is wider than they are. uneven: boxes that are
    not as wide as the others of their column, or as high as those of their row.
    """

    nodes: int
    width: float
    height: float
    smallest_text: float
    overlaps: tuple[tuple[str, str], ...]
    crossings: tuple[tuple[str, str, str], ...]
    outside: tuple[tuple[str, str], ...] = ()
    tight: tuple[str, ...] = ()
    uneven: tuple[str, ...] = ()

    @property
    def aspect(self) -> float:
        return self.height / self.width

    def __str__(self) -> str:
        return (
            f"nodes {self.nodes} · size {self.width:.2f} × {self.height:.2f} in · aspect {self.aspect:.2f}"
            f" · smallest text {self.smallest_text:g} pt · overlaps {len(self.overlaps)}"
            f" · edges through foreign boxes {len(self.crossings)} · edges outside their frame {len(self.outside)}"
            f" · text wider than its box {len(self.tight)} · uneven boxes {len(self.uneven)}"
        )


def report(figure: Figure, composed: Composed, engine: Engine) -> Report:
    found = json.loads(render(composed.dot, "json", engine, placed=True))
    page = Rect(*map(float, found["bb"].split(",")))
    layout = read(found)
    drawn = [found, *found["objects"], *found.get("edges", ())]
    sizes = [op["size"] for item in drawn for op in item.get("_ldraw_", ()) if op["op"] == "F"]
    rects = {id: place.rect.grown(-TOUCH) for id, place in layout.nodes.items()}
    return Report(
        count(figure),
        (page.width + PAD) / POINTS,
        (page.height + PAD) / POINTS,
        min(sizes, default=0.0),
        tuple((a, b) for (a, p), (b, q) in combinations(rects.items(), 2) if p.meets(q)),
        tuple(_crossings(layout, rects)),
        tuple(ends for panel in figure.panels for ends in _outside(panel, layout)),
        tuple(_tight(found["objects"], layout)),
        tuple(_uneven(figure, layout, composed)),
    )


def _crossings(layout: Layout, rects: Mapping[str, Rect]) -> Iterator[tuple[str, str, str]]:
    for (tail, head), way in layout.ways.items():
        line, around = samples(way.points), way.rect
        for id, rect in rects.items():
            if id in (tail, head) or id.startswith(ALONE) or rect.width < 5 or not rect.meets(around):
                continue
            if any(rect.left < x < rect.right and rect.bottom < y < rect.top for x, y in line):
                yield tail, head, id


def _outside(panel: Panel, layout: Layout) -> Iterator[tuple[str, str]]:
    frames = {f"cluster_{group.id}": {box.id for box in boxes(group.items)} for group in groups(panel.items)}
    if panel.title:
        frames[f"cluster_{panel.id}"] = {box.id for box in boxes(panel.items)}
    for (tail, head), way in layout.ways.items():
        around = [layout.frames[id].rect for id, own in frames.items() if tail in own and head in own]
        if not all(way.rect.within(frame.grown(TOUCH)) for frame in around):
            yield tail, head


def _tight(objects: list[dict[str, Any]], layout: Layout) -> Iterator[str]:
    shift = {"l": 0.0, "n": -0.5, "c": -0.5, "r": -1.0}
    for item in objects:
        id = item["name"]
        if id not in layout.nodes or id.startswith(ALONE):
            continue
        rect = layout.nodes[id].rect.grown(TOUCH)
        for op in item.get("_ldraw_", ()):
            if op["op"] == "T" and op["text"].strip():
                left = op["pt"][0] + shift[op["align"]] * op["width"]
                if left < rect.left or left + op["width"] > rect.right:
                    yield id
                    break


def _uneven(figure: Figure, layout: Layout, composed: Composed) -> Iterator[str]:
    for panel in figure.panels:
        rows = {box.id for box in boxes(panel.items) if box.kind in ROWS}
        high = composed.lying if panel is figure.panels[0] else composed.across
        for ids in stacks(panel):
            places = {id: layout.nodes[id] for id in ids if id in rows}
            sizes = {id: place.height if high else place.width for id, place in places.items()}
            yield from (id for id, size in sizes.items() if size < max(sizes.values()) - TOUCH)


def to_json(report: Report) -> dict[str, Any]:
    return {
        "nodes": report.nodes,
        "width": round(report.width, 3),
        "height": round(report.height, 3),
        "aspect": round(report.aspect, 3),
        "smallest_text": report.smallest_text,
        "overlaps": [list(pair) for pair in report.overlaps],
        "crossings": [list(ends) for ends in report.crossings],
        "outside": [list(ends) for ends in report.outside],
        "tight": list(report.tight),
        "uneven": list(report.uneven),
    }
