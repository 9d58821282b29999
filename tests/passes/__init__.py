"""What each pass of the optimisation is tried with: one module a pass, under its name.

* `CASES`: graphs to which it applies, with the number of rewrites.
* `REFUSALS`: graphs that look like it, and the reason that it gives against them.
* `BREAKAGES`: the pass made wrong on purpose, at least three times; the proof must notice each.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

from archspec.graph.ir import Edge, Graph, Node
from archspec.optimize.draft import Draft
from archspec.optimize.rewrite import Answer, Level, Pass, Rewrite, changed
from archspec.tensor import Shape
from tests.graphs import GraphBuilder, LayerLike


@dataclass(frozen=True)
class Case:
    """A graph to which the pass applies so many times; `level` is that of the pass unless it is said."""

    name: str
    graph: Graph
    rewrites: int
    level: Level | None = None


@dataclass(frozen=True)
class Refusal:
    """A graph in which the pass finds its pattern, but gives a reason against it, of which these words are part.

    Without a reason, the pattern is not there at all.
    """

    name: str
    graph: Graph
    reason: str = ""
    level: Level | None = None


@dataclass(frozen=True)
class Breakage:
    """A wrong pass, and a graph on which it must be noticed."""

    name: str
    broken: Pass
    graph: Graph
    level: Level | None = None


def module_of(name: str) -> ModuleType:
    """The cases of a pass."""
    return importlib.import_module(f"tests.passes.{name.replace('-', '_')}")


def has_cases(name: str) -> bool:
    """Whether a pass has its cases here; those that rewrite weights may have them in tests of their own."""
    return importlib.util.find_spec(f"tests.passes.{name.replace('-', '_')}") is not None


def mutant(inner: Pass, change: Callable[[Draft, Node, Answer], Answer]) -> Pass:
    """The pass with another answer."""
    kind: Any = type(inner)

    class Broken(kind):  # type: ignore[misc]
        def match(self, draft: Draft, node: Node) -> Answer:
            return change(draft, node, super().match(draft, node))

    made: Pass = Broken(**vars(inner))
    return made


def rewriting(inner: Pass, change: Callable[[Rewrite], Rewrite]) -> Pass:
    """The pass with its rewrites changed; its reasons stay."""
    return mutant(inner, lambda draft, node, answer: change(answer) if isinstance(answer, Rewrite) else answer)


def reweighing(inner: Pass, change: Callable[[Any], Any], way: Literal["weights", "undo"] = "weights") -> Pass:
    """The pass with every array changed that it makes, or that its way back makes."""

    def other(rewrite: Rewrite) -> Rewrite:
        right = getattr(rewrite, way)
        return replace(rewrite, **{way: lambda w: {n: tuple(map(change, values)) for n, values in right(w).items()}})

    return rewriting(inner, other)


def with_layers(rewrite: Rewrite, **arguments: Any) -> Rewrite:
    """The rewrite with those arguments in all new layers that have them."""

    def other(node: Node) -> Node:
        fields = {name: value for name, value in arguments.items() if name in type(node.layer).model_fields}
        return replace(node, layer=changed(node.layer, **fields))

    return replace(rewrite, puts=tuple(map(other, rewrite.puts)))


def chain(shape: Shape, *layers: LayerLike, dtype: str = "float32") -> Graph:
    """Layers one behind the other on one input."""
    builder = GraphBuilder("chain")
    return builder.graph(builder.chain(builder.input("x", shape, dtype), *layers))


def two_readers(shape: Shape, first: Sequence[LayerLike], *second: LayerLike) -> Graph:
    """Layers of which the last is read twice: by a chain, whose result is one output, and by an average, another."""
    builder = GraphBuilder("two_readers")
    x = builder.chain(builder.input("x", shape), *first)
    return builder.graph(builder.chain(x, *second), builder.apply("Average", x, x))


def named(graph: Graph, **tensors: str) -> Graph:
    """The graph with named tensors, by the nodes that make them."""
    return replace(graph, tensors={name: Edge(node) for name, node in tensors.items()})
