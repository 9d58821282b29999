"""Text → plain data, with the place of every key and value.

YAML is read by YAML 1.2's core rules (`1e-3` is a number, `no` is a string), without tags; JSON by the `json` module.
Both become the same events, and one loop without recursion turns these into data, so that no nesting can exhaust the
stack and aliases cannot multiply beyond the limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from archspec.diagnostics import Diagnostic, Span, SpecError
from archspec.language.limits import Limits, over, raise_help

Format = Literal["yaml", "json"]


@dataclass(slots=True)
class Mark:
    """The place of a value, of its keys and of what it holds.

    `inner` is the offset of a one-line string's text within its span (1 if quoted), None where it is not that simple.
    `size` counts the values in it, itself included.
    """

    span: Span
    inner: int | None = None
    keys: dict[str, Span] = field(default_factory=dict)
    items: dict[str | int, Mark] = field(default_factory=dict)
    size: int = 1

    def at(self, *path: str | int) -> Mark:
        """The mark of the value at a path; the nearest one around it where the path leads nowhere."""
        mark = self
        for part in path:
            if part not in mark.items:
                break
            mark = mark.items[part]
        return mark

    def key(self, *path: str | int) -> Span:
        """The place of the key at the end of a path, else of the value there."""
        around = self.at(*path[:-1])
        last = path[-1]
        return around.keys[last] if isinstance(last, str) and last in around.keys else self.at(*path).span


@dataclass(frozen=True)
class Source:
    """A file as read: its text, its data (a mapping) and the places of all in it."""

    file: str
    text: str
    data: dict[str, Any]
    mark: Mark


@dataclass(slots=True)
class _Event:
    kind: Literal["scalar", "map", "list", "end", "alias"]
    span: Span
    value: Any = None
    raw: str = ""  # a scalar's text, which is what a key means
    inner: int | None = None
    anchor: str | None = None


def read(path: Path, limits: Limits, shown: str | None = None) -> Source:
    """Reads a spec's file. Raises SpecError."""
    file = shown or str(path)
    try:
        size = path.stat().st_size
        if path.is_file() and size > limits.text:
            raise _error("E106", over("text", limits.text, f"a file of {size:,} bytes"), None, file, raise_help("text"))
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError([Diagnostic("E101", f"cannot read {file}: {reason}", None)]) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{file} is not a text file in UTF-8 (byte {error.start} is {raw[error.start]:#04x})"
        raise SpecError([Diagnostic("E101", message, None)]) from None
    return parse(text, file, "json" if path.suffix.lower() == ".json" else "yaml", limits)


def parse(text: str, file: str = "<text>", format: Format = "yaml", limits: Limits = Limits()) -> Source:
    """Parses a spec's text. Raises SpecError with all that is wrong at this stage."""
    if len(text) > limits.text:
        found = f"a text of {len(text):,} characters"
        raise _error("E106", over("text", limits.text, found), None, text, raise_help("text"))
    control = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
    if control:
        place = _place(file, text, control.start())
        raise _error("E101", f"{file} is not text: it holds the character {control.group()!r}", place, text)
    data, mark = compose(text, file, format, limits)
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"holds {_kind(data)}"
        help = "begin with: archspec: 1; or let archspec write a first one: archspec new mlp"
        raise _error("E105", f"a spec is a mapping of keys to values, but {file} {what}", mark.span, text, help)
    return Source(file, text, data, mark)


def compose(text: str, file: str, format: Format, limits: Limits) -> tuple[Any, Mark]:
    """Any YAML or JSON value with its marks. Raises SpecError."""
    events = _json_events(text, file, limits) if format == "json" else _yaml_events(text, file)
    return _Composer(text, file, limits).run(events)


def narrowed(mark: Mark, start: int, end: int | None) -> Span:
    """The part of a one-line text from one offset to another, or all of it where that is not known."""
    span = mark.span
    if mark.inner is None or span.line != span.end_line:
        return span
    first = min(span.column + mark.inner + start, span.end_column - 1)
    last = span.end_column - mark.inner if end is None else span.column + mark.inner + end
    return replace(span, column=first, end_column=max(first + 1, min(last, span.end_column)))


def _kind(value: object) -> str:
    return {list: "a list", str: "only text", bool: "only a boolean"}.get(type(value), "only a number")


def _error(
    code: str, message: str, span: Span | None, text: str, help: str | None = None, notes: tuple[str, ...] = ()
) -> SpecError:
    return SpecError([Diagnostic(code, message, span, notes=notes, help=help)], {span.file: text} if span else {})


def _place(file: str, text: str, offset: int, length: int = 1) -> Span:
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return Span(file, line, column, line, column + length)


class _Composer:
    def __init__(self, text: str, file: str, limits: Limits) -> None:
        self.text, self.file, self.limits = text, file, limits
        self.anchors: dict[str, tuple[Any, Mark]] = {}
        self.found: list[Diagnostic] = []
        self.total = 0

    def run(self, events: Iterator[_Event]) -> tuple[Any, Mark]:
        stack: list[tuple[Any, Mark, str | None]] = []  # open containers and the names of their anchors
        key: list[_Event | None] = []  # the key waiting for its value, one for each open container
        done: tuple[Any, Mark] | None = None
        for event in events:
            if stack and isinstance(stack[-1][0], dict) and key[-1] is None and event.kind != "end":
                if event.kind != "scalar":
                    raise _error("E102", "a key must be plain text", event.span, self.text)
                key[-1] = event
                continue
            if event.kind in ("map", "list"):
                if len(stack) >= self.limits.nesting:
                    message = over("nesting", self.limits.nesting, f"a nesting of {len(stack) + 1} levels")
                    raise _error("E106", message, event.span, self.text, raise_help("nesting"))
                stack.append(({} if event.kind == "map" else [], Mark(event.span), event.anchor))
                key.append(None)
                self.count(1, event.span)
                continue
            value, mark = self.finish(event, stack, key)
            if not stack:
                done = (value, mark)
            else:
                self.attach(stack[-1][0], stack[-1][1], key, value, mark)
        if self.found:
            raise SpecError(self.found, {self.file: self.text})
        return done or (None, Mark(Span(self.file, 1, 1, 1, 1)))

    def finish(self, event: _Event, stack: list[Any], key: list[_Event | None]) -> tuple[Any, Mark]:
        """The value that an event completes."""
        if event.kind == "end":
            value, mark, anchor = stack.pop()
            key.pop()
            start, end = mark.span, event.span
            mark.span = Span(self.file, start.line, start.column, end.end_line, end.end_column)
        elif event.kind == "alias":
            if event.value not in self.anchors:
                raise _error("E102", f"the alias *{event.value} has no anchor before it", event.span, self.text)
            value, mark = self.anchors[event.value]
            self.count(mark.size, event.span)
            return value, mark
        else:
            value, mark, anchor = event.value, Mark(event.span, event.inner), event.anchor
            self.count(1, event.span)
            if isinstance(value, int) and abs(value) > self.limits.number:
                message = over("number", self.limits.number, "this number")
                raise _error("E106", message, event.span, self.text, raise_help("number"))
        if anchor:
            self.anchors[anchor] = (value, mark)
        return value, mark

    def attach(self, container: Any, around: Mark, key: list[_Event | None], value: Any, mark: Mark) -> None:
        around.size += mark.size
        if isinstance(container, list):
            around.items[len(container)] = mark
            container.append(value)
            return
        name = key[-1]
        assert name is not None
        key[-1] = None
        if name.raw in container:
            first = around.keys[name.raw]
            note = f"first given at line {first.line}"
            self.found.append(Diagnostic("E104", f"the key {name.raw!r} is given twice", name.span, notes=(note,)))
            return
        container[name.raw] = value
        around.keys[name.raw] = name.span
        around.items[name.raw] = mark

    def count(self, more: int, span: Span) -> None:
        self.total += more
        if self.total > self.limits.values:
            message = over("values", self.limits.values, "the number of values, aliases written out,")
            raise _error("E106", message, span, self.text, raise_help("values"))


# --- YAML ----------------------------------------------------------------------------------------

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def resolve_scalar(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text) if len(text) < 4000 else 10**4000  # over every limit, and Python refuses longer ones
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


def _yaml_events(text: str, file: str) -> Iterator[_Event]:
    loader = cast(Any, yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
    documents = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            start, end = cast(Any, event.start_mark), cast(Any, event.end_mark)
            span = Span(file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)
            tag = getattr(event, "tag", None)
            if tag not in (None, "!"):
                help = "write the value plainly, in quotes if it is text"
                raise _error("E107", f"the language has no tags, got {tag}", span, text, help)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _error("E102", "a file holds one spec, here a second document begins", span, text)
            elif isinstance(event, yaml.ScalarEvent):
                plain = not event.style
                value = resolve_scalar(event.value) if plain else event.value
                simple = start.line == end.line and event.style in (None, "", "'", '"')
                inner = (0 if plain else 1) if simple else None
                yield _Event("scalar", span, value, event.value, inner, event.anchor)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                kind: Literal["map", "list"] = "map" if isinstance(event, yaml.MappingStartEvent) else "list"
                yield _Event(kind, span, anchor=event.anchor)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                yield _Event("end", span)
            elif isinstance(event, yaml.AliasEvent):
                yield _Event("alias", span, event.anchor)
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error, text, file) from None
    except yaml.reader.ReaderError as error:
        message = f"{file} is not text: {error.reason}"
        raise SpecError([Diagnostic("E101", message)]) from None


# An expression in flow style that holds one of YAML's own marks, outside quotes.
_UNQUOTED = re.compile(r"""(?:[\[{,:]|^\s*-)\s*(=[^'"#]*?[\[\]{},].*)$""")


def _yaml_error(error: yaml.MarkedYAMLError, text: str, file: str) -> SpecError:
    mark = cast(Any, error.problem_mark or error.context_mark)
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    problem = (error.problem or "this is not YAML").removeprefix("did not find ").strip()
    if error.problem and error.problem.startswith("did not find "):
        problem = "found no " + problem.replace("expected ", "")
    span = Span(file, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)
    notes: tuple[str, ...] = ()
    if error.context and error.context_mark and error.context_mark.line != mark.line:
        notes = (f"{error.context}, begun at line {error.context_mark.line + 1}",)
    near = lines[max(0, mark.line - 1) : mark.line + 1]
    help = None
    if "\t" in line[: mark.column + 1] and not line[: mark.column].strip():
        problem, help = "a tab cannot indent", "indent with spaces"
    elif any(_UNQUOTED.search(candidate) for candidate in near):
        help = 'an expression that holds [ ] { } or , must be quoted here: "=x.shape[0]"'
    return _error("E102", f"YAML: {problem}", span, text, help, notes)


# --- JSON ----------------------------------------------------------------------------------------

_TOKEN = re.compile(r'[ \t\r\n]+|"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)


def _json_events(text: str, file: str, limits: Limits) -> Iterator[_Event]:
    depth = 0
    for token in _TOKEN.finditer(text):  # before json, whose parser is recursive
        depth += (token.group() in "{[") - (token.group() in "}]")
        if depth > limits.nesting:
            message = over("nesting", limits.nesting, f"a nesting of {depth} levels")
            raise _error("E106", message, _place(file, text, token.start()), text, raise_help("nesting"))
    if not text.strip():
        return
    try:
        json.loads(text, parse_int=lambda digits: 0, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise _json_error(error, text, file) from None
    line, line_start = 1, 0
    for token in _TOKEN.finditer(text):
        word, start = token.group(), token.start()
        if word[0] in " \t\r\n":
            line += word.count("\n")
            if "\n" in word:
                line_start = start + word.rindex("\n") + 1
            continue
        column = start - line_start + 1
        span = Span(file, line, column, line, column + len(word))
        if word in ",:":
            continue
        if word in "{[":
            yield _Event("map" if word == "{" else "list", span)
        elif word in "}]":
            yield _Event("end", span)
        else:
            long_number = len(word) > 4000 and word[0] != '"'
            value = 10**4000 if long_number else json.loads(word)
            yield _Event("scalar", span, value, value if isinstance(value, str) else word, 1)


def _no_constant(name: str) -> float:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


def _json_error(error: json.JSONDecodeError, text: str, file: str) -> SpecError:
    before = text[: error.pos].rstrip()
    rest = text[error.pos :].lstrip()
    if "trailing comma" in error.msg or (before.endswith(",") and rest[:1] in ("}", "]")):
        comma = _place(file, text, text.rindex(",", 0, error.pos + 1))
        return _error("E103", "JSON: a comma stands before the closing bracket", comma, text, "remove the comma")
    return _error("E103", f"JSON: {error.msg}", _place(file, text, error.pos), text)
