"""Pictures of graphs: graph → figure (the model) → DOT, laid out panel by panel → SVG, PDF, PNG."""

from archspec.draw.engine import DrawError, Engine, Fonts, engine, fonts
from archspec.draw.formats import FORMATS
from archspec.draw.options import Options, options
from archspec.draw.picture import diagram, draw, measure

__all__ = [
    "FORMATS",
    "DrawError",
    "Engine",
    "Fonts",
    "Options",
    "diagram",
    "draw",
    "engine",
    "fonts",
    "measure",
    "options",
]
