"""What can be asked of a drawing: the section `draw` of a spec, whose names the command line and Python share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from archspec.diagnostics import Span
from archspec.draw.engine import DrawError
from archspec.draw.fold import View
from archspec.draw.model import Level
from archspec.draw.palette import PALETTES, THEMES, Colours
from archspec.language.drawing import MOST_INCHES, Draw, RoleColours
from archspec.language.source import Mark
from archspec.language.validation import diagnose

_LEVELS: Mapping[str, Level] = {"overview": "overview", "blocks": "blocks", "layers": "layers", "raw": "raw"}


class Options(Draw):
    """The options, and what follows from them."""

    def view(self) -> View:
        name, _, block = self.level.partition(":")
        level: Level = "block" if block else _LEVELS[name]
        return View(level, block, self.only, self.expand, self.collapse, self.title)

    def colours(self) -> Colours:
        theme = THEMES[self.theme]
        if isinstance(self.palette, RoleColours):
            own = self.palette.model_dump(exclude_unset=True)
            return Colours(theme, {**PALETTES[theme.palette], **own})
        return Colours(theme, PALETTES[self.palette or theme.palette])

    @property
    def inches(self) -> float:
        """The width: a paper's column if nothing is said, but for layers and raw as much as they take."""
        if self.width is not None:
            return float(self.width)
        return MOST_INCHES if self.level in ("layers", "raw") else THEMES[self.theme].width

    @property
    def text_size(self) -> int:
        return self.font_size if self.font_size is not None else THEMES[self.theme].font_size


def options(*sources: Mapping[str, Any]) -> Options:
    """Options from mappings, of which later ones win. Raises DrawError for the first that is wrong."""
    values = {name: value for source in sources for name, value in source.items()}
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        wrong = diagnose(error, "a drawing", Options, values, Mark(Span("", 1, 1, 1, 1)))[0]
        raise DrawError(f"{wrong.message}; {wrong.help}" if wrong.help else wrong.message) from None
