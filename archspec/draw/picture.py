"""A graph's picture in a file."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from archspec.draw.diagram import diagram
from archspec.draw.dot import Direction, to_dot
from archspec.draw.engine import INSTALL, INSTALL_FONTS, DrawError, engine, fonts, render
from archspec.files import write_whole
from archspec.graph.ir import Graph

FORMATS = ("dot", "svg", "pdf", "png")

# Above this, laying every layer out takes minutes and gives a picture that nobody can read.
MOST_LAYERS = 2_000


def draw(graph: Graph, path: str | Path, *, format: str | None = None, direction: Direction = "TB") -> Path:
    """Writes the graph's picture and returns its path; the format is the extension's unless given.

    A file appears whole or not at all. Raises DrawError. Where Graphviz is missing, the `.dot` is still written beside.
    """
    path = Path(path)
    format = _format(path, format)
    if direction not in get_args(Direction):
        raise DrawError(f"unknown direction {direction!r}; known are {' and '.join(get_args(Direction))}")
    if format != "dot" and len(graph.nodes) > MOST_LAYERS:
        raise DrawError(
            f"{len(graph.nodes):,} layers are too many to draw one by one, the most is {MOST_LAYERS:,};"
            " draw a smaller part, or write DOT"
        )
    if not path.parent.is_dir():
        raise DrawError(f"cannot write {path}: there is no folder {path.parent}")
    dot = to_dot(diagram(graph), direction)
    _write(path, dot.encode() if format == "dot" else _rendered(dot, format, path))
    return path


def _format(path: Path, format: str | None) -> str:
    found = format if format is not None else path.suffix.lower().removeprefix(".")
    if found not in FORMATS:
        what = f"unknown format {found!r}" if found else f"{path} has no extension to tell the format by"
        raise DrawError(f"{what}; known are {', '.join(FORMATS)}")
    return found


def _rendered(dot: str, format: str, path: Path) -> bytes:
    graphviz = engine()
    if graphviz is None:
        beside = path.with_suffix(".dot")
        _write(beside, dot.encode())
        raise DrawError(f"there is no Graphviz here to make {format.upper()}, so only {beside} is written; {INSTALL}")
    if format in ("pdf", "png") and not fonts(graphviz).usable:
        raise DrawError(f"Graphviz finds no fonts, the picture would have no text; {INSTALL_FONTS}")
    return render(dot, format, graphviz)


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise DrawError(f"cannot write {path}: {error.strerror}") from error
