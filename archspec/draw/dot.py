"""Diagram → DOT. The same diagram gives the same bytes."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any, Literal

from archspec.draw.diagram import Box, Diagram, Group, Line, common
from archspec.draw.engine import FONT
from archspec.draw.palette import GROUP, GROUP_LINE, INK, LINE, MUTED, fill

Direction = Literal["TB", "LR"]
Home = tuple[str, ...]  # the ids of the groups around a box, outermost first
Items = tuple[Box | Group, ...]
Lines = dict[Home, list[tuple[str, str, dict[str, str]]]]  # by the groups around both ends: tail, head, attributes

TEXT_SIZE, SMALL_SIZE = 8, 7  # points; whole ones, as Graphviz cuts the rest off in HTML labels

BOLD_WIDTH, SMALL_WIDTH = 5, 4  # points a character takes on average, in titles and in small text

# splines=ortho crashes some releases of Graphviz, curved runs through boxes, concentrate merges lines that differ.
GRAPH = {
    "fontname": FONT, "fontsize": str(TEXT_SIZE), "fontcolor": INK, "bgcolor": "white", "nodesep": "0.1",
    "ranksep": "0.13", "pad": "0.02", "margin": "0", "splines": "true", "newrank": "true",
}  # fmt: skip
NODE = {
    "shape": "box", "style": "filled", "color": LINE, "penwidth": "0.6", "fontname": FONT, "fontsize": str(TEXT_SIZE),
    "fontcolor": INK, "height": "0.2", "width": "0", "margin": "0.05,0.02",
}  # fmt: skip
EDGE = {
    "color": LINE, "penwidth": "0.7", "arrowsize": "0.45", "fontname": FONT, "fontsize": str(SMALL_SIZE),
    "fontcolor": MUTED, "labeldistance": "0.8",
}  # fmt: skip
MAIN_WEIGHT, OTHER_WEIGHT = "50", "1"  # with 0, lines that skip layers leave their group


def to_dot(diagram: Diagram, direction: Direction = "TB") -> str:
    """The diagram in Graphviz's language."""
    import graphviz

    dot = graphviz.Digraph(
        _literal(diagram.name), graph_attr={"rankdir": direction, **GRAPH}, node_attr=NODE, edge_attr=EDGE
    )
    homes = {box.id: (box, home) for box, home in _boxes(diagram.items)}
    points = {box.id for box, _ in homes.values() if box.kind == "point"}
    lines: Lines = {}
    for line in diagram.lines:
        home = common([homes[line.tail][1], homes[line.head][1]])
        lines.setdefault(home, []).append((line.tail, line.head, _line_attributes(line, points)))
    _write(dot, diagram.items, (), lines, direction)
    return str(dot.source)


def _boxes(items: Items, home: Home = ()) -> Iterator[tuple[Box, Home]]:
    """Every box and the groups around it, outermost first."""
    for item in items:
        if isinstance(item, Group):
            yield from _boxes(item.items, (*home, item.id))
        else:
            yield item, home


def _write(dot: Any, items: Items, home: Home, lines: Lines, direction: Direction) -> None:
    """A group's boxes, its groups, then the lines that stay inside it, so that the layout keeps them inside."""
    for item in items:
        if isinstance(item, Group):
            with dot.subgraph(name=f"cluster_{item.id}") as inner:
                inner.attr(**_group_attributes(item, direction))
                _write(inner, item.items, (*home, item.id), lines, direction)
        else:
            dot.node(item.id, **_box_attributes(item))
    for tail, head, attributes in lines.get(home, ()):
        dot.edge(tail, head, **attributes)


def _group_attributes(group: Group, direction: Direction) -> dict[str, str]:
    return {
        "label": _title(group, direction), "id": _literal(group.path), "tooltip": _tooltip(group.path, group.settings),
        "labeljust": "l", "style": "filled", "fillcolor": GROUP, "color": GROUP_LINE, "penwidth": "0.6", "margin": "4",
    }  # fmt: skip


def _title(group: Group, direction: Direction) -> str:
    """The group's name, below it its block's; in a column beside as much room, clear of the line down the middle."""
    name = f"<b>{_text(group.title)}</b>" + (f'<br align="left"/>{_small(group.block)}' if group.block else "")
    room = max(len(group.title) * BOLD_WIDTH, len(group.block) * SMALL_WIDTH) if direction == "TB" else 0
    cells = f'<td align="left" balign="left">{name}</td><td width="{room}"></td>'
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0"><tr>{cells}</tr></table>>'


def _box_attributes(box: Box) -> dict[str, str]:
    if box.kind == "point":
        return {"shape": "point", "width": "0.04", "height": "0.04", "fillcolor": LINE, "label": ""}
    attributes = {"label": _label(box), "fillcolor": fill(box.role), "class": re.sub(r"\W", "-", box.role)}
    attributes |= {"id": _literal(box.path), "tooltip": _tooltip(box.path, box.settings)}
    if box.kind == "symbol":
        attributes |= {"shape": "circle", "width": "0.17", "height": "0.17", "fixedsize": "true", "margin": "0"}
    elif box.kind == "bar":
        attributes |= {"height": "0.12", "margin": "0.05,0"}
    elif box.kind in ("input", "output"):
        attributes["style"] = "rounded,filled"
    return attributes


def _label(box: Box) -> str:
    """A table without borders: the name, the main line with the shape at its right, the note."""
    if box.kind == "symbol":
        return f"<{_text(box.label)}>"
    main = _small(box.label) if box.kind == "bar" else _text(box.label)
    shape = f'<td width="6"></td><td align="right">{_small(box.shape)}</td>' if box.shape else ""
    rows = [f'<td align="left" colspan="3"><b>{_text(box.name)}</b></td>'] if box.name else []
    rows.append(f'<td align="left">{main}</td>{shape}')
    rows += [f'<td align="left" colspan="3">{_small(box.note)}</td>'] if box.note else []
    table = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{table}</table>>'


def _line_attributes(line: Line, points: set[str]) -> dict[str, str]:
    attributes = {"weight": MAIN_WEIGHT if line.main else OTHER_WEIGHT}
    if line.head in points:
        attributes["arrowhead"] = "none"
    if line.label:
        attributes["taillabel"] = line.label
    return attributes


def _small(content: str) -> str:
    return f'<font point-size="{SMALL_SIZE}">{_text(content)}</font>'


def _text(content: str) -> str:
    """Text inside an HTML label: markup, backslashes (Graphviz reads `\\N`) and control characters made harmless."""
    return html.escape(_legal(content)).replace("\\", "\\\\") or " "


def _literal(content: str) -> str:
    """A text outside of labels, without anything that Graphviz would read as markup or as an escape."""
    return html.escape(_legal(content)).replace("\\", "&#92;")


def _tooltip(*lines: str) -> str:
    """Unlike other attributes, Graphviz reads entities in tooltips before it replaces escapes, and that twice."""
    return html.escape(_legal("\n".join(filter(None, lines)))).replace("\\", "\\" * 4)


def _legal(content: str) -> str:
    """Control characters and halves of surrogate pairs, which no format takes, as U+FFFD."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]", "\ufffd", content)
