"""Formulas that stand beside the network and read its tensors by name: losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archspec.diagnostics import Diagnostic, SpecError, did_you_mean, in_order
from archspec.graph.ir import Edge, Graph
from archspec.language import formulas
from archspec.language.document import Document
from archspec.language.elaborate import Elaborator
from archspec.language.expressions import ExpressionError
from archspec.language.scope import POISON, UNSET, Failed, Frame, Value
from archspec.language.source import narrowed
from archspec.layers.formula import Formula
from archspec.tensor import Array, ShapeError, TensorType

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Reading:
    """A formula with its params inserted, over its arguments alone: edges of the graph, or tensors given besides."""

    text: str
    arguments: Mapping[str, Edge]
    types: tuple[TensorType, ...]

    def result(self) -> Array:
        """What it gives; its shape has the batch. Raises ShapeError."""
        return Formula(expression=self.text, arguments=tuple(self.arguments)).result(*self.types)


@dataclass(frozen=True)
class Asked:
    """A formula to be read: where it stands, its text, and the tensors that it may name beside the network's."""

    path: Path
    text: str
    given: Mapping[str, tuple[Edge, TensorType]]


def read_formulas(document: Document, graph: Graph, asked: Sequence[Asked]) -> list[Reading]:
    """The formulas over the tensors of a document's top level, its outputs, and what is given.

    `graph` is the document's. Raises SpecError with every mistake that was found.
    """
    if not asked:
        return []
    elaborator = Elaborator(document)  # a graph keeps no names of blocks' tensors: they are found again
    elaborator.whole()
    frame = elaborator.top
    assert frame is not None
    found: list[Diagnostic] = []
    readings: list[Reading] = []
    for one in asked:
        try:
            readings.append(_read(document, graph, frame, one))
        except ExpressionError as error:
            span = narrowed(document.mark.at(*one.path), error.start, error.end)
            found.append(Diagnostic("E303", error.message, span, help=error.help))
        except ShapeError as error:
            found.append(Diagnostic("E303", error.message, document.mark.at(*one.path).span, help=error.help))
    if found:
        raise SpecError(in_order(found), document.texts)
    return readings


def _read(document: Document, graph: Graph, frame: Frame, asked: Asked) -> Reading:
    text, values = formulas.translate(asked.text, _lookup(graph, frame, asked), document.limits)
    given = {edge for edge, _ in asked.given.values()}
    for name, value in values.items():
        if value.edge not in given and value.edge.node not in graph.nodes:
            help = f"make it an output: outputs: [{', '.join(graph.outputs)}, NAME]"
            raise ExpressionError(f"{name} leads to no output, so the network does not compute it", help)
    types = tuple(value.type for value in values.values())
    reading = Reading(text, {name: value.edge for name, value in values.items()}, types)
    Formula(expression=text, arguments=tuple(values))  # the names must be usable as such
    return reading


def _lookup(graph: Graph, frame: Frame, asked: Asked) -> Callable[[str], Any]:
    outputs = {name: Value((edge,), (graph.type(edge),)) for name, edge in graph.outputs.items()}
    given = {name: Value((edge,), (kind,)) for name, (edge, kind) in asked.given.items()}

    def lookup(name: str) -> Any:
        if name in given:
            return given[name]
        if name in frame.variables and name in frame.names:
            raise ExpressionError(f"{name} is both a param and a tensor here", "give one of them another name")
        if name in outputs and name not in frame.names and name not in frame.variables:
            return outputs[name]
        if name == "x":
            raise ExpressionError("a loss has no x", f"name a tensor: {', '.join([*given, *frame.names, *outputs])}")
        try:
            value = frame.lookup(name, UNSET)
        except ExpressionError as error:
            known = [*given, *frame.names, *outputs]
            help = did_you_mean(name, [*known, *frame.variables]) or f"known here are {', '.join(known[:12])}"
            raise ExpressionError(error.message, help) from None
        if value is POISON:
            raise Failed
        return value

    return lookup
