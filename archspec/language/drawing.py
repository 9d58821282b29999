"""The section `draw`: how a spec wants to be drawn."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag

from archspec.diagnostics import did_you_mean
from archspec.language.document import Document
from archspec.language.expressions import show
from archspec.language.sections import section
from archspec.layers.base import Model

Level = Literal["overview", "blocks", "layers", "raw"]
Direction = Literal["auto", "TB", "LR", "U"]
Palette = Literal["tol-light", "okabe-ito", "grey"]
Theme = Literal["paper", "slide", "dark", "grey"]
Shapes = Literal["node", "edge", "none"]
Order = Literal["downward", "upward"]
LEAST_INCHES, MOST_INCHES = 1, 1000


def _level(value: str) -> str:
    if value in get_args(Level) or (value.startswith("block:") and value != "block:"):
        return value
    known = get_args(Level)
    hint = did_you_mean(value, known)
    said = f"level should be {', '.join(known)} or block:NAME, got {value!r}"
    raise ValueError(f"{said}; {hint}" if hint else said)


def _inches(value: float | str | None) -> float | None:
    """`3.3in`, `3.3` or 3.3 as a number."""
    if value is None:
        return None
    try:
        found = float(str(value).strip().removesuffix("in"))
    except ValueError:
        raise ValueError(f"width must be inches, as 3.3in, got {value!r}") from None
    if not LEAST_INCHES <= found <= MOST_INCHES:
        raise ValueError(f"width must be from {LEAST_INCHES} to {MOST_INCHES} inches, got {found:g}")
    return found


def _colour(value: Any) -> Any:
    """Before anything else, for `#77AADD` without quotes is a comment in YAML and leaves null."""
    if not isinstance(value, str) or not re.fullmatch("#[0-9A-Fa-f]{6}", value):
        raise ValueError(f'a colour is like "#77AADD", in quotes, got {"null" if value is None else show(value)}')
    return value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Colour = Annotated[str, BeforeValidator(_colour)]
Globs = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class RoleColours(Model):
    """Colours by the role of a box, over those of the theme."""

    activation: Colour = ""
    attention: Colour = ""
    convolution: Colour = ""
    dense: Colour = ""
    embedding: Colour = ""
    merge: Colour = ""
    normalization: Colour = ""
    pooling: Colour = ""
    preprocessing: Colour = ""
    recurrent: Colour = ""
    regularization: Colour = ""
    reshape: Colour = ""
    upsampling: Colour = ""
    other: Colour = ""
    block: Colour = ""
    input: Colour = ""
    output: Colour = ""
    added: Colour = ""  # the last four in drawings of a comparison
    removed: Colour = ""
    changed: Colour = ""
    same: Colour = ""


Colouring = Annotated[
    Annotated[Palette, Tag("name")] | Annotated[RoleColours, Tag("roles")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "roles"),
]


class Draw(Model):
    """How the network is drawn; what the command line or Python says wins.

    `level` is overview, blocks, layers, raw or block:NAME, `width` in inches (`3.3in`),
    `font_size` in points, `palette` a name or colours by role over those of the theme, `expand` and `collapse` globs of
    scopes, `only` one scope.
    """

    level: Annotated[str, AfterValidator(_level)] = "blocks"
    direction: Direction = "auto"
    width: Annotated[float | str | None, AfterValidator(_inches)] = None
    font_size: Annotated[int, Ge(8), Le(72)] | None = None
    palette: Colouring | None = None
    theme: Theme = "paper"
    shapes: Shapes = "node"
    legend: bool = True
    title: str = ""
    order: Order = "downward"
    trainable: bool = False
    expand: Globs = ()
    collapse: Globs = ()
    only: str = ""


def drawing(document: Document) -> dict[str, Any]:
    """What the spec's section `draw` says, by name; nothing where it says nothing. Raises SpecError."""
    found = section(document, "draw", Draw, {})
    values = {name: getattr(found, name) for name in Draw.model_fields if name in found.model_fields_set}
    if isinstance(found.palette, RoleColours):
        values["palette"] = found.palette.model_dump(exclude_unset=True)
    return values
