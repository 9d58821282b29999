"""Text for TeX."""

from __future__ import annotations

from archspec.draw.written import legal

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "×": r"$\times$", "·": r"$\cdot$", "→": r"$\rightarrow$", "-": "-{}",
    "…": r"\dots{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "\n": " ", "\t": " ", "\u00b5": r"$\mu$",
}  # fmt: skip


def tex(content: str) -> str:
    """Text as TeX sets it. Letters beyond Latin-1 need LuaLaTeX or XeLaTeX with a font that has them."""
    return "".join(_SPECIAL.get(c, c) for c in legal(content))


def is_latin(content: str) -> bool:
    """Whether pdfLaTeX can set it."""
    return all(c in _SPECIAL or ord(c) < 0x180 for c in content)
