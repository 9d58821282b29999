"""Two linear layers in a row as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from archspec.graph.ir import Node
from archspec.layers.core import Dense
from archspec.layers.shapes import per_axis
from archspec.optimize import algebra, linear
from archspec.optimize.draft import Draft
from archspec.optimize.network import Array, Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed


@dataclass(frozen=True)
class CollapseLinear(Pass):
    """W₂ · (W₁ · x + b₁) + b₂ = (W₂ · W₁) · x + (W₂ · b₁ + b₂), for Dense and convolutions without groups.

    The kernel of two convolutions has K[s·j + i] = Σ K₁[i] · K₂[j] where the first steps by s.

    Precondition: the first has no activation, only the second reads it, and it is no output and no named tensor; no
    weights are shared. Windows must not meet padding between the two: neither pads, or the second is 1 × 1, or the
    first is 1 × 1 and has no bias (what is 0 outside of the image stays so). Multiply-accumulates must fall.
    Source: Guo et al. 2018, arXiv:1811.10495 (ExpandNets).
    """

    name = "collapse-linear"
    mark = "two in one"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        second = node.layer
        if not isinstance(second, linear.Conv | Dense):
            return None
        before = draft.producer(node)
        first = before.layer
        if not isinstance(first, linear.Conv | Dense) or linear.activated(first):
            return None
        reason = _against(first, second) or draft.open(before.name) or _shared(draft, before, node)
        if reason:
            return Skip(node.name, reason)
        arguments = _together(draft, before, node)
        if isinstance(arguments, str):
            return Skip(node.name, arguments)
        base = first if isinstance(second, Dense) else second
        if base is not second:
            arguments |= {"filters" if isinstance(first, linear.Conv) else "units": second.units}  # type: ignore[union-attr]
        use_bias = first.use_bias or second.use_bias
        layer = changed(base, **arguments, activation=second.activation, use_bias=use_bias, dtype=second.dtype)
        new = replace(node, layer=layer, inputs=before.inputs)
        macs = layer.macs(draft.input_types(before)[0])
        if macs >= draft.macs(before) + draft.macs(node):
            return Skip(node.name, f"with {before.name} in one it would need no fewer multiply-accumulates")

        def collapsed(weights: Weights) -> Weights:
            return {node.name: _composed(first, weights[before.name], second, weights[node.name])}

        return Rewrite(
            (before.name, node.name), (new,), {}, collapsed, note=f"{before.name} into {node.name}", keeps_masks=True
        )


def _against(first: linear.Conv | Dense, second: linear.Conv | Dense) -> str | None:
    if first.dtype != second.dtype:
        return "the two compute in different dtypes"
    for layer in (first, second):
        if linear.adapted(layer):
            return "a low-rank update stands beside a kernel"
        if isinstance(layer, linear.Conv) and layer.groups > 1:
            return "a convolution has groups"
    return None


def _shared(draft: Draft, *nodes: Node) -> str | None:
    sharers = [(other, node.name) for node in nodes for other in sorted(draft.sharers(node.name))]
    return f"{sharers[0][0]} uses the weights of {sharers[0][1]}" if sharers else None


def _together(draft: Draft, before: Node, node: Node) -> dict[str, Any] | str:
    """The window of both in one as arguments of a convolution; none for Dense; or why there is none."""
    first, second = before.layer, node.layer
    if isinstance(first, Dense) and isinstance(second, Dense):
        return {}
    if _pointwise(second):
        assert isinstance(first, linear.Conv | Dense)
        return _window(first)
    if _pointwise(first) and (not first.use_bias or linear.unpadded(second, draft.input_types(node)[0])):  # type: ignore
        return _window(second)
    for layer, given in ((first, before), (second, node)):
        if not linear.unpadded(layer, draft.input_types(given)[0]):  # type: ignore[arg-type]
            return f"{given.name} pads: at the border, windows of the other would see what lies outside"
    return _wider(first, second)


def _pointwise(layer: Any) -> bool:
    """Whether it maps each place by itself, and keeps all places."""
    if isinstance(layer, Dense):
        return True
    return all(per_axis(w, layer.RANK) == (1,) * layer.RANK for w in (layer.kernel_size, layer.strides))


def _window(layer: Any) -> dict[str, Any]:
    if isinstance(layer, Dense):
        return {}
    return {name: getattr(layer, name) for name in ("kernel_size", "strides", "padding", "dilation_rate")}


def _wider(first: Any, second: Any) -> dict[str, Any] | str:
    rank = first.RANK
    ones = (1,) * rank
    if per_axis(first.dilation_rate, rank) != ones or per_axis(second.dilation_rate, rank) != ones:
        return "a convolution is dilated"
    k1, k2, s1, s2 = (per_axis(w, rank) for w in (first.kernel_size, second.kernel_size, first.strides, second.strides))
    return {
        "kernel_size": tuple(s * (b - 1) + a for a, b, s in zip(k1, k2, s1, strict=True)),
        "strides": tuple(a * b for a, b in zip(s1, s2, strict=True)),
        "padding": "valid",
    }


def _composed(first: Any, one: tuple[Array, ...], second: Any, two: tuple[Array, ...]) -> tuple[Array, ...]:
    """The weights of both in one. Dense on an image is a 1 × 1 convolution."""
    rank = max(getattr(layer, "RANK", 0) for layer in (first, second))
    strides = per_axis(first.strides, rank) if isinstance(first, linear.Conv) else (1,) * rank
    whole = algebra.compose(_linear(first, one, rank), _linear(second, two, rank), strides)
    new = [whole.kernel, whole.bias] if first.use_bias or second.use_bias else [whole.kernel]
    return linear.cast(new, one[0])


def _linear(layer: Any, weights: tuple[Array, ...], rank: int) -> algebra.Linear:
    (kernel,), bias = linear.parts(layer, weights)
    window = kernel.shape[:-2] or (1,) * rank
    wide = algebra.wide(kernel).reshape((*window, *kernel.shape[-2:]))
    return algebra.Linear(wide, algebra.biases_side_by_side([bias], [kernel.shape[-1]]))
