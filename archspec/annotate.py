"""A spec's text with the shape that each step gives beside its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from archspec.diagnostics import Span
from archspec.graph.ir import Graph, Node
from archspec.language import Document
from archspec.tensor import TensorType

_WIDEST = 100  # shapes stand behind lines up to this length in one column


@dataclass
class _Place:
    """What a step at one place of the text gave, each time that it was applied; `last` is its last node's number."""

    last: int = 0
    outputs: dict[str, tuple[TensorType, ...]] = field(default_factory=dict)


def annotated(document: Document, graph: Graph) -> str:
    """The text of the spec, and of the other files that layers come from, with shapes behind the steps."""
    notes = _notes(graph)
    files = [document.file, *(file for file in notes if file != document.file and file in document.texts)]
    parts = []
    for file in files:
        lines = _beside(document.texts[file].rstrip("\n").split("\n"), notes.get(file, {}), _comment(file))
        parts.append("\n".join(lines if file == document.file else [f"{_comment(file)} {file}", *lines]))
    return "\n\n".join(parts) + "\n"


def _comment(file: str) -> str:
    return "//" if file.endswith(".json") else "#"


def _notes(graph: Graph) -> dict[str, dict[int, str]]:
    """What to write behind the lines of each file."""
    places: dict[Span, _Place] = {}
    for number, node in enumerate(graph.nodes.values()):
        for span, scope in _spans(node):
            place = places.setdefault(span, _Place())
            place.last = number
            place.outputs[scope] = node.outputs  # the last node of a block gives the block's output
    notes: dict[str, dict[int, str]] = {}
    for span, place in sorted(places.items(), key=lambda item: item[1].last):  # of several on a line the last one
        notes.setdefault(span.file, {})[span.line] = _shapes(list(place.outputs.values()))
    return notes


def _spans(node: Node) -> Iterator[tuple[Span, str]]:
    """The steps that a node belongs to: its own, and the uses of blocks around it, each with its scope.

    The paths of a merge are no steps of their own.
    """
    parts = node.name.split(".")
    for i, use in enumerate(node.origin.uses, 1):
        if use.span and use.kind != "path":
            yield use.span, ".".join(parts[:i])
    if node.origin.span:
        yield node.origin.span, node.name


def _shapes(found: list[tuple[TensorType, ...]]) -> str:
    """`7×7×512`; of a step that was applied several times what it gave first and last, and how often."""
    texts = [text for text, _ in groupby(", ".join(map(_shape, outputs)) for outputs in found)]
    sign = " → " if len(texts) == 2 else " … "
    text = texts[0] if len(texts) == 1 else texts[0] + sign + texts[-1]
    return text if len(found) == 1 else f"{text} (×{len(found)})"


def _shape(tensor: TensorType) -> str:
    text = "×".join("?" if length is None else str(length) for length in tensor.shape) or "scalar"
    return text if tensor.dtype == "float32" else f"{text} {tensor.dtype}"


def _beside(lines: list[str], notes: dict[int, str], comment: str) -> list[str]:
    if not notes:
        return lines
    column = max((len(lines[n - 1]) for n in notes if len(lines[n - 1]) <= _WIDEST), default=0)
    width = max(map(len, notes.values()))
    return [
        f"{line:<{column}}  {comment} {notes[n]:>{width}}" if n in notes else line for n, line in enumerate(lines, 1)
    ]
