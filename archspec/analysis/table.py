"""Aligned columns of plain text. Written out because tables of 100,000 rows take rich minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

GAP = "   "
LEAST = 10  # characters that a folded column keeps


def table_text(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: int, width: int | None = None) -> str:
    """A table with its titles underlined; the last `numbers` columns stand right.

    Where it is wider than `width` characters, the other columns are folded, the widest first.
    """
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    if width is not None:
        _shrink(widths, len(titles) - numbers, width - len(GAP) * (len(titles) - 1))
    lines = list(_lines(titles, widths, numbers))
    lines.append("─" * (sum(widths) + len(GAP) * (len(widths) - 1)))
    for row in rows:
        lines += _lines(row, widths, numbers)
    return "\n".join(lines)


def _shrink(widths: list[int], foldable: int, room: int) -> None:
    while sum(widths) > room and max(widths[:foldable]) > LEAST:
        widths[widths.index(max(widths[:foldable]))] -= 1


def _lines(cells: Sequence[str], widths: Sequence[int], numbers: int) -> Iterator[str]:
    height = max(1, *(-(-len(cell) // width) for cell, width in zip(cells, widths, strict=True) if width))
    left = len(cells) - numbers
    for line in range(height):
        parts = (cell[line * width : (line + 1) * width] for cell, width in zip(cells, widths, strict=True))
        padded = (
            part.ljust(width) if column < left else part.rjust(width)
            for column, (part, width) in enumerate(zip(parts, widths, strict=True))
        )
        yield GAP.join(padded).rstrip()
