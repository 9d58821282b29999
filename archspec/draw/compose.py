"""Panels laid out apart, put together at fixed places within the figure's width; sizes stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archspec.draw import legend
from archspec.draw.dot import Writer, attributes, head, placed, quoted
from archspec.draw.geometry import POINTS, Layout, Place, Rect
from archspec.draw.legend import Sign
from archspec.draw.markup import literal
from archspec.draw.model import Figure
from archspec.draw.style import Style
from archspec.draw.wrap import wrapped

GAP = 5.0  # points between panels
MARGIN = 3.4  # points that Graphviz adds to a figure: its pad of 0.02 in on both sides, half a line's width
MOST_ASPECT = 2.19  # height to width, above which a column is wrapped
MOST_HEIGHT = 9.0  # inches of text on a page
MOST_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Composed:
    """A figure with everything in its place: the DOT, its size in points, whether the network lies, and its blocks."""

    dot: str
    width: float
    height: float
    lying: bool = False
    across: bool = False

    def excess(self, inches: float) -> float:
        """How far it is from fitting its page; 0 where it does."""
        return excess(self.width, self.height, inches)


def excess(width: float, height: float, inches: float) -> float:
    """By how many points a figure is too wide, which weighs most, and by how many it is too tall or too slender."""
    wide, tall = width - inches * POINTS, height - MOST_HEIGHT * POINTS
    return max(wide, 0.0) * 1000 + max(tall, height - MOST_ASPECT * width, 0.0)


@dataclass(frozen=True, slots=True)
class Arranged:
    """The panels at their places, and the text that stands alone."""

    panels: tuple[Layout, ...]
    signs: tuple[tuple[Sign, Place], ...]

    @property
    def rect(self) -> Rect:
        return Rect.around([*(layout.rect for layout in self.panels), *(place.rect for _, place in self.signs)])


def compose(figure: Figure, layouts: Sequence[Layout], style: Style, width: float, with_legend: bool) -> Composed:
    """The whole figure as DOT with fixed positions: the first way of placing its panels that fits, else the nearest."""
    tried: list[tuple[float, Arranged]] = []
    for number in range(1, _most_columns(figure, layouts[0]) + 1):
        macro = wrapped(figure.panels[0], layouts[0], number, style.rankdir) if number > 1 else layouts[0]
        found = _arranged(figure, [macro, *layouts[1:]], style, width * POINTS - MARGIN, with_legend)
        tried.append((excess(*_size(found.rect), width), found))
        if not tried[-1][0]:
            break
    best = min(tried, key=lambda way: way[0])[1]
    return Composed(_written(figure, best, style), *_size(best.rect), style.lying, style.across)


def _size(rect: Rect) -> tuple[float, float]:
    return rect.width + MARGIN, rect.height + MARGIN


def _most_columns(figure: Figure, macro: Layout) -> int:
    macro_panel = figure.panels[0]
    return 1 if macro_panel.shape == "u" or len(macro.nodes) < 4 else MOST_COLUMNS


def _arranged(figure: Figure, layouts: Sequence[Layout], style: Style, limit: float, with_legend: bool) -> Arranged:
    """Each panel as high up as it goes, its notes under it, then the legend where the figure grows least."""
    taken: list[Rect] = []
    panels: list[Layout] = []
    signs: list[tuple[Sign, Place]] = []
    for panel, layout in zip(figure.panels, layouts, strict=True):
        rect = layout.rect
        words = f"dashed: {'; '.join(panel.notes)}" if panel.notes else ""
        under = legend.note(f"note_{panel.id}", words, style, max(rect.width, 60.0)) if words else None
        left, top = _spot(taken, rect.width, rect.height + (under.height + 2 if under else 0), limit)
        panels.append(layout.at(left, top))
        taken += _occupied(panels[-1])
        if under:
            signs.append((under, _place(under, left + 2, panels[-1].rect.bottom - 2)))
            taken.append(signs[-1][1].rect)
    choices = legend.legends(figure, style, limit) if with_legend else []
    spots = [(sign, *_spot(taken, sign.width, sign.height, limit, 2.0)) for sign in choices]
    if spots:
        sign, left, top = min(spots, key=lambda spot: _growth(taken, spot[1], spot[2], spot[0]))
        signs.append((sign, _place(sign, left, top)))
    return _titled(Arranged(tuple(panels), tuple(signs)), figure.title, style)


def _occupied(layout: Layout) -> list[Rect]:
    """A rectangle for each column; the lines from one column to the next are in none."""
    parts = [item.rect for items in (layout.frames.values(), layout.nodes.values()) for item in items]
    parts += [way.rect for way in layout.ways.values() if not way.gutter]
    found: list[Rect] = []
    for rect in sorted(parts, key=lambda rect: rect.left):
        if found and rect.left < found[-1].right:
            found[-1] = Rect.around([found[-1], rect])
        else:
            found.append(rect)
    return found


def _spot(taken: list[Rect], width: float, height: float, limit: float, gap: float = GAP) -> tuple[float, float]:
    """The left and top of where a rectangle makes the figure grow least in height."""
    if not taken:
        return 0.0, 0.0
    around = Rect.around(taken)
    lefts = sorted({around.left, *(rect.left for rect in taken), *(rect.right + GAP for rect in taken)})
    spots = []
    for left in lefts:
        if left > around.left and left + width > around.left + limit:
            continue
        under = [r.bottom for r in taken if r.left < left + width + GAP - 0.1 and r.right > left - GAP + 0.1]
        top = min(under) - gap if under else 0.0
        spots.append((round(max(around.top - around.bottom, around.top - top + height), 1), -top, left))
    _, depth, left = min(spots)
    return left, -depth


def _growth(taken: list[Rect], left: float, top: float, sign: Sign) -> tuple[float, float, float]:
    """How a figure looks with a legend there: low first, then narrow."""
    rect = Rect.around([*taken, _place(sign, left, top).rect])
    return round(rect.height / 4), round(rect.width), -top


def _place(sign: Sign, left: float, top: float) -> Place:
    return Place(left + sign.width / 2, top - sign.height / 2, sign.width, sign.height)


def _titled(arranged: Arranged, content: str, style: Style) -> Arranged:
    if not content:
        return arranged
    rect = arranged.rect
    sign = legend.title(content, style, max(rect.width, 60.0))
    place = Place((rect.left + rect.right) / 2, rect.top + 4 + sign.height / 2, sign.width, sign.height)
    return Arranged(arranged.panels, (*arranged.signs, (sign, place)))


def _written(figure: Figure, arranged: Arranged, style: Style) -> str:
    lines = [f"digraph {quoted(literal(figure.name))} {{", *head(style)]
    for number, (panel, layout) in enumerate(zip(figure.panels, arranged.panels, strict=True)):
        lines += Writer(panel, style if number == 0 else style.inside(), layout).lines()
    for sign, place in arranged.signs:
        values = {"shape": "none", "style": "", "margin": "0", "label": sign.label} | placed(place)
        lines.append(f"  {quoted(sign.id)} {attributes(values)}")
    return "\n".join([*lines, "}"]) + "\n"
