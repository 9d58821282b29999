"""A placed figure as TikZ that compiles alone. The places are Graphviz's; the colours are named styles, one a role."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from archspec.draw.engine import Engine, render
from archspec.draw.tex import is_latin, tex

# Graphviz's JSON doubles some backslashes in texts and cuts as many letters off: a letter for private use stands in.
_BACKSLASH = "\ue05c"
Operations = Sequence[Mapping[str, Any]]

# Without the standalone class, which is in no basic TeX; the page is as large as the figure.
_HEAD = r"""% {name}: {made}
\documentclass{{article}}
{fonts}
\usepackage{{tikz}}
\usepackage[paperwidth={width}bp,paperheight={height}bp,margin=0bp]{{geometry}}
\pagestyle{{empty}}
\setlength{{\parindent}}{{0pt}}\setlength{{\topskip}}{{0pt}}\setlength{{\lineskip}}{{0pt}}
% Text as wide as it was laid out for, whatever font there is.
\newsavebox{{\fitbox}}
\newcommand{{\fit}}[2]{{\sbox{{\fitbox}}{{#2}}\ifdim\wd\fitbox>#1\resizebox{{#1}}{{\height}}{{\usebox{{\fitbox}}}}\else\usebox{{\fitbox}}\fi}}
\begin{{document}}%
"""
_MADE = "a figure for \\input, from \\begin{tikzpicture} on"
_PDF_FONTS = r"""\usepackage{textcomp}
\IfFileExists{tgheros.sty}{\usepackage[T1]{fontenc}\usepackage{tgheros}}{%
  \IfFileExists{lmodern.sty}{\usepackage[T1]{fontenc}\usepackage{lmodern}}{}}
\renewcommand{\familydefault}{\sfdefault}
"""
_UNICODE_FONTS = r"""% compile with LuaLaTeX or XeLaTeX: there are letters that pdfLaTeX does not know
\usepackage{fontspec}
\IfFontExistsTF{DejaVu Sans Condensed}{\setmainfont{DejaVu Sans Condensed}}{}"""


def to_tikz(dot: str, name: str, graphviz: Engine) -> str:
    """A placed figure's DOT → a document of LaTeX's. Raises DrawError."""
    placed = json.loads(render(dot.replace("\\\\", _BACKSLASH), "json", graphviz, placed=True))
    left, bottom, right, top = map(float, placed["bb"].split(","))
    pen = _Pen()
    for item in (placed, *placed.get("objects", ()), *placed.get("edges", ())):
        role = re.sub(r"[^A-Za-z]", "", item.get("class", "")) or ("group" if "bb" in item else "")
        for key in ("_draw_", "_ldraw_", "_hdraw_", "_tdraw_"):
            pen.draw(item.get(key, ()), role if key == "_draw_" and item is not placed else "")
    everything = "".join(pen.lines)
    fonts = _PDF_FONTS if is_latin(everything) else _UNICODE_FONTS
    edge = 2.0  # room for half a line's width on each side
    head = _HEAD.format(
        name=" ".join(tex(name).split()), made=_MADE, fonts=fonts,
        width=f"{right - left + 2 * edge:.2f}", height=f"{top - bottom + 2 * edge:.2f}",
    )  # fmt: skip
    colours = [rf"\definecolor{{{colour}}}{{HTML}}{{{value}}}" for value, colour in pen.colours.items()]
    styles = [rf"\tikzset{{{role}/.style={{{style}}}}}" for role, style in pen.styles.items()]
    picture = [
        r"\begin{tikzpicture}[x=1bp,y=1bp,line cap=round,line join=round]%",
        rf"\useasboundingbox ({left - edge:.2f},{bottom - edge:.2f}) rectangle ({right + edge:.2f},{top + edge:.2f});",
    ]
    return "\n".join(
        [head + "\n".join(colours), *styles, *picture, *pen.lines, r"\end{tikzpicture}%", r"\end{document}", ""]
    )


class _Pen:
    """Writes Graphviz's drawing operations; https://graphviz.org/docs/outputs/canon/#xdot names them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.colours: dict[str, str] = {}  # RRGGBB → its name
        self.styles: dict[str, str] = {}

    def draw(self, operations: Operations, role: str) -> None:
        line = fill = ""
        width, dashes, size, bold = 0.6, "", 8.0, False
        for op in operations:
            code = op["op"]
            if code == "c":
                line = self._colour(op)
            elif code == "C":
                fill = self._colour(op)
            elif code == "S":
                width, dashes = _styled(op["style"], width, dashes)
            elif code == "F":
                size = float(op["size"])
            elif code == "t":
                bold = bool(int(op["fontchar"]) & 1)
            elif code == "T":
                self._text(op, line, size, bold)
            else:
                filled = code in "PEB" and fill
                options = [f"draw={line}" if line else "", f"fill={fill}" if filled else "", f"line width={width:g}bp"]
                style = ",".join(o for o in (*options, dashes) if o)
                if role and filled:
                    style = self._style(role, style)
                if line or filled:
                    self.lines.append(rf"\path[{style}] {_path(code, op)};")

    def _style(self, role: str, style: str) -> str:
        """The role's name where it looks like this, else the look itself."""
        return f"role {role}" if self.styles.setdefault(f"role {role}", style) == style else style

    def _colour(self, op: Mapping[str, Any]) -> str:
        value = op.get("color", "").lstrip("#").upper()
        if not re.fullmatch(r"[0-9A-F]{6}([0-9A-F]{2})?", value) or value[6:] == "00":
            return ""
        return self.colours.setdefault(value[:6], f"colour{chr(ord('A') + len(self.colours))}")

    def _text(self, op: Mapping[str, Any], colour: str, size: float, bold: bool) -> None:
        anchor = {"l": "base west", "c": "base", "r": "base east"}[op["align"]]
        x, y = op["pt"]
        content = op["text"].replace(_BACKSLASH, "\\")
        font = rf"\fontsize{{{size:g}}}{{{size:g}}}\selectfont" + (r"\bfseries" if bold else "")
        options = f"anchor={anchor},inner sep=0pt,outer sep=0pt,font={font}" + (f",text={colour}" if colour else "")
        self.lines.append(
            rf"\node[{options}] at ({x:.2f},{y:.2f}) {{\fit{{{float(op['width']):.2f}bp}}{{{tex(content)}}}}};"
        )


def _styled(style: str, width: float, dashes: str) -> tuple[float, str]:
    found = re.fullmatch(r"setlinewidth\(([\d.]+)\)", style)
    if found:
        return float(found[1]), dashes
    return width, {"dashed": "dash pattern=on 2bp off 1.5bp", "dotted": "dash pattern=on 0.6bp off 1.2bp"}.get(
        style, ""
    )


def _path(code: str, op: Mapping[str, Any]) -> str:
    if code in "Ee":
        x, y, w, h = op["rect"]
        return f"({x:.2f},{y:.2f}) ellipse [x radius={w:.2f}, y radius={h:.2f}]"
    points = [f"({x:.2f},{y:.2f})" for x, y in op["points"]]
    if code in "Bb":
        curves = (
            f".. controls {a} and {b} .. {c}" for a, b, c in zip(points[1::3], points[2::3], points[3::3], strict=False)
        )
        return " ".join([points[0], *curves])
    return " -- ".join(points) + (" -- cycle" if code in "Pp" else "")
