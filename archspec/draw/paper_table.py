"""The table of a paper: stage, output, block ×n, parameters, MACs; as Markdown or LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.draw.model import Box, Figure, boxes
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
    """What the macro view shows, a row each; their parameters and MACs add up to the network's."""
    titles = {panel.id: panel.title for panel in figure.panels}
    found = [Row(*_words(box, titles.get(box.panel, "")), box.parameters, box.macs) for box in _rows(figure)]
    silent = [box for box in boxes(figure.panels[0].items) if box.kind in SILENT and (box.parameters or box.macs)]
    return found + [Row(box.path, box.shape, box.label, box.parameters, box.macs) for box in silent]


def _rows(figure: Figure) -> list[Box]:
    return [box for box in boxes(figure.panels[0].items) if box.kind not in SILENT]


def _words(box: Box, title: str) -> tuple[str, str, str]:
    times = f" ×{box.times}" if box.times > 1 else ""
    if box.kind == "input":
        return box.name or box.label or box.path, box.shape, "input"
    if box.kind == "block":
        named = title if not box.detail.startswith(title) else ""
        return box.label, box.shape, " ".join(word for word in (named, box.detail) if word) + times
    fused = "".join(f", {strip.text}" for strip in box.strips)
    return box.name or box.path.split(".")[0], box.shape, f"{box.label}{fused}{times}"


def to_markdown(figure: Figure) -> str:
    """A table of GitHub's Markdown."""
    table = [TITLES, *_cells(figure)]
    lines = ["| " + " | ".join(map(_markdown, row)) + " |" for row in table]
    return "\n".join([lines[0], "|---|---|---|---:|---:|", *lines[1:]]) + "\n"


def to_latex(figure: Figure) -> str:
    """A tabular that needs no package."""
    lines = [" & ".join(map(tex, row)) + r" \\" for row in _cells(figure)]
    head = " & ".join(map(tex, TITLES)) + r" \\"
    body = [r"\begin{tabular}{lllrr}", r"\hline", head, r"\hline", *lines[:-1], r"\hline", lines[-1], r"\hline"]
    return "\n".join([*body, r"\end{tabular}"]) + "\n"


def _cells(figure: Figure) -> list[tuple[str, ...]]:
    found = rows(figure)
    total = Row("total", "", "", sum(row.parameters for row in found), sum(row.macs for row in found))
    return [(r.stage, r.output, r.block, _number(r.parameters), _number(r.macs)) for r in (*found, total)]


def _number(value: int) -> str:
    return f"{value:,}" if value else ""


def _markdown(content: str) -> str:
    """Text that Markdown leaves as it is, in a cell of a table."""
    escaped = legal(content).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_{}[]#|~$":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped.replace("\n", " ")
