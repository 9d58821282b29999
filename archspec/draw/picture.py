"""A graph's picture in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.draw.dot import panel_dot
from archspec.draw.engine import INSTALL, INSTALL_FONTS, DrawError, Engine, engine, fonts, render
from archspec.draw.fit import Figures, Marked, fitted, style_of
from archspec.draw.formats import FORMATS, TEXTS, as_text, format_of
from archspec.draw.model import Figure
from archspec.draw.options import Options, options
from archspec.draw.report import Report, report
from archspec.draw.rewritten import Marks
from archspec.draw.rewritten import rewritten as marking
from archspec.draw.tikz import to_tikz
from archspec.files import write_whole
from archspec.graph.ir import Graph

if TYPE_CHECKING:
    import keras

# Above this, laying every layer out takes minutes and gives a picture that nobody can read.
MOST_BOXES = 2_000
DEFAULT = Options()


def diagram(graph: Graph, options: Options = DEFAULT) -> Figure:
    """The diagram model of a graph. Raises DrawError."""
    return Figures(graph, options).first


def measure(graph: Graph, *, rewritten: Marks | None = None, **given: Any) -> Report:
    """What a drawing measures, from Graphviz's own geometry. Raises DrawError."""
    chosen = options(given)
    graphviz = _engine("a report")
    shown, composed = fitted(Figures(graph, chosen, marking(graph, rewritten) if rewritten else None), chosen, graphviz)
    return report(shown, composed, graphviz)


def draw(
    graph: Graph | keras.Model,
    path: str | Path,
    *,
    format: str | None = None,
    spec: Mapping[str, Any] | None = None,
    marked: Marked | None = None,
    rewritten: Marks | None = None,
    **given: Any,
) -> Path:
    """Writes the picture of a graph or a Keras model; the format is the extension's unless given. Returns its path.

    A file appears whole or not at all. Raises DrawError. Where Graphviz is missing, a `.dot` and a `.mmd` are written.
    `spec` holds the options that the spec gives; the others win over them. `marked` changes the figure before it is
    laid out. `rewritten` says of the layers of an optimised graph what was done to them.
    """
    if not isinstance(graph, Graph):
        graph = _imported(graph)
    path = Path(path)
    format = _format(path, format)
    chosen = options(spec or {}, given)
    if not path.parent.is_dir():
        raise DrawError(f"cannot write {path}: there is no folder {path.parent}")
    if rewritten:
        marked = marking(graph, rewritten)
    figures = Figures(graph, chosen, marked)
    shown = figures.first
    if format in TEXTS:
        _write(path, as_text(format, shown, graph, chosen, marked).encode())
        return path
    nodes = sum(len(panel.edges) for panel in shown.panels)
    if format != "dot" and nodes > MOST_BOXES:
        raise DrawError(
            f"{nodes:,} lines are too many to draw, the most is {MOST_BOXES:,}; take the level blocks, or write DOT"
        )
    graphviz = engine()
    if graphviz is None:
        return _without_engine(graph, shown, chosen, path, format)
    if format in ("pdf", "png") and not fonts(graphviz).usable:
        raise DrawError(f"Graphviz finds no fonts, the picture would have no text; {INSTALL_FONTS}")
    _, composed = fitted(figures, chosen, graphviz)
    if format == "tikz":
        _write(path, to_tikz(composed.dot, graph.name, graphviz).encode())
        return path
    _write(path, composed.dot.encode() if format == "dot" else render(composed.dot, format, graphviz, placed=True))
    return path


def _imported(model: keras.Model) -> Graph:
    from archspec.importing import ImportFailed, from_model

    try:
        return from_model(model)
    except ImportFailed as error:
        raise DrawError(str(error)) from None


def _engine(what: str) -> Engine:
    graphviz = engine()
    if graphviz is None:
        raise DrawError(f"there is no Graphviz here to make {what}; {INSTALL}")
    return graphviz


def _without_engine(graph: Graph, shown: Figure, chosen: Options, path: Path, format: str) -> Path:
    """DOT of every panel, one graph after the other, not laid out; Mermaid beside it. Raises DrawError."""
    style = style_of(shown, chosen)
    dot = "".join(panel_dot(panel, style) for panel in shown.panels)
    if format == "dot":
        _write(path, dot.encode())
        return path
    beside = path.with_suffix(".dot"), path.with_suffix(".mmd")
    _write(beside[0], dot.encode())
    _write(beside[1], as_text("mermaid", shown, graph, chosen).encode())
    raise DrawError(
        f"there is no Graphviz here to make {format.upper()}, so only {beside[0]} and {beside[1]} are written,"
        f" which Graphviz and Mermaid draw; {INSTALL}"
    )


def _format(path: Path, format: str | None) -> str:
    extension = path.suffix.removeprefix(".")
    found = format if format is not None else format_of(extension)
    if found not in FORMATS:
        what = f"{path} has no extension to tell the format by"
        if format or extension:
            what = f"unknown format {format or extension!r}"
        raise DrawError(f"{what}; known are {', '.join(FORMATS)}")
    return found


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise DrawError(f"cannot write {path}: {error.strerror}") from error
