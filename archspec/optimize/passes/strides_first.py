"""Strides as early as every reader skips the same pixels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from archspec.analysis.remat import repeatable
from archspec.graph.ir import Edge, Node
from archspec.layers.base import FLOATS, Layer
from archspec.layers.core import Identity
from archspec.layers.merging import Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract
from archspec.layers.normalization import BatchNormalization, LayerNormalization, RMSNormalization
from archspec.layers.shapes import axis_index
from archspec.optimize.draft import Draft
from archspec.optimize.facts import (
    AVERAGE_POOLINGS,
    CONVOLUTIONS,
    DEPTHWISE,
    MAX_POOLINGS,
    SEPARABLE,
    axes,
    is_dense,
    is_one_by_one,
    pointwise,
    spans,
    strides,
    zeros_of_same,
)
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed

MERGES = (Add, Average, Maximum, Minimum, Multiply, Subtract)
SLIDING = (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *AVERAGE_POOLINGS, *MAX_POOLINGS)

DEEPEST = 6  # layers that are looked through for a product: a residual block's end has four

Skips = tuple[int, ...]


@dataclass(frozen=True)
class StridesFirst(Pass):
    """Skips pixels before a layer where all that read it skip them behind it.

    A layer that works position by position gives the same pixels whether they are picked before or after it, so its
    inputs are thinned out (a max pooling of window 1) and its readers' strides become 1. A convolution or a pooling
    takes the strides of its readers for its own: f(x)[:: s] is f with the stride s times as large. ResNet's stage heads
    (He et al. 2015, arXiv:1512.03385, table 1) thus compute a quarter of the last layers of the stage before.

    Precondition: every reader is a convolution of window 1, or picks pixels only, with the same strides; the result is
    no output; batch normalisation uses its moving statistics, not those of all pixels; `same` padding starts at the
    same place under both strides. In training a convolution or a dense layer must gain by it. An activation stays with
    a convolution that cannot take the strides.
    """

    name = "strides-first"
    mark = "stride moved"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if len(node.outputs) != 1 or not (_slides(node.layer) or _works_by_position(node.layer)):
            return None
        readers = draft.readers(node.name)
        skips = {_skips(reader) for reader in readers}
        if len(skips) != 1 or None in skips:
            return Skip(node.name, "not all readers skip the same pixels") if skips - {None} else None
        (skip,) = skips
        assert skip is not None
        reason = _reason(draft, node, skip)
        if reason:
            return Skip(node.name, reason)
        if _slides(node.layer):
            return _rewrite(draft, node, skip, (), node.inputs, _longer(node.layer, skip))
        thinned: dict[Edge, Node] = {}
        for edge in dict.fromkeys(node.inputs):
            if _is_full(draft, node, edge):
                thinned[edge] = _thinned(draft, node, edge, skip, [n.name for n in thinned.values()])
        inputs = tuple(Edge(thinned[edge].name) if edge in thinned else edge for edge in node.inputs)
        return _rewrite(draft, node, skip, tuple(thinned.values()), inputs, node.layer)


def _rewrite(
    draft: Draft, node: Node, skip: Skips, before: tuple[Node, ...], inputs: tuple[Edge, ...], layer: Layer
) -> Rewrite:
    output = node.outputs[0].with_shape(*_lengths(node.outputs[0].shape, skip))
    new = replace(node, layer=layer, inputs=inputs, outputs=(output,))
    readers = draft.readers(node.name)
    convolutions = [reader for reader in readers if is_one_by_one(reader.layer)]
    puts = [replace(reader, layer=changed(reader.layer, strides=_ones(reader.layer))) for reader in convolutions]
    same = {Edge(reader.name): Edge(node.name) for reader in readers if reader not in convolutions}
    takes = (node.name, *(reader.name for reader in readers))
    steps = "×".join(map(str, skip))
    return Rewrite(takes, (*before, new, *puts), same, note=f"strides {steps} of {', '.join(takes[1:])} before it")


def _ones(layer: Any) -> Any:
    return 1 if isinstance(layer.strides, int) else (1,) * layer.RANK


def _skips(reader: Node) -> Skips | None:
    """The strides of a layer that reads every so many pixels and no others; None where it reads others, or all."""
    layer: Any = reader.layer
    picks = isinstance(layer, (*MAX_POOLINGS, *AVERAGE_POOLINGS)) and set(axes(layer, layer.pool_size)) == {1}
    if len(reader.inputs) != 1 or not (picks or is_one_by_one(layer)) or set(strides(layer)) == {1}:
        return None
    return strides(layer)


def _slides(layer: Layer) -> bool:
    return isinstance(layer, SLIDING)


def _works_by_position(layer: Layer) -> bool:
    kinds = (*MERGES, Concatenate, Identity, BatchNormalization, LayerNormalization, RMSNormalization)
    return isinstance(layer, kinds) or pointwise(layer) or is_dense(layer)


def _reason(draft: Draft, node: Node, skip: Skips) -> str | None:
    if draft.kept(node.name):
        return draft.open(node.name)
    if any(reader.layer.dtype != node.layer.dtype for reader in draft.readers(node.name)):
        return "its readers compute in another dtype"
    if not repeatable(node):
        return "it adds a loss of all its pixels"
    if _slides(node.layer):
        return _sliding_reason(draft, node, skip)
    layer, rank = node.layer, len(skip)
    if isinstance(layer, BatchNormalization) and draft.level == "training" and node.trainable:
        return "a batch's statistics are those of all its pixels"
    axis: Any = getattr(layer, "axis", -1)
    if any(axis_index(node.name, node.outputs[0], a) != rank for a in (axis if isinstance(axis, tuple) else (axis,))):
        return "it works along an axis on which its readers skip"
    if len(node.parameters) != node.parameters.count(node.parameters[0]):
        return "a mask goes into it"
    for edge in node.inputs:
        if draft.type(edge).dtype not in FLOATS:
            return f"{edge} is no float"
        if not _is_full(draft, node, edge) and draft.type(edge).shape[:-1] not in ((), (1,) * rank):
            return f"{edge} is repeated along some of the axes on which its readers skip"
    parted = _parted_from(draft, node, skip)
    if parted:
        return f"it would be parted from {parted}, which cannot skip and takes it for its own"
    if draft.level == "training" and not _saves_products(draft, node, skip, DEEPEST):
        return "no product before it would be smaller, and a step gains nothing"
    return None


def _saves_products(draft: Draft, node: Node, skip: Skips, depth: int) -> bool:
    """Whether a convolution or a dense layer would in the end compute fewer pixels.

    Else a step of ResNet-50's took 1.02 of what it took before: the backward pass of picking pixels costs what
    additions and activations save.
    """
    if _slides(node.layer):
        return _sliding_reason(draft, node, skip) is None
    if is_dense(node.layer) or not depth:
        return is_dense(node.layer)
    if not _works_by_position(node.layer) or (isinstance(node.layer, BatchNormalization) and node.trainable):
        return False
    before = (draft.producer(node, index) for index in range(len(node.inputs)))
    return any(_saves_products(draft, b, skip, depth - 1) for b in before if not draft.open(b.name))


def _parted_from(draft: Draft, node: Node, skip: Skips) -> str | None:
    """The convolution that a runtime fuses with the activations behind it, where it cannot take the strides too."""
    while isinstance(node.layer, BatchNormalization) or pointwise(node.layer):
        node = draft.producer(node)
        if draft.open(node.name):
            return None
        if _slides(node.layer):
            return node.name if _sliding_reason(draft, node, skip) else None
    return None


def _sliding_reason(draft: Draft, node: Node, skip: Skips) -> str | None:
    layer: Any = node.layer
    if max(axes(layer, getattr(layer, "dilation_rate", 1))) > 1:
        return "it is dilated, and Keras has no strides beside that"
    if isinstance(layer, (*DEPTHWISE, *SEPARABLE)) and len(set(_product(layer, skip))) > 1:
        return "TensorFlow has no depthwise convolution of different strides"
    if layer.padding == "same" and not is_one_by_one(layer):
        lengths = draft.input_types(node)[0].shape
        for n, span, old, new in zip(lengths, spans(layer), strides(layer), _product(layer, skip), strict=False):
            if n is None or zeros_of_same(n, span, old) // 2 != zeros_of_same(n, span, new) // 2:
                return "its `same` padding starts elsewhere under longer strides"
    return None


def _product(layer: Any, skip: Skips) -> Skips:
    return tuple(a * b for a, b in zip(strides(layer), skip, strict=True))


def _longer(layer: Any, skip: Skips) -> Layer:
    product = _product(layer, skip)
    return changed(layer, strides=product if len(product) > 1 else product[0])


def _is_full(draft: Draft, node: Node, edge: Edge) -> bool:
    """Whether an input has all the pixels of the result, so that some of them can be skipped."""
    return draft.type(edge).shape[:-1] == node.outputs[0].shape[:-1]


def _thinned(draft: Draft, node: Node, edge: Edge, skip: Skips, beside: Collection[str]) -> Node:
    """Every so many pixels of an input; `beside` are the names that others of the node got."""
    given = draft.type(edge)
    window = (1,) * len(skip) if len(skip) > 1 else 1
    step = skip if len(skip) > 1 else skip[0]
    dtype = node.layer.dtype if given.dtype == node.outputs[0].dtype else given.dtype
    layer = MAX_POOLINGS[len(skip) - 1].model_validate({"pool_size": window, "strides": step, "dtype": dtype})
    output = given.with_shape(*_lengths(given.shape, skip))
    name = draft.fresh(f"{node.name}_strided" if len(node.inputs) == 1 else f"{edge.node}_strided", beside)
    return Node(name, layer, (edge,), ("inputs",), (output,), origin=node.origin)


def _lengths(shape: tuple[int | None, ...], skip: Skips) -> tuple[int | None, ...]:
    spatial = (None if n is None else -(-n // s) for n, s in zip(shape, skip, strict=False))
    return (*spatial, shape[-1])
