"""The figure with the most in it that fits the width at true font size: folded further until it does, never shrunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from archspec.draw.compose import Composed, Layout, compose, read
from archspec.draw.dot import Style, panel_dot
from archspec.draw.engine import DrawError, Engine, layouts
from archspec.draw.fold import FoldError, figure
from archspec.draw.model import Figure
from archspec.draw.options import Options
from archspec.graph.ir import Graph

Marked = Callable[[Figure], Figure]


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
