"""Tensors' shapes beside the arrows that carry them."""

from __future__ import annotations

from dataclasses import replace

from archspec.draw.geometry import Layout
from archspec.draw.model import Panel, boxes
from archspec.draw.style import Style

BESIDE = 4.0  # points from the arrow


def with_shapes_on_edges(panel: Panel, layout: Layout, style: Style) -> Layout:
    """Labels right of the straight lines; Graphviz itself would make each gap 24 points high for them."""
    shapes = {box.id: box.shape for box in boxes(panel.items)}
    ways = dict(layout.ways)
    for edge in panel.edges:
        way = ways.get((edge.tail, edge.head))
        if way is None or way.label or edge.kind != "main" or not shapes[edge.tail]:
            continue
        (x, a), (_, b) = way.points[0], way.end or way.points[-1]
        width = style.face.breadth(shapes[edge.tail], style.small)
        label = (x + BESIDE + width / 2, (a + b) / 2)
        ways[edge.tail, edge.head] = replace(way, label=label, label_size=(width, float(style.small)))
    return replace(layout, ways=ways)
