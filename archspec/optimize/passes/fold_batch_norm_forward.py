"""BatchNormalization into the linear layers after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archspec.graph.ir import Edge, Node
from archspec.layers.normalization import BatchNormalization
from archspec.optimize import linear
from archspec.optimize.draft import Draft
from archspec.optimize.facts import MEANS
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip


@dataclass(frozen=True)
class FoldBatchNormForward(Pass):
    """W · norm(x) + b = (W · s) · x + (b + W · t), with s = gamma / √(variance + ε) and t = beta - mean · s.

    Into Dense, convolutions, depthwise and separable ones, all that read the normalisation; averages over places may
    stand between, as they commute with an affine map of the channels.

    Precondition: every reader is such a layer and pads nothing (a border pixel would see the shift); the normalisation
    is of the channels, its result is no output and no named tensor; no weights are shared.
    """

    name = "fold-batch-norm-forward"
    mark = "+BN before it"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        norm = node.layer
        if not isinstance(norm, BatchNormalization) or not any(map(_takes, draft.readers(node.name))):
            return None
        if not linear.on_channels(norm, draft.input_types(node)[0]):
            return Skip(node.name, f"it normalises axis {norm.axis}, not the channels")
        if draft.type(node.inputs[0]) != node.outputs[0]:
            return Skip(node.name, f"it makes {node.outputs[0]} of {draft.type(node.inputs[0])}")
        ends = linear.ends(draft, node.name)
        if isinstance(ends, Skip):
            return ends
        readers, means = ends

        def folded(weights: Weights) -> Weights:
            first = linear.affine(norm, weights[node.name])
            return {n.name: linear.before(n.layer, weights[n.name], first) for n in readers if not n.shares}  # type: ignore[arg-type]

        return Rewrite(
            (node.name, *(n.name for n in readers)),
            tuple(_reading(n, node) for n in readers),
            {Edge(node.name): node.inputs[0]},
            folded,
            note=f"{node.name} into {', '.join(n.name for n in readers)}",
            keeps_masks=True,
            alters=means,
        )


def _takes(reader: Node) -> bool:
    return isinstance(reader.layer, (linear.Linear, *MEANS))


def _reading(reader: Node, norm: Node) -> Node:
    """The reader with a bias, reading what the normalisation read."""
    inputs = tuple(norm.inputs[0] if edge == Edge(norm.name) else edge for edge in reader.inputs)
    return replace(linear.with_bias(reader), inputs=inputs)
