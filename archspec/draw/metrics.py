"""How wide text is, in points: by Helvetica's own metrics, or by those of the font that stands in for it.

Boxes of one column get the width of the widest before Graphviz sees them, so the estimate must not be too small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

_WIDE_FROM = "\u1100"  # Hangul, kana, CJK and what follows is about as wide as it is high
_OTHER, _WIDE = 600, 1000  # thousandths of the size, for what the tables lack


def _table(widths: str) -> dict[str, float]:
    characters = map(chr, chain(range(32, 127), range(160, 256)))
    return dict(zip(characters, map(float, widths.split()), strict=True))


# Advance widths of Latin-1 in thousandths of the size, from Adobe's metrics of Helvetica (Core 14 AFM files).
# Arial and Liberation Sans have the same.
REGULAR = _table(
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 "
    "584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 "
    "667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 "
    "278 556 500 722 500 500 500 334 260 334 584 278 333 556 556 556 556 260 556 333 737 370 556 584 333 737 333 400 "
    "584 333 333 333 556 537 278 333 333 365 556 834 834 834 611 667 667 667 667 667 667 1000 722 667 667 667 667 278 "
    "278 278 278 722 722 778 778 778 778 778 584 778 722 722 722 722 667 667 611 556 556 556 556 556 556 889 500 556 "
    "556 556 556 278 278 278 278 556 556 556 556 556 556 556 584 611 556 556 556 556 500 556 500"
)
BOLD = _table(
    "278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 333 333 "
    "584 584 584 611 975 722 722 722 722 667 611 778 722 278 556 722 611 833 722 778 667 778 722 667 611 722 667 944 "
    "667 667 611 333 278 333 584 556 333 556 611 556 611 556 333 611 611 278 278 556 278 889 611 611 611 611 389 556 "
    "333 611 556 778 556 556 500 389 280 389 584 278 333 556 556 556 556 280 556 333 737 370 556 584 333 737 333 400 "
    "584 333 333 333 611 556 278 333 333 365 556 834 834 834 611 722 722 722 722 722 722 1000 722 667 667 667 667 278 "
    "278 278 278 722 722 778 778 778 778 778 584 778 722 722 722 722 667 667 611 556 556 556 556 556 556 889 556 556 "
    "556 556 556 278 278 278 278 611 611 611 611 611 611 611 584 611 611 611 611 611 556 611 556"
)


@dataclass(frozen=True, slots=True)
class Face:
    """A font's widths: those of Helvetica, unless others were measured."""

    measured: Mapping[tuple[float, bool], Mapping[str, float]] = field(default_factory=dict)  # by size and boldness

    def breadth(self, text: str, size: float, bold: bool = False) -> float:
        """A text's width in points."""
        table = self.measured.get((size, bold)) or (BOLD if bold else REGULAR)
        return size / 1000 * sum(table.get(c, _OTHER if c < _WIDE_FROM else _WIDE) for c in text)

    def broken(self, text: str, size: float, width: float, bold: bool = False, words: bool = False) -> list[str]:
        """A text in lines of at most a width, cut at its blanks; within a word where that alone is too wide.

        `words` are never cut and may be wider.
        """
        lines = [""]
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if self.breadth(longer, size, bold) <= width:
                lines[-1] = longer
                continue
            lines += [word] if lines[-1] else []
            lines[-1] = lines[-1] or word
            while not words and self.breadth(lines[-1], size, bold) > width and len(lines[-1]) > 1:
                fits = self._fitting(lines[-1], size, width, bold)
                lines[-1:] = [lines[-1][:fits], lines[-1][fits:]]
        return lines

    def _fitting(self, word: str, size: float, width: float, bold: bool) -> int:
        end = len(word) - 1
        while end > 1 and self.breadth(word[:end], size, bold) > width:
            end -= 1
        return end
