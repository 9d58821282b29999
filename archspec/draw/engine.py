"""Graphviz: the system's program, else the library inside pygraphviz's wheel, run in a process of its own."""

from __future__ import annotations

import html
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Literal

from archspec.draw.metrics import BOLD, REGULAR, Face

INSTALL = 'install Graphviz: pip install "archspec[diagrams]", or the system\'s package (apt-get install graphviz)'
INSTALL_FONTS = "install fonts, for example: apt-get install fonts-liberation"
PNG = b"\x89PNG\r\n\x1a\n"  # how such files begin
DOTS_PER_INCH = 300  # of PNG files; never in the DOT, where old releases break their SVG over it

# Graphviz's library may end the process or run for ever; in a process of its own it cannot take ours along.
_PYGRAPHVIZ = """
import sys, json, pygraphviz
for text in json.load(sys.stdin):
    graph = pygraphviz.AGraph(string=text)
    graph.graph_attr.update(arg.split("=", 1) for arg in sys.argv[3:])
    sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog=sys.argv[2]))
"""

# A list: where Helvetica is missing, Graphviz would take DejaVu for the bare name, 18 % wider than Arial and its kin.
FONT = "Helvetica,Arial,DejaVu Sans Condensed,sans-serif"


class DrawError(ValueError):
    """A drawing cannot be made. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to run Graphviz's dot."""

    kind: Literal["dot", "pygraphviz"]
    command: tuple[str, ...]

    def version(self) -> str:
        """What Graphviz or the wheel calls itself."""
        if self.kind == "pygraphviz":
            return f"pygraphviz {metadata.version('pygraphviz')}"
        found = subprocess.run([*self.command, "-V"], capture_output=True, text=True, timeout=20, check=False)
        return found.stderr.strip()  # dot -V writes there


@dataclass(frozen=True, slots=True)
class Fonts:
    """`usable`: whether text shows up at all. `family`: what stands in for Helvetica, where fontconfig can say."""

    usable: bool
    family: str | None


def engine() -> Engine | None:
    """The engine that drawings use: the system's dot, else pygraphviz, else none."""
    program = shutil.which("dot")
    if program:
        return Engine("dot", (program,))
    if importlib.util.find_spec("pygraphviz"):
        return Engine("pygraphviz", (sys.executable, "-P", "-c", _PYGRAPHVIZ))
    return None


@cache
def face(engine: Engine, *sizes: int) -> Face:
    """The widths of the font that stands in for Helvetica here, letter by letter as Graphviz measures them.

    At each size: Graphviz rounds the letters of small text to whole pixels.
    """
    # Without what labels may take as an escape; after "]" release 2.43 forgets the line's end.
    letters = [letter for letter in REGULAR if letter.isprintable() and letter not in " \\]"]
    texts = [*letters, "n n"]  # blanks alone would be left out
    lines = "<br/>".join(html.escape(text) for text in texts)
    kinds = [(size, bold) for size in sizes for bold in (False, True)]
    nodes = [
        f"n{number} [shape=plain, fontsize={size}, label=<{f'<b>{lines}</b>' if bold else lines}>]"
        for number, (size, bold) in enumerate(kinds)
    ]
    (found,) = layouts([f'digraph {{ node [fontname="{FONT}"]; {"; ".join(nodes)} }}'], engine)
    tables: dict[tuple[float, bool], Mapping[str, float]] = {}
    for (size, bold), item in zip(kinds, found["objects"], strict=True):
        widths = [op["width"] * 1000 / size for op in item["_ldraw_"] if op["op"] == "T"]
        # Without any fonts there are no widths; those of Helvetica are better than none.
        if len(widths) == len(texts) and all(widths):
            table = (BOLD if bold else REGULAR) | dict(zip(letters, widths, strict=False))
            tables[size, bold] = table | {" ": widths[-1] - 2 * table["n"]}
    return Face(tables)


@cache
def fonts(engine: Engine) -> Fonts:
    """Looks for fonts by drawing: without any, a letter comes out like a blank."""
    node = f'shape=box, fixedsize=true, fontname="{FONT}"'
    dots = [f'digraph {{ a [{node}, label="{content}"] }}' for content in "M "]
    letter, blank = _run(dots, "png", "dot", engine, 120).split(PNG)[1:]
    return Fonts(letter != blank, _family())


def _family() -> str | None:
    program = shutil.which("fc-match")
    if not program:
        return None
    command = [program, "-f", "%{family}", FONT]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return found.stdout.strip() or None


def layouts(dots: list[str], engine: Engine) -> list[dict[str, Any]]:
    """The places and sizes that Graphviz gives, as its JSON, of one graph after another. Raises DrawError."""
    text = _run(dots, "json", "dot", engine, 120).decode()
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(text.rstrip()):
        graph, place = decoder.raw_decode(text, place + len(text[place:]) - len(text[place:].lstrip()))
        found.append(graph)
    return found


def render(dot: str, format: str, engine: Engine, timeout_s: float = 120, placed: bool = False) -> bytes:
    """DOT written in a format; `placed` ones keep the positions that they have. Raises DrawError."""
    return _run([dot], format, "placed" if placed else "dot", engine, timeout_s)


def _run(dots: list[str], format: str, program: Literal["dot", "placed"], engine: Engine, timeout_s: float) -> bytes:
    settings = [f"dpi={DOTS_PER_INCH}"] if format == "png" else []
    if engine.kind == "dot":
        placing = ["-Kneato", "-n2"] if program == "placed" else []
        command = [*engine.command, *placing, f"-T{format}", *(f"-G{setting}" for setting in settings)]
        given = "".join(dots).encode()
    else:
        command = [*engine.command, format, "nop2" if program == "placed" else "dot", *settings]
        given = json.dumps(dots).encode()
    try:
        run = subprocess.run(command, input=given, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise DrawError(
            f"Graphviz took longer than {timeout_s:.0f} s; draw a smaller part, or write DOT and lay it out yourself"
        ) from error
    messages = _messages(run.stderr)
    if "too large for" in messages:
        raise DrawError("the picture is larger than bitmaps can be; write SVG or PDF instead")
    if run.returncode or not run.stdout:
        raise DrawError(f"Graphviz failed: {messages.splitlines()[-1] if messages else f'exit code {run.returncode}'}")
    return run.stdout


def _messages(stderr: bytes) -> str:
    """What Graphviz says, without fontconfig's remarks on its own configuration files."""
    lines = stderr.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.startswith("Fontconfig"))
