"""ReLU of a BatchNormalization as a comparison of its input with thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archspec.graph.ir import Edge, Node
from archspec.layers.activation import ReLU
from archspec.layers.core import Activation
from archspec.layers.merging import Maximum, Minimum
from archspec.layers.normalization import BatchNormalization
from archspec.layers.objects.constraints import NonNeg
from archspec.layers.shapes import known
from archspec.layers.weight import Weight
from archspec.optimize import algebra, linear
from archspec.optimize.draft import Draft
from archspec.optimize.network import Array, Change, Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip
from archspec.tensor import TensorType

Bound = tuple[Node, type[Maximum | Minimum]]


@dataclass(frozen=True)
class BnReluThreshold(Pass):
    """W · relu(s · x + t) + b = (W · s) · max(x, -t / s) + (b + W · t) for s > 0, channel by channel.

    A relu that ends at m ends at (m - t) / s here; where s < 0, minimum and maximum change places. One elementwise step
    for three. With `mixed` also where a gamma may be negative: that takes both comparisons, which was no faster.

    Precondition: only the relu reads the normalisation, of the channels; what reads the relu is linear and pads
    nothing, with averages over places and reshapes at most between; no result is an output or a named tensor; no
    weights are shared.
    """

    mixed: bool = False

    name = "bn-relu-threshold"
    mark = "thresholds"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        highest = _rectified(node)
        if highest is None:
            return None
        norm = draft.producer(node)
        if not isinstance(norm.layer, BatchNormalization):
            return None
        reason = _against(draft, norm, node)
        if not reason and not self.mixed and not _positive(norm.layer):
            reason = "a gamma may be negative, which takes two comparisons: no gain"
        if reason:
            return Skip(norm.name, reason)
        ends = linear.ends(draft, node.name)
        if isinstance(ends, Skip):
            return ends
        readers, between = ends
        return replace(_rewrite(draft, norm, node, readers, highest), alters=between)


def _rewrite(draft: Draft, norm: Node, relu: Node, readers: Sequence[Node], highest: float) -> Rewrite:
    bounds = _bounds(draft, norm, highest)
    chain = _comparisons(draft, norm, relu, bounds)
    return Rewrite(
        (norm.name, relu.name, *(n.name for n in readers)),
        (*(weight for weight, _ in bounds), *chain, *(linear.with_bias(n) for n in readers)),
        weights=_change(norm, readers, highest, bounds),
        note=f"{norm.name} and {relu.name} into {' and '.join(cls.__name__.lower() for _, cls in bounds)}, "
        f"its scale into {', '.join(n.name for n in readers)}",
    )


def _rectified(node: Node) -> float | None:
    """The largest value that a relu lets through; None for another layer."""
    layer = node.layer
    if isinstance(layer, ReLU) and not layer.negative_slope and not layer.threshold:
        return np.inf if layer.max_value is None else layer.max_value
    if isinstance(layer, Activation):
        return {"relu": np.inf, "relu6": 6.0}.get(layer.activation)
    return None


def _against(draft: Draft, norm: Node, relu: Node) -> str | None:
    assert isinstance(norm.layer, BatchNormalization)
    given = draft.input_types(norm)[0]
    if not linear.on_channels(norm.layer, given):
        return f"it normalises axis {norm.layer.axis}, which is not the last"
    if not given == norm.outputs[0] == relu.outputs[0]:
        return f"{norm.name} makes {norm.outputs[0]} of {given}, {relu.name} makes {relu.outputs[0]}"
    return draft.open(norm.name)


def _bounds(draft: Draft, norm: Node, highest: float) -> list[Bound]:
    """The weights to compare with, and how: below and above, or only one of them where no channel needs both."""
    given = draft.input_types(norm)[0]
    shape = (1,) * (given.rank - 1) + (known(given.shape[-1]),)
    positive = _positive(norm.layer)
    kinds: list[tuple[str, type[Maximum | Minimum]]] = [("lower", Maximum)]
    if not positive or np.isfinite(highest):
        kinds.append(("upper", Minimum))
    bounds: list[Bound] = []
    for word, cls in kinds:
        layer = Weight(shape=shape, dtype=norm.layer.dtype)
        output = TensorType(shape, layer.output_dtype)
        name = draft.fresh(f"{norm.name}_{word}")
        bounds.append((Node(name, layer, (), (), (output,), None, False, norm.origin), cls))
    return bounds


def _positive(layer: object) -> bool:
    """Whether no channel's scale can be below zero."""
    assert isinstance(layer, BatchNormalization)
    return not layer.scale or isinstance(layer.gamma_constraint, NonNeg)


def _comparisons(draft: Draft, norm: Node, relu: Node, bounds: Sequence[Bound]) -> list[Node]:
    """One node for each bound; the last goes under the relu's name."""
    edge, chain = norm.inputs[0], []
    for index, (weight, cls) in enumerate(bounds):
        name = relu.name if index == len(bounds) - 1 else draft.fresh(f"{relu.name}_{cls.__name__.lower()}")
        layer = cls(dtype=relu.layer.dtype)
        inputs = (edge, Edge(weight.name))
        chain.append(Node(name, layer, inputs, ("inputs", "inputs"), relu.outputs, None, relu.trainable, relu.origin))
        edge = Edge(name)
    return chain


def _change(norm: Node, readers: Sequence[Node], highest: float, bounds: Sequence[Bound]) -> Change:
    def change(weights: Weights) -> Weights:
        assert isinstance(norm.layer, BatchNormalization)
        values = weights[norm.name]
        clip = algebra.clip_before(linear.affine(norm.layer, values), 0.0, highest, values[0].dtype.name)
        found: dict[str, tuple[Array, ...]] = {}
        for node, cls in bounds:
            bound = clip.lower if cls is Maximum else clip.upper
            found[node.name] = (_finite(bound, values[0]).reshape([known(n) for n in node.outputs[0].shape]),)
        for node in [n for n in readers if not n.shares]:
            found[node.name] = linear.before(node.layer, weights[node.name], clip.after)  # type: ignore[arg-type]
        return found

    return change


def _finite(bound: algebra.Floats, like: Array) -> Array:
    """Bounds that no value reaches as the last numbers of the dtype, as some exports cannot write infinity."""
    last = 65504.0 if like.dtype.name == "float16" else 3e38
    return np.clip(bound, -last, last).astype(like.dtype)
