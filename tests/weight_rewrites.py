"""Networks for the tests of passes that rewrite weights, and the proof that a pass left their function as it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from archspec.export.proof import Proof, prove
from archspec.export.samples import random_network
from archspec.graph.ir import Edge, Graph
from archspec.layers.base import Layer
from archspec.layers.core import Dense
from archspec.optimize.driver import Optimized, run
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Level, Pass, changed
from tests.graphs import GraphBuilder, LayerLike


def network(graph: Graph, seed: int = 0) -> Network:
    """Random weights; of each normalisation every third gamma is negative, and one is 0."""
    made = random_network(graph, seed)
    assert made.weights is not None
    weights = dict(made.weights)
    for name, values in weights.items():
        specs = graph.weights(graph.nodes[name])
        if specs[0].name == "gamma":
            signs = np.where(np.arange(values[0].size) % 3 == 1, -1, 1) * (np.arange(values[0].size) != 4)
            weights[name] = ((values[0] * signs).astype(values[0].dtype), *values[1:])
    return Network(graph, weights)


def rewritten(graph: Graph, *passes: Pass, level: Level = "inference", seed: int = 0) -> tuple[Optimized, Proof]:
    before = network(graph, seed)
    done = run(before, level, passes)
    return done, prove(before, done.network, seed, undo=done.undo if level == "training" else None)


def proven(graph: Graph, *passes: Pass, level: Level = "inference", seed: int = 0) -> Optimized:
    """What the passes made of the network, after the proof that it computes the same."""
    done, proof = rewritten(graph, *passes, level=level, seed=seed)
    assert proof.holds, proof
    structure = run(Network(graph), level, passes)
    assert structure.network.graph == done.network.graph, "the structure must not depend on the weights"
    again = run(Network(done.network.graph), level, passes)
    assert not again.applied, f"it was not done: {again.applied}"
    return done


def kinds(done: Optimized) -> list[str]:
    """The classes of the layers left, inputs not counted."""
    nodes = done.network.graph.nodes.values()
    return [type(node.layer).__name__ for node in nodes if node.inputs]


def reasons(done: Optimized) -> str:
    return "; ".join(skipped.reason for skipped in done.skipped)


def chain(shape: tuple[int | None, ...], *layers: LayerLike) -> Graph:
    builder = GraphBuilder()
    return builder.graph(builder.chain(builder.input("x", shape), *layers))


def branches(shape: tuple[int | None, ...], join: LayerLike, *paths: Iterable[LayerLike]) -> Graph:
    """Paths from one input, joined; an empty path is the input itself."""
    builder = GraphBuilder()
    x = builder.input("x", shape)
    return builder.graph(builder.apply(join, *(builder.chain(x, *path) for path in paths)))


def conv(filters: int, kernel: Any = 3, **options: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": filters, "kernel_size": kernel, "padding": "same", **options}}


def named(builder: GraphBuilder, edge: Edge, layer: Layer | dict[str, Any] | str, name: str) -> Edge:
    return builder.apply(layer, edge, name=name)


def logits(graph: Graph) -> Graph:
    """The graph without the softmax at its end, which hides errors where one class takes all."""
    (edge,) = graph.outputs.values()
    node = graph.nodes[edge.node]
    assert isinstance(node.layer, Dense)
    return replace(graph, nodes={**graph.nodes, node.name: replace(node, layer=changed(node.layer, activation=None))})
