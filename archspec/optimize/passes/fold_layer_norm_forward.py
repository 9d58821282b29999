"""The scale and offset of LayerNormalization into what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from archspec.graph.ir import Edge, Node
from archspec.layers.base import WeightSpec
from archspec.layers.core import Dense, EinsumDense
from archspec.layers.multi_head_attention import GroupQueryAttention, MultiHeadAttention
from archspec.layers.normalization import LayerNormalization
from archspec.optimize import algebra, linear
from archspec.optimize.draft import Draft
from archspec.optimize.network import Array, Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed

Projection = Dense | EinsumDense
Attention = MultiHeadAttention | GroupQueryAttention
Specs = Sequence[WeightSpec]


@dataclass(frozen=True)
class FoldLayerNormForward(Pass):
    """W · (gamma · z + beta) + b = (W · gamma) · z + (b + W · beta), z being the input with mean 0 and variance 1.

    Into Dense layers, EinsumDense layers of the last axis and the projections of attention. Keras takes three more
    steps over the whole tensor with gamma and beta than without.

    Precondition: the normalisation is of the last axis; every reader is such a layer; the result is no output and no
    named tensor; no weights are shared.
    """

    name = "fold-layer-norm-forward"
    mark = "LN's scale moved"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        norm = node.layer
        readers = draft.readers(node.name)
        if not isinstance(norm, LayerNormalization) or not (norm.scale or norm.center):
            return None
        if not any(isinstance(n.layer, Attention | Projection) for n in readers):
            return None
        reason = _against(draft, node, readers)
        if reason:
            return Skip(node.name, reason)
        news = [linear.with_bias(n) if norm.center else n for n in readers]
        size = node.outputs[0].shape[-1] or 0
        specs = [(draft.weights(old), draft.weights(new)) for old, new in zip(readers, news, strict=True)]

        def folded(weights: Weights) -> Weights:
            first = _affine(norm, weights[node.name], size)
            pairs = zip(readers, specs, strict=True)
            return {n.name: _before(n, node, weights[n.name], *found, first) for n, found in pairs if not n.shares}

        names = [n.name for n in readers]
        return Rewrite(
            (node.name, *names),
            (replace(node, layer=changed(norm, scale=False, center=False)), *news),
            weights=folded,
            note=f"scale and offset of {node.name} into {', '.join(names)}",
            keeps_masks=True,
        )


def _against(draft: Draft, norm: Node, readers: Sequence[Node]) -> str | None:
    assert isinstance(norm.layer, LayerNormalization)
    axes = norm.layer.axis if isinstance(norm.layer.axis, tuple) else (norm.layer.axis,)
    if axes not in ((-1,), (norm.outputs[0].rank,)):
        return f"it normalises the axes {axes}, not the last"
    if draft.kept(norm.name):
        return draft.open(norm.name)
    roles: dict[str, dict[str, bool]] = {}
    for reader in readers:
        if not isinstance(reader.layer, Attention | Projection) or not _of_last(reader.layer):
            return f"{reader.name} reads it, which is no linear layer that could take it"
        if isinstance(reader.layer, Projection) and linear.adapted(reader.layer):
            return f"{reader.name} has a low-rank update beside its kernel"
        if any(p not in ("inputs", *_FED.values()) for e, p in _reads(reader) if e == Edge(norm.name)):
            return f"{reader.name} reads it as something else than what it projects"
        role = {parameter: edge == Edge(norm.name) for edge, parameter in _reads(reader)}
        if roles.setdefault(reader.shares or reader.name, role) != role:
            return f"{reader.name} uses weights of {reader.shares or reader.name} for something else"
    return None


def _of_last(layer: Attention | Projection) -> bool:
    return not isinstance(layer, EinsumDense) or linear.maps_last(layer)


_FED = {"query": "query", "gate": "query", "key": "key", "value": "value"}  # the parameter that a projection reads


def _reads(node: Node) -> list[tuple[Edge, str]]:
    return list(zip(node.inputs, node.parameters, strict=True))


def _affine(norm: LayerNormalization, weights: Sequence[Array], size: int) -> algebra.Affine:
    scale = algebra.wide(weights[0]) if norm.scale else np.ones(size)
    return algebra.Affine(scale, algebra.wide(weights[-1]) if norm.center else np.zeros(size))


def _before(
    node: Node, norm: Node, weights: Sequence[Array], old: Specs, new: Specs, first: algebra.Affine
) -> tuple[Array, ...]:
    """The reader's weights, those that see the normalisation with its affine map, biases that it had not from 0."""
    had = {spec.name: algebra.wide(value) for spec, value in zip(old, weights, strict=True)}
    found: dict[str, Any] = {spec.name: had.get(spec.name, np.zeros(spec.shape)) for spec in new}
    for name in [name for name in had if name.endswith("kernel") and _sees(node, norm, name.partition("/")[0])]:
        kernel = had[name]
        found[name] = kernel * first.scale.reshape(-1, *(1,) * (kernel.ndim - 1))
        bias = name.removesuffix("kernel") + "bias"
        if bias in found:
            found[bias] = found[bias] + np.tensordot(first.shift, kernel, 1)
    return linear.cast(list(found.values()), weights[0])


def _sees(node: Node, norm: Node, projection: str) -> bool:
    """Whether a kernel maps the normalisation's result: a Dense layer's only one, and projections of what they read."""
    if isinstance(node.layer, Projection):
        return True
    reads = {parameter: edge for edge, parameter in _reads(node)}
    parameter = _FED.get(projection)
    if parameter == "key" and "key" not in reads:
        parameter = "value"
    return parameter is not None and reads[parameter] == Edge(norm.name)
