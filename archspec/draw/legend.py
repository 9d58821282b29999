"""What stands beside the panels: the colours' legend, notes on dashed boxes, the title."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.draw.markup import small, text
from archspec.draw.model import Figure
from archspec.draw.style import Style

CHANGES = {"added", "removed", "changed", "rewritten"}  # roles that never go without saying
SWATCH = 11  # points
SPACE = 3
LINE_HEIGHT = 1.2  # of the text's size, what Graphviz gives a line


@dataclass(frozen=True, slots=True)
class Sign:
    """Text that stands alone: its label, and its size in points."""

    id: str
    label: str
    width: float
    height: float


def legends(figure: Figure, style: Style, limit: float) -> list[Sign]:
    """The legend in every number of even columns that is no wider than the limit; the narrowest in any case."""
    entries = figure.legend
    count = len(entries)
    if count < 2 and not CHANGES & {*figure.roles}:
        return []
    balanced = sorted({-(-count // columns) for columns in range(1, count + 1)})
    found = [_legend(entries, style, rows) for rows in balanced]
    return [sign for sign in found[:-1] if sign.width <= limit] + found[-1:]


def _legend(entries: tuple[tuple[str, str], ...], style: Style, rows: int) -> Sign:
    """Entries down the columns, each column as wide as it needs."""
    columns = [entries[start : start + rows] for start in range(0, len(entries), rows)]
    widths = [max(style.face.breadth(words, style.small) for _, words in column) + 2 for column in columns]
    lines = []
    for number in range(rows):
        cells = "".join(
            _swatch(*column[number], style, int(width)) if number < len(column) else '<td colspan="2"></td>'
            for column, width in zip(columns, widths, strict=True)
        )
        lines.append(f"<tr>{cells}</tr>")
    label = f'<<table border="0" cellborder="0" cellspacing="{SPACE}" cellpadding="0">{"".join(lines)}</table>>'
    width = sum(widths) + len(columns) * (SWATCH + 2 * SPACE) + SPACE
    return Sign("legend", label, width, rows * (style.small * LINE_HEIGHT + SPACE) + SPACE)


def _swatch(role: str, words: str, style: Style, width: int) -> str:
    theme = style.colours.theme
    border = f'border="2" color="{theme.accent}"' if role == "rewritten" else f'border="1" color="{theme.line}"'
    sides = f'width="{SWATCH}" height="8" fixedsize="true" {border}'
    name = f'<font color="{theme.text}">{small(words, style)}</font>'
    return f'<td {sides} bgcolor="{style.colours.fill(role)}"></td><td align="left" width="{width}">{name}</td>'


def note(id: str, content: str, style: Style, limit: float) -> Sign:
    """Small text in lines of at most a width."""
    lines = style.face.broken(content, style.small, limit - 2)
    inside = "".join(f'{text(line)}<br align="left"/>' for line in lines)
    label = f'<<font point-size="{style.small}" color="{style.colours.theme.muted}">{inside}</font>>'
    width = max(style.face.breadth(line, style.small) for line in lines)
    return Sign(id, label, width, len(lines) * style.small * LINE_HEIGHT)


def title(content: str, style: Style, limit: float) -> Sign:
    lines = style.face.broken(content, style.size, limit, bold=True)
    inside = "<br/>".join(text(line) for line in lines)
    width = max(style.face.breadth(line, style.size, bold=True) for line in lines)
    label = f'<<font color="{style.colours.theme.text}"><b>{inside}</b></font>>'
    return Sign("title", label, width, len(lines) * style.size * LINE_HEIGHT)
