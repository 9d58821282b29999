"""Each pass that rewrites weights: where it applies the function stays, where it does not it says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archspec.graph.ir import Graph
from archspec.optimize.passes.bn_relu_threshold import BnReluThreshold
from archspec.optimize.passes.collapse_linear import CollapseLinear
from archspec.optimize.passes.fold_batch_norm import FoldBatchNorm
from archspec.optimize.passes.fold_batch_norm_forward import FoldBatchNormForward
from archspec.optimize.passes.fold_layer_norm_forward import FoldLayerNormForward
from archspec.optimize.passes.merge_parallel import MergeParallel
from archspec.optimize.passes.merge_parallel_dense import MergeParallelDense
from archspec.optimize.passes.norm_as_depthwise import NormAsDepthwise
from archspec.optimize.passes.rep_branches import RepBranches
from tests.graphs import GraphBuilder
from tests.weight_rewrites import branches, chain, conv, kinds, proven, reasons

pytest.importorskip("keras")

BN = "BatchNormalization"
IMAGE = (9, 8, 6)


def dense(units: int, **options: Any) -> dict[str, Any]:
    return {"Dense": {"units": units, **options}}


# -- fold-batch-norm --


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((9, 6), {"Conv1D": {"filters": 8, "kernel_size": 3, "padding": "causal"}}),
        (IMAGE, conv(8, strides=2, use_bias=False)),
        (IMAGE, conv(8, groups=2, dtype="float16")),
        ((None, None, 6), conv(8, activation="linear", dilation_rate=2)),
        ((4, 5, 5, 6), {"Conv3D": {"filters": 8, "kernel_size": 2}}),
        ((6,), dense(8)),
        ((5, 6), dense(8, use_bias=False, dtype="bfloat16")),
        (IMAGE, {"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2}}),
        (IMAGE, {"SeparableConv2D": {"filters": 8, "kernel_size": 3, "use_bias": False}}),
        (IMAGE, {"Conv2DTranspose": {"filters": 8, "kernel_size": 3, "strides": 2}}),
    ],
)
@pytest.mark.parametrize("options", [{}, {"scale": False, "epsilon": 1e-5}, {"center": False}])
def test_a_normalization_goes_into_the_layer_before(
    shape: tuple[int, ...], layer: dict[str, Any], options: dict[str, Any]
) -> None:
    dtype = next(iter(layer.values())).get("dtype")
    done = proven(chain(shape, layer, {BN: {**options, **({"dtype": dtype} if dtype else {})}}), FoldBatchNorm())
    assert kinds(done) == [next(iter(layer))]


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([conv(8, activation="relu"), BN], "has an activation, relu"),
        ([conv(8), {BN: {"axis": 1}}], "normalises axis 1, not the channels"),
        ([dense(8, lora_rank=2), BN], "low-rank update"),
        ([conv(8), {BN: {"dtype": "float16"}}], "makes (9, 8, 8) float16 of it"),
    ],
)
def test_a_normalization_stays_where_it_cannot_fold(layers: list[Any], reason: str) -> None:
    done = proven(chain(IMAGE, *layers), FoldBatchNorm())
    assert not done.applied
    assert reason in reasons(done)


def test_a_result_that_is_read_elsewhere_is_not_folded() -> None:
    builder = GraphBuilder()
    y = builder.apply(conv(8), builder.input("x", IMAGE), name="conv")
    graph = builder.graph(builder.apply("Add", builder.apply(BN, y), y))
    assert "conv is read 2 times" in reasons(proven(graph, FoldBatchNorm()))
    builder = GraphBuilder()
    y = builder.apply(conv(8), builder.input("x", IMAGE), name="conv")
    graph = builder.graph(first=y, second=builder.apply(BN, y))
    assert "conv is the output first" in reasons(proven(graph, FoldBatchNorm()))
    one = replace(graph, outputs={"second": graph.outputs["second"]}, tensors={"middle": y})
    done = proven(one, FoldBatchNorm())  # a name for a loss, which nobody asks for after the training
    assert kinds(done) == ["Conv2D"]


def towers(norms: str) -> Graph:
    """Two towers that share a convolution; their normalisations are shared, each its own, or only one is there."""
    builder = GraphBuilder()
    results = []
    for side in ("left", "right"):
        shared = side == "right"
        y = builder.apply(
            conv(8), builder.input(side, IMAGE), name=f"{side}.conv", shares="left.conv" if shared else None
        )
        if norms != "one" or not shared:
            owner = "left.norm" if shared and norms == "shared" else None
            y = builder.apply(BN, y, name=f"{side}.norm", shares=owner)
        results.append(y)
    return builder.graph(builder.apply("Subtract", *results))


def test_shared_layers_fold_for_all_uses_or_for_none() -> None:
    done = proven(towers("shared"), FoldBatchNorm())
    assert kinds(done) == ["Conv2D", "Conv2D", "Subtract"]
    assert done.network.graph.nodes["right.conv"].shares == "left.conv"
    done = proven(towers("own"), FoldBatchNorm())
    assert not done.applied
    assert "different normalisations" in reasons(done)
    done = proven(towers("one"), FoldBatchNorm())
    assert not done.applied
    assert "not a normalisation" in reasons(done)


def test_a_shared_normalization_folds_into_several_layers() -> None:
    builder = GraphBuilder()
    x = builder.input("x", IMAGE)
    first = builder.apply(BN, builder.apply(conv(8), x), name="first")
    second = builder.apply(BN, builder.apply(conv(8, 1), x), name="second", shares="first")
    done = proven(builder.graph(builder.apply("Add", first, second)), FoldBatchNorm())
    assert kinds(done) == ["Conv2D", "Conv2D", "Add"]


# -- fold-batch-norm-forward --


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        (IMAGE, [conv(8, 3, padding="valid", strides=2)]),
        (IMAGE, [conv(8, 1, strides=2, activation="relu", use_bias=False)]),
        (IMAGE, [conv(9, 3, padding="valid", groups=3)]),
        (IMAGE, [{"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2}}]),
        (IMAGE, [{"SeparableConv2D": {"filters": 8, "kernel_size": 3, "use_bias": False}}]),
        (IMAGE, ["GlobalAveragePooling2D", dense(8)]),
        ((None, None, 6), [{"AveragePooling2D": {"pool_size": 3, "strides": 2, "padding": "same"}}, conv(8, 1)]),
        ((7, 6), [dense(8, activation="tanh")]),
        ((8, 6), [{"Conv1D": {"filters": 3, "kernel_size": 2, "padding": "same", "strides": 2}}]),
    ],
)
def test_a_normalization_goes_into_the_layer_after(shape: tuple[int, ...], layers: list[Any]) -> None:
    done = proven(chain(shape, BN, *layers), FoldBatchNormForward())
    assert BN not in kinds(done)


def test_all_readers_take_the_normalization_or_none() -> None:
    def both(second: dict[str, Any]) -> Graph:
        builder = GraphBuilder()
        y = builder.apply(BN, builder.input("x", IMAGE), name="norm")
        return builder.graph(builder.apply(conv(8, 1), y), builder.apply(second, y, name="second"))

    assert BN not in kinds(proven(both(dense(3)), FoldBatchNormForward()))
    done = proven(both(conv(3)), FoldBatchNormForward())
    assert not done.applied
    assert "second pads its input: a border pixel would see the shift" in reasons(done)
    assert "second reads it" in reasons(proven(both({"MaxPooling2D": {}}), FoldBatchNormForward()))


# -- fold-layer-norm-forward --

LN = "LayerNormalization"
HEADS = {"num_heads": 2, "key_dim": 3}


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"axis": 2}])
@pytest.mark.parametrize("bias", [False, True])
def test_scale_and_offset_of_a_normalization_go_into_dense(options: dict[str, Any], bias: bool) -> None:
    layer = dense(8, use_bias=bias, activation="gelu")
    done = proven(chain((7, 6), {LN: options}, layer), FoldLayerNormForward())
    assert len(done.applied) == 1


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("own_key", [False, True])
@pytest.mark.parametrize("gate", [False, True])
def test_scale_and_offset_of_a_normalization_go_into_attention(bias: bool, own_key: bool, gate: bool) -> None:
    builder = GraphBuilder()
    x, memory = builder.input("x", (7, 6)), builder.input("memory", (5, 6))
    norm = builder.apply(LN, memory, name="norm")
    options = {**HEADS, "use_bias": bias, "use_gate": gate}
    key = {"key": builder.apply("ReLU", memory)} if own_key else {}
    y = builder.apply({"MultiHeadAttention": options}, query=x, value=norm, **key, name="cross")
    z = builder.apply({"MultiHeadAttention": options}, query=norm, value=norm, name="self")
    done = proven(builder.graph(y, z, builder.apply(dense(3), norm)), FoldLayerNormForward())
    assert len(done.applied) == 1


def test_scale_and_offset_stay_where_something_else_reads_them() -> None:
    builder = GraphBuilder()
    norm = builder.apply(LN, builder.input("x", (7, 6)), name="norm")
    graph = builder.graph(builder.apply("Add", norm, builder.apply(dense(6), norm)))
    assert "no linear layer" in reasons(proven(graph, FoldLayerNormForward()))
    assert "not the last" in reasons(proven(chain((6, 6), {LN: {"axis": 1}}, dense(3)), FoldLayerNormForward()))
    assert "low-rank" in reasons(proven(chain((6, 6), LN, dense(3, lora_rank=2)), FoldLayerNormForward()))


# -- bn-relu-threshold --


@pytest.mark.parametrize(
    ("norm", "relu", "left"),
    [
        (BN, "ReLU", ["Maximum", "Minimum"]),
        ({BN: {"scale": False}}, {"Activation": "relu"}, ["Maximum"]),
        ({BN: {"gamma_constraint": "non_neg", "center": False}}, "ReLU", ["Maximum"]),
        ({BN: {"scale": False}}, {"Activation": "relu6"}, ["Maximum", "Minimum"]),
        ({BN: {"dtype": "float16"}}, {"ReLU": {"max_value": 0.5, "dtype": "float16"}}, ["Maximum", "Minimum"]),
    ],
)
@pytest.mark.parametrize("layers", [[conv(8, 1)], ["GlobalAveragePooling2D", dense(3, use_bias=False)]])
def test_relu_of_a_normalization_becomes_thresholds(norm: Any, relu: Any, left: list[str], layers: list[Any]) -> None:
    half = isinstance(norm, dict) and "dtype" in norm[BN]
    first = {"Activation": {"activation": "linear", **({"dtype": "float16"} if half else {})}}
    graph = chain(IMAGE, first, norm, relu, *layers)
    if isinstance(norm, dict) and "gamma_constraint" in norm[BN]:
        done = proven_with_positive_gamma(graph)
    else:
        done = proven(graph, BnReluThreshold(mixed=True))
    assert [kind for kind in kinds(done) if kind in ("Maximum", "Minimum", BN, "ReLU")] == left


def proven_with_positive_gamma(graph: Graph) -> Any:
    from archspec.export.proof import prove
    from archspec.export.samples import random_network
    from archspec.optimize.driver import run

    before = random_network(graph)
    done = run(before, "inference", [BnReluThreshold(mixed=True)])
    assert prove(before, done.network).holds
    return done


def test_thresholds_need_linear_readers_without_padding() -> None:
    assert "pads its input" in reasons(proven(chain(IMAGE, BN, "ReLU", conv(8)), BnReluThreshold(mixed=True)))
    assert "no linear layer" in reasons(
        proven(chain(IMAGE, BN, "ReLU", "MaxPooling2D", conv(8)), BnReluThreshold(mixed=True))
    )
    assert "is the output" in reasons(proven(chain(IMAGE, BN, "ReLU"), BnReluThreshold(mixed=True)))


def test_one_comparison_needs_positive_gammas() -> None:
    done = proven(chain(IMAGE, BN, "ReLU", conv(8, 1)), BnReluThreshold())
    assert "a gamma may be negative" in reasons(done)
    assert proven(chain(IMAGE, {BN: {"scale": False}}, "ReLU", conv(8, 1)), BnReluThreshold()).applied


# -- norm-as-depthwise --


@pytest.mark.parametrize("shape", [IMAGE, (None, None, 6)])
@pytest.mark.parametrize("options", [{}, {"scale": False, "epsilon": 1e-5}, {"center": False}, {"axis": 3}])
def test_a_normalization_is_a_depthwise_convolution(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    done = proven(chain(shape, "ReLU", {BN: options}, "ReLU", conv(4)), NormAsDepthwise())
    assert kinds(done) == ["ReLU", "DepthwiseConv2D", "ReLU", "Conv2D"]


def test_other_normalizations_stay() -> None:
    assert "axis 1" in reasons(proven(chain(IMAGE, {BN: {"axis": 1}}), NormAsDepthwise()))
    assert not proven(chain((7, 6), BN), NormAsDepthwise()).applied


# -- collapse-linear --


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ((6,), [dense(20), dense(5, activation="relu")]),
        ((7, 6), [dense(20, use_bias=False), dense(5), dense(4, use_bias=False)]),
        (IMAGE, [conv(8), conv(4, 1)]),
        (IMAGE, [conv(8, strides=2, use_bias=False), conv(4, 1, use_bias=False)]),
        (IMAGE, [conv(40, 1, use_bias=False), conv(4, activation="relu")]),
        (IMAGE, [conv(40, 1), conv(4, padding="valid", strides=2)]),
        (IMAGE, [conv(40, 2, padding="valid"), conv(3, 2, padding="valid")]),
        (IMAGE, [conv(80, 2, padding="valid", strides=(1, 2)), conv(2, 2, padding="valid", strides=2)]),
        (IMAGE, [conv(8, dilation_rate=2), dense(4)]),
        (IMAGE, [dense(40), conv(4, 2, padding="valid")]),
        ((11, 6), [{"Conv1D": {"filters": 8, "kernel_size": 3, "padding": "causal"}}, dense(3)]),
    ],
)
def test_linear_layers_in_a_row_become_one(shape: tuple[int, ...], layers: list[Any]) -> None:
    done = proven(chain(shape, *layers), CollapseLinear())
    assert len(kinds(done)) == 1


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([dense(3), dense(20)], "no fewer multiply-accumulates"),
        ([conv(40, 1), conv(4)], "pads"),
        ([conv(40), conv(4)], "pads"),
        ([conv(40, 1, groups=2), conv(4, 1)], "groups"),
        ([conv(40, 1, dtype="float16"), conv(4, 1)], "different dtypes"),
        ([conv(40, 2, padding="valid", dilation_rate=2), conv(4, 2, padding="valid")], "dilated"),
    ],
)
def test_linear_layers_stay_apart(layers: list[Any], reason: str) -> None:
    done = proven(chain(IMAGE, *layers), CollapseLinear())
    assert not done.applied
    assert reason in reasons(done)


# -- rep-branches --

CONV6, ONE6 = conv(6), conv(6, 1)


@pytest.mark.parametrize(
    ("shape", "paths"),
    [
        (IMAGE, [[CONV6], [ONE6], []]),
        (IMAGE, [[CONV6, BN], [ONE6, BN], [BN]]),
        (IMAGE, [[conv(6, (3, 1), use_bias=False)], [conv(6, (1, 3), use_bias=False)], [CONV6]]),
        ((8, 8, 6), [[conv(6, 3, strides=2)], [conv(6, 1, strides=2)]]),
        ((9, 8, 6), [[conv(6, 3, strides=2)], [conv(6, 1, strides=2, use_bias=False)], [conv(6, 3, strides=2)]]),
        ((None, None, 6), [[CONV6], [ONE6], []]),
        ((None, None, 6), [[conv(6, 5, dilation_rate=2)], [conv(6, 3, dilation_rate=2)], [ONE6]]),
        (IMAGE, [[conv(6, 3, groups=2)], [conv(6, 1, groups=2)], [BN]]),
        (IMAGE, [[{"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}}], [BN], [{"DepthwiseConv2D": 1}]]),
        ((7, 6), [[dense(6)], [], [BN]]),
        ((8, 8, 6), [[{"ZeroPadding2D": 1}, conv(6, 3, strides=2, padding="valid")], [conv(6, 1, strides=2)]]),
        (IMAGE, [[{"ZeroPadding2D": [[2, 0], [1, 1]]}, conv(6, 3, padding="valid")], []]),
    ],
)
def test_branches_of_a_sum_become_one(shape: tuple[int, ...], paths: list[list[Any]]) -> None:
    done = proven(branches(shape, "Add", *paths), FoldBatchNorm(), RepBranches())
    assert [kind for kind in kinds(done) if kind != "ZeroPadding2D"] in (["Conv2D"], ["DepthwiseConv2D"], ["Dense"])


def test_other_summands_stay() -> None:
    done = proven(branches(IMAGE, "Add", [CONV6], ["ReLU"], [ONE6], [conv(6, activation="relu")]), RepBranches())
    assert sorted(kinds(done)) == ["Add", "Conv2D", "Conv2D", "ReLU"]


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([[conv(6, (3, 1))], [conv(6, (1, 3))]], "does not see"),
        ([[conv(6, 3, dilation_rate=2)], [conv(6, 3)]], "dilation"),
        ([[conv(6, 3)], [conv(6, 3, groups=2)]], "other groups"),
        ([[conv(6, 3)], [{"SeparableConv2D": {"filters": 6, "kernel_size": 1}}], [dense(6)]], "beside"),
    ],
)
def test_branches_stay_apart(paths: list[list[Any]], reason: str) -> None:
    done = proven(branches(IMAGE, "Add", *paths), RepBranches())
    assert not done.applied
    assert reason in reasons(done)


# -- merge-parallel --


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        (IMAGE, [conv(4, 1, activation="relu"), conv(3, 1, activation="relu"), conv(5, 1, activation="relu")]),
        (IMAGE, [conv(4, 3, strides=2), conv(3, 3, strides=2, use_bias=False)]),
        ((None, None, 6), [conv(4, 3, strides=2), conv(3, 3, strides=2)]),
        ((9, 6), [{"Conv1D": {"filters": n, "kernel_size": 2, "padding": "causal"}} for n in (2, 3)]),
        (IMAGE, [conv(40, (3, 3)), conv(1, (3, 1))]),
        (IMAGE, [conv(n, 1, dtype="float16") for n in (2, 3)]),
    ],
)
def test_parallel_convolutions_become_one(shape: tuple[int, ...], layers: list[Any]) -> None:
    done = proven(branches(shape, "Concatenate", *([layer] for layer in layers)), MergeParallel())
    kind = next(iter(layers[0]))
    assert kinds(done) == [kind, "Formula", "Concatenate"]


def test_small_windows_stay_apart_where_they_would_cost() -> None:
    done = proven(branches(IMAGE, "Concatenate", [conv(4)], [conv(4, 1)], [conv(2, 1)]), MergeParallel())
    assert sorted(kinds(done)) == ["Concatenate", "Conv2D", "Conv2D", "Formula"]
    assert not proven(branches(IMAGE, "Concatenate", [conv(4)], [conv(4, 1)]), MergeParallel()).applied


def test_merging_is_undone_after_training() -> None:
    paths = [[conv(n, 3, kernel_regularizer="l2"), BN, "ReLU"] for n in (4, 3)]
    done = proven(branches(IMAGE, "Concatenate", *paths), MergeParallel(), level="training")
    assert kinds(done).count("Conv2D") == 1
    paths = [[conv(n, 3, kernel_constraint="max_norm")] for n in (4, 3)]
    done = proven(branches(IMAGE, "Concatenate", *paths), MergeParallel(), level="training")
    assert not done.applied
    assert "constraint" in reasons(done)
    paths = [[conv(4, 3, use_bias=bias)] for bias in (False, True)]
    assert not proven(branches(IMAGE, "Concatenate", *paths), MergeParallel(), level="training").applied


def test_queries_keys_and_values_are_one_product() -> None:
    for level in ("training", "inference"):
        graph = branches((7, 6), "Concatenate", *([dense(n)] for n in (4, 4, 5)))
        done = proven(graph, MergeParallelDense(), level=level)  # type: ignore[arg-type]
        assert kinds(done) == ["Dense", "Formula", "Concatenate"]


def test_merged_layers_may_be_outputs() -> None:
    builder = GraphBuilder()
    x = builder.input("x", IMAGE)
    first, second = builder.apply(conv(4, 1), x), builder.apply(conv(3, 1), x)
    graph = replace(builder.graph(a=first, b=builder.apply("ReLU", second)), tensors={"second": second})
    done = proven(graph, MergeParallel())
    assert done.network.graph.outputs["a"].index == 0
    assert done.network.graph.tensors["second"].index == 1


def test_a_mask_keeps_parallel_layers_apart() -> None:
    builder = GraphBuilder()
    tokens = builder.input("tokens", (5,), "int32")
    x = builder.apply({"Embedding": {"input_dim": 9, "output_dim": 6, "mask_zero": True}}, tokens)
    graph = builder.graph(builder.apply({"LSTM": 3}, builder.apply(dense(4), x)), builder.apply(dense(3), x))
    done = proven(graph, MergeParallelDense())
    assert not done.applied
    assert "mask" in reasons(done)
