"""The passes that rewrite weights on random graphs, on networks of the zoo, and against deliberate mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archspec
from archspec.graph.ir import Edge, Graph
from archspec.optimize import algebra, linear, parallel
from archspec.optimize.draft import Draft
from archspec.optimize.driver import OPTIONAL, ORDER, run
from archspec.optimize.network import Network
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
from tests.weight_rewrites import branches, chain, conv, kinds, logits, proven, rewritten

pytest.importorskip("keras")

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

# -- random graphs --

booleans = st.booleans()


@st.composite
def convolutions(draw: Any, channels: int) -> dict[str, Any]:
    """Any linear layer, often of a kind that a pass looks for."""
    kind = draw(st.sampled_from(["Conv2D", "Conv2D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"]))
    options: dict[str, Any] = {"use_bias": draw(booleans), "activation": draw(st.sampled_from([None, None, "relu"]))}
    if kind == "Dense":
        return {kind: {"units": draw(st.sampled_from([2, 4, 8])), **options}}
    options["kernel_size"] = draw(st.sampled_from([1, 1, 2, 3, (1, 3)]))
    options["padding"] = draw(st.sampled_from(["same", "same", "valid"]))
    wide = draw(st.sampled_from(["strides", "dilation_rate", None, None]))
    if wide:
        options[wide] = 2
    if kind == "DepthwiseConv2D":
        return {kind: {**options, "depth_multiplier": draw(st.sampled_from([1, 2]))}}
    options["filters"] = draw(st.sampled_from([2, 4, 8]))
    if kind == "Conv2D" and channels % 2 == 0:
        options["groups"] = draw(st.sampled_from([1, 1, 2]))
    return {kind: options}


norms = st.fixed_dictionaries({BN: st.fixed_dictionaries({"scale": booleans, "center": booleans})})
RELU6 = {"Activation": "relu6"}
MEAN = {"AveragePooling2D": {"pool_size": 2, "padding": "same"}}
others = st.sampled_from(["ReLU", RELU6, MEAN, {"ZeroPadding2D": 1}])


@st.composite
def networks(draw: Any) -> Graph:
    """A graph of linear layers, normalisations and sums, with several readers, outputs and named tensors."""
    builder = GraphBuilder()
    tensors = [builder.input("x", draw(st.sampled_from([(12, 11, 4), (10, 10, 6)])))]
    for _ in range(draw(st.integers(2, 9))):
        x = tensors[draw(st.integers(max(0, len(tensors) - 3), len(tensors) - 1))]
        shape = builder.nodes[x.node].outputs[0].shape
        if min(n for n in shape if n) < 2 or (shape[0] or 0) < 5 or (shape[1] or 0) < 5:
            x, shape = tensors[0], builder.nodes[tensors[0].node].outputs[0].shape
        step = draw(st.sampled_from(["linear", "linear", "norm", "norm", "other", "sum", "rectified", "twice"]))
        if step == "linear":
            tensors.append(builder.apply(draw(convolutions(shape[-1] or 0)), x))
        elif step == "norm":
            tensors.append(builder.apply(draw(norms), x))
        elif step == "other":
            tensors.append(builder.apply(draw(others), x))
        elif step == "rectified":
            end = st.sampled_from([conv(4, 1), conv(4, 3, padding="valid"), {"Dense": 4}])
            tensors.append(builder.chain(x, draw(norms), draw(st.sampled_from(["ReLU", RELU6])), draw(end)))
        elif step == "sum":
            tensors.append(_sum(draw, builder, x))
        else:
            same = [draw(convolutions(shape[-1] or 0))] * 2
            tensors += [builder.apply(layer, x) for layer in same]
    read = {edge.node for node in builder.nodes.values() for edge in node.inputs}
    results = [edge for edge in tensors if edge.node not in read] or tensors[-1:]
    graph = builder.graph(*results)
    if draw(booleans):
        graph = replace(graph, tensors={"kept": tensors[draw(st.integers(0, len(tensors) - 1))]})
    return graph


def _sum(draw: Any, builder: GraphBuilder, x: Edge) -> Edge:
    """Branches over one tensor, as RepVGG has them."""
    channels = builder.nodes[x.node].outputs[0].shape[-1]
    stride = draw(st.sampled_from([1, 1, 2]))
    kernels = draw(st.lists(st.sampled_from([1, 3, (3, 1), 2]), min_size=1, max_size=3))
    paths = [[conv(channels or 0, kernel, strides=stride, use_bias=draw(booleans))] for kernel in kernels]
    paths = [[*path, *([draw(norms)] if draw(booleans) else [])] for path in paths]
    if stride == 1:
        paths += [[], [draw(norms)]][: draw(st.integers(0, 2))]
    ends = [builder.chain(x, *path) for path in paths]
    return builder.apply("Add", *ends) if len(ends) > 1 else ends[0]


def check(graph: Graph, seed: int) -> None:
    done = proven(graph, *WEIGHT_PASSES, seed=seed)
    assert done.network.graph.outputs.keys() == graph.outputs.keys()
    lean = [each for each in WEIGHT_PASSES if not isinstance(each, NormAsDepthwise)]
    assert macs(run(Network(graph), "inference", lean).network.graph) <= 1.05 * macs(graph)
    done = proven(graph, MergeParallel(), MergeParallelDense(), level="training", seed=seed)
    assert done.network.graph.tensors.keys() == graph.tensors.keys()


def macs(graph: Graph) -> int:
    return sum(map(graph.macs, graph.nodes.values()))


QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


@given(graph=networks(), seed=st.integers(0, 9))
@settings(max_examples=3, derandomize=True, **QUICK)
def test_random_graphs_keep_their_function(graph: Graph, seed: int) -> None:
    check(graph, seed)


@pytest.mark.slow
@given(graph=networks(), seed=st.integers(0, 99))
@settings(max_examples=80, **QUICK)
def test_many_random_graphs_keep_their_function(graph: Graph, seed: int) -> None:
    check(graph, seed)


# -- networks of the zoo, at small sizes --

ZOO = [
    ("resnet.yaml@resnet50", {"size": 64}, {"fold-batch-norm": 53}),
    ("mobilenet_v2.yaml", {"size": 96}, {"fold-batch-norm": 52}),
    ("densenet.yaml@densenet121", {"size": 64}, {"fold-batch-norm": 59, "bn-relu-threshold": 62}),
    ("inception.yaml@v3", {"size": 107}, {"fold-batch-norm": 94, "merge-parallel": 10}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "params", "least"), ZOO)
def test_networks_of_the_zoo_keep_their_function(spec: str, params: dict[str, Any], least: dict[str, int]) -> None:
    graph = logits(archspec.load(f"specs/{spec}", params=params).graph)
    done = proven(graph, *WEIGHT_PASSES)
    made = [applied.pass_name for applied in done.applied]
    assert all(made.count(name) >= count for name, count in least.items()), made


def repvgg(depth: int = 3) -> Graph:
    """Stages of 3 × 3, 1 × 1 and identity, each with its normalisation. Ding et al. 2021."""
    builder = GraphBuilder("repvgg")
    x = builder.input("image", (16, 16, 3))
    for stage, filters in enumerate((8, 16)):
        for index in range(depth):
            stride = 1 if index else 2
            name = f"stage{stage}.block{index}"
            ends = [
                builder.chain(x, conv(filters, kernel, strides=stride, use_bias=False), BN, scope=f"{name}.k{kernel}")
                for kernel in (3, 1)
            ]
            if index:
                ends.append(builder.chain(x, BN, scope=f"{name}.identity"))
            x = builder.chain(builder.apply("Add", *ends, name=f"{name}.add"), "ReLU", scope=name)
    return builder.graph(builder.chain(x, "GlobalAveragePooling2D", {"Dense": 5}))


def test_repvgg_is_one_convolution_a_block() -> None:
    done = proven(repvgg(), *WEIGHT_PASSES)
    assert kinds(done) == ["Conv2D", "ReLU"] * 6 + ["GlobalAveragePooling2D", "Dense"]


def test_many_nodes_take_little_time() -> None:
    """A graph twice as large takes about twice the time: no pass walks the graph for each node."""
    import time

    def seconds(depth: int) -> float:
        graph = repvgg(depth)
        times = []
        for _ in range(3):
            start = time.process_time()
            run(Network(graph), "inference", WEIGHT_PASSES)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(80) < 3.2 * seconds(40)


# -- deliberate mistakes, each of which the proof must find --

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
        chain(IMAGE, conv(8), {BN: {"epsilon": 0.05}}),
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
        chain(IMAGE, {BN: {"epsilon": 0.05}}),
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
