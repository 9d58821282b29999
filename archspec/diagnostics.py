"""What archspec says of a mistake: a code, its place, the reason, the remedy. As text, as JSON, or for GitHub."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file: lines and columns count from 1, the end is not included."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake. `label` stands beside the carets; `notes` say how one gets there; `help` says how to mend it."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    help: str | None = None
    severity: Severity = "error"


@dataclass
class SpecError(Exception):
    """The spec has mistakes: all that were found, in the order of the file."""

    diagnostics: Sequence[Diagnostic]
    texts: Mapping[str, str] = field(default_factory=dict)  # file → its text, for the excerpts

    def __str__(self) -> str:
        return render(self.diagnostics, self.texts)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place."""
    return sorted(diagnostics, key=lambda d: d.span or Span("", 0, 0, 0, 0))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """`did you mean 'filters'?` where a known word is near, else None."""
    known = list(known)
    swapped = [k for k in known if sorted(k) == sorted(word)]  # `form` is nearer to `from` than to `for`
    near = swapped[:1] or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:
        lower = {k.lower().replace("_", ""): k for k in known}
        near = difflib.get_close_matches(word.lower().replace("_", ""), list(lower), n=1, cutoff=0.7)
        near = [lower[n] for n in near]
    return f"did you mean {near[0]!r}?" if near else None


def render(diagnostics: Sequence[Diagnostic], texts: Mapping[str, str]) -> str:
    """All diagnostics as people read them, with excerpts."""
    return "\n\n".join(_render_one(d, texts) for d in diagnostics)


def _render_one(d: Diagnostic, texts: Mapping[str, str]) -> str:
    lines = [f"{d.severity}[{d.code}]: {d.message}"]
    gutter = ""
    if d.span:
        source = texts.get(d.span.file, "").split("\n")
        number = str(d.span.line)
        gutter = " " * len(number)
        lines.append(f"{gutter}--> {d.span}")
        if d.span.line <= len(source) and source[d.span.line - 1].strip():
            lines += _excerpt(d, source[d.span.line - 1].rstrip("\r"), number, gutter)
    lines += [f"{gutter} = {note}" for note in d.notes]
    if d.help:
        lines.append(f"{gutter} = help: {d.help}")
    return "\n".join(lines)


def _excerpt(d: Diagnostic, text: str, number: str, gutter: str, width: int = 120) -> list[str]:
    assert d.span
    start = d.span.column - 1
    end = d.span.end_column - 1 if d.span.end_line == d.span.line else len(text)
    if len(text) > width:  # keep the carets in view
        cut = max(0, min(start - width // 3, len(text) - width))
        text, start, end = text[cut : cut + width], start - cut, min(end - cut, width)
    text = text.replace("\t", " ")
    carets = "^" * max(1, min(end, len(text)) - start)
    return [f"{gutter} |", f"{number} | {text}", f"{gutter} | {' ' * start}{carets} {d.label}".rstrip()]


def to_json(diagnostics: Sequence[Diagnostic]) -> list[dict[str, object]]:
    """Plain data for `--json`."""
    return [asdict(d) for d in diagnostics]


def to_github(diagnostics: Sequence[Diagnostic]) -> str:
    """GitHub's workflow commands, one line a diagnostic."""
    return "\n".join(_github_line(d) for d in diagnostics)


def _github_line(d: Diagnostic) -> str:
    def escape(text: str, more: str = "") -> str:
        for char in "%\r\n" + more:
            text = text.replace(char, f"%{ord(char):02X}")
        return text

    place = ""
    if d.span:
        end = f",endLine={d.span.end_line},endColumn={d.span.end_column}"
        place = f"file={escape(d.span.file, ',:')},line={d.span.line},col={d.span.column}{end},"
    body = "\n".join([d.message, *([d.label] if d.label else []), *d.notes, *([f"help: {d.help}"] if d.help else [])])
    return f"::{d.severity} {place}title={d.code}::{escape(body)}"
