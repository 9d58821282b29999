"""What can be asked of a drawing. The same names on the command line, in Python and under `draw:` in a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, get_args

from archspec.draw.engine import DrawError
from archspec.draw.fold import View
from archspec.draw.model import Level
from archspec.draw.palette import PALETTES, THEMES, Colours
from archspec.language import drawing

CHOICES = {
    "direction": get_args(drawing.Direction),
    "theme": get_args(drawing.Theme),
    "shapes": get_args(drawing.Shapes),
    "order": get_args(drawing.Order),
}
ROLES = (*drawing.RoleColours.model_fields, "added", "removed", "changed", "same")  # the last four of a comparison
LEVELS = get_args(drawing.Level)
LEAST_TEXT = 7  # points, what journals ask for


@dataclass(frozen=True, slots=True)
class Options:
    """level: overview, blocks, layers, raw or `block:NAME`. width: inches. font_size: points, None is the theme's.

    palette: a palette's name, or colours by role, over those of the theme. expand, collapse: globs of scope paths.
    """

    level: str = "blocks"
    direction: str = "auto"
    width: float = 3.3
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
    def text_size(self) -> int:
        return self.font_size if self.font_size is not None else THEMES[self.theme].font_size


def options(*sources: Mapping[str, Any]) -> Options:
    """Options from mappings, later ones win. Raises DrawError for what is unknown."""
    names = [f.name for f in fields(Options)]
    values: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            if name not in names:
                near = get_close_matches(name, names, 1)
                raise DrawError(f"unknown drawing option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
            values[name] = value
    for name in ("expand", "collapse"):
        given = values.get(name, ())
        values[name] = (given,) if isinstance(given, str) else tuple(given)
    values["width"] = _inches(values.get("width", 3.3))
    found = Options(**values)
    for name, choices in CHOICES.items():
        if getattr(found, name) not in choices:
            raise DrawError(f"unknown {name} {getattr(found, name)!r}; known are {', '.join(choices)}")
    if isinstance(found.palette, str) and found.palette not in PALETTES:
        raise DrawError(f"unknown palette {found.palette!r}; known are {', '.join(PALETTES)}, or colours by role")
    _check_colours(found.palette)
    if (
        not isinstance(found.text_size, int)
        or isinstance(found.text_size, bool)
        or not LEAST_TEXT < found.text_size <= 72
    ):
        raise DrawError(f"font_size must be a whole number of points from 8 to 72, got {found.font_size}")
    return found


def _inches(width: object) -> float:
    try:
        return drawing.inches(width if isinstance(width, int | float) else str(width))
    except ValueError as error:
        raise DrawError(str(error)) from None


def _check_colours(palette: object) -> None:
    for role, colour in palette.items() if isinstance(palette, Mapping) else ():
        if role not in ROLES:
            near = get_close_matches(role, ROLES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(ROLES)}"
            raise DrawError(f"there is no role {role!r} to colour; {hint}")
        if not isinstance(colour, str) or not re.fullmatch(r"#[0-9A-Fa-f]{6}", colour):
            raise DrawError(f"the colour of {role} must be like #77AADD, got {colour!r}")
