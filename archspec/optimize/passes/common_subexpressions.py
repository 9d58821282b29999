"""Nodes that compute the same."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.graph.ir import Edge, Node
from archspec.optimize.draft import Draft
from archspec.optimize.facts import deterministic
from archspec.optimize.rewrite import Answer, Pass, Rewrite


@dataclass(frozen=True)
class CommonSubexpressions(Pass):
    """Computes once what two nodes without weights compute of the same tensors.

    Precondition: equal layers, equal inputs; no weights, no state, nothing drawn at random, no loss.
    """

    name = "common-subexpressions"
    mark = "once"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if not node.inputs or not deterministic(node):
            return None
        if node.shares or draft.weights(node):
            return None
        twins = (other for other in draft.alike(node) if _same(node, other))
        first = next((other for other in twins if draft.earlier(other.name, node.name)), None)
        if first is None:
            return None
        same = {Edge(node.name, i): Edge(first.name, i) for i in range(len(node.outputs))}
        return Rewrite((node.name,), (), same, note=f"the same as {first.name}", keeps_masks=True)


def _same(node: Node, other: Node) -> bool:
    return (
        node.inputs == other.inputs
        and node.parameters == other.parameters
        and type(node.layer) is type(other.layer)
        and node.layer == other.layer
    )
