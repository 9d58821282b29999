"""A panel → DOT, for Graphviz to lay out. The same panel gives the same bytes."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from archspec.draw.engine import FONT
from archspec.draw.model import Box, Edge, Group, Panel, boxes
from archspec.draw.palette import Colours

Home = tuple[str, ...]
MAIN_WEIGHT, OTHER_WEIGHT = "50", "1"


@dataclass(frozen=True, slots=True)
class Style:
    """How boxes and edges look. `rankdir` is Graphviz's; `shapes` says where tensors' shapes stand."""

    colours: Colours = field(default_factory=Colours)
    size: int = 8
    rankdir: str = "TB"
    shapes: str = "node"
    trainable: bool = False
    u: bool = False

    @property
    def small(self) -> int:
        return self.size - 1


def attributes(values: Mapping[str, str]) -> str:
    """`[name="value", …]`; values that begin with < and end with > are markup."""
    return "[" + ", ".join(f"{name}={_value(value)}" for name, value in values.items()) + "]"


def _value(value: str) -> str:
    if value.startswith("<") and value.endswith(">"):
        return value
    return '"' + value.replace('"', '\\"') + '"'


def quoted(id: str) -> str:
    return '"' + id.replace('"', '\\"') + '"'


def head(style: Style) -> list[str]:
    """The lines that set the defaults. splines=ortho crashes some releases, curved runs through boxes."""
    theme = style.colours.theme
    font = {"fontname": FONT, "fontsize": str(style.size), "fontcolor": theme.ink}
    graph = font | {"rankdir": style.rankdir, "bgcolor": theme.paper, "nodesep": "0.25" if style.u and style.shapes == "none" else "0.1", "ranksep": "0.12", "pad": "0.02",  # noqa: E501
        "margin": "0", "splines": "true", "newrank": "true"}  # fmt: skip
    node = font | {"shape": "box", "style": "filled", "color": theme.line, "penwidth": "0.6", "height": "0.2", "width": "0",  # noqa: E501
        "margin": "0.05,0.02"}  # fmt: skip
    edge = {"color": theme.line, "penwidth": "0.7", "arrowsize": "0.45", "fontname": FONT, "fontsize": str(style.small),
        "fontcolor": theme.muted}  # fmt: skip
    return [f"  {kind} {attributes(values)}" for kind, values in (("graph", graph), ("node", node), ("edge", edge))]


def panel_dot(panel: Panel, style: Style) -> str:
    """One panel for the layout."""
    lines = ["digraph {", *head(style)]
    items, indent = panel.items, "  "
    if panel.title:
        lines.append(
            f"  subgraph {quoted('cluster_' + panel.id)} {{ graph {attributes(panel_attributes(panel, style))}"
        )
        indent = "    "
    homes = {box.id: home for box, home in _homes(panel.items)}
    by_home: dict[Home, list[Edge]] = {}
    for edge in panel.edges:
        by_home.setdefault(_common(homes[edge.tail], homes[edge.head]), []).append(edge)
    widths = _widths(panel, style)
    lines += _items(items, (), by_home, widths, style, panel, indent)
    if style.u:
        lines += _levels(panel)
    lines += ["  }"] if panel.title else []
    return "\n".join([*lines, "}"]) + "\n"


def _homes(items: tuple[Box | Group, ...], home: Home = ()) -> Iterator[tuple[Box, Home]]:
    for item in items:
        if isinstance(item, Group):
            yield from _homes(item.items, (*home, item.id))
        else:
            yield item, home


def _common(a: Home, b: Home) -> Home:
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return a[:shared]


def _items(
    items: tuple[Box | Group, ...], home: Home, edges: dict[Home, list[Edge]], widths: dict[str, int], style: Style,
    panel: Panel, indent: str,
) -> list[str]:  # fmt: skip
    """Boxes, groups, then the edges that stay inside, so that the layout keeps them inside."""
    lines = []
    for item in items:
        if isinstance(item, Group):
            lines.append(f"{indent}subgraph {quoted('cluster_' + item.id)} {{")
            lines.append(f"{indent}  graph {attributes(group_attributes(item, style))}")
            lines += _items(item.items, (*home, item.id), edges, widths, style, panel, indent + "  ")
            lines.append(f"{indent}}}")
        else:
            lines.append(f"{indent}{quoted(item.id)} {attributes(box_attributes(item, style, widths.get(item.id, 0)))}")
    right = right_side(panel) if style.u else set()
    for edge in edges.get(home, ()):
        tail, head = (edge.head, edge.tail) if edge.head in right and edge.kind == "main" else (edge.tail, edge.head)
        lines.append(
            f"{indent}{quoted(tail)} -> {quoted(head)} {attributes(edge_attributes(edge, style, tail != edge.tail))}"
        )
    return lines


def right_side(panel: Panel) -> set[str]:
    """The boxes of a U that go up again."""
    order = [box.id for box in boxes(panel.items)]
    return set(order[order.index(panel.levels[-1][1]) :])


def _levels(panel: Panel) -> list[str]:
    order = [box.id for box in boxes(panel.items)]
    pairs = list(panel.levels)
    if order[0] != pairs[0][0] and order[-1] != pairs[0][1]:
        pairs.insert(0, (order[0], order[-1]))
    return [f"  {{rank=same; {quoted(a)}; {quoted(b)}}}" for a, b in pairs]


def _widths(panel: Panel, style: Style) -> dict[str, int]:
    """Equal widths for the boxes of a column: those with no frame around them."""
    rows = [
        item for item in panel.items if isinstance(item, Box) and item.kind in ("layer", "block", "input", "output")
    ]
    if panel.title or style.rankdir == "LR" or panel.shape == "free":
        return {}
    width = max((_width(box, style) for box in rows), default=0)
    return {box.id: width for box in rows}


def _width(box: Box, style: Style) -> int:
    """Points that the box's lines need, a little wide to be safe."""
    shape = box.shape if style.shapes == "node" and not style.u else ""
    side = breadth(shape, style.small)
    if box.kind != "block":
        return int(breadth(box.label, style.size) + side) + 10
    times = breadth(f"  ×{box.times}", style.size) * 1.08 if box.times > 1 else 0
    return int(max(breadth(box.label, style.size) * 1.08 + times, breadth(box.detail, style.small) + side)) + 10


def breadth(content: str, size: float) -> float:
    """A text's width in points, by Helvetica's metrics in five classes of characters."""
    return size * sum(
        0.28
        if c in " ,./il|tjf:;'()I[]!"
        else 0.83
        if c in "mwMW%"
        else 0.67
        if c.isupper()
        else 1.0
        if c > "\u2e7f"
        else 0.56
        for c in content
    )


def panel_attributes(panel: Panel, style: Style) -> dict[str, str]:
    formals = f" ({', '.join(panel.formals)})" if panel.formals else ""
    theme = style.colours.theme
    times = f"<b>×{panel.times}</b>" if panel.times > 1 else ""
    cells = f'<td align="left"><b>{text(panel.title)}</b>{text(formals) if formals else ""}</td><td width="8"></td><td align="right">{times}</td>'  # noqa: E501
    return {"label": _table(cells), "labeljust": "l", "style": "filled", "fillcolor": theme.group, "color": theme.group_line,  # noqa: E501
        "penwidth": "0.6", "margin": "4"}  # fmt: skip


def group_attributes(group: Group, style: Style) -> dict[str, str]:
    theme = style.colours.theme
    name = f"<b>{text(group.label)}</b>" + (f'<br align="left"/>{small(group.detail, style)}' if group.detail else "")
    times = f"<b>×{group.times}</b>" if group.times > 1 else ""
    room = max(int(max(len(group.label) * 4.6, len(group.detail) * 3.8)) - 12, 10) if style.rankdir != "LR" else 4
    cells = f'<td align="left" balign="left">{name}</td><td width="{room // 2}"></td><td align="right" width="{room // 2}">{times}</td>'  # noqa: E501
    return {"label": _table(cells), "labeljust": "l", "style": "filled", "fillcolor": theme.group, "color": theme.group_line,  # noqa: E501
        "penwidth": "0.6", "margin": "5", "id": literal(group.path), "tooltip": tooltip(group.path, group.settings)}  # fmt: skip  # noqa: E501


def _table(cells: str, extra: str = "") -> str:
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0"{extra}><tr>{cells}</tr></table>>'


def box_attributes(box: Box, style: Style, width: int = 0) -> dict[str, str]:
    theme = style.colours.theme
    if box.kind == "point" and box.label:
        label = f"<{small(box.label, style)}>"
        return {"shape": "plaintext", "style": "", "height": "0.12", "margin": "0.01,0", "label": label}
    if box.kind == "point":
        return {"shape": "point", "width": "0.04", "height": "0.04", "fillcolor": theme.line, "label": ""}
    found = {"label": _label(box, style, width), "fillcolor": style.colours.fill(box.role)}
    found |= {
        "class": re.sub(r"\W", "-", box.role),
        "id": literal(box.path),
        "tooltip": tooltip(box.path, box.settings),
    }
    if box.kind == "symbol":
        found |= {"shape": "circle", "width": "0.17", "height": "0.17", "fixedsize": "true", "margin": "0"}
    elif box.kind == "bar":
        found |= {"height": "0.12", "margin": "0.05,0"}
    else:
        found["margin"] = "0.01,0.01" if box.strips else "0.03,0.02"
    if box.kind in ("input", "output"):
        found["style"] = "rounded,filled"
    if box.partial:
        found["style"] = "filled,dashed"
    return found


def _label(box: Box, style: Style, width: int) -> str:
    """A table without borders: the main line with the shape at its right, the second line, the strips."""
    if box.kind == "symbol":
        return f"<{text(box.label)}>"
    shape = small(box.shape, style) if box.shape and style.shapes == "node" and not style.u else ""
    note = "frozen" if style.trainable and box.frozen else ""
    if box.kind == "bar":
        return f"<{small(box.label, style)}>"
    left = text(box.label)
    times = f"<b>×{box.times}</b>" if box.times > 1 else ""
    if box.kind == "block":
        lines = [(f"<b>{left}</b>", times, breadth(box.label, style.size) * 1.08)]
        if box.detail or shape:
            lines.append((small(box.detail, style) if box.detail else "", shape, breadth(box.detail, style.small)))
    else:
        lines = [(f"{left} {times}" if times else left, shape, breadth(box.label, style.size) + (16 if times else 0))]
    lines = [(f"<b>{text(box.name)}</b>", "", breadth(box.name, style.size) * 1.08), *lines] if box.name else lines
    lines += [(small(note, style), "", 0.0)] if note else []
    first = int(max(line[2] for line in lines))
    body = _body([line[:2] for line in lines], first, width)
    if not box.strips:
        return f"<{body}>"
    each = f' width="{width // len(box.strips)}"' if width else ""
    cells = "".join(
        f'<td bgcolor="{style.colours.fill(s.role)}" cellpadding="0"{each}>{small(s.text, style)}</td>'
        for s in box.strips
    )
    strips = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1"><tr>{cells}</tr></table>'
    inner = f"<tr><td>{body}</td></tr><tr><td>{strips}</td></tr>"
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{inner}</table>>'


def _body(lines: list[tuple[str, str]], first: int, width: int) -> str:
    """Lines of two cells, the second at the right edge; `width` is that of all."""
    rows = []
    right = any(line[1] for line in lines)
    for a, b in lines:
        if not right and not width:
            rows.append(f'<tr><td align="center">{a}</td></tr>')
            continue
        rest = f' width="{max(width - first - 2, 4)}"' if width else ""
        gap = "" if width else '<td width="5"></td>'
        rows.append(f'<tr><td align="left">{a}</td>{gap}<td align="right"{rest}>{b}</td></tr>')
    return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>'


def edge_attributes(edge: Edge, style: Style, back: bool = False) -> dict[str, str]:
    found = {"weight": MAIN_WEIGHT if edge.kind == "main" else OTHER_WEIGHT}
    if back:
        found["dir"] = "back"
    if edge.kind == "skip" or edge.partial:
        found["style"] = "dashed"
    if edge.label and edge.kind == "skip" and style.shapes != "none":
        found["label"] = literal(edge.label)
    elif edge.label and edge.label.isdigit():
        found["taillabel"] = edge.label
    return found


def small(content: str, style: Style) -> str:
    return f'<font point-size="{style.small}">{text(content)}</font>'


def text(content: str) -> str:
    """Text inside an HTML label: markup, backslashes (Graphviz reads `\\N`) and control characters made harmless."""
    return html.escape(_legal(content)).replace("\\", "\\\\") or " "


def literal(content: str) -> str:
    """A text outside of labels, without anything that Graphviz would read as markup or as an escape."""
    return html.escape(_legal(content)).replace("\\", "&#92;")


def tooltip(*lines: str) -> str:
    """Unlike other attributes, Graphviz reads entities in tooltips before it replaces escapes, and that twice."""
    return html.escape(_legal("\n".join(filter(None, lines)))).replace("\\", "\\" * 4)


def _legal(content: str) -> str:
    """Control characters and halves of surrogate pairs, which no format takes, as U+FFFD."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]", "\ufffd", content)
