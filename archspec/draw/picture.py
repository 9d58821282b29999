"""A graph's picture in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.draw.compose import Composed, Layout, compose, read
from archspec.draw.dot import Style, panel_dot
from archspec.draw.engine import INSTALL, INSTALL_FONTS, DrawError, Engine, engine, fonts, layouts, render
from archspec.draw.fold import FoldError, figure
from archspec.draw.formats import FORMATS, TEXTS, as_text, format_of
from archspec.draw.model import Figure
from archspec.draw.options import Options, options
from archspec.draw.report import Report, report
from archspec.draw.tikz import to_tikz
from archspec.files import write_whole
from archspec.graph.ir import Graph

if TYPE_CHECKING:
    import keras

Marked = Callable[[Figure], Figure]

# Above this, laying every layer out takes minutes and gives a picture that nobody can read.
MOST_BOXES = 2_000
DEFAULT = Options()


def diagram(graph: Graph, options: Options = DEFAULT) -> Figure:
    """The diagram model of a graph. Raises DrawError."""
    try:
        return figure(graph, options.view())
    except FoldError as error:
        raise DrawError(str(error)) from None


def laid_out(shown: Figure, chosen: Options, graphviz: Engine) -> Composed:
    """A figure with everything in its place."""
    style = style_of(shown, chosen)
    dots = [
        panel_dot(panel, style if panel is shown.panels[0] else replace(style, u=False, rankdir=_micro(style)))
        for panel in shown.panels
    ]
    found: list[Layout] = [read(item) for item in layouts(dots, graphviz)]
    return compose(shown, found, style, chosen.width, chosen.legend)


def _micro(style: Style) -> str:
    return "BT" if style.rankdir == "BT" else "TB"


def fitted(graph: Graph, chosen: Options, graphviz: Engine, marked: Marked | None = None) -> tuple[Figure, Composed]:
    """The figure with the most in it that fits the width: folded further while it does not, never shrunk."""
    tried: list[tuple[float, Figure, Composed]] = []
    budgets = (
        (25, 16, 14, True), (25, 16, 14, False), (25, 12, 8, True), (25, 12, 8, False), (18, 9, 6, False), (12, 9, 6, False),  # noqa: E501
        (8, 8, 5, False), (6, 6, 4, False), (5, 5, 3, False), (4, 4, 2, False),
    )  # fmt: skip
    for nodes, rows, inline, frames in budgets if chosen.level == "blocks" else budgets[:1]:
        view = replace(chosen.view(), nodes=nodes, rows=rows, inline=inline, frames=frames)
        try:
            shown = figure(graph, view)
        except FoldError as error:
            raise DrawError(str(error)) from None
        shown = marked(shown) if marked else shown
        for shapes in (
            dict.fromkeys((chosen.shapes, "none")) if chosen.level in ("blocks", "overview") else (chosen.shapes,)
        ):
            composed = laid_out(shown, replace(chosen, shapes=shapes), graphviz)
            wide, tall = composed.width + 1 - chosen.width * 72, composed.height - 9 * 72
            if wide <= 0 and tall <= 0 and composed.height / composed.width <= 2.2:
                return shown, composed
            tried.append(
                (max(wide, 0) + max(tall, 0) / 4 + max(0, composed.height / composed.width - 2.2), shown, composed)
            )
    _, shown, composed = min(tried, key=lambda way: way[0])
    return shown, composed


def style_of(shown: Figure, chosen: Options) -> Style:
    """How the options make a figure look; `auto` becomes a direction."""
    u = shown.panels[0].shape == "u" and chosen.direction in ("auto", "U")
    if chosen.direction == "U" and not u:
        raise DrawError("a U needs an encoder and a decoder that at least two skips join; draw it TB or LR")
    few = len(shown.panels) == 1 and len(shown.panels[0].items) <= 10
    wide = chosen.direction == "auto" and few and chosen.width >= 6 and not u
    rankdir = "LR" if chosen.direction == "LR" or wide else "BT" if chosen.order == "upward" and not u else "TB"
    return Style(chosen.colours(), chosen.text_size, rankdir, chosen.shapes, chosen.trainable, u)


def measure(graph: Graph, **given: Any) -> Report:
    """What a drawing measures, from Graphviz's own geometry. Raises DrawError."""
    chosen = options(given)
    graphviz = _engine("a report")
    shown, composed = fitted(graph, chosen, graphviz)
    return report(shown, composed, graphviz)


def draw(
    graph: Graph | keras.Model,
    path: str | Path,
    *,
    format: str | None = None,
    spec: Mapping[str, Any] | None = None,
    marked: Marked | None = None,
    **given: Any,
) -> Path:
    """Writes the picture of a graph or a Keras model; the format is the extension's unless given. Returns its path.

    A file appears whole or not at all. Raises DrawError. Where Graphviz is missing, the `.dot` is still written beside.
    `spec` holds the options that the spec gives; the others win over them. `marked` changes the figure before it is
    laid out.
    """
    if not isinstance(graph, Graph):
        graph = _imported(graph)
    path = Path(path)
    format = _format(path, format)
    chosen = options(spec or {}, given)
    if not path.parent.is_dir():
        raise DrawError(f"cannot write {path}: there is no folder {path.parent}")
    shown = diagram(graph, chosen)
    shown = marked(shown) if marked else shown
    if format in TEXTS:
        _write(path, as_text(format, shown, graph, chosen).encode())
        return path
    nodes = sum(len(panel.edges) for panel in shown.panels)
    if format != "dot" and nodes > MOST_BOXES:
        raise DrawError(
            f"{nodes:,} lines are too many to draw, the most is {MOST_BOXES:,}; take the level blocks, or write DOT"
        )
    graphviz = engine()
    if graphviz is None:
        return _without_engine(shown, chosen, path, format)
    if format in ("pdf", "png") and not fonts(graphviz).usable:
        raise DrawError(f"Graphviz finds no fonts, the picture would have no text; {INSTALL_FONTS}")
    _, composed = fitted(graph, chosen, graphviz, marked)
    if format == "tikz":
        _write(path, to_tikz(json.loads(render(composed.dot, "json", graphviz, placed=True)), graph.name).encode())
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


def _without_engine(shown: Figure, chosen: Options, path: Path, format: str) -> Path:
    """DOT of every panel, one graph after the other, not laid out."""
    style = style_of(shown, chosen)
    dot = "".join(panel_dot(panel, style) for panel in shown.panels)
    if format == "dot":
        _write(path, dot.encode())
        return path
    beside = path.with_suffix(".dot")
    _write(beside, dot.encode())
    raise DrawError(f"there is no Graphviz here to make {format.upper()}, so only {beside} is written; {INSTALL}")


def _format(path: Path, format: str | None) -> str:
    extension = path.suffix.removeprefix(".")
    found = format if format is not None else format_of(extension)
    if found not in FORMATS:
        what = (
            f"unknown format {format or extension!r}"
            if format or extension
            else f"{path} has no extension to tell the format by"
        )  # noqa: E501, RUF100
        raise DrawError(f"{what}; known are {', '.join(FORMATS)}")
    return found


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise DrawError(f"cannot write {path}: {error.strerror}") from error
