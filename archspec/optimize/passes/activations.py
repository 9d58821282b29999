"""Activations as an argument of the layer before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archspec.analysis.remat import repeatable
from archspec.graph.ir import Edge, Node
from archspec.layers.activation import Softmax
from archspec.optimize.draft import Draft
from archspec.optimize.facts import activation_of, is_linear, takes_activation
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed


@dataclass(frozen=True)
class Activations(Pass):
    """Puts an activation into the convolution or dense layer before it, where runtimes compute both in one go.

    a(kernel ∗ x + bias) is what the layer computes with `activation: a`.

    Precondition: the layer has no activation yet, nothing else reads it, both compute in the same dtype, and it adds
    no loss, which would be taken of other values.
    """

    name = "activations"
    mark = "+activation"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        activation = activation_of(node.layer)
        if activation in (None, "linear") or len(node.inputs) != 1:
            return None
        before = draft.producer(node)
        if not takes_activation(before.layer):
            return None
        reason = draft.open(before.name) or _reason(before, node)
        if reason:
            return Skip(node.name, reason)
        layer = changed(before.layer, activation=activation)
        return Rewrite(
            (before.name, node.name),
            (replace(before, layer=layer),),
            {Edge(node.name): Edge(before.name)},
            note=f"{activation} into {before.name}",
            keeps_masks=not isinstance(node.layer, Softmax),  # which reads the mask
        )


def _reason(before: Node, node: Node) -> str | None:
    if not is_linear(before.layer):
        return f"{before.name} has an activation already"
    if before.layer.dtype != node.layer.dtype:
        return f"{before.name} computes in another dtype"
    if not repeatable(before):
        return f"{before.name} adds a loss of its values before the activation"
    return None
