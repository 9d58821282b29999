"""The passes that rewrite weights on random graphs and on networks of the zoo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archspec
from archspec.graph.ir import Edge, Graph
from archspec.optimize.driver import run
from archspec.optimize.network import Network
from archspec.optimize.passes.merge_parallel import MergeParallel
from archspec.optimize.passes.merge_parallel_dense import MergeParallelDense
from archspec.optimize.passes.norm_as_depthwise import NormAsDepthwise
from tests.graphs import GraphBuilder
from tests.weight_rewrites import BN, WEIGHT_PASSES, branches, conv, kinds, proven

pytest.importorskip("keras")

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
        step = draw(
            st.sampled_from(["linear", "linear", "norm", "norm", "other", "sum", "rectified", "twice", "shared"])
        )
        if step == "linear":
            tensors.append(builder.apply(draw(convolutions(shape[-1] or 0)), x))
        elif step == "norm":
            tensors.append(builder.apply(draw(norms), x))
        elif step == "other":
            tensors.append(builder.apply(draw(others), x))
        elif step == "rectified":
            end = st.sampled_from([conv(4, 1), conv(4, 3, padding="valid"), {"Dense": 4}])
            tensors.append(builder.chain(x, draw(norms), draw(st.sampled_from(["ReLU", RELU6])), draw(end)))
        elif step == "shared":
            tensors.append(_shared(draw, builder, x))
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


def _shared(draw: Any, builder: GraphBuilder, x: Edge) -> Edge:
    """Another use of a layer with weights, on a tensor of the type that it was made for."""
    found = [
        node
        for node in builder.nodes.values()
        if node.inputs
        and not node.shares
        and builder.nodes[node.inputs[0].node].outputs == builder.nodes[x.node].outputs
    ]
    owners = [node for node in found if node.layer.weights(*builder.nodes[x.node].outputs)]
    if not owners:
        return builder.apply(draw(norms), x)
    owner = draw(st.sampled_from(owners))
    return builder.apply(owner.layer, x, shares=owner.name)


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


# -- dtypes --

DENSE = {"Dense": {"units": 3}}


def _typed(dtype: str, layer: Any) -> Any:
    (kind, arguments), *_ = layer.items() if isinstance(layer, dict) else [(layer, {})]
    return {kind: {**arguments, "dtype": dtype}}


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize(
    ("join", "paths"),
    [
        ("Add", [[conv(6), BN], [conv(6, 1)], [BN]]),
        ("Add", [[BN, conv(6, 1)], ["ReLU", BN, "ReLU", {"Dense": {"units": 6}}]]),
        ("Concatenate", [[conv(3)], [conv(4)], [DENSE], [DENSE], ["LayerNormalization", DENSE]]),
    ],
)
def test_other_dtypes_keep_the_function_to_their_precision(dtype: str, join: str, paths: list[list[Any]]) -> None:
    first = {"Activation": {"activation": "linear"}}  # the input is float32
    typed = [[_typed(dtype, layer) for layer in (first, *path)] for path in paths]
    assert proven(branches((9, 8, 6), _typed(dtype, join), *typed), *WEIGHT_PASSES).applied


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
    graph = archspec.load(f"specs/{spec}", params=params).graph
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
