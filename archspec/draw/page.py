"""A figure as one web page that needs nothing else: pan, zoom, search, blocks that open, settings under the pointer."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files

from archspec.draw.fold import FoldError, View, figure
from archspec.draw.model import Box, Figure, Group, Panel, boxes
from archspec.draw.palette import PALETTES, Colours
from archspec.draw.written import legal, to_json
from archspec.graph.ir import Graph

MOST_PANELS = 60  # made for blocks that the figure itself does not show
MOST_LAYERS = 1_000  # of such a panel


def to_html(shown: Figure, graph: Graph, colours: Colours, marked: Callable[[Figure], Figure] | None = None) -> str:
    """The page. Blocks without a panel of their own get one, `marked` like the rest, so that they open as well."""
    whole = _with_panels(shown, graph, marked or (lambda figure: figure))
    linked = {box.panel for panel in whole.panels for box in boxes(panel.items) if box.panel}
    theme = colours.theme
    data = {
        "figure": json.loads(to_json(whole)),
        "alone": [panel.id for panel in whole.panels[1:] if panel.id not in linked],
        "fills": {role: colours.fill(role) for role in (*PALETTES["tol-light"], "block", *colours.fills)},
        "legend": [list(entry) for entry in whole.legend],
        "theme": {"box": theme.box, "line": theme.line},
    }
    ours = files("archspec.draw").joinpath("web")
    variables = {
        "paper": theme.paper, "ink": theme.ink, "text": _readable(theme.paper, theme.ink), "line": theme.line,
        "muted": theme.muted, "group": theme.group, "groupLine": theme.group_line,
        "accent": theme.accent,
    }  # fmt: skip
    root = ":root { " + " ".join(f"--{name}: {value};" for name, value in variables.items()) + " }\n"
    # Nothing in the data can end the script element, whatever the names of layers are.
    packed = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    texts = {
        "TITLE": html.escape(legal(shown.title or shown.name)), "DATA": packed,
        "STYLE": root + ours.joinpath("page.css").read_text("utf-8"),
        "SCRIPT": ours.joinpath("page.js").read_text("utf-8"),
    }  # fmt: skip
    # In one go, for a layer may be called SCRIPT.
    page = ours.joinpath("page.html").read_text("utf-8")
    return re.sub("TITLE|DATA|STYLE|SCRIPT", lambda found: texts[found[0]], page)


def _readable(paper: str, ink: str) -> str:
    """The ink where the paper is light, else white."""
    return ink if int(paper[1:3], 16) > 127 else "#FFFFFF"


def _with_panels(shown: Figure, graph: Graph, marked: Callable[[Figure], Figure]) -> Figure:
    """The figure with panels for the blocks that it folds and shows nowhere, a panel for alike ones."""
    made: dict[str, Panel | None] = {}
    panels: list[Panel] = []
    known = {panel.id for panel in shown.panels}

    def opened(item: Box | Group) -> Box | Group:
        if isinstance(item, Group):
            return replace(item, items=tuple(map(opened, item.items)))
        if item.kind != "block" or item.panel in known or not 1 < len(item.layers) <= MOST_LAYERS:
            return item
        if item.path not in made and len(made) < MOST_PANELS:
            made[item.path] = _panel(graph, item, f"inside{len(made)}", marked)
        found = made.get(item.path)
        return replace(item, panel=found.id) if found else item

    for panel in shown.panels:
        panels.append(replace(panel, items=tuple(map(opened, panel.items))))
    return replace(shown, panels=(*panels, *(panel for panel in made.values() if panel)))


def _panel(graph: Graph, box: Box, id: str, marked: Callable[[Figure], Figure]) -> Panel | None:
    """What a block row holds, layer by layer; None where its path is no scope."""
    try:
        found = marked(figure(graph, View("layers", only=box.path))).panels[0]
    except FoldError:
        return None
    return replace(found, id=id, title="", edges=found.edges)
