"""The colours of drawings. The usual ones are Paul Tol's light scheme, which colour-blind readers can tell apart.

Every fill keeps a contrast of at least 7:1 with the ink (WCAG 2, level AAA). https://personal.sron.nl/~pault/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_ROLES = (
    "convolution", "normalization", "activation", "pooling", "upsampling",
    "dense", "embedding", "attention", "recurrent",
)  # fmt: skip


def _scheme(*colours: str) -> dict[str, str]:
    return dict(zip(_ROLES, colours, strict=True))


# By `Layer.role`. All other roles (inputs, merges, dropout, …) have the paper's colour.
PALETTES: dict[str, dict[str, str]] = {
    "tol-light": _scheme(
        "#77AADD", "#99DDFF", "#EEDD88", "#EE8866", "#FFAABB", "#44BB99", "#44BB99", "#BBCC33", "#AAAA00"
    ),
    # Okabe and Ito 2008, mixed with white where the ink would be hard to read.
    "okabe-ito": _scheme(
        "#56B4E9", "#A6D7F3", "#F0E442", "#E69F00", "#DDB0CB", "#4DBB9D", "#4DBB9D", "#E8A07A", "#8FC3E0"
    ),
    "grey": _scheme("#C8C8C8", "#E6E6E6", "#F2F2F2", "#B4B4B4", "#DCDCDC", "#BEBEBE", "#BEBEBE", "#D2D2D2", "#AAAAAA"),
}
FILLS = PALETTES["tol-light"]
INK = "#222222"


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours beside the roles', the size of text in points, the page's width in inches.

    `ink` is for text in boxes, `text` for that on paper.
    """

    ink: str = INK
    text: str = INK
    line: str = "#444444"
    muted: str = "#666666"
    paper: str = "#FFFFFF"
    box: str = "#FFFFFF"
    block: str = "#E8EEF5"
    group: str = "#F4F6F8"
    group_line: str = "#9AA5B1"
    accent: str = "#AA3377"  # Tol's bright scheme: the outline of what was rewritten
    font_size: int = 8
    width: float = 3.3
    palette: str = "tol-light"


THEMES = {
    "paper": Theme(),
    "slide": Theme(font_size=14, width=10),
    "dark": Theme(
        text="#EEEEEE",
        line="#CCCCCC",
        muted="#BBBBBB",
        paper="#1E1E1E",
        group="#2B2F33",
        group_line="#77808A",
        accent="#FF77AA",
    ),
    "grey": Theme(palette="grey", block="#F0F0F0", group="#F7F7F7", group_line="#A0A0A0", accent="#000000"),
}


@dataclass(frozen=True, slots=True)
class Colours:
    """A theme with its palette; what the user maps comes first."""

    theme: Theme = field(default_factory=Theme)
    fills: Mapping[str, str] = field(default_factory=lambda: FILLS)

    def fill(self, role: str) -> str:
        return self.fills.get(role, self.theme.block if role == "block" else self.theme.box)
