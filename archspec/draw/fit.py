"""The figure with the most in it that fits the width at true font size: folded further until it does, never shrunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from archspec.draw.compose import MARGIN, Composed, compose
from archspec.draw.dot import panel_dot, sizes
from archspec.draw.engine import DrawError, Engine, face, layouts
from archspec.draw.fold import FoldError, figure
from archspec.draw.geometry import POINTS, Layout, framed, read
from archspec.draw.horseshoe import is_u, u_layout
from archspec.draw.metrics import Face
from archspec.draw.model import Figure, Panel, boxes, groups
from archspec.draw.options import Options
from archspec.draw.shapes import with_shapes_on_edges
from archspec.draw.style import Style
from archspec.graph.ir import Graph

Marked = Callable[[Figure], Figure]
FRAME_ROOM = 3.0  # points between a frame and an edge inside it
MOST_LYING = 10  # boxes of a figure that may lie on a wide page
ACROSS = 7.5  # times the text's size, boxes of blocks whose panels lie, so that many branches stand above each other
WIDE_PAGE = 6.0  # inches
WIDEST_BOX = 6.6  # inches, wherever there is more
# How boxes get narrow where wider ones do not fit: the most that those of the network and of its blocks may be wide,
# times the text's size, and whether columns still stand straight.
NARROW = (
    (12.5, 12.5, True),
    (12.5, 12.5, False),
    (10.0, 10.0, True),
    (10.0, 10.0, False),
    (10.0, 9.0, False),
    (10.0, 8.0, False),
)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be shown; see View."""

    nodes: int
    rows: int
    inline: int
    frames: bool = True


# From much to little.
BUDGETS = (
    Budget(25, 16, 14), Budget(25, 16, 14, False), Budget(25, 12, 8), Budget(25, 12, 8, False), Budget(25, 9, 8, False),
    *(Budget(nodes, rows, 6, False) for nodes, rows in ((22, 9), (18, 9), (18, 8), (15, 9), (12, 9))),
    Budget(8, 8, 5, False),
    *(Budget(nodes, nodes, nodes - 2, False) for nodes in range(6, 1, -1)),
)  # fmt: skip
OVERVIEWS = tuple(Budget(rows, rows, 0) for rows in (12, 10, 8, 7, 6, 5, 4, 3, 2))
BATCHES = (1, 5, 12, 12, 99)  # figures laid out in one run of Graphviz; most fit at the first


@dataclass(frozen=True, slots=True)
class Candidate:
    """A figure as it could be drawn."""

    figure: Figure
    style: Style


def fitted(figures: Figures, chosen: Options, graphviz: Engine) -> tuple[Figure, Composed]:
    """The figure with the most in it that fits; where none does, the nearest. Raises DrawError where that is too wide.

    The levels `layers` and `raw` may be as tall as they like, and as wide where no width is given.
    """
    letters = face(graphviz, chosen.text_size, chosen.text_size - 1)
    if chosen.level in ("layers", "raw"):
        candidate = Candidate(figures.first, style_of(figures.first, chosen, letters))
        return _within(candidate, next(_composed([candidate], chosen, graphviz, {})), chosen)
    tried: list[tuple[float, Candidate, Composed]] = []
    drawn: dict[str, Layout] = {}
    candidates = _candidates(figures, chosen, letters)
    for size in BATCHES:
        batch = list(islice(candidates, size))
        for candidate, composed in zip(batch, _composed(batch, chosen, graphviz, drawn), strict=True):
            tried.append((composed.excess(chosen.inches), candidate, composed))
            if not tried[-1][0]:
                return candidate.figure, composed
    _, candidate, composed = min(tried, key=lambda way: way[0])
    return _within(candidate, composed, chosen)


def _candidates(figures: Figures, chosen: Options, letters: Face) -> Iterator[Candidate]:
    """What to try, the most telling first: boxes get narrow before the shapes go, these before layers do."""
    budgets = {"blocks": BUDGETS, "overview": OVERVIEWS}.get(chosen.level, BUDGETS[:1])
    known: list[Candidate] = []
    for budget in budgets:
        shown = figures.of(budget)
        for shapes in dict.fromkeys((chosen.shapes, "none")):
            for new in _looks(shown, shapes, chosen, letters):
                if new not in known:
                    known.append(new)
                    yield new


class Figures:
    """The figures of a graph, each made once; `marked` changes each. They raise DrawError."""

    def __init__(self, graph: Graph, chosen: Options, marked: Marked | None = None) -> None:
        self.graph, self.view, self.marked = graph, chosen.view(), marked
        self.made: dict[Budget, Figure] = {}

    @property
    def first(self) -> Figure:
        """The one with the most in it."""
        return self.of(BUDGETS[0])

    def of(self, budget: Budget) -> Figure:
        if budget not in self.made:
            view = replace(self.view, nodes=budget.nodes, rows=budget.rows, inline=budget.inline, frames=budget.frames)
            try:
                shown = figure(self.graph, view)
            except FoldError as error:
                raise DrawError(str(error)) from None
            self.made[budget] = self.marked(shown) if self.marked else shown
        return self.made[budget]


def _looks(shown: Figure, shapes: str, chosen: Options, letters: Face) -> Iterator[Candidate]:
    """A figure as it is asked for, and with narrow boxes of more lines; without what is too wide in any case."""
    style = style_of(shown, chosen.model_copy(update={"shapes": shapes}), letters)
    looks = [
        replace(style, limit=outer * style.size, narrow=inner * style.size, straight=straight)
        for outer, inner, straight in NARROW
    ]
    yield from (own for own in (Candidate(shown, look) for look in (style, *looks[:-1])) if _may_fit(own, chosen))
    yield Candidate(shown, looks[-1])
    if len(shown.panels) > 1:
        yield Candidate(shown, replace(style, limit=NARROW[0][0] * style.size, narrow=ACROSS * style.size, across=True))


def _may_fit(candidate: Candidate, chosen: Options) -> bool:
    return _widest(candidate) <= chosen.inches * POINTS - MARGIN


def _within(candidate: Candidate, composed: Composed, chosen: Options) -> tuple[Figure, Composed]:
    if composed.width <= chosen.inches * POINTS + 0.5:
        return candidate.figure, composed
    needed = -(-composed.width // (POINTS / 10)) / 10
    others = ["--direction TB"] if candidate.style.lying else []
    others += ["--collapse GLOB", "--only SCOPE"]
    raise DrawError(
        f"the figure needs {needed:.1f} in and has {chosen.inches:g}; text is never shrunk:"
        f" give it --width {needed:.1f}in, or show less: {', '.join(others)}"
    )


def _widest(candidate: Candidate) -> float:
    """The width that a figure cannot go below, known without Graphviz."""
    styles = (candidate.style, candidate.style.inside())
    first, *rest = candidate.figure.panels
    panels = [(first, styles[0]), *((panel, styles[1]) for panel in rest)]
    return max((size.width for panel, style in panels for size in sizes(panel, style).values()), default=0.0)


def _composed(
    candidates: list[Candidate], chosen: Options, graphviz: Engine, drawn: dict[str, Layout]
) -> Iterator[Composed]:
    """All laid out in one run, but for panels drawn before; each put together when it is asked for."""
    panels: list[list[tuple[Panel, Style, str]]] = []
    for candidate in candidates:
        first, *rest = candidate.figure.panels
        styles = [(first, candidate.style), *((panel, candidate.style.inside()) for panel in rest)]
        panels.append([(panel, style, panel_dot(panel, style)) for panel, style in styles])
    dots = dict.fromkeys(dot for shown in panels for _, _, dot in shown if dot not in drawn)
    if dots:
        drawn.update(zip(dots, map(read, layouts(list(dots), graphviz)), strict=True))
    for candidate, shown in zip(candidates, panels, strict=True):
        placed = [_finished(panel, drawn[dot], style, chosen.inches) for panel, style, dot in shown]
        yield compose(candidate.figure, placed, candidate.style, chosen.inches, chosen.legend)


def _finished(panel: Panel, layout: Layout, style: Style, width: float) -> Layout:
    """What Graphviz does not do: the U, shapes beside the arrows, frames around all that is theirs."""
    if style.u:
        return u_layout(panel, layout.nodes, width * POINTS - MARGIN, style)
    if style.shapes == "edge" and not style.lying:
        layout = with_shapes_on_edges(panel, layout, style)
    inside = {f"cluster_{g.id}": frozenset(box.id for box in boxes(g.items)) for g in groups(panel.items)}
    if panel.title:
        inside[f"cluster_{panel.id}"] = frozenset(layout.nodes)
    return framed(layout, inside, FRAME_ROOM)


def style_of(shown: Figure, chosen: Options, letters: Face | None = None) -> Style:
    """How the options make a figure look; `auto` becomes a direction."""
    first = shown.panels[0]
    u = first.shape == "u" and chosen.direction in ("auto", "U") and is_u(first)
    if chosen.direction == "U" and not u:
        raise DrawError("a U needs an encoder and a decoder that at least two skips join; draw it TB or LR")
    few = len(shown.panels) == 1 and len(first.items) <= MOST_LYING
    wide = chosen.direction == "auto" and few and chosen.inches >= WIDE_PAGE and not u and first.shape != "free"
    lying = chosen.direction == "LR" or wide
    rankdir = "LR" if lying else "BT" if chosen.order == "upward" and not u else "TB"
    limit = min(chosen.inches, WIDEST_BOX) * POINTS - 2 * MARGIN
    return Style(
        chosen.colours(), chosen.text_size, rankdir, chosen.shapes, chosen.trainable, u, letters or Face(), limit
    )
