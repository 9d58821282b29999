"""The picture of an optimised network: what a pass made or changed is outlined, and says what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from archspec.draw.fit import Marked
from archspec.draw.model import Box, Figure, Group, boxes
from archspec.graph.ir import Graph

Marks = Mapping[str, Sequence[str]]  # in a few letters what was done to a layer, by its name


def rewritten(graph: Graph, marks: Marks) -> Marked:
    """Marks the boxes of the graph's figures that stand for layers which were made or changed."""

    def mark(item: Box | Group) -> Box | Group:
        if isinstance(item, Group):
            return replace(item, items=tuple(map(mark, item.items)))
        return replace(item, note=_note(graph, item, marks))

    def marked(figure: Figure) -> Figure:
        panels = tuple(replace(panel, items=tuple(map(mark, panel.items))) for panel in figure.panels)
        found = any(box.note for panel in panels for box in boxes(panel.items))
        return replace(figure, panels=panels, roles=(*figure.roles, *(["rewritten"] if found else [])))

    return marked


def _note(graph: Graph, box: Box, marks: Marks) -> str:
    """A row counts its layers; a layer's box says what was done, and to how many of its uses if not to all."""
    named = [name for name in box.layers if name in marks]
    if box.kind == "block" and len(box.layers) > 1:
        return f"{len(named)} of {len(box.layers)} rewritten" if named else ""
    told = []
    for each in dict.fromkeys(each for name in named for each in marks[name]):
        own = [name for name in named if each in marks[name]]
        kinds = {type(graph.nodes[name].layer) for name in own}
        alike = sum(type(graph.nodes[name].layer) in kinds for name in box.layers)
        told.append(each if len(own) == alike else f"{each} ({len(own)} of {alike})")
    return ", ".join(told)
