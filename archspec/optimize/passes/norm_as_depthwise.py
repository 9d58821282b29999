"""BatchNormalization that no kernel takes as a depthwise convolution of one pixel."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.graph.ir import Node
from archspec.layers.normalization import BatchNormalization
from archspec.layers.separable import DepthwiseConv2D
from archspec.optimize import linear
from archspec.optimize.draft import Draft
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip


@dataclass(frozen=True)
class NormAsDepthwise(Pass):
    """norm(x) = s · x + t, channel by channel: a depthwise convolution with the kernel s (1, 1, c, 1) and the bias t.

    Pays where a runtime computes the convolution, its bias and the relu behind it in one go over the image, and the
    normalisation in three: a TensorFlow function on a CPU does. XLA's depthwise convolutions are slow.

    Precondition: an image normalised by channels; no masks pass, no weights are shared. What reads it does not matter.
    """

    name = "norm-as-depthwise"
    mark = "BN as depthwise"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        norm = node.layer
        if not isinstance(norm, BatchNormalization) or node.outputs[0].rank != 3:
            return None
        if not linear.on_channels(norm, draft.input_types(node)[0]):
            return Skip(node.name, f"it normalises axis {norm.axis}, which is not the last")
        if draft.type(node.inputs[0]) != node.outputs[0]:
            return Skip(node.name, f"it makes {node.outputs[0]} of {draft.type(node.inputs[0])}")
        layer = DepthwiseConv2D(kernel_size=1, dtype=norm.dtype)
        new = Node(node.name, layer, node.inputs[:1], ("inputs",), node.outputs, None, node.trainable, node.origin)

        def kernel(weights: Weights) -> Weights:
            values = weights[node.name]
            then = linear.affine(norm, values)
            return {node.name: linear.cast([then.scale.reshape(1, 1, -1, 1), then.shift], values[0])}

        return Rewrite((node.name,), (new,), weights=kernel, note=f"{node.name} as a depthwise convolution")
