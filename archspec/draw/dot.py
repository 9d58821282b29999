"""A panel → DOT, for Graphviz to lay out or with everything in its place. The same panel gives the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archspec.draw import markup
from archspec.draw.engine import FONT
from archspec.draw.geometry import POINTS, Frame, Layout, Place, Rect, Way, halved
from archspec.draw.markup import literal, tooltip
from archspec.draw.model import Box, Edge, Group, Panel, boxes
from archspec.draw.stacks import stacks
from archspec.draw.style import Style

Home = tuple[str, ...]
Values = dict[str, str]
MAIN_WEIGHT, OTHER_WEIGHT = "50", "1"
MOST_HALVINGS = 3
REWRITTEN = "1.4"  # points of the outline of what an optimisation made or changed


def attributes(values: Mapping[str, str]) -> str:
    """`[name="value", …]`; values that begin with < and end with > are markup."""
    return "[" + ", ".join(f"{name}={_value(value)}" for name, value in values.items()) + "]"


def _value(value: str) -> str:
    return value if value.startswith("<") and value.endswith(">") else quoted(value)


def quoted(id: str) -> str:
    return '"' + id.replace('"', '\\"') + '"'


def head(style: Style) -> list[str]:
    """The lines that set the defaults. splines=ortho crashes some releases, curved runs through boxes."""
    theme = style.colours.theme
    font = {"fontname": FONT, "fontsize": str(style.size), "fontcolor": theme.ink}
    ranksep = "0.17" if style.shapes == "edge" and not style.lying else "0.1"
    graph = font | {"rankdir": style.rankdir, "bgcolor": theme.paper, "nodesep": "0.1", "ranksep": ranksep}
    graph |= {"pad": "0.02", "margin": "0", "splines": "true", "newrank": "true"}
    node = font | {"shape": "box", "style": "filled", "color": theme.line, "penwidth": "0.6"}
    node |= {"height": "0.1", "width": "0", "margin": "0.014,0.014"}
    edge = {"color": theme.line, "penwidth": "0.7", "arrowsize": "0.45"}
    edge |= {"fontname": FONT, "fontsize": str(style.small), "fontcolor": theme.muted}
    return [f"  {kind} {attributes(values)}" for kind, values in (("graph", graph), ("node", node), ("edge", edge))]


def panel_dot(panel: Panel, style: Style) -> str:
    """One panel for the layout."""
    return "\n".join(["digraph {", *head(style), *Writer(panel, style).lines(), "}"]) + "\n"


@dataclass(frozen=True, slots=True)
class Size:
    """What a box is given: its width, in points, and where it lies also its height."""

    width: float
    height: float = 0.0


def sizes(panel: Panel, style: Style) -> dict[str, Size]:
    """One width for the boxes of a column; where they lie in a row, one height."""
    shown = {box.id: box for box in boxes(panel.items)}
    found: dict[str, Size] = {}
    for ids in stacks(panel):
        rows = [shown[id] for id in ids if shown[id].kind in markup.ROWS]
        natural = [markup.width(box, style) for box in rows]
        high = max((markup.height(box, style) for box in rows), default=0.0) if style.lying else 0.0
        for box, own in zip(rows, natural, strict=True):
            found[box.id] = Size(own if style.lying else max(natural), high)
    return found


class Writer:
    """Writes a panel's items and edges; with a layout, at their places."""

    def __init__(self, panel: Panel, style: Style, layout: Layout | None = None) -> None:
        self.panel, self.style, self.layout = panel, style, layout
        self.sizes = sizes(panel, style)
        self.shapes = {box.id: box.shape for box in boxes(panel.items)}
        self.kinds = {box.id: box.kind for box in boxes(panel.items)}
        self.columns = {id: number for number, ids in enumerate(stacks(panel)) for id in ids}
        self.side = "w" if sum(kind == "point" for kind in self.kinds.values()) > 1 else "e"
        self.homes = dict(_homes(panel.items))
        self.edges: dict[Home, list[Edge]] = {}
        for edge in panel.edges:
            self.edges.setdefault(_common(self.homes[edge.tail], self.homes[edge.head]), []).append(edge)

    def lines(self, indent: str = "  ") -> list[str]:
        if not self.panel.title:
            return self._items(self.panel.items, (), indent)
        return [
            f"{indent}subgraph {quoted(f'cluster_{self.panel.id}')} {{",
            f"{indent}  graph {attributes(self._framed(self.panel.id, self._panel()))}",
            *self._items(self.panel.items, (), indent + "  "),
            f"{indent}}}",
        ]

    def _items(self, items: tuple[Box | Group, ...], home: Home, indent: str) -> list[str]:
        """Boxes, groups, then the edges that stay inside, so that the layout keeps them inside."""
        lines: list[str] = []
        for item in items:
            if isinstance(item, Box):
                lines.append(f"{indent}{quoted(item.id)} {attributes(self._box(item))}")
                continue
            lines.append(f"{indent}subgraph {quoted(f'cluster_{item.id}')} {{")
            lines.append(f"{indent}  graph {attributes(self._framed(item.id, self._group(item)))}")
            lines += self._items(item.items, (*home, item.id), indent + "  ")
            lines.append(f"{indent}}}")
        for edge in self.edges.get(home, ()):
            lines.append(f"{indent}{quoted(edge.tail)} -> {quoted(edge.head)} {attributes(self._edge(edge))}")
        return lines

    def _panel(self) -> Values:
        panel = self.panel
        formals = f" ({', '.join(panel.formals)})" if panel.formals else ""
        return self._frame(markup.heading(panel.title, formals, "", panel.times, self.style)) | {"margin": "3"}

    def _group(self, group: Group) -> Values:
        widest = max((self.sizes[box.id].width for box in boxes(group.items) if box.id in self.sizes), default=0.0)
        label = markup.heading(group.label, "", group.detail, group.times, self.style, widest)
        hints = {"id": literal(group.path), "tooltip": tooltip(group.path, group.settings)}
        return self._frame(label) | {"margin": "5"} | hints

    def _frame(self, label: str) -> Values:
        theme = self.style.colours.theme
        found = {"label": label, "labeljust": "l", "style": "filled", "penwidth": "0.6"}
        return found | {"fillcolor": theme.group, "color": theme.group_line}

    def _framed(self, id: str, values: Values) -> Values:
        return values | placed_frame(self.layout.frames[f"cluster_{id}"]) if self.layout else values

    def _box(self, box: Box) -> Values:
        found = box_attributes(box, self.style, self.sizes.get(box.id, Size(0.0)), bool(self.panel.title))
        if self.style.straight and not self.layout and not (box.kind == "point" and box.label):
            found["group"] = f"column{self.columns[box.id]}"
        return found | placed(self.layout.nodes[box.id]) if self.layout else found

    def _edge(self, edge: Edge) -> Values:
        found = edge_attributes(edge, self.style) | ({"arrowhead": "none"} if self.kinds[edge.head] == "point" else {})
        if not self.layout:
            if self.style.lying and self.style.shapes == "edge" and edge.kind == "main":
                found |= {"label": f" {literal(self.shapes[edge.tail])} "} if self.shapes[edge.tail] else {}
            return {"weight": MAIN_WEIGHT if edge.kind == "main" else OTHER_WEIGHT} | self._ports(edge) | found
        way = self.layout.ways.get((edge.tail, edge.head))
        if way and way.label and "label" not in found:
            found["label"] = literal(self.shapes[edge.tail])
        return found | placed_way(way) if way else found

    def _ports(self, edge: Edge) -> Values:
        """A way around meets the sum's side, and leaves the side of a box of the same column: a D."""
        if edge.kind != "residual" or self.style.lying or not self.style.straight:
            return {}
        beside = self.columns[edge.tail] == self.columns[edge.head] and self.kinds[edge.tail] in markup.ROWS
        return {"headport": self.side} | ({"tailport": self.side} if beside else {})


def _homes(items: tuple[Box | Group, ...], home: Home = ()) -> Iterator[tuple[str, Home]]:
    for item in items:
        if isinstance(item, Group):
            yield from _homes(item.items, (*home, item.id))
        else:
            yield item.id, home


def _common(a: Home, b: Home) -> Home:
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return a[:shared]


def box_attributes(box: Box, style: Style, size: Size, centred: bool) -> Values:
    theme = style.colours.theme
    if box.kind == "point" and box.label:
        label = f"<{'<br/>'.join(markup.small(name, style) for name in box.label.split(', '))}>"
        return {"shape": "plaintext", "style": "", "height": "0.12", "margin": "0.01,0", "label": label}
    if box.kind == "point":
        return {"shape": "point", "width": "0.04", "height": "0.04", "fillcolor": theme.line, "label": ""}
    found = {"label": markup.label(box, style, size.width, centred), "fillcolor": style.colours.fill(box.role)}
    found |= {"class": re.sub(r"\W", "-", box.role), "id": literal(box.path)}
    found["tooltip"] = tooltip(box.path, box.settings)
    if box.kind == "symbol":
        found |= {"shape": "circle", "width": "0.17", "height": "0.17", "fixedsize": "true", "margin": "0"}
    elif box.kind == "bar":
        found |= {"margin": "0.05,0"}
    else:
        found["width"] = f"{size.width / POINTS:.4f}"
    if box.note:
        found |= {"color": theme.accent, "penwidth": REWRITTEN}
    if size.height:
        found["height"] = f"{size.height / POINTS:.4f}"
    rounded = box.kind in ("input", "output") and not style.lying  # corners grow with the height
    styles = ["rounded"] * rounded + ["filled"] + ["dashed"] * box.partial
    return found | ({"style": ",".join(styles)} if len(styles) > 1 else {})


def edge_attributes(edge: Edge, style: Style) -> Values:
    found: Values = {}
    if edge.kind == "skip" or edge.partial:
        found["style"] = "dashed"
    if edge.kind == "skip":
        # A blank on either side keeps the dashes off the text, which stands right beside them.
        found |= {"label": f" {literal(edge.label)} "} if edge.label and style.shapes != "none" else {}
    elif edge.label.isdigit():
        found["taillabel"] = edge.label
    return found


def placed(place: Place) -> Values:
    """A node's place, as `neato -n2` reads it."""
    size = {"width": f"{place.width / POINTS:.4f}", "height": f"{place.height / POINTS:.4f}"}
    return {"pos": f"{place.x:.2f},{place.y:.2f}"} | size


def placed_frame(frame: Frame) -> Values:
    rect = frame.rect
    found = {"bb": ",".join(f"{v:.2f}" for v in (rect.left, rect.bottom, rect.right, rect.top))}
    if frame.label:
        found |= {"lp": f"{frame.label[0]:.2f},{frame.label[1]:.2f}"}
        found |= {"lwidth": frame.label_size[0], "lheight": frame.label_size[1]}
    return found


def placed_way(way: Way) -> Values:
    ends = "".join(f"{mark},{p[0]:.2f},{p[1]:.2f} " for mark, p in (("e", way.end), ("s", way.start)) if p)
    points, around = way.points, way.rect.grown(0.5)
    for _ in range(MOST_HALVINGS):
        if all(Rect(x, y, x, y).within(around) for x, y in points):
            break
        points = halved(points)  # a page is as large as all control points need, not only the curves
    found = {"pos": ends + " ".join(f"{x:.2f},{y:.2f}" for x, y in points)}
    return found | ({"lp": f"{way.label[0]:.2f},{way.label[1]:.2f}"} if way.label else {})
