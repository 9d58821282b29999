"""The table of a paper: stage, output, block ×n, parameters, MACs; as Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archspec.draw.model import Box, Figure, Group, boxes
from archspec.draw.tex import tex
from archspec.draw.written import legal

TITLES = ("stage", "output", "block", "parameters", "MACs")
SILENT = ("point", "symbol", "bar", "output")  # kinds of boxes that are no row


@dataclass(frozen=True, slots=True)
class Row:
    stage: str
    output: str
    block: str
    parameters: int
    macs: int


def rows(figure: Figure) -> list[Row]:
    """What the macro view shows, a row each; their parameters and MACs add up to the network's.

    A frame is one row, as a block is, where layers fold; else its layers are.
    """
    titles = {panel.id: panel.title for panel in figure.panels}
    folded = figure.level not in ("layers", "raw")
    found: list[Row] = []
    silent: list[Row] = []
    for item in _items(figure.panels[0].items, folded):
        if isinstance(item, Group):
            found.append(_group_row(item))
        elif item.kind not in SILENT:
            found.append(Row(*_words(item, titles.get(item.panel, "")), item.parameters, item.macs))
        elif item.parameters or item.macs:
            silent.append(Row(item.path, item.shape, item.label, item.parameters, item.macs))
    return found + silent


def _items(items: tuple[Box | Group, ...], folded: bool) -> Iterator[Box | Group]:
    for item in items:
        if isinstance(item, Group) and not folded:
            yield from _items(item.items, folded)
        else:
            yield item


def _group_row(group: Group) -> Row:
    inside = list(boxes(group.items))
    output = next((box.shape for box in reversed(inside) if box.shape), "")
    block = " ".join(word for word in (group.detail, f"×{group.times}" if group.times > 1 else "") if word)
    return Row(group.label, output, block, sum(b.parameters for b in inside), sum(b.macs for b in inside))


def _words(box: Box, title: str) -> tuple[str, str, str]:
    times = f" ×{box.times}" if box.times > 1 else ""
    if box.kind == "input":
        return box.name or box.label or box.path, box.shape, "input"
    if box.kind == "block":
        named = title if not box.detail.startswith(title) else ""
        return box.label, box.shape, " ".join(word for word in (named, box.detail) if word) + times
    fused = "".join(f", {strip.text}" for strip in box.strips)
    return box.name or box.path.split(".")[0], box.shape, f"{box.label}{fused}{times}"


def to_markdown(figure: Figure, unknown: Sequence[str] = ()) -> str:
    """A table of GitHub's Markdown. `unknown` are classes whose parameters and MACs are not known."""
    table = [TITLES, *_cells(figure, unknown)]
    lines = ["| " + " | ".join(map(_markdown, row)) + " |" for row in table]
    return "\n".join([lines[0], "|---|---|---|---:|---:|", *lines[1:]]) + "\n"


def to_latex(figure: Figure, unknown: Sequence[str] = ()) -> str:
    """A tabular that needs no package. `unknown` are classes whose parameters and MACs are not known."""
    lines = [" & ".join(map(tex, row)) + r" \\" for row in _cells(figure, unknown)]
    head = " & ".join(map(tex, TITLES)) + r" \\"
    body = [r"\begin{tabular}{lllrr}", r"\hline", head, r"\hline", *lines[:-1], r"\hline", lines[-1], r"\hline"]
    return "\n".join([*body, r"\end{tabular}"]) + "\n"


def _cells(figure: Figure, unknown: Sequence[str]) -> list[tuple[str, ...]]:
    found = rows(figure)
    without = f"without {', '.join(unknown)}" if unknown else ""
    total = Row("total", "", without, sum(row.parameters for row in found), sum(row.macs for row in found))
    return [(r.stage, r.output, r.block, _number(r.parameters), _number(r.macs)) for r in (*found, total)]


def _number(value: int) -> str:
    return f"{value:,}" if value else ""


def _markdown(content: str) -> str:
    """Text that Markdown leaves as it is, in a cell of a table."""
    escaped = legal(content).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_{}[]#|~$":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped.replace("\n", " ")
