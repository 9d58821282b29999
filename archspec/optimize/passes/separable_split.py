"""Separable convolutions as the two that they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archspec.analysis.remat import repeatable
from archspec.graph.ir import Edge, Node
from archspec.layers.base import Layer
from archspec.layers.conv import Conv1D, Conv2D
from archspec.layers.separable import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from archspec.optimize.draft import Draft
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip

PARTS: dict[type[Layer], tuple[type[Layer], type[Layer]]] = {
    SeparableConv1D: (DepthwiseConv1D, Conv1D),
    SeparableConv2D: (DepthwiseConv2D, Conv2D),
}
COMMON = ("activation", "use_bias", "bias_initializer", "bias_regularizer", "bias_constraint", "filters", "dtype")


@dataclass(frozen=True)
class SeparableSplit(Pass):
    """Makes a depthwise convolution and a pointwise one, which bears the name, of a separable convolution.

    Both have the weights that it had; a runtime then fuses bias and activation into the second (Chollet 2016,
    arXiv:1610.02357, section 3).

    Precondition: it adds no loss of its own while training, so that nothing depends on its being one layer.
    """

    name = "separable-split"
    mark = "split"
    level = "training"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        parts = PARTS.get(type(node.layer))
        if parts is None:
            return None
        if not repeatable(node):
            return Skip(node.name, "it adds a loss")
        first, second = _halves(draft, node, *parts)
        name = node.name

        def redo(weights: Weights) -> Weights:
            depthwise, *rest = weights[name]
            return {first.name: (depthwise,), name: tuple(rest)}

        def undo(weights: Weights) -> Weights:
            return {name: (*weights[first.name], *weights[name])}

        return Rewrite(
            (name,), (first, second), weights=redo, undo=undo, note="a depthwise and a pointwise convolution"
        )


def _halves(draft: Draft, node: Node, depthwise: type[Layer], pointwise: type[Layer]) -> tuple[Node, Node]:
    arguments = {name: getattr(node.layer, name) for name in type(node.layer).model_fields}
    slides = ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier", "dtype")
    own = {name: value for name, value in arguments.items() if name in slides or name.startswith("depthwise_")}
    first = replace(
        node,
        name=draft.fresh(f"{node.name}_depthwise"),
        layer=depthwise.model_validate({**own, "use_bias": False}),
        outputs=(),
    )
    first = replace(first, outputs=draft.infer(first))
    mixes = {f"kernel_{n.removeprefix('pointwise_')}": v for n, v in arguments.items() if n.startswith("pointwise_")}
    layer = pointwise.model_validate({**{name: arguments[name] for name in COMMON}, **mixes, "kernel_size": 1})
    return first, replace(node, layer=layer, inputs=(Edge(first.name),), parameters=("inputs",))
