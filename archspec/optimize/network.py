"""A network to be optimised: its graph and, where they are known, the values of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from archspec.graph.ir import Graph

Array = npt.NDArray[Any]
# By the name of the node that makes them, in the order of `Graph.weights`; nodes without weights of their own have no
# entry.
Weights = Mapping[str, tuple[Array, ...]]
Change = Callable[[Weights], Weights]


@dataclass(frozen=True)
class Network:
    """A graph and its weights; None where only the structure is known, as of a spec that was not trained."""

    graph: Graph
    weights: Weights | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            check_weights(self.graph, self.weights)


def check_weights(graph: Graph, weights: Weights) -> None:
    """Asserts that the weights are those of the graph: the same nodes, shapes as `Graph.weights` says. Linear."""
    owners = {name: specs for name, node in graph.nodes.items() if (specs := graph.weights(node))}
    assert weights.keys() == owners.keys(), f"weights differ on {sorted(weights.keys() ^ owners.keys())}"
    for name, specs in owners.items():
        found, expected = [value.shape for value in weights[name]], [spec.shape for spec in specs]
        assert found == expected, f"{name}: weights have the shapes {found}, the graph says {expected}"
