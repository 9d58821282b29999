"""Boxes' labels in Graphviz's HTML: a main line with the shape at its right, a second line, coloured strips."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass, replace

from archspec.draw.model import Box
from archspec.draw.style import Style

SIDE = 4  # points of room beside text
BETWEEN = 6  # points between a line's left and right text
STRIP_SIDE = 2.5  # points of room beside a strip's text
ROWS = ("layer", "block", "input", "output")  # kinds of boxes with lines of text


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a label: what stands left, or in the middle, and what stands at the right edge."""

    left: str
    right: str = ""
    bold: bool = False
    small: bool = False
    right_bold: bool = False

    def left_width(self, style: Style) -> float:
        return style.face.breadth(self.left, style.small if self.small else style.size, self.bold)

    def right_width(self, style: Style) -> float:
        return style.face.breadth(self.right, style.size if self.right_bold else style.small, self.right_bold)

    def width(self, style: Style) -> float:
        return self.left_width(style) + (BETWEEN + self.right_width(style) if self.right else 0)


def lines(box: Box, style: Style) -> list[Line]:
    """What a box says, in lines no wider than the style's limit."""
    found = _lying(box, style) if style.lying else _standing(box, style)
    if box.name:
        found.insert(0, Line(box.name, bold=True))
    if style.trainable and box.frozen:
        found.append(Line("frozen", small=True))
    if box.note:
        found.append(Line(box.note, small=True))
    return [part for line in found for part in _broken(line, style)]


def _standing(box: Box, style: Style) -> list[Line]:
    shape = box.shape if style.shapes == "node" and not style.u else ""
    times = f"×{box.times}" if box.times > 1 else ""
    if box.kind != "block":
        label = f"{box.label} {times}" if times and shape else box.label
        return [Line(label, shape or times, right_bold=bool(times and not shape))]
    if not times and not box.detail:
        return [Line(box.label, shape, bold=True)]
    head = Line(box.label, times, bold=True, right_bold=True)
    return [head, Line(box.detail, shape, small=True)] if box.detail or shape else [head]


def _lying(box: Box, style: Style) -> list[Line]:
    """Narrow and high: every piece on a line of its own."""
    words = re.fullmatch(r"(\D+) (\d.*)", box.label) if box.kind == "layer" else None
    found = [Line(words[1]), Line(words[2], small=True)] if words else [Line(box.label, bold=box.kind == "block")]
    found += [Line(box.detail, small=True)] if box.detail else []
    found += [Line(box.shape, small=True)] if box.shape and style.shapes == "node" else []
    return [*found, Line(f"×{box.times}", bold=True)] if box.times > 1 else found


def _broken(line: Line, style: Style) -> list[Line]:
    room = style.limit - 2 * SIDE
    if line.width(style) <= room:
        return [line]
    size = style.small if line.small else style.size
    found = [replace(line, left=part, right="") for part in style.face.broken(line.left, size, room, line.bold)]
    if line.right:
        found.append(Line("", line.right, small=True, right_bold=line.right_bold))
    return found


def width(box: Box, style: Style) -> float:
    """Points that a box needs."""
    if box.kind not in ROWS:
        return style.face.breadth(box.label, style.small) + 2 * SIDE if box.kind == "bar" else 0.0
    text_width = max(line.width(style) for line in lines(box, style)) + 2 * SIDE
    return max(text_width, sum(_strip_widths(box, style)) + 2) + 2


def height(box: Box, style: Style) -> float:
    """Points that a box of lines is high, about."""
    rows = sum((style.small if line.small else style.size) * 1.2 + 2 for line in lines(box, style))
    return rows + (style.small * 1.2 + 3 if box.strips else 0) + 3


def _strip_widths(box: Box, style: Style) -> list[float]:
    return [style.face.breadth(strip.text, style.small) + 2 * STRIP_SIDE for strip in box.strips]


def label(box: Box, style: Style, width: float, centred: bool) -> str:
    """A table without borders, as wide as the box; `centred` lines stand in the middle where they have no right."""
    if box.kind == "symbol":
        return f"<{text(box.label)}>"
    if box.kind == "bar":
        return f"<{small(box.label, style)}>"
    inner = int(width) - 2
    told = lines(box, style)
    aside = bool(box.note) and any(line.right for line in told)  # a note stands where the line above it does
    rows = [_row(line, style, inner, (centred or style.lying) and not aside) for line in told]
    if box.strips:
        rows.append(_strips(box, style, inner))
    return f"<{_table(''.join(f'<tr><td>{row}</td></tr>' for row in rows))}>"


def _row(line: Line, style: Style, width: int, centred: bool) -> str:
    left = small(line.left, style) if line.small else text(line.left)
    left = f"<b>{left}</b>" if line.bold else left
    if centred and not line.right:
        return _table(f'<tr><td width="{width}" cellpadding="1">{left}</td></tr>')
    right = f"<b>{text(line.right)}</b>" if line.right_bold else small(line.right, style)
    second = math.ceil(line.right_width(style)) + 1 if line.right else 0
    first = max(width - 2 * (SIDE - 1) - second, math.floor(line.left_width(style)))
    side = f'<td width="{SIDE - 1}"></td>'
    cells = f'<td align="left" width="{first}" cellpadding="1">{left}</td>'
    if line.right:
        cells += f'<td align="right" width="{second}">{right}</td>'
    return _table(f"<tr>{side}{cells}{side}</tr>")


def _strips(box: Box, style: Style, width: int) -> str:
    needed = _strip_widths(box, style)
    extra = max(0.0, width - 2 - sum(needed)) / len(needed)
    cells = "".join(
        f'<td bgcolor="{style.colours.fill(strip.role)}" width="{int(own + extra)}">{small(strip.text, style)}</td>'
        for strip, own in zip(box.strips, needed, strict=True)
    )
    return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="0"><tr>{cells}</tr></table>'


def _table(rows: str) -> str:
    return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{rows}</table>'


def heading(name: str, rest: str, detail: str, times: int, style: Style, width: float = 0.0) -> str:
    """A frame's label: its name left, ×n right, free in the middle where the line enters. `width` is the frame's."""
    half = width / 2 - 8
    pieces = style.face.broken(name.replace("_", "_ "), style.size, half, bold=True, words=True) if width else [name]
    names = [piece.replace("_ ", "_").strip() for piece in pieces]
    details = style.face.broken(detail, style.small, half, words=True) if width else [detail]
    words = '<br align="left"/>'.join(
        [*(f"<b>{text(line)}</b>" for line in names), *(small(line, style) for line in details if line)]
    )
    left = max(style.face.breadth(line, style.size, bold=True) for line in names)
    left = max(left, *(style.face.breadth(line, style.small) for line in details))
    count = f"×{times}" if times > 1 else ""
    right = style.face.breadth(count, style.size, bold=True) + 1
    colour = style.colours.theme.text
    cells = f'<td align="left" balign="left"><font color="{colour}">{words}{text(rest) if rest else ""}</font></td>'
    if count:
        cells += f'<td width="{int(max(width - left - right, 8.0))}"></td>'
        cells += f'<td align="right"><font color="{colour}"><b>{count}</b></font></td>'
    return f"<{_table(f'<tr>{cells}</tr>')}>"


def small(content: str, style: Style) -> str:
    return f'<font point-size="{style.small}">{text(content)}</font>' if content else ""


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
