"""Nodes that no output needs."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.graph.ir import Node
from archspec.layers.core import InputLayer
from archspec.optimize.draft import Draft
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip


@dataclass(frozen=True)
class DeadNodes(Pass):
    """Takes away nodes that nothing reads.

    Precondition: no output and no named tensor comes from the node, it is no input, and no other node uses its weights.
    Weights go with their node at the level `inference` only: what is saved of a training has them.
    """

    name = "dead-nodes"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if draft.reads(node.name) or draft.kept(node.name) or isinstance(node.layer, InputLayer):
            return None
        if draft.level == "training" and draft.weights(node):
            return Skip(node.name, "nothing reads it, but its weights are saved with the others")
        return Rewrite((node.name,), note="nothing reads it", keeps_masks=True)
