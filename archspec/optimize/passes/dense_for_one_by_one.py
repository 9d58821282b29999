"""Convolutions of window 1 as dense layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from archspec.graph.ir import Node
from archspec.layers.core import Dense
from archspec.optimize.draft import Draft
from archspec.optimize.facts import is_one_by_one, strides
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip

SAME = tuple(name for name in Dense.model_fields if name not in ("units", "lora_rank", "lora_alpha"))


@dataclass(frozen=True)
class DenseForOneByOne(Pass):
    """Maps the channels of every pixel with one product of matrices in place of a convolution of window 1.

    kernel (1, …, 1, c, filters) is the dense kernel (c, filters). XLA's convolutions on CPU are slower than its
    products.

    Precondition: one group, and no strides, which a dense layer has not; in training no constraint, whose axes would be
    others.
    """

    name = "dense-for-one-by-one"
    mark = "dense for 1×1"
    level = "training"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        layer: Any = node.layer
        if not is_one_by_one(layer):
            return None
        if layer.groups > 1:
            return Skip(node.name, "it has several groups")
        if set(strides(layer)) != {1}:
            return Skip(node.name, "it has strides")
        if draft.level == "training" and layer.kernel_constraint:
            return Skip(node.name, "a constraint goes by the axes of its kernel")
        if draft.sharers(node.name):
            return Skip(node.name, f"{min(draft.sharers(node.name))} uses the same weights")
        kernel = draft.weights(node)[0].shape
        dense = Dense.model_validate({"units": layer.filters, **{name: getattr(layer, name) for name in SAME}})

        def redo(weights: Weights) -> Weights:
            first, *others = weights[node.name]
            return {node.name: (first.reshape(kernel[-2:]), *others)}

        def undo(weights: Weights) -> Weights:
            first, *others = weights[node.name]
            return {node.name: (first.reshape(kernel), *others)}

        new = replace(node, layer=dense)
        return Rewrite((node.name,), (new,), weights=redo, undo=undo, note="a dense layer")
