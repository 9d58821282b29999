"""Depthwise convolutions as sums of shifted images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from archspec.graph.ir import Node
from archspec.layers.own import ShiftedDepthwiseConv2D
from archspec.layers.separable import DepthwiseConv2D
from archspec.optimize.draft import Draft
from archspec.optimize.facts import axes
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip


@dataclass(frozen=True)
class ShiftedDepthwise(Pass):
    """Computes a depthwise convolution as the sum of its image shifted by each place of the window, times its weights.

    Σ x[i · s + a, j · s + b] · kernel[a, b] over the window's places. XLA on CPU runs its own depthwise convolution ten
    times slower than this; TensorFlow's kernels and other runtimes are faster than it.

    Precondition: a window of so few places that the sum stays short, and a depth multiplier of 1.
    """

    name = "shifted-depthwise"
    mark = "shifted sums"
    level = "training"

    most: int = 49  # places of a window: 7 × 7

    def match(self, draft: Draft, node: Node) -> Answer:
        if type(node.layer) is not DepthwiseConv2D:
            return None
        if node.layer.depth_multiplier > 1:
            return Skip(node.name, "it makes several channels of one")
        if prod(axes(node.layer, node.layer.kernel_size)) > self.most:
            return Skip(node.name, f"its window has more than {self.most} places")
        arguments = {name: getattr(node.layer, name) for name in type(node.layer).model_fields}
        new = replace(node, layer=ShiftedDepthwiseConv2D.model_validate(arguments))
        return Rewrite((node.name,), (new,), note="a sum of shifted images")
