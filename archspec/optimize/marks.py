"""Which layers of an optimised network are not what they were, and what changed them."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.graph.ir import Graph
from archspec.optimize.driver import OPTIONAL, ORDER, Optimized, optimize
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Level


def marked(graph: Graph, level: Level) -> tuple[Graph, Mapping[str, tuple[str, ...]]]:
    """The graph after the passes of a level, and what they rewrote: what is drawn of it."""
    found = optimize(Network(graph), level)
    return found.network.graph, rewritten(graph, found)


def rewritten(original: Graph, optimized: Optimized) -> Mapping[str, tuple[str, ...]]:
    """The marks of the passes that made or changed a layer, by its name, in their order.

    What is only put again is left out: a layer with the arguments and inputs that it had, whose weights its pass keeps.
    """
    passes = {each.name: each for each in (*ORDER, *OPTIONAL)}
    graph = optimized.network.graph
    found: dict[str, dict[str, None]] = {}
    for applied in optimized.applied:
        each = passes[applied.pass_name]
        for name in applied.puts:
            before, after = original.nodes.get(name), graph.nodes.get(name)
            if after is None:
                continue
            same = before is not None and (before.layer, before.inputs) == (after.layer, after.inputs)
            if not (same and each.keeps_weights):
                found.setdefault(name, {})[each.mark or each.name] = None
    return {name: tuple(marks) for name, marks in found.items()}
