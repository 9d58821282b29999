"""Panels laid out apart, put together at fixed places, wrapped to the figure's width; sizes stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from archspec.draw.dot import (
    Style,
    attributes,
    box_attributes,
    breadth,
    edge_attributes,
    group_attributes,
    head,
    literal,
    panel_attributes,
    quoted,
    right_side,
    small,
    text,
)
from archspec.draw.model import Box, Edge, Figure, Group, Panel, boxes, groups

POINTS = 72.0  # in an inch
GAP = 7.0  # points between panels
MOST_ASPECT = 2.1  # height to width, above which a column is wrapped

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Place:
    """A node's middle, size and, of a cluster's label, nothing else."""

    x: float
    y: float
    width: float
    height: float

    def moved(self, dx: float, dy: float) -> Place:
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, slots=True)
class Way:
    """An edge's curve: its points, where its arrows end, its label's middle."""

    points: tuple[Point, ...]
    start: Point | None
    end: Point | None
    label: Point | None
    label_width: float = 0.0

    def moved(self, dx: float, dy: float) -> Way:
        def move(p: Point | None) -> Point | None:
            return None if p is None else (p[0] + dx, p[1] + dy)

        points = tuple((x + dx, y + dy) for x, y in self.points)
        return Way(points, move(self.start), move(self.end), move(self.label), self.label_width)


@dataclass(frozen=True, slots=True)
class Frame:
    """A cluster: left, bottom, right, top; its label's middle and size."""

    box: tuple[float, float, float, float]
    label: Point | None
    size: tuple[str, str]

    def moved(self, dx: float, dy: float) -> Frame:
        a, b, c, d = self.box
        label = None if self.label is None else (self.label[0] + dx, self.label[1] + dy)
        return Frame((a + dx, b + dy, c + dx, d + dy), label, self.size)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a panel's boxes, edges and frames are; the lower left corner of all is 0, 0."""

    nodes: Mapping[str, Place]
    ways: Mapping[tuple[str, str], Way]
    frames: Mapping[str, Frame]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        xs = [x for n in self.nodes.values() for x in (n.x - n.width / 2, n.x + n.width / 2)]
        ys = [y for n in self.nodes.values() for y in (n.y - n.height / 2, n.y + n.height / 2)]
        for frame in self.frames.values():
            xs += [frame.box[0], frame.box[2]]
            ys += [frame.box[1], frame.box[3]]
        for way in self.ways.values():
            xs += [p[0] for p in way.points]
            ys += [p[1] for p in way.points]
            if way.label:
                xs += [way.label[0] - way.label_width / 2, way.label[0] + way.label_width / 2]
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def size(self) -> Point:
        a, b, c, d = self.extent
        return c - a, d - b

    def moved(self, dx: float, dy: float) -> Layout:
        return Layout(
            {k: v.moved(dx, dy) for k, v in self.nodes.items()},
            {k: v.moved(dx, dy) for k, v in self.ways.items()},
            {k: v.moved(dx, dy) for k, v in self.frames.items()},
        )

    def at_origin(self) -> Layout:
        a, b, _, _ = self.extent
        return self.moved(-a, -b)


def read(found: Mapping[str, Any]) -> Layout:
    """Graphviz's JSON as a layout."""
    names: dict[int, str] = {}
    nodes: dict[str, Place] = {}
    frames: dict[str, Frame] = {}
    for item in found.get("objects", ()):
        names[item["_gvid"]] = item["name"]
        if item["name"].startswith("cluster_"):
            a, b, c, d = map(float, item["bb"].split(","))
            label = _point(item["lp"]) if "lp" in item else None
            frames[item["name"]] = Frame((a, b, c, d), label, (item.get("lwidth", "0"), item.get("lheight", "0")))
        elif "pos" in item:
            x, y = _point(item["pos"])
            nodes[item["name"]] = Place(x, y, float(item["width"]) * POINTS, float(item["height"]) * POINTS)
    ways = {(names[e["tail"]], names[e["head"]]): _way(e) for e in found.get("edges", ()) if "pos" in e}
    return Layout(nodes, ways, frames).at_origin()


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
    widths = [op["width"] for op in edge.get("_ldraw_", ()) if op["op"] == "T"]
    return Way(tuple(points), start, end, _point(edge["lp"]) if "lp" in edge else None, sum(widths))


def wrapped(panel: Panel, layout: Layout, columns: int) -> Layout:
    """A column cut where one line alone goes on, its parts side by side."""
    order = sorted(layout.nodes, key=lambda id: -layout.nodes[id].y)
    tops = {f: v.box for f, v in layout.frames.items()}
    total = layout.size[1]
    cuts: list[tuple[str, str]] = []
    for number in range(1, columns):
        goal = total * (1 - number / columns)
        best: tuple[float, tuple[str, str]] | None = None
        for place in range(1, len(order)):
            above, below = set(order[:place]), set(order[place:])
            crossing = [e for e in panel.edges if (e.tail in above) != (e.head in above)]
            level = layout.nodes[order[place]].y + layout.nodes[order[place]].height / 2
            lowest = min(layout.nodes[id].y - layout.nodes[id].height / 2 for id in above)
            if len(crossing) != 1 or lowest < level or any(b < lowest and t > level for _, b, _, t in tops.values()):
                continue
            (edge,) = crossing
            if (
                edge.tail in below
                or any(cut[0] == edge.tail for cut in cuts)
                or abs(level - goal) > total / columns / 1.4
            ):
                continue
            if best is None or abs(level - goal) < best[0]:
                best = (abs(level - goal), (edge.tail, edge.head))
        if best:
            cuts.append(best[1])
    return _cut(panel, layout, cuts, order) if cuts else layout


def _cut(panel: Panel, layout: Layout, cuts: list[tuple[str, str]], order: list[str]) -> Layout:
    ends = [min(order.index(i) for i in _below(panel, order, cut)) for cut in cuts]
    parts = [order[a:b] for a, b in zip([0, *ends], [*ends, len(order)], strict=True)]
    done: list[Layout] = []
    x = 0.0
    for part in parts:
        own = set(part)
        ids = {f"cluster_{g.id}" for g in groups(panel.items) if {b.id for b in boxes(g.items)} <= own}
        piece = Layout(
            {k: v for k, v in layout.nodes.items() if k in own},
            {k: v for k, v in layout.ways.items() if k[0] in own and k[1] in own},
            {k: v for k, v in layout.frames.items() if k in ids},
        )
        a, _, c, d = piece.extent
        done.append(piece.moved(x - a, -d))
        x += c - a + 2 * GAP
    nodes = {k: v for piece in done for k, v in piece.nodes.items()}
    ways = {k: v for piece in done for k, v in piece.ways.items()}
    for number, (tail, headed) in enumerate(cuts):
        ways[tail, headed] = _around(nodes[tail], nodes[headed], done[number].extent, done[number + 1].extent, GAP)
    return Layout(nodes, ways, {k: v for piece in done for k, v in piece.frames.items()}).at_origin()


def _below(panel: Panel, order: list[str], cut: tuple[str, str]) -> set[str]:
    """The boxes behind a cut."""
    heads: dict[str, list[str]] = {}
    for edge in panel.edges:
        heads.setdefault(edge.tail, []).append(edge.head)
    found, todo = {cut[1]}, [cut[1]]
    while todo:
        for headed in heads.get(todo.pop(), ()):
            if headed not in found:
                found.add(headed)
                todo.append(headed)
    return found


def _around(tail: Place, headed: Place, left: tuple[float, ...], right: tuple[float, ...], gap: float) -> Way:
    """From under a column up to the top of the next, in the gutter between, with corners."""
    down, up = (
        min(tail.y - tail.height / 2, left[1]) - gap / 1.5,
        max(headed.y + headed.height / 2, right[3]) + gap * 0.9,
    )
    gutter = left[2] + gap
    start, end = (tail.x, tail.y - tail.height / 2), (headed.x, headed.y + headed.height / 2)
    corners = [start, (tail.x, down), (gutter, down), (gutter, up), (headed.x, up), (end[0], end[1] + 4.5)]
    points: list[Point] = [corners[0]]
    for a, b in pairwise(corners):
        points += [a, b, b]
    return Way(tuple(points), None, end, None)


def legend(figure: Figure, style: Style, width: float) -> tuple[str, float, float, int]:
    """A node with a swatch for each role present: its label, width, height, columns."""
    most = max(breadth(words, style.small) for _, words in figure.legend) + 17
    columns = max(1, min(len(figure.legend), int(width // (most + 2))))
    rows = [figure.legend[i : i + columns] for i in range(0, len(figure.legend), columns)]
    theme = style.colours.theme
    cells = "".join(
        "<tr>" + "".join(
            f'<td width="9" height="7" fixedsize="true" border="1" color="{theme.line}" bgcolor="{style.colours.fill(role)}"></td>'  # noqa: E501
            f'<td align="left" width="{int(most - 15)}"><font color="{theme.muted if theme.paper != "#FFFFFF" else theme.ink}">{small(words, style)}</font></td>'  # noqa: E501
            for role, words in row
        ) + (f'<td colspan="{2 * (columns - len(row))}"></td>' if len(row) < columns else "") + "</tr>"
        for row in rows
    )  # fmt: skip
    label = f'<<table border="0" cellborder="0" cellspacing="2" cellpadding="0">{cells}</table>>'
    return label, columns * (most + 2), len(rows) * (style.small + 6.0) + 4, columns


def _corner(placed: list[Layout], extent: tuple[float, float, float, float]) -> Point | None:
    """Free room at the lower right, under the last panel: its left edge and its top."""
    if len(placed) < 2:
        return None
    a, b, _, _ = placed[-1].extent
    return (a, b - 2) if b - extent[1] > 30 and extent[2] - a > 90 else None


def _lines_of(content: str, width: float, style: Style) -> str:
    """Small text broken into lines of a width."""
    lines: list[str] = [""]
    for word in content.split():
        longer = f"{lines[-1]} {word}".strip()
        if breadth(longer, style.small) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    inside = "".join(f'{text(line)}<br align="left"/>' for line in lines)
    return f'<font point-size="{style.small}" color="{style.colours.theme.muted}">{inside}</font>'


@dataclass(frozen=True, slots=True)
class Composed:
    """A figure with everything in its place: the DOT, and its size in points."""

    dot: str
    width: float
    height: float


def compose(figure: Figure, layouts: list[Layout], style: Style, width: float, with_legend: bool) -> Composed:
    """The whole figure as DOT with fixed positions."""
    limit = width * POINTS - 3.5
    placed = _arranged(figure, layouts, limit)
    left, bottom, right, top = _extent(placed)
    lines = [f"digraph {quoted(literal(figure.name))} {{", *head(style)]
    if figure.title:
        lines.append(
            f'  "title" {attributes(_note(_centre(left, right), top + 9, right - left, 12, f"<<b>{text(figure.title)}</b>>"))}'  # noqa: E501
        )
        top += 16
    for panel, layout in zip(figure.panels, placed, strict=True):
        lines += _panel(panel, layout, style)
    notes = list(dict.fromkeys(note for panel in figure.panels for note in panel.notes))
    corner = _corner(placed, (left, bottom, right, top))
    down = bottom
    if corner:
        left_edge, down = corner
    else:
        left_edge = left
    if notes:
        content = _lines_of(f"dashed: {'; '.join(notes)}", right - left_edge, style)
        h = content.count("<br") * (style.small + 1.5) + 3
        w = min(right - left_edge, breadth(max(content.split("<br"), key=len), style.small))
        down -= h
        lines.append(f'  "note" {attributes(_note(left_edge + w / 2, down + h / 2, w, h, f"<{content}>"))}')
    if with_legend and len(figure.roles) > 1:
        label, w, h, _ = legend(
            figure, style, max(right - left_edge, 110.0) if corner else max(right - left, min(limit, 160))
        )
        down -= h + 2
        lines.append(f'  "legend" {attributes(_note(left_edge + w / 2, down + h / 2, w, h, label))}')
        right = max(right, left_edge + w)
    bottom = min(bottom, down)
    return Composed("\n".join([*lines, "}"]) + "\n", right - left + 3, top - bottom + 3)


def _centre(a: float, b: float) -> float:
    return (a + b) / 2


def _note(x: float, y: float, width: float, height: float, label: str) -> dict[str, str]:
    return {"shape": "none", "style": "", "margin": "0", "label": label, "pos": f"{x:.2f},{y:.2f}",
        "width": f"{width / POINTS:.4f}", "height": f"{height / POINTS:.4f}"}  # fmt: skip


def _extent(layouts: list[Layout]) -> tuple[float, float, float, float]:
    extents = [layout.extent for layout in layouts]
    return (
        min(e[0] for e in extents),
        min(e[1] for e in extents),
        max(e[2] for e in extents),
        max(e[3] for e in extents),
    )


def _arranged(figure: Figure, layouts: list[Layout], limit: float) -> list[Layout]:
    """The macro panel in one column or more, blocks beside it or below: the first way that fits, else the lowest."""
    columns = 1 if figure.panels[0].shape == "u" or len(figure.panels[0].items) < 4 else 4
    tried: list[tuple[bool, float, int, list[Layout]]] = []
    for number in range(1, columns + 1):
        macro = layouts[0] if number == 1 else wrapped(figure.panels[0], layouts[0], number)
        for beside in (True, False) if len(layouts) > 1 else (False,):
            placed = _placed(macro, layouts[1:], limit, beside)
            a, b, c, d = _extent(placed)
            w, h = c - a, d - b
            bad = w > limit or (h + 40) / max(w, 80) > MOST_ASPECT or h + 40 > 9 * POINTS
            tried.append((bad, max(0.0, w - limit) * 1000 + (h if bad else 0.0), len(tried), placed))
    return min(tried, key=lambda way: way[:3])[3]


def _placed(macro: Layout, micro: list[Layout], limit: float, beside: bool) -> list[Layout]:
    placed = [macro.moved(0, -macro.size[1])]
    x, y, row = (macro.size[0] + GAP, 0.0, 0.0) if beside else (0.0, -macro.size[1] - GAP, 0.0)
    for layout in micro:
        w, h = layout.size
        if beside:
            placed.append(layout.moved(x, y - h))
            y -= h + GAP
        else:
            if x and x + w > limit:
                x, y, row = 0.0, y - row - GAP, 0.0
            placed.append(layout.moved(x, y - h))
            x, row = x + w + GAP, max(row, h)
    return placed


def _panel(panel: Panel, layout: Layout, style: Style) -> list[str]:
    lines: list[str] = []
    indent = "  "
    if panel.title:
        lines.append(f"  subgraph {quoted('cluster_' + panel.id)} {{")
        frame = _framed(panel_attributes(panel, style), layout.frames[f"cluster_{panel.id}"])
        lines.append(f"    graph {attributes(frame)}")
        indent = "    "
    u = panel.shape == "u" and style.u
    right = right_side(panel) if u else set()
    lines += _items(
        panel.items,
        layout,
        style,
        indent,
        {b.id: layout.nodes[b.id].width for b in boxes(panel.items)} if not panel.title else {},
    )
    lines += ["  }"] if panel.title else []
    for edge in panel.edges:
        back = edge.head in right and edge.kind == "main"
        tail, headed = (edge.head, edge.tail) if back else (edge.tail, edge.head)
        lines.append(
            f"  {quoted(tail)} -> {quoted(headed)} {attributes(_placed_edge(edge, layout.ways.get((tail, headed)), style, back))}"  # noqa: E501
        )
    return lines


def _framed(values: dict[str, str], frame: Frame) -> dict[str, str]:
    values |= {"bb": ",".join(f"{v:.2f}" for v in frame.box)}
    if frame.label:
        values |= {
            "lp": f"{frame.label[0]:.2f},{frame.label[1]:.2f}",
            "lwidth": frame.size[0],
            "lheight": frame.size[1],
        }
    return values


def _items(
    items: tuple[Box | Group, ...], layout: Layout, style: Style, indent: str, widths: Mapping[str, float]
) -> list[str]:
    lines = []
    for item in items:
        if isinstance(item, Group):
            lines.append(f"{indent}subgraph {quoted('cluster_' + item.id)} {{")
            lines.append(
                f"{indent}  graph {attributes(_framed(group_attributes(item, style), layout.frames['cluster_' + item.id]))}"  # noqa: E501
            )
            lines += _items(item.items, layout, style, indent + "  ", {})
            lines.append(f"{indent}}}")
            continue
        place = layout.nodes[item.id]
        wide = (
            int(widths[item.id]) - 7 if item.id in widths and item.kind in ("layer", "block", "input", "output") else 0
        )
        values = box_attributes(item, style, max(wide, 0))
        values |= {
            "pos": f"{place.x:.2f},{place.y:.2f}",
            "width": f"{place.width / POINTS:.4f}",
            "height": f"{place.height / POINTS:.4f}",
        }
        lines.append(f"{indent}{quoted(item.id)} {attributes(values)}")
    return lines


def _placed_edge(edge: Edge, way: Way | None, style: Style, back: bool) -> dict[str, str]:
    values = {k: v for k, v in edge_attributes(edge, style, back).items() if k != "weight"}
    if way is None:
        return values
    ends = "".join(f"{mark},{p[0]:.2f},{p[1]:.2f} " for mark, p in (("e", way.end), ("s", way.start)) if p)
    values["pos"] = ends + " ".join(f"{x:.2f},{y:.2f}" for x, y in way.points)
    if way.label:
        values["lp"] = f"{way.label[0]:.2f},{way.label[1]:.2f}"
    return values
