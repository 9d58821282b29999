"""The formats, by name: what a file of each is called, and those that are written without Graphviz."""

from __future__ import annotations

from collections.abc import Callable

from archspec.draw import paper_table
from archspec.draw.model import Figure
from archspec.draw.options import Options
from archspec.draw.page import to_html
from archspec.draw.written import to_json, to_mermaid
from archspec.graph.ir import Graph

EXTENSIONS = {
    "dot": "dot", "svg": "svg", "pdf": "pdf", "png": "png", "tikz": "tex", "mermaid": "mmd", "html": "html",
    "json": "json", "table-md": "md", "table-tex": "tex",
}  # fmt: skip
FORMATS = tuple(EXTENSIONS)
TEXTS = ("mermaid", "html", "json", "table-md", "table-tex")


def format_of(extension: str) -> str | None:
    """The format of a file's extension, the first where there are several."""
    return next((name for name, known in EXTENSIONS.items() if known == extension.lower()), None)


def as_text(
    format: str, shown: Figure, graph: Graph, chosen: Options, marked: Callable[[Figure], Figure] | None = None
) -> str:
    """A figure in one of the formats that need no Graphviz. `marked` is what the figure was changed by."""
    if format == "mermaid":
        return to_mermaid(shown, chosen.colours(), "LR" if chosen.direction == "LR" else "TB")
    if format == "html":
        return to_html(shown, graph, chosen.colours(), marked)
    if format == "json":
        return to_json(shown)
    from archspec.importing import unknown  # takes a tenth of a second to load

    table = paper_table.to_markdown if format == "table-md" else paper_table.to_latex
    return table(shown, unknown(graph))
