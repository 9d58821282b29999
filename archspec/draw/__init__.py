"""Pictures of graphs: graph → diagram → DOT → SVG, PDF, PNG. Needs Graphviz for all but DOT."""

from archspec.draw.engine import DrawError, Engine, Fonts, engine, fonts
from archspec.draw.picture import FORMATS, draw

__all__ = ["FORMATS", "DrawError", "Engine", "Fonts", "draw", "engine", "fonts"]
