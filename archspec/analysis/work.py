"""What a training step does beside its products: bytes that other layers pass on, and calls that follow each other."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.analysis.kept import aliases, keeps
from archspec.analysis.training import tensor_bytes
from archspec.graph.ir import Graph, Node
from archspec.layers.base import Layer

PRODUCTS = ("convolution", "dense")
# Operations that follow each other in one step of a recurrent layer, against the few of a layer that is called once.
CALLS_A_STEP = {"LSTM": 2.0, "GRU": 2.0, "SimpleRNN": 1.0}


def moved_bytes(graph: Graph, precision: str, backend: str) -> int:
    """Bytes for one example that layers other than products make and keep, activations of products included."""
    return sum(_moved(graph, node, precision, backend) for node in graph.nodes.values())


def calls(graph: Graph) -> int:
    """Layers that are run, and for recurrent ones as many as their steps are worth."""
    total = 0.0
    for node in graph.nodes.values():
        if node.layer.role == "recurrent":
            steps = graph.input_types(node)[0].shape[0] or 1
            total += steps * sum(CALLS_A_STEP.get(cell, 2.0) for cell in recurrent_cells(node.layer))
        elif node.layer.role != "input" and not aliases(node.layer):
            total += 1
    return round(total)


def recurrent_cells(layer: Layer) -> Iterator[str]:
    """The kinds of cells that run one after the other, of both directions."""
    inner = getattr(layer, "layer", None) or getattr(layer, "cell", None) or layer
    for _ in range(2 if type(layer).__name__ == "Bidirectional" else 1):
        for cell in getattr(inner, "cells", None) or (inner,):
            yield type(cell).__name__.removesuffix("Cell").rstrip("123D")


def _moved(graph: Graph, node: Node, precision: str, backend: str) -> int:
    if node.layer.role == "input" or aliases(node.layer):
        return 0
    made = sum(tensor_bytes(t, node, precision) for t in node.outputs)
    if node.layer.role in PRODUCTS:
        activation = getattr(node.layer, "activation", None)
        return made if activation not in (None, "linear") else 0
    return made + 4 * keeps(graph, node, backend).numbers
