"""Networks for the tests of passes that rewrite weights, and the proof that a pass left their function as it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from archspec.export.proof import Proof, prove
from archspec.export.samples import random_network
from archspec.graph.ir import Graph
from archspec.optimize.driver import Optimized, run
from archspec.optimize.network import Network
from archspec.optimize.passes.bn_relu_threshold import BnReluThreshold
from archspec.optimize.passes.collapse_linear import CollapseLinear
from archspec.optimize.passes.fold_batch_norm import FoldBatchNorm
from archspec.optimize.passes.fold_batch_norm_forward import FoldBatchNormForward
from archspec.optimize.passes.fold_layer_norm_forward import FoldLayerNormForward
from archspec.optimize.passes.merge_parallel import MergeParallel
from archspec.optimize.passes.merge_parallel_dense import MergeParallelDense
from archspec.optimize.passes.norm_as_depthwise import NormAsDepthwise
from archspec.optimize.passes.rep_branches import RepBranches
from archspec.optimize.rewrite import Level, Pass
from tests.graphs import GraphBuilder, LayerLike

BN = "BatchNormalization"
IMAGE = (9, 8, 6)

WEIGHT_PASSES: tuple[Pass, ...] = (
    FoldBatchNorm(),
    RepBranches(),
    CollapseLinear(),
    FoldBatchNormForward(),
    FoldLayerNormForward(),
    BnReluThreshold(mixed=True),
    NormAsDepthwise(),
    MergeParallel(),
    MergeParallelDense(),
)


def network(graph: Graph, seed: int = 0) -> Network:
    """Random weights, some of the gammas negative; of each normalisation one is 0."""
    made = random_network(graph, seed)
    assert made.weights is not None
    weights = dict(made.weights)
    for name, values in weights.items():
        specs = graph.weights(graph.nodes[name])
        if specs[0].name == "gamma":
            others = np.arange(values[0].size) != 4
            weights[name] = ((values[0] * others).astype(values[0].dtype), *values[1:])
    return Network(graph, weights)


def rewritten(graph: Graph, *passes: Pass, level: Level = "inference", seed: int = 0) -> tuple[Optimized, Proof]:
    before = network(graph, seed)
    done = run(before, level, passes)
    return done, prove(before, done.network, seed, undo=done.undo if level == "training" else None)


def proven(graph: Graph, *passes: Pass, level: Level = "inference", seed: int = 0) -> Optimized:
    """What the passes made of the network, after the proof that it computes the same."""
    done, proof = rewritten(graph, *passes, level=level, seed=seed)
    assert proof.holds, proof
    structure = run(Network(graph), level, passes)
    assert structure.network.graph == done.network.graph, "the structure must not depend on the weights"
    again = run(Network(done.network.graph), level, passes)
    assert not again.applied, f"it was not done: {again.applied}"
    return done


def kinds(done: Optimized) -> list[str]:
    """The classes of the layers left, inputs not counted."""
    nodes = done.network.graph.nodes.values()
    return [type(node.layer).__name__ for node in nodes if node.inputs]


def reasons(done: Optimized) -> str:
    return "; ".join(skipped.reason for skipped in done.skipped)


def branches(shape: tuple[int | None, ...], join: LayerLike, *paths: Iterable[LayerLike]) -> Graph:
    """Paths from one input, joined; an empty path is the input itself."""
    builder = GraphBuilder()
    x = builder.input("x", shape)
    return builder.graph(builder.apply(join, *(builder.chain(x, *path) for path in paths)))


def conv(filters: int, kernel: Any = 3, **options: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": filters, "kernel_size": kernel, "padding": "same", **options}}


def dense(units: int, **options: Any) -> dict[str, Any]:
    return {"Dense": {"units": units, **options}}
