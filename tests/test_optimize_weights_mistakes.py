"""Deliberate mistakes in the passes that rewrite weights, each of which the proof must find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archspec.graph.ir import Graph
from archspec.layers.reshaping import Permute
from archspec.optimize import algebra, linear, parallel
from archspec.optimize.draft import Draft
from archspec.optimize.driver import OPTIONAL, ORDER
from archspec.optimize.passes import fold_layer_norm_forward, rep_branches
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
from tests.graphs import GraphBuilder
from tests.passes import chain
from tests.weight_rewrites import BN, IMAGE, WEIGHT_PASSES, branches, conv, rewritten

pytest.importorskip("keras")

EINSUM = {"EinsumDense": {"equation": "abc,cde->abde", "output_shape": [7, 2, 4], "bias_axes": "de"}}


Mistake = Callable[[pytest.MonkeyPatch], None]


def patched(target: Any, name: str, value: Any) -> Mistake:
    return lambda monkeypatch: monkeypatch.setattr(target, name, value)


def changed_result(target: Any, name: str, change: Callable[..., Any]) -> Mistake:
    """The function with its result changed: `change(result, *arguments)`."""
    right = getattr(target, name)
    return patched(target, name, lambda *given, **named: change(right(*given, **named), *given))


never_open = patched(Draft, "open", lambda self, name: None)


def _read_twice() -> Graph:
    builder = GraphBuilder()
    y = builder.apply(conv(8), builder.input("x", IMAGE), name="conv")
    return builder.graph(y, builder.apply(BN, y))


def _concatenated(*layers: Any) -> Graph:
    return branches(IMAGE, "Concatenate", *([layer] for layer in layers))


def _summed(*layers: Any, shape: tuple[int, ...] = IMAGE) -> Graph:
    return branches(shape, "Add", *(layer if isinstance(layer, list) else [layer] for layer in layers))


def _attention() -> Graph:
    builder = GraphBuilder()
    x = builder.apply("LayerNormalization", builder.input("x", (7, 6)))
    layer = {"MultiHeadAttention": {"num_heads": 2, "key_dim": 3}}
    return builder.graph(builder.apply(layer, query=x, value=builder.input("memory", (5, 6))))


DEPTHWISE = {"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2}}
RECTIFIED = chain(IMAGE, BN, "ReLU", conv(8, 1))
VALID = conv(60, 2, padding="valid", strides=2)
MISTAKES: dict[str, tuple[Pass, Graph, Mistake]] = {
    "back: no epsilon": (
        FoldBatchNorm(),
        chain(IMAGE, conv(8), {BN: {"epsilon": 0.5}}),
        changed_result(
            linear, "affine", lambda _, layer, weights: algebra.normalization(*weights[2:], *weights[:2], 0)
        ),
    ),
    "back: the bias is not scaled": (
        FoldBatchNorm(),
        chain(IMAGE, conv(8), BN),
        patched(algebra, "shift_outputs", lambda bias, then: then.shift + bias),
    ),
    "back: depthwise channels in another order": (
        FoldBatchNorm(),
        chain(IMAGE, DEPTHWISE, BN),
        patched(algebra, "scale_outputs", lambda k, s: k * s.reshape(k.shape[:-3:-1]).T),
    ),
    "back: another reader": (FoldBatchNorm(), _read_twice(), never_open),
    "back: through an activation": (
        FoldBatchNorm(),
        chain(IMAGE, conv(8, activation="tanh"), BN),
        patched(linear, "activated", lambda layer: False),
    ),
    "back: axis 1": (
        FoldBatchNorm(),
        chain((8, 8, 6), conv(8), {BN: {"axis": 1}}),
        patched(linear, "on_channels", lambda layer, inputs: True),
    ),
    "forward: into padding": (
        FoldBatchNormForward(),
        chain(IMAGE, BN, conv(8)),
        patched(linear, "unpadded", lambda layer, inputs: True),
    ),
    "forward: the shift is lost": (
        FoldBatchNormForward(),
        chain(IMAGE, BN, conv(8, 1)),
        changed_result(algebra, "shift_inputs", lambda _, kernel, shift, bias, groups=1: bias),
    ),
    "forward: groups in another order": (
        FoldBatchNormForward(),
        chain(IMAGE, BN, conv(8, 1, groups=2)),
        patched(algebra, "scale_inputs", lambda k, s, groups=1: k * np.tile(s.reshape(groups, -1), (4, 1)).T),
    ),
    "forward: places in another order": (
        FoldBatchNormForward(),
        chain(IMAGE, BN, "Flatten", {"Dense": 4}),
        patched(
            algebra.Affine,
            "repeated",
            lambda self, n: algebra.Affine(*(np.repeat(each, n // 6) for each in (self.scale, self.shift))),
        ),
    ),
    "forward: past a permutation": (
        FoldBatchNormForward(),
        chain((6, 6), BN, {"Permute": [2, 1]}, {"Dense": 4}),
        patched(linear, "Reshaped", linear.Reshaped | Permute),
    ),
    "forward: nothing added by an einsum": (
        FoldBatchNormForward(),
        chain((7, 6), BN, EINSUM),
        changed_result(linear, "_before_einsum", lambda right, weights, first: (right[0], 0 * right[1])),
    ),
    "layer norm: nothing scaled of an einsum": (
        FoldLayerNormForward(),
        chain((7, 6), "LayerNormalization", EINSUM),
        changed_result(fold_layer_norm_forward, "_before", lambda right, n, norm, weights, *_: (weights[0], right[1])),
    ),
    "layer norm: the offset is lost": (
        FoldLayerNormForward(),
        chain((7, 6), "LayerNormalization", {"Dense": 4}),
        changed_result(fold_layer_norm_forward, "_affine", lambda right, *_: replace(right, shift=0 * right.shift)),
    ),
    "layer norm: another axis": (
        FoldLayerNormForward(),
        chain((6, 6), {"LayerNormalization": {"axis": 1}}, {"Dense": 4}),
        patched(fold_layer_norm_forward, "_against", lambda *_: None),
    ),
    "layer norm: into a projection of something else": (
        FoldLayerNormForward(),
        _attention(),
        patched(fold_layer_norm_forward, "_sees", lambda node, norm, projection: projection != "attention_output"),
    ),
    "threshold: all gammas taken for positive": (
        BnReluThreshold(mixed=True),
        RECTIFIED,
        patched(
            BnReluThreshold.match.__globals__["algebra"],
            "clip_before",
            lambda a, low, high, dtype: algebra.Clip(
                (low - a.shift) / np.where(a.scale, a.scale, 1), np.full(a.scale.shape, np.inf), a
            ),
        ),
    ),
    "threshold: the shift is lost": (
        BnReluThreshold(mixed=True),
        RECTIFIED,
        changed_result(
            algebra,
            "clip_before",
            lambda clip, *_: replace(clip, after=replace(clip.after, shift=0 * clip.after.shift)),
        ),
    ),
    "threshold: into padding": (
        BnReluThreshold(mixed=True),
        chain(IMAGE, BN, "ReLU", conv(8)),
        patched(linear, "unpadded", lambda layer, inputs: True),
    ),
    "depthwise: no epsilon": (
        NormAsDepthwise(),
        chain(IMAGE, {BN: {"epsilon": 0.5}}),
        changed_result(
            linear, "affine", lambda _, layer, weights: algebra.normalization(*weights[2:], *weights[:2], 0)
        ),
    ),
    "depthwise: the shift is lost": (
        NormAsDepthwise(),
        chain(IMAGE, BN),
        changed_result(linear, "affine", lambda right, *_: replace(right, shift=0 * right.shift)),
    ),
    "depthwise: axis 1": (
        NormAsDepthwise(),
        chain((6, 6, 6), {BN: {"axis": 1}}),
        patched(linear, "on_channels", lambda layer, inputs: True),
    ),
    "collapse: the first bias is lost": (
        CollapseLinear(),
        chain(IMAGE, {"Dense": 30}, {"Dense": 4}),
        changed_result(algebra, "compose", lambda one, first, second, strides: replace(one, bias=second.bias)),
    ),
    "collapse: through padding": (
        CollapseLinear(),
        chain(IMAGE, conv(40, 1), conv(4)),
        patched(linear, "unpadded", lambda layer, inputs: True),
    ),
    "collapse: taps not spread by the stride": (
        CollapseLinear(),
        chain((12, 12, 6), VALID, conv(2, 2, padding="valid")),
        changed_result(
            algebra, "compose", lambda one, *_: replace(one, kernel=np.ascontiguousarray(one.kernel.swapaxes(0, 1)))
        ),
    ),
    "branches: the window in the middle, whatever the padding": (
        RepBranches(),
        _summed(conv(6, 3, strides=2), conv(6, 1, strides=2), shape=(8, 8, 6)),
        patched(rep_branches, "_offset", lambda term, largest: (0, 0) if term is largest else (1, 1)),
    ),
    "branches: the identity's shift is lost": (
        RepBranches(),
        _summed(conv(6), BN),
        changed_result(rep_branches, "_part", lambda part, layer, term, *_: (part[0], 0 * part[1])),
    ),
    "branches: the identity of groups": (
        RepBranches(),
        _summed(conv(6, groups=2), []),
        patched(algebra, "identity", lambda rank, scale, groups=1: np.ones((*(1,) * rank, 3, 6))),
    ),
    "branches: one counted twice": (
        RepBranches(),
        _summed(conv(6), conv(6, 1)),
        changed_result(rep_branches, "_part", lambda part, layer, term, *_: (part[0] * 2, part[1])),
    ),
    "merge: parts in another order": (
        MergeParallel(),
        _concatenated(conv(4, 1), conv(4, 1)),
        changed_result(algebra, "side_by_side", lambda one, kernels: one[..., ::-1]),
    ),
    "merge: an activation for all": (
        MergeParallel(),
        _concatenated(conv(4, 1), conv(4, 1, activation="relu")),
        patched(parallel, "_key", lambda draft, node: type(node.layer)),
    ),
    "merge: a bias for another": (
        MergeParallel(),
        _concatenated(conv(4, 1), conv(3, 1, use_bias=False)),
        changed_result(algebra, "biases_side_by_side", lambda one, *_: np.roll(one, 1)),
    ),
    "merge: a small window at the corner": (
        MergeParallel(slack=9.0),
        _concatenated(conv(4), conv(3, 1)),
        patched(parallel, "_offset", lambda draft, node, whole: (0, 0)),
    ),
    "merge dense: parts cut elsewhere": (
        MergeParallelDense(),
        _concatenated({"Dense": 3}, {"Dense": 3}),
        changed_result(algebra, "side_by_side", lambda one, kernels: np.roll(one, 1, axis=-1)),
    ),
    "merge dense: only one bias": (
        MergeParallelDense(),
        _concatenated({"Dense": 3}, {"Dense": 4}),
        changed_result(algebra, "biases_side_by_side", lambda one, *_: np.where(np.arange(7) < 3, one, 0)),
    ),
    "merge dense: an activation for all": (
        MergeParallelDense(),
        _concatenated({"Dense": 3}, {"Dense": {"units": 4, "activation": "tanh"}}),
        patched(parallel, "_key", lambda draft, node: type(node.layer)),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_proof_finds_mistakes(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    each, graph, make = MISTAKES[mistake]
    make(monkeypatch)
    done, proof = rewritten(graph, each)
    assert done.applied
    assert proof.error > 1e-2, proof


def test_the_proof_finds_a_wrong_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(nodes: Sequence[Any], values: Any) -> Any:
        right = parallel_parted(nodes, values)
        return dict(zip(right, reversed(right.values()), strict=True))

    parallel_parted = parallel._parted
    monkeypatch.setattr(parallel, "_parted", swapped)
    graph = _concatenated(conv(4, 1), conv(4, 1))
    level: Level = "training"
    assert not rewritten(graph, MergeParallel(), level=level)[1].holds


def test_every_pass_has_three_mistakes() -> None:
    for each in WEIGHT_PASSES:
        assert any(type(each) is type(known) for known in (*ORDER, *OPTIONAL))
        assert sum(type(broken) is type(each) for broken, _, _ in MISTAKES.values()) >= 3, each.name
