"""Layers that give what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archspec.graph.ir import Edge, Node
from archspec.layers.base import Layer
from archspec.layers.core import Activation, Identity
from archspec.layers.formula import Formula
from archspec.layers.merging import Add, Average, Concatenate, Maximum, Minimum, Multiply
from archspec.layers.regularization import ActivityRegularization, GaussianNoise
from archspec.layers.reshaping import Flatten, Permute, Reshape
from archspec.optimize.draft import Draft
from archspec.optimize.facts import (
    AVERAGE_POOLINGS,
    CROPPINGS,
    ENLARGING,
    MAX_POOLINGS,
    NOISES,
    PADDINGS,
    augments,
    axes,
    strides,
)
from archspec.optimize.formulas import cast_to
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip

JOINS = (Add, Average, Concatenate, Maximum, Minimum, Multiply)


@dataclass(frozen=True)
class Identities(Pass):
    """Takes layers away that give what they are given.

    Dropout and noise of rate 0, and at the level `inference` of any rate, as well as random changes of images; linear
    activations; reshapes to the same shape and permutations of nothing; pads and crops of nothing; enlarging and
    pooling by 1; joins of one tensor; casts to the same dtype.

    Precondition: the result has the type of the input, its dtype too.
    """

    name = "identities"
    mark = "identity gone"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if len(node.inputs) != 1 or not _gives_its_input(draft, node):
            return None
        (edge,) = node.inputs
        (output,) = node.outputs
        if draft.type(edge) != output:
            return Skip(node.name, f"it makes {output} of {draft.type(edge)}")
        kind = type(node.layer).__name__
        masks = isinstance(node.layer, (*NOISES, Identity, Activation))
        return Rewrite((node.name,), (), {Edge(node.name): edge}, note=f"{kind} changes nothing", keeps_masks=masks)


def _gives_its_input(draft: Draft, node: Node) -> bool:
    layer = node.layer
    if isinstance(layer, NOISES):
        return draft.level == "inference" or silent(layer)
    if augments(layer):
        return draft.level == "inference"
    if isinstance(layer, Activation):
        return layer.activation == "linear"
    if isinstance(layer, Reshape | Flatten):  # with two unknown lengths, equal types may be different shapes
        return draft.input_types(node)[0] == node.outputs[0] and node.outputs[0].shape.count(None) <= 1
    if isinstance(layer, Permute):
        return layer.dims == tuple(sorted(layer.dims))
    if isinstance(layer, Formula):
        return cast_to(layer) == draft.input_types(node)[0].dtype
    if isinstance(layer, (*AVERAGE_POOLINGS, *MAX_POOLINGS)):
        return {*axes(layer, layer.pool_size), *strides(layer)} == {1}
    if isinstance(layer, PADDINGS):
        return only(layer.padding, 0)
    if isinstance(layer, CROPPINGS):
        return only(layer.cropping, 0)
    if isinstance(layer, ENLARGING):
        return only(layer.size, 1)
    return isinstance(layer, (Identity, *JOINS))


def silent(layer: Layer) -> bool:
    """Whether noise, a dropout or a penalty does nothing in training either."""
    if isinstance(layer, ActivityRegularization):
        return not layer.l1 and not layer.l2
    return not (layer.stddev if isinstance(layer, GaussianNoise) else layer.rate)  # type: ignore[attr-defined]


def only(value: Any, number: int) -> bool:
    """Whether an argument that may be nested is that number throughout."""
    return all(only(v, number) for v in value) if isinstance(value, tuple) else value == number
