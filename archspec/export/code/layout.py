"""Code that is too long for a line, broken where its largest bracket holds several parts."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

WIDTH = 110
INDENT = "    "
_SHORT = 24  # parts of a list that stand side by side
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def call_lines(start: str, arguments: Sequence[str], end: str, indent: str) -> list[str]:
    """`start(arguments)end` on one line if it fits, else with a line for the arguments, else a line for each."""
    return fold(f"{start}({', '.join(arguments)}){end}", indent)


def fold(code: str, indent: str) -> list[str]:
    """A statement, or a part of one, in lines that fit if there is a bracket to break them at."""
    line = f"{indent}{code}"
    pair = _largest(code) if len(line) > WIDTH else None
    if pair is None:
        return [line]
    opening, closing = pair
    head, body, tail = code[: opening + 1], code[opening + 1 : closing], code[closing:]
    inner = indent + INDENT
    parts = list(_parts(body))
    is_call = code[opening] == "(" and re.match(r"[\w)\]]", code[opening - 1 : opening]) is not None
    if len(f"{inner}{body}") <= WIDTH:
        lines = [f"{inner}{body}"]
    elif len(parts) > 3 and all(len(part) <= _SHORT for part in parts):
        lines = textwrap.wrap(", ".join(parts), WIDTH, initial_indent=inner, subsequent_indent=inner)
    else:
        ends = [","] * (len(parts) - 1) + ["," if is_call else ""]
        lines = [line for part, end in zip(parts, ends, strict=True) for line in fold(part + end, inner)]
    return [f"{indent}{head}", *lines, *fold(tail, indent)]


def docstring(text: str, indent: str) -> Iterator[str]:
    """The text in triple quotes, without characters that no source can have."""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    text = f"{text} " if text.endswith('"') else text
    if len(f'{indent}"""{text}"""') <= WIDTH and "\n" not in text:
        yield f'{indent}"""{text}"""'
        return
    lines = [
        line
        for paragraph in text.split("\n")
        for line in textwrap.wrap(
            paragraph, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
        )
        or [""]
    ]
    yield f'{indent}"""{lines[0].strip()}'
    yield from lines[1:]
    yield f'{indent}"""'


def _marks(code: str) -> Iterator[tuple[int, str, int]]:
    """Brackets and commas outside texts: place, character, and how many brackets are open around it."""
    quote, depth, skip = "", 0, False
    for place, character in enumerate(code):
        if skip:
            skip = False
        elif quote:
            skip = character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _PAIRS:
            yield place, character, depth
            depth += 1
        elif character in ")]}":
            depth -= 1
            yield place, character, depth
        elif character == ",":
            yield place, character, depth


def _largest(code: str) -> tuple[int, int] | None:
    """The outermost pair of brackets that holds most."""
    best, opening = None, 0
    for place, character, depth in _marks(code):
        if depth:
            continue
        if character in _PAIRS:
            opening = place
        elif character != "," and place - opening > 1 and (best is None or place - opening > best[1] - best[0]):
            best = (opening, place)
    return best


def _parts(body: str) -> Iterator[str]:
    """What the commas part; a lambda's own are none of those."""
    start = 0
    for place, character, depth in _marks(body):
        part = body[start:place].strip()
        if depth or character != "," or (part.startswith("lambda") and ":" not in part):
            continue
        yield part
        start = place + 1
    if body[start:].strip():
        yield body[start:].strip()
