"""Parameters, multiply-accumulates and bytes: of a node, of a graph, and by layer or by scope."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.graph.ir import Edge, Graph, Node
from archspec.tensor import TensorType, dtype_bytes

Part = tuple[tuple[str, ...], bool]  # a name's parts, and whether it is a scope's name


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a network costs.

    * `trainable`, `non_trainable`: numbers in its weights. Frozen layers' and moving statistics are non-trainable.
    * `macs`: multiply-accumulates for one example, at every call; a multiply and its add count as one.
    * `output_bytes`: bytes of all outputs for one example.
    * `weight_bytes`, `trainable_bytes`: bytes of all weights, and of the trainable ones.
    """

    trainable: int = 0
    non_trainable: int = 0
    macs: int = 0
    output_bytes: int = 0
    weight_bytes: int = 0
    trainable_bytes: int = 0

    @property
    def parameters_total(self) -> int:
        return self.trainable + self.non_trainable


@dataclass(frozen=True, slots=True)
class Row:
    """A layer or a scope: `kind` is the layer's class, or what opened the scope (a block's name, `group`, `path`).

    `outputs` are a layer's results, or the different types of the tensors that leave a scope; `layers` says how many
    layers it holds.
    """

    name: str
    kind: str
    outputs: tuple[TensorType, ...]
    layers: int
    cost: Cost
    shares: str | None = None
    frozen: bool = False


def node_cost(graph: Graph, node: Node) -> Cost:
    """What one node costs. Weights that it shares with another count there, not here; its MACs count here."""
    counts = {True: 0, False: 0}
    sizes = {True: 0, False: 0}
    for weight in graph.weights(node):
        trains = weight.trainable and node.trainable
        counts[trains] += weight.size
        sizes[trains] += weight.size * dtype_bytes(weight.dtype)
    return Cost(
        counts[True],
        counts[False],
        graph.macs(node),
        sum(output.bytes for output in node.outputs),
        sizes[True] + sizes[False],
        sizes[True],
    )


def graph_cost(graph: Graph) -> Cost:
    """What the whole network costs. Linear in the graph."""
    return total_cost([node_cost(graph, node) for node in graph.nodes.values()])


def rows(graph: Graph, depth: int | None = None) -> tuple[Row, ...]:
    """The network by layer (`depth` None), or by scopes cut at `depth` names, in the order of first appearance.

    At depth 1, `stage1.block1.conv2d` and `stage1.block2.conv2d` are summed in `stage1`; a layer outside of all scopes
    keeps its own row. Depth 0 is one row for the whole. The costs of the rows add up to the graph's.
    """
    assert depth is None or depth >= 0, f"depth is {depth}"
    if depth is None:
        return tuple(_layer_row(graph, node) for node in graph.nodes.values())
    parts: dict[Part, list[Node]] = {}
    part_of: dict[str, Part] = {}
    for node in graph.nodes.values():
        scope = node.scope
        part = (scope[:depth], True) if len(scope) >= depth else ((*scope, node.name), False)
        part_of[node.name] = part
        parts.setdefault(part, []).append(node)
    leaving = set(graph.outputs.values())
    for node in graph.nodes.values():
        leaving.update(edge for edge in node.inputs if part_of[edge.node] != part_of[node.name])
    return tuple(
        _scope_row(graph, scope, nodes, leaving) if is_scope else _layer_row(graph, nodes[0])
        for (scope, is_scope), nodes in parts.items()
    )


def _layer_row(graph: Graph, node: Node) -> Row:
    kind = type(node.layer).__name__
    return Row(node.name, kind, node.outputs, 1, node_cost(graph, node), node.shares, not node.trainable)


def _scope_row(graph: Graph, scope: tuple[str, ...], nodes: list[Node], leaving: set[Edge]) -> Row:
    types = [t for node in nodes for index, t in enumerate(node.outputs) if Edge(node.name, index) in leaving]
    cost = total_cost([node_cost(graph, node) for node in nodes])
    name = ".".join(scope) or graph.name
    return Row(name, _scope_kind(scope, nodes[0]), tuple(dict.fromkeys(types)), len(nodes), cost)


def _scope_kind(scope: tuple[str, ...], node: Node) -> str:
    """What opened the scope: a block by its name, else group, path or spec."""
    if not scope:
        return "network"
    uses = node.origin.uses[: len(scope)]
    if len(uses) < len(scope):
        return "group"
    return uses[-1].name if uses[-1].kind == "block" else uses[-1].kind


def total_cost(costs: list[Cost]) -> Cost:
    """Their sum, without a Cost for each step of it."""
    return Cost(
        sum(c.trainable for c in costs),
        sum(c.non_trainable for c in costs),
        sum(c.macs for c in costs),
        sum(c.output_bytes for c in costs),
        sum(c.weight_bytes for c in costs),
        sum(c.trainable_bytes for c in costs),
    )
