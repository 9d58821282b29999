"""Convolutions of one tensor as one, whose result is split."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.graph.ir import Node
from archspec.optimize import linear
from archspec.optimize.draft import Draft
from archspec.optimize.parallel import match_parallel
from archspec.optimize.rewrite import Answer, Pass


@dataclass(frozen=True)
class MergeParallel(Pass):
    """W₁ · x and W₂ · x are the parts of [W₁; W₂] · x: convolutions of one tensor with equal windows and steps.

    At the level `inference` smaller kernels go into the largest window, zeros around them, where that adds at most the
    share `slack` of multiply-accumulates.

    Precondition: equal class, strides, padding, dilation, activation and dtype; no groups; no weights are shared, no
    masks pass. At the level `training`, where it is a re-parameterisation that is undone on saving, also equal windows
    and biases, equal regularisers that are sums over the weights, no constraints, no penalty on the results.
    Source: Jia et al. 2019, "TASO", doi:10.1145/3341301.3359630, section 2.
    """

    slack: float = 0.05

    name = "merge-parallel"
    mark = "parallel in one"
    level = "training"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        return match_parallel(draft, node, _mergeable, self.slack)


def _mergeable(node: Node) -> bool:
    return isinstance(node.layer, linear.Conv) and node.layer.groups == 1
