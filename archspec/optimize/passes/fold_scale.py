"""A scale of the channels into the linear layer before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from archspec.graph.ir import Edge, Node
from archspec.layers.formula import Formula
from archspec.layers.merging import Add, Multiply
from archspec.layers.preprocessing import Rescaling
from archspec.layers.weight import Weight
from archspec.optimize import linear
from archspec.optimize.algebra import Affine, wide
from archspec.optimize.draft import Draft
from archspec.optimize.formulas import product
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed


@dataclass(frozen=True)
class FoldScale(Pass):
    """s · (W · x + b) + t = (s · W) · x + (s · b + t): a LayerScale, a Rescaling, a residual that is scaled down.

    s is a weight of the channels or of all (`multiply`, or in a formula `x * gamma`), or numbers; of a formula
    `x + 0.1 * y` the sum is left.

    Precondition: the linear layer has no activation; only the scale reads it, and it is no output and no named tensor;
    the weight has no other reader; all compute in one dtype.
    Source: Touvron et al. 2021, arXiv:2103.17239, section 2.1; Szegedy et al. 2016, arXiv:1602.07261, section 3.3.
    """

    name = "fold-scale"
    mark = "+scale"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        found = _scaling(draft, node)
        if found is None:
            return None
        before = draft.nodes[found.scaled.node]
        if not isinstance(before.layer, linear.Linear):
            return None
        reason = _against(draft, before, node, found)
        if reason:
            return Skip(node.name, reason)
        layer = before.layer
        biased = layer.use_bias or found.offset is not None
        new = replace(before, layer=changed(layer, use_bias=biased))
        channels = before.outputs[0].shape[-1]
        assert channels

        def folded(weights: Weights) -> Weights:
            made = linear.after(layer, weights[before.name], found.affine(weights, channels))
            return {before.name: made if biased else made[:-1]}

        takes = (before.name, node.name, *((found.weight.name,) if found.weight else ()))
        if found.rest is None:
            return Rewrite(takes, (new,), {Edge(node.name): Edge(new.name)}, folded, note=found.note(before))
        return Rewrite(takes, (new, found.rest), {}, folded, note=found.note(before))


@dataclass(frozen=True)
class _Scaling:
    """What a node scales, by how much, and what is left of the node: a sum, or nothing."""

    node: str
    scaled: Edge
    weight: Node | None = None
    number: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] | None = None
    rest: Node | None = None

    def affine(self, weights: Weights, channels: int) -> Affine:
        scale = wide(weights[self.weight.name][0]).reshape(-1) if self.weight else np.asarray(self.number, float)
        shift = np.asarray(0.0 if self.offset is None else self.offset, float)
        return Affine(np.broadcast_to(scale, channels), np.broadcast_to(shift, channels))

    def note(self, before: Node) -> str:
        return f"{self.weight.name if self.weight else f'the scale of {self.node}'} into {before.name}"


def _scaling(draft: Draft, node: Node) -> _Scaling | None:
    layer = node.layer
    if isinstance(layer, Rescaling):
        offset = layer.offset if np.any(layer.offset) else None
        return _Scaling(node.name, node.inputs[0], number=layer.scale, offset=offset)
    if isinstance(layer, Multiply) and len(node.inputs) == 2:
        return _weighed(draft, node, *node.inputs)
    if not isinstance(layer, Formula):
        return None
    read = product(layer.expression)
    if read is None:
        return None
    reads = dict(zip(layer.arguments, node.inputs, strict=True))
    if read.factor:
        return _weighed(draft, node, reads[read.scaled], reads[read.factor])
    rest = _sum(node, reads[read.added], reads[read.scaled]) if read.added else None
    return _Scaling(node.name, reads[read.scaled], number=read.number, rest=rest)


def _weighed(draft: Draft, node: Node, one: Edge, other: Edge) -> _Scaling | None:
    """The product of a tensor and a weight that is the same at all places; None for other products."""
    for edge, factor in ((one, other), (other, one)):
        weight = draft.nodes[factor.node]
        if isinstance(weight.layer, Weight) and set(weight.layer.shape[:-1]) <= {1} and edge != factor:
            return _Scaling(node.name, edge, weight)
    return None


def _sum(node: Node, *edges: Edge) -> Node:
    """What is left of `x + 0.1 * y`."""
    return replace(node, layer=Add(dtype=node.layer.dtype), inputs=edges, parameters=("inputs",) * len(edges))


def _against(draft: Draft, before: Node, node: Node, found: _Scaling) -> str | None:
    layer = before.layer
    assert isinstance(layer, linear.Linear)
    if linear.activated(layer):
        return f"{before.name} has an activation, {layer.activation}"
    if linear.adapted(layer):
        return f"{before.name} has a low-rank update beside its kernel"
    if before.outputs != node.outputs:
        return f"{before.name} gives {before.outputs[0]}, {node.name} makes {node.outputs[0]} of it"
    if found.rest and any(draft.type(edge) != node.outputs[0] for edge in found.rest.inputs):
        return f"{node.name} repeats one of its tensors"
    if layer.dtype != node.layer.dtype:
        return f"{before.name} and {node.name} compute in different dtypes"
    return draft.open(before.name) or (draft.open(found.weight.name) if found.weight else None)
