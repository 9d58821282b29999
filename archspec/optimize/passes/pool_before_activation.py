"""Max pooling before the activation that it follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from archspec.graph.ir import Edge, Node
from archspec.optimize.draft import Draft
from archspec.optimize.facts import MAX_POOLINGS, is_linear, rises, strides, takes_activation
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip


@dataclass(frozen=True)
class PoolBeforeActivation(Pass):
    """Pools first and applies the activation to what is left: a quarter of the values, for windows of 2 × 2.

    max(a(x)) = a(max(x)) for every activation a that never falls. Padding is no value in either order.

    Precondition: nothing else reads the activation; the layer before it does not take it as its own, where it costs
    less still; the pooling makes the image smaller.
    """

    name = "pool-before-activation"
    mark = "pool first"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if not isinstance(node.layer, MAX_POOLINGS):
            return None
        activation = draft.producer(node)
        if not rises(activation.layer):
            return None
        before = draft.producer(activation)
        reason = draft.open(activation.name)
        if not reason and takes_activation(before.layer) and is_linear(before.layer) and not draft.open(before.name):
            reason = f"{before.name} takes {activation.name} for its own"
        if not reason and prod(strides(node.layer)) == 1:
            reason = "the pooling leaves as many values"
        types = (*draft.input_types(activation), *activation.outputs, *node.outputs)
        if not reason and len({t.dtype for t in types}) > 1:
            reason = f"{activation.name} or {node.name} changes the dtype"
        if reason:
            return Skip(node.name, reason)
        pool = replace(node, inputs=activation.inputs)
        new = replace(activation, inputs=(Edge(node.name),), outputs=node.outputs)
        return Rewrite(
            (activation.name, node.name),
            (pool, new),
            {Edge(node.name): Edge(activation.name)},
            note=f"before {activation.name}",
        )
