"""Average pooling before the linear map of channels that it follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from archspec.analysis.remat import repeatable
from archspec.graph.ir import Edge, Node
from archspec.layers.base import Layer
from archspec.layers.reshaping import Flatten
from archspec.optimize.draft import Draft
from archspec.optimize.facts import (
    AVERAGE_POOLINGS,
    GLOBAL_AVERAGES,
    MEANS,
    is_dense,
    is_linear,
    is_one_by_one,
    strides,
)
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed


@dataclass(frozen=True)
class AveragePoolFirst(Pass):
    """Averages first and maps the channels of what is left: DenseNet's transitions, with a quarter of the MACs there.

    mean(W x + b) = W mean(x) + b: the mean counts no padding (Huang et al. 2016, arXiv:1608.06993, section 3).

    Precondition: a convolution of window 1 and stride 1, or a dense layer, without an activation, that nothing else
    reads; the pooling makes the image smaller.
    """

    name = "average-pool-first"
    mark = "pool first"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if not isinstance(node.layer, MEANS) or len(node.inputs) != 1:
            return None
        linear = draft.producer(node)
        if not _maps_channels(linear.layer):
            return None
        reason = draft.open(linear.name) or _reason(draft, linear, node)
        if reason:
            return Skip(node.name, reason)
        if isinstance(node.layer, GLOBAL_AVERAGES) and not node.layer.keepdims and not is_dense(linear.layer):
            return _global(draft, linear, node)
        before = draft.input_types(linear)[0]
        pooled = before.with_shape(*node.outputs[0].shape[:-1], before.shape[-1])
        pool = replace(node, inputs=linear.inputs, outputs=(pooled,))
        new = replace(linear, inputs=(Edge(node.name),), outputs=node.outputs)
        return Rewrite((linear.name, node.name), (pool, new), {Edge(node.name): Edge(new.name)}, note=_note(linear))


def _global(draft: Draft, linear: Node, node: Node) -> Rewrite:
    """A mean of everything, kept as an image of one pixel for the convolution, and flat behind it."""
    layer: Any = node.layer
    ones = (1,) * layer.RANK
    before = draft.input_types(linear)[0]
    pool = replace(
        node,
        name=draft.fresh(f"{node.name}_first"),
        layer=changed(layer, keepdims=True),
        inputs=linear.inputs,
        outputs=(before.with_shape(*ones, before.shape[-1]),),
    )
    new = replace(
        linear, inputs=(Edge(pool.name),), outputs=(linear.outputs[0].with_shape(*ones, linear.outputs[0].shape[-1]),)
    )
    flat = replace(node, layer=Flatten(dtype=layer.dtype), inputs=(Edge(new.name),))
    return Rewrite((linear.name, node.name), (pool, new, flat), note=_note(linear))


def _note(linear: Node) -> str:
    return f"before {linear.name}"


def _maps_channels(layer: Layer) -> bool:
    return is_one_by_one(layer) or is_dense(layer)


def _reason(draft: Draft, linear: Node, node: Node) -> str | None:
    if not is_linear(linear.layer):
        return f"{linear.name} has an activation"
    if not repeatable(linear):
        return f"{linear.name} adds a loss of the values that are pooled"
    if is_one_by_one(linear.layer) and prod(strides(linear.layer)) > 1:
        return f"{linear.name} skips pixels that the mean would count"
    if linear.layer.dtype != node.layer.dtype or draft.input_types(linear)[0].dtype != linear.outputs[0].dtype:
        return f"{linear.name} computes in another dtype"
    smaller = prod(strides(node.layer)) if isinstance(node.layer, AVERAGE_POOLINGS) else None
    if smaller == 1:
        return "the pooling leaves as many values"
    return None
