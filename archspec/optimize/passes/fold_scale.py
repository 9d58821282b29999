"""A scale of the channels into the linear layer before it, or into those after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archspec.graph.ir import Edge, Node
from archspec.layers.formula import Formula
from archspec.layers.merging import Add, Multiply
from archspec.layers.preprocessing import Normalization, Rescaling
from archspec.layers.weight import Weight
from archspec.optimize import forward, linear
from archspec.optimize.algebra import Affine, wide
from archspec.optimize.draft import Draft
from archspec.optimize.formulas import product
from archspec.optimize.network import Array, Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed


@dataclass(frozen=True)
class FoldScale(Pass):
    """s · (W · x + b) + t = (s · W) · x + (s · b + t): a LayerScale, a Rescaling, a residual that is scaled down.

    What no linear layer before it takes, as of an image that is scaled or normalised first, goes into those after it:
    W · (s · x + t) + b = (W · s) · x + (b + W · t).

    s is a weight of the channels or of all (`multiply`, or in a formula `x * gamma`), or numbers, as in a formula
    `x / 127.5 - 1`; of a formula `x + 0.1 * y` the sum is left.

    Precondition: the linear layer has no activation; only the scale reads it, and it is no output and no named tensor;
    the weight has no other reader; all compute in one dtype. Forward: every reader is linear, and pads nothing unless
    t is 0 (a border pixel would see it); not in float16, of whose range 1 / 255 takes too much.
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
            return _forward(draft, node, found)
        reason = _against(draft, before, node, found)
        if reason:
            ahead = _forward(draft, node, found)
            return ahead if isinstance(ahead, Rewrite) else Skip(node.name, reason)
        layer = before.layer
        biased = layer.use_bias or found.shifts
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


def _forward(draft: Draft, node: Node, found: _Scaling) -> Answer:
    """Into the layers that read the scale."""
    channels = node.outputs[0].shape[-1] if node.outputs[0].shape else None
    if found.rest is not None or channels is None or not forward.read_linearly(draft, node):
        return None
    if node.outputs[0].dtype == "float16":
        return Skip(node.name, "a scale of what is read takes too much of float16's range")
    reason = draft.open(found.weight.name) if found.weight else None
    if reason:
        return Skip(node.name, reason)
    return forward.into_readers(
        draft,
        node,
        found.scaled,
        lambda weights: found.affine(weights, channels),
        shifts=found.shifts,
        takes=(found.weight.name,) if found.weight else (),
    )


@dataclass(frozen=True)
class _Scaling:
    """What a node scales, by how much, and what is left of the node: a sum, or nothing."""

    node: str
    scaled: Edge
    weight: Node | None = None
    number: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] | None = None
    norm: Normalization | None = None
    rest: Node | None = None

    @property
    def shifts(self) -> bool:
        return self.offset is not None or self.norm is not None

    def affine(self, weights: Weights, channels: int) -> Affine:
        if self.norm:
            return _normalized(self.norm, weights.get(self.node, ()), channels)
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
    if isinstance(layer, Normalization):
        fits = _of_channels(layer, draft.input_types(node)[0].rank) and not node.shares and not draft.sharers(node.name)
        return _Scaling(node.name, node.inputs[0], norm=layer) if fits else None
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
    return _Scaling(node.name, reads[read.scaled], number=read.number, offset=read.offset or None, rest=rest)


def _of_channels(layer: Normalization, rank: int) -> bool:
    """Whether it scales each channel alike at all places, or all channels alike."""
    if layer.invert:
        return False
    return layer.axis in (-1, rank, (-1,), (rank,)) or (layer.axis is None and layer.mean is not None)


def _normalized(layer: Normalization, weights: Sequence[Array], channels: int) -> Affine:
    """(x - mean) / max(√variance, ε), with Keras's ε, by what is given or was learnt."""
    given = weights[:2] if layer.mean is None else (np.asarray(layer.mean), np.asarray(layer.variance))
    mean, variance = (np.broadcast_to(wide(each).reshape(-1), channels) for each in given)
    scale = 1 / np.maximum(np.sqrt(variance), 1e-7)
    return Affine(scale, -mean * scale)


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
