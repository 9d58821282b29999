"""Dense layers on one tensor as one, whose result is split: queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.graph.ir import Node
from archspec.optimize.draft import Draft
from archspec.optimize.facts import is_dense
from archspec.optimize.parallel import match_parallel
from archspec.optimize.rewrite import Answer, Pass


@dataclass(frozen=True)
class MergeParallelDense(Pass):
    """x · W₁ and x · W₂ are the parts of x · [W₁, W₂].

    Pays under some runtimes only: the split copies what a single product would have written in place.

    Precondition: as for `merge-parallel`; no low-rank update stands beside a kernel.
    """

    name = "merge-parallel-dense"
    mark = "parallel in one"
    level = "training"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        return match_parallel(draft, node, lambda reader: is_dense(reader.layer))
