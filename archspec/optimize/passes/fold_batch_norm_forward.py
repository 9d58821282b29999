"""BatchNormalization into the linear layers after it."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.graph.ir import Node
from archspec.layers.normalization import BatchNormalization
from archspec.optimize import forward, linear
from archspec.optimize.draft import Draft
from archspec.optimize.rewrite import Answer, Pass, Skip


@dataclass(frozen=True)
class FoldBatchNormForward(Pass):
    """W · norm(x) + b = (W · s) · x + (b + W · t), with s = gamma / √(variance + ε) and t = beta - mean · s.

    Into Dense, EinsumDense of the last axis, convolutions, depthwise and separable ones, all that read the
    normalisation. Averages over places may stand between, as they commute with an affine map of the channels, and
    reshapes that keep the channels of a place together (Flatten): then s and t stand in a row for each place.

    Precondition: every reader is such a layer and pads nothing (a border pixel would see the shift); the normalisation
    is of the channels, its result is no output and no named tensor; no weights are shared.
    """

    name = "fold-batch-norm-forward"
    mark = "+BN before it"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        norm = node.layer
        if not isinstance(norm, BatchNormalization) or not forward.read_linearly(draft, node):
            return None
        if not linear.on_channels(norm, draft.input_types(node)[0]):
            return Skip(node.name, f"it normalises axis {norm.axis}, which is not the last")
        return forward.into_readers(
            draft, node, node.inputs[0], lambda weights: linear.affine(norm, weights[node.name])
        )
