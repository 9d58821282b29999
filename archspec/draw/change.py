"""The picture of a difference: the second network with what it lost beside it, coloured by what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from archspec.analysis.difference import Change, Difference
from archspec.draw.model import Box, Figure, Group, boxes
from archspec.draw.picture import draw
from archspec.graph.ir import Edge, Graph, Node
from archspec.graph.order import topological
from archspec.graph.text import changed_arguments
from archspec.importing.layers import foreign

# Red, green and yellow of Tol's light scheme; a sign in front of the label says the same to who sees no colours.
COLOURS = {"added": "#BBCC33", "removed": "#FFAABB", "changed": "#EEDD88", "same": "#FFFFFF", "block": "#FFFFFF"}
SIGNS = {"added": "+ ", "removed": "- ", "changed": "~ ", "same": ""}
SILENT = ("point", "output")  # kinds of boxes that stand for no layer


def draw_change(found: Difference, path: str | Path, **options: Any) -> Path:
    """Draws what changed from one network to another; takes the options of `draw`. Raises DrawError."""
    union, status = merged(found)
    return draw(union, path, marked=lambda figure: marked(figure, status), **{"palette": COLOURS, **options})


def merged(found: Difference) -> tuple[Graph, Mapping[str, str]]:
    """The second graph with the layers that only the first has, and what each layer is: added, removed, changed."""
    before, after = found.before, found.after
    now = {old: new for new, old in found.matched.items()}
    lost = [node for node in before.nodes.values() if node.name not in now]
    for node in lost:
        now[node.name] = _unused(node.name, after)
    status = {now[node.name]: "removed" for node in lost}
    status |= {name: "added" for part in found.added for name in part.layers}
    status |= {change.after.name: "changed" for change in found.changed if not _follows(change, status)}
    moved = [_moved(found, node, now) for node in lost]
    nodes = _in_order({**after.nodes, **{node.name: node for node in moved}})
    inputs = tuple(name for name, node in nodes.items() if not node.inputs and _is_input(node))
    ends = {name: nodes.pop(name) for name in inputs}
    return Graph(after.name, {**ends, **nodes}, inputs, dict(after.outputs)), status


def _moved(found: Difference, node: Node, now: Mapping[str, str]) -> Node:
    """A layer of the first graph in the second. Where it would read something else there, it only shows its name."""
    edges = tuple(Edge(now[edge.node], edge.index) for edge in node.inputs)
    moved = replace(node, name=now[node.name], inputs=edges)
    after = found.after.nodes
    fits = all(
        new.node not in after or after[new.node].outputs == found.before.nodes[old.node].outputs
        for old, new in zip(node.inputs, edges, strict=True)
    )
    if fits and node.shares is None:
        return moved
    shown = foreign(type(node.layer).__name__, dict(changed_arguments(node.layer)), node.outputs)
    return replace(moved, layer=shown, parameters=("inputs",) * len(edges), shares=None)


def _follows(change: Change, status: Mapping[str, str]) -> bool:
    """Whether a layer differs only in that it reads an added one, which shows already."""
    aspects = {aspect for aspect, _, _ in change.what}
    return aspects == {"inputs"} and any(status.get(edge.node) == "added" for edge in change.after.inputs)


def _is_input(node: Node) -> bool:
    return type(node.layer).__name__ == "InputLayer"


def _unused(name: str, graph: Graph) -> str:
    while name in graph.nodes:
        name += "_"
    return name


def _in_order(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Each behind those that it reads; else as they were."""
    place = {name: number for number, name in enumerate(nodes)}
    ordered = topological([{place[edge.node] for edge in node.inputs} for node in nodes.values()])
    assert len(ordered) == len(nodes)  # no layer reads one that is gone, so there are no circles
    entries = list(nodes.items())
    return dict(entries[number] for number in ordered)


def marked(figure: Figure, status: Mapping[str, str]) -> Figure:
    """The figure with roles that say what changed, and signs in front of labels.

    A block's panel stands for all its uses: more or fewer of them leave it as it is, which their rows say.
    """

    def mark(item: Box | Group, is_row: bool) -> Box | Group:
        if isinstance(item, Group):
            return replace(item, items=tuple(mark(one, is_row) for one in item.items))
        if item.kind in SILENT or not item.layers:
            return replace(item, role="same")
        found = Counter(status.get(name, "same") for name in item.layers)
        role = next(iter(found)) if len(found) == 1 else "changed"
        if (
            not is_row
            and not item.partial
            and "same" in found
            and not found["changed"]
            and not (found["added"] and found["removed"])
        ):
            role = "same"
        detail = item.detail
        if is_row and role == "changed" and item.kind == "block":
            counts = [f"{sign}{found[name]}" for name, sign in (("added", "+"), ("removed", "-")) if found[name]]
            detail = ", ".join(part for part in (detail, f"layers {' '.join(counts)}" if counts else "") if part)
        strips = tuple(replace(strip, role=role) for strip in item.strips)
        sign = "" if item.kind == "symbol" else SIGNS[role]
        return replace(item, role=role, label=sign + item.label, detail=detail, strips=strips)

    panels = tuple(
        replace(panel, items=tuple(mark(item, number == 0) for item in panel.items))
        for number, panel in enumerate(figure.panels)
    )
    roles = {box.role for panel in panels for box in boxes(panel.items)}
    return replace(figure, panels=panels, roles=tuple(role for role in SIGNS if role in roles - {"same"}))
