"""Forms that depend on the runtime, as re-parameterisations that are undone: separable layers split, 1×1 as dense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archspec.export.proof import prove
from archspec.export.samples import random_network
from archspec.graph.ir import Graph
from archspec.optimize.driver import run
from archspec.optimize.passes.dense_for_one_by_one import DenseForOneByOne
from archspec.optimize.passes.separable_split import SeparableSplit
from archspec.optimize.rewrite import Pass, Rewrite
from tests.passes import chain, rewriting, with_layers

pytest.importorskip("keras")

IMAGE = (8, 7, 4)
SPLIT, DENSE = SeparableSplit(), DenseForOneByOne()


def separable(**arguments: Any) -> dict[str, Any]:
    return {"SeparableConv2D": {"filters": 5, "kernel_size": 3, **arguments}}


def one(**arguments: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": 5, "kernel_size": 1, **arguments}}


@pytest.mark.parametrize("level", ["training", "inference"])
@pytest.mark.parametrize(
    "each, graph",
    [
        (SPLIT, chain(IMAGE, separable(), "ReLU")),
        (SPLIT, chain(IMAGE, separable(strides=2, padding="same", depth_multiplier=2, activation="relu"))),
        (SPLIT, chain(IMAGE, separable(dilation_rate=2, use_bias=False, depthwise_regularizer="L2"))),
        (SPLIT, chain((9, 3), {"SeparableConv1D": {"filters": 4, "kernel_size": 3, "pointwise_regularizer": "L1"}})),
        (DENSE, chain(IMAGE, "BatchNormalization", one(activation="relu"))),
        (DENSE, chain(IMAGE, one(use_bias=False, padding="same", kernel_regularizer="L2"), "ReLU")),
        (DENSE, chain((9, 3), {"Conv1D": {"filters": 4, "kernel_size": 1}}, "ReLU")),
    ],
)
def test_a_form_keeps_function_and_gradients_and_is_undone(each: Pass, graph: Graph, level: Any) -> None:
    network = random_network(graph)
    optimized = run(network, level, [each])
    assert len(optimized.applied) == 1 and optimized.network.weights and optimized.undo and network.weights
    proof = prove(network, optimized.network, undo=optimized.undo if level == "training" else None)
    assert proof.holds, proof
    back = optimized.undo(optimized.network.weights)
    assert all(
        np.array_equal(a, b) for n, values in network.weights.items() for a, b in zip(values, back[n], strict=True)
    )


@pytest.mark.parametrize(
    "each, layer, reason",
    [
        (SPLIT, separable(activity_regularizer="L2"), "adds a loss"),
        (DENSE, one(strides=2), "strides"),
        (DENSE, {"Conv2D": {"filters": 4, "kernel_size": 1, "groups": 2}}, "groups"),
        (DENSE, one(kernel_constraint="UnitNorm"), "constraint"),
    ],
)
def test_a_form_says_why_not(each: Pass, layer: Any, reason: str) -> None:
    optimized = run(random_network(chain(IMAGE, layer)), "training", [each])
    assert not optimized.applied and reason in optimized.skipped[0].reason


def weights_changed(change: Callable[[Any], Any]) -> Callable[[Rewrite], Rewrite]:
    def broken(rewrite: Rewrite) -> Rewrite:
        right = rewrite.weights
        assert right
        return replace(rewrite, weights=lambda weights: change(right(weights)))

    return broken


def _turned(weights: Any) -> Any:
    """Every kernel backwards along its window."""
    return {name: tuple(v[::-1] if v.ndim == 4 else v for v in values) for name, values in weights.items()}


def _flat(weights: Any) -> Any:
    """Dense kernels read as if filters came before channels."""
    return {n: tuple(v.T.reshape(v.shape) if v.ndim == 2 else v for v in values) for n, values in weights.items()}


def _undone_wrong(rewrite: Rewrite) -> Rewrite:
    right = rewrite.undo
    assert right
    return replace(rewrite, undo=lambda w: {n: tuple(2 * v for v in values) for n, values in right(w).items()})


@pytest.mark.parametrize(
    "each, broken, layer",
    [
        (SPLIT, weights_changed(_turned), separable()),
        (SPLIT, lambda r: with_layers(r, use_bias=False), separable()),
        (SPLIT, lambda r: with_layers(r, strides=1, padding="same"), separable(strides=2, padding="same")),
        (SPLIT, _undone_wrong, separable()),
        (DENSE, weights_changed(_flat), one()),
        (DENSE, lambda r: with_layers(r, activation=None), one(activation="relu")),
        (DENSE, lambda r: with_layers(r, kernel_regularizer=None), one(kernel_regularizer="L2")),
        (DENSE, _undone_wrong, one()),
    ],
)
def test_a_wrong_form_is_noticed(each: Pass, broken: Any, layer: Any) -> None:
    network = random_network(chain(IMAGE, layer))
    try:
        optimized = run(network, "training", [rewriting(each, broken)])
        proof = prove(network, optimized.network, undo=optimized.undo)
    except AssertionError:
        return
    assert optimized.applied and not proof.holds
