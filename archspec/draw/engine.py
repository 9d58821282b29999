"""Graphviz: the system's program, else the library inside pygraphviz's wheel, run in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Literal

INSTALL = 'install Graphviz: pip install "archspec[diagrams]", or the system\'s package (apt-get install graphviz)'
INSTALL_FONTS = "install fonts, for example: apt-get install fonts-liberation"
DOTS_PER_INCH = 300  # of PNG files; never in the DOT, where old releases break their SVG over it

# Graphviz's library may end the process or run for ever; in a process of its own it cannot take ours along.
_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
graph.graph_attr.update(arg.split("=", 1) for arg in sys.argv[2:])
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""

# A list: where Helvetica is missing, Graphviz would take DejaVu for the bare name, 18 % wider than Arial and its kin.
FONT = "Helvetica,Arial,sans-serif"


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
def fonts(engine: Engine) -> Fonts:
    """Looks for fonts by drawing: without any, a letter comes out like a blank."""
    node = f'shape=box, fixedsize=true, fontname="{FONT}"'
    letter, blank = (render(f'digraph {{ a [{node}, label="{content}"] }}', "png", engine) for content in "M ")
    return Fonts(letter != blank, _family())


def _family() -> str | None:
    program = shutil.which("fc-match")
    if not program:
        return None
    command = [program, "-f", "%{family}", FONT]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return found.stdout.strip() or None


def render(dot: str, format: str, engine: Engine, timeout_s: float = 120) -> bytes:
    """DOT laid out by dot and written in a format. Raises DrawError."""
    settings = [f"dpi={DOTS_PER_INCH}"] if format == "png" else []
    if engine.kind == "dot":
        command = [*engine.command, f"-T{format}", *(f"-G{setting}" for setting in settings)]
    else:
        command = [*engine.command, format, *settings]
    try:
        run = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=timeout_s, check=False)
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
