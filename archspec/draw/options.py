"""What can be asked of a drawing. The same names on the command line, in Python and under `draw:` in a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from archspec.draw.engine import DrawError
from archspec.draw.fold import View
from archspec.draw.legend import NAMES as LEGEND_NAMES
from archspec.draw.model import Level
from archspec.draw.palette import PALETTES, THEMES, Colours
from archspec.layers import catalogue

CHOICES = {
    "direction": ("auto", "TB", "LR", "U"),
    "theme": tuple(THEMES),
    "shapes": ("node", "edge", "none"),
    "order": ("downward", "upward"),
}
KINDS = {
    "legend": (bool, "true or false"),
    "trainable": (bool, "true or false"),
    "title": (str, "text"),
    "level": (str, "text"),
    "only": (str, "text"),
}
LEVELS = ("overview", "blocks", "layers", "raw")
LEAST_TEXT = 7  # points, what journals ask for
NO_WIDTH = 100.0  # inches, the most


@dataclass(frozen=True, slots=True)
class Options:
    """level: overview, blocks, layers, raw or `block:NAME`. font_size: points, None is the theme's.

    width: inches; None is the theme's, a paper's column; or for layers and raw as much as they take.
    palette: a palette's name, or colours by role, over those of the theme. expand, collapse: globs of scope paths.
    """

    level: str = "blocks"
    direction: str = "auto"
    width: float | None = None
    font_size: int | None = None
    palette: str | Mapping[str, str] | None = None
    theme: str = "paper"
    shapes: str = "node"
    legend: bool = True
    title: str = ""
    order: str = "downward"
    trainable: bool = False
    expand: tuple[str, ...] = field(default=())
    collapse: tuple[str, ...] = field(default=())
    only: str = ""

    def view(self) -> View:
        level, _, block = self.level.partition(":")
        known: dict[str, Level] = {"overview": "overview", "blocks": "blocks", "layers": "layers", "raw": "raw"}
        if level == "block" and block:
            return View("block", block, self.only, self.expand, self.collapse, self.title)
        if self.level not in known:
            raise DrawError(f"unknown level {self.level!r}; known are {', '.join(LEVELS)} and block:NAME")
        return View(known[self.level], "", self.only, self.expand, self.collapse, self.title)

    def colours(self) -> Colours:
        theme = THEMES[self.theme]
        palette = self.palette if self.palette is not None else theme.palette
        if isinstance(palette, str):
            return Colours(theme, PALETTES[palette])
        return Colours(theme, {**PALETTES[theme.palette], **palette})

    @property
    def inches(self) -> float:
        if self.width is not None:
            return self.width
        return NO_WIDTH if self.level in ("layers", "raw") else THEMES[self.theme].width

    @property
    def text_size(self) -> int:
        return self.font_size if self.font_size is not None else THEMES[self.theme].font_size


def options(*sources: Mapping[str, Any]) -> Options:
    """Options from mappings, later ones win. Raises DrawError for what is unknown."""
    names = [f.name for f in fields(Options)]
    values: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            if name not in names:
                raise DrawError(f"unknown drawing option {name!r}{_meant(name, names)}")
            values[name] = value
    for name in ("expand", "collapse"):
        given = values.get(name, ())
        values[name] = (given,) if isinstance(given, str) else tuple(given)
    if values.get("width") is not None:
        values["width"] = _inches(values["width"])
    found = Options(**values)
    _check(found)
    return found


def _check(found: Options) -> None:
    for name, choices in CHOICES.items():
        if getattr(found, name) not in choices:
            raise DrawError(f"unknown {name} {getattr(found, name)!r}; known are {', '.join(choices)}")
    for name, (kind, words) in KINDS.items():
        if not isinstance(getattr(found, name), kind):
            raise DrawError(f"{name} must be {words}, got {getattr(found, name)!r}")
    size = found.text_size
    if not isinstance(size, int) or isinstance(size, bool) or not LEAST_TEXT < size <= 72:
        raise DrawError(f"font_size must be a whole number of points from 8 to 72, got {found.font_size}")
    _check_palette(found.palette)


def _meant(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _inches(width: object) -> float:
    text = str(width).strip().removesuffix("in").strip()
    try:
        inches = float(text)
    except ValueError:
        raise DrawError(f"width must be inches, as 3.3in, got {width!r}") from None
    if not 1 <= inches <= NO_WIDTH:
        raise DrawError(f"width must be from 1 to 100 inches, got {inches:g}")
    return inches


def _check_palette(palette: object) -> None:
    if palette is None or (isinstance(palette, str) and palette in PALETTES):
        return
    if not isinstance(palette, Mapping):
        raise DrawError(f"unknown palette {palette!r}; known are {', '.join(PALETTES)}, or colours by role")
    roles = {layer.ROLE for layer in catalogue().values()} | {"block", *LEGEND_NAMES, "same"}
    for role, colour in palette.items():
        if role not in roles:
            raise DrawError(f"no layer has the role {role!r}{_meant(str(role), sorted(roles))}")
        if not isinstance(colour, str) or not re.fullmatch(r"#[0-9A-Fa-f]{6}", colour):
            raise DrawError(f"the colour of {role} must be like #77AADD, got {colour!r}")
