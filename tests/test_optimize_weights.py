"""Passes that fold normalisations: where they apply the function stays, where they do not they say why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archspec.graph.ir import Graph
from archspec.optimize.passes.bn_relu_threshold import BnReluThreshold
from archspec.optimize.passes.fold_batch_norm import FoldBatchNorm
from archspec.optimize.passes.fold_batch_norm_forward import FoldBatchNormForward
from archspec.optimize.passes.fold_layer_norm_forward import FoldLayerNormForward
from archspec.optimize.passes.norm_as_depthwise import NormAsDepthwise
from tests.graphs import GraphBuilder
from tests.passes import chain
from tests.weight_rewrites import BN, IMAGE, conv, dense, kinds, proven, reasons

pytest.importorskip("keras")

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
        ([conv(8), {BN: {"axis": 1}}], "normalises axis 1, which is not the last"),
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
        (IMAGE, ["Flatten", dense(8, use_bias=False)]),
        (IMAGE, [{"GlobalAveragePooling2D": {"keepdims": True}}, "Flatten", dense(8)]),
        (IMAGE, [{"Reshape": [18, 24]}, {"Conv1D": {"filters": 6, "kernel_size": 2, "groups": 3}}]),
        ((None, 6), [{"Reshape": [-1, 6]}, dense(4)]),
        ((7, 6), [{"EinsumDense": {"equation": "abc,cde->abde", "output_shape": [7, 2, 4], "bias_axes": "de"}}]),
        ((7, 6), [{"EinsumDense": {"equation": "...x,xy->...y", "output_shape": 5}}]),
        (IMAGE, ["Flatten", {"EinsumDense": {"equation": "ab,bc->ac", "output_shape": 5, "activation": "relu"}}]),
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


@pytest.mark.parametrize("norm", [BN, "LayerNormalization"])
def test_a_reader_whose_weights_others_use_stays(norm: str) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (7, 6))
    first = builder.apply(dense(4), builder.apply(norm, x), name="first")
    second = builder.apply(dense(4), builder.apply("ReLU", x), name="second", shares="first")
    done = proven(builder.graph(first, second), FoldBatchNormForward(), FoldLayerNormForward())
    assert not done.applied
    assert "second uses the same weights" in reasons(done)


@pytest.mark.parametrize("norms", [[BN], ["LayerNormalization"], [{BN: {"scale": False}}, "ReLU"]])
def test_readers_that_share_their_weights_take_a_normalization_together(norms: list[Any]) -> None:
    builder = GraphBuilder()
    y = builder.chain(builder.input("x", (7, 6)), *norms)
    first = builder.apply(dense(4, use_bias=False), y, name="first")
    second = builder.apply(dense(4, use_bias=False), y, name="second", shares="first")
    passes = FoldBatchNormForward(), FoldLayerNormForward(), BnReluThreshold()
    done = proven(builder.graph(first, second), *passes)
    assert len(done.applied) == 1
    assert done.network.graph.nodes["second"].shares == "first"


# -- fold-layer-norm-forward --

LN = "LayerNormalization"
HEADS = {"num_heads": 2, "key_dim": 3}


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"axis": 2}])
@pytest.mark.parametrize("bias", [False, True])
def test_scale_and_offset_of_a_normalization_go_into_dense(options: dict[str, Any], bias: bool) -> None:
    layer = dense(8, use_bias=bias, activation="gelu")
    done = proven(chain((7, 6), {LN: options}, layer), FoldLayerNormForward())
    assert len(done.applied) == 1


@pytest.mark.parametrize("equation, bias", [("abc,cde->abde", "de"), ("abc,cde->abde", None), ("...c,cd->...d", "d")])
def test_scale_and_offset_of_a_normalization_go_into_an_einsum(equation: str, bias: str | None) -> None:
    arguments = {"equation": equation, "output_shape": [7, 2, 4] if "e" in equation else 4, "bias_axes": bias}
    done = proven(chain((7, 6), LN, {"EinsumDense": arguments}), FoldLayerNormForward())
    assert len(done.applied) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"equation": "abc,bd->adc", "output_shape": [4, 6]},
        {"equation": "abc,cd->adb", "output_shape": [4, 7]},
        {"equation": "ab...,bc->ac...", "output_shape": 4},
        {"equation": "abc,cde->abde", "output_shape": [7, 2, 4], "bias_axes": "bde"},
        {"equation": "abc,cd->abd", "output_shape": [7, 4], "bias_axes": "d", "lora_rank": 2},
    ],
)
def test_an_einsum_of_other_axes_takes_no_normalization(arguments: dict[str, Any]) -> None:
    for norm in (BN, LN):
        done = proven(chain((7, 6), norm, {"EinsumDense": arguments}), FoldLayerNormForward(), FoldBatchNormForward())
        assert not done.applied and done.skipped


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


def test_attention_that_is_used_twice_takes_a_normalization_for_the_same_parts_only() -> None:
    """Of shared weights, those that see the normalisation in one use may see something else in the other."""
    for swapped in (False, True):
        builder = GraphBuilder()
        norm = builder.apply(LN, builder.input("x", (7, 6)))
        memory = builder.input("memory", (7, 6))
        first = builder.apply({"MultiHeadAttention": HEADS}, query=norm, value=memory, name="first")
        query, value = (memory, norm) if swapped else (norm, memory)
        second = builder.apply({"MultiHeadAttention": HEADS}, query=query, value=value, name="second", shares="first")
        done = proven(builder.graph(first, second), FoldLayerNormForward())
        assert bool(done.applied) is not swapped
        assert swapped is ("uses weights of first for something else" in reasons(done))


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


@pytest.mark.parametrize("between", [[], ["ReLU"]])
def test_a_mean_behind_what_is_folded_loses_its_name(between: list[str]) -> None:
    """It gives something else then than what was named."""
    builder = GraphBuilder()
    mean = builder.chain(builder.input("x", IMAGE), {BN: {"scale": False}}, *between, "GlobalAveragePooling2D")
    graph = builder.graph(builder.apply(dense(3), mean))
    done = proven(replace(graph, tensors={"pooled": mean}), FoldBatchNormForward(), BnReluThreshold())
    assert len(done.applied) == 1 and not done.network.graph.tensors


# -- norm-as-depthwise --


@pytest.mark.parametrize("shape", [IMAGE, (None, None, 6)])
@pytest.mark.parametrize("options", [{}, {"scale": False, "epsilon": 1e-5}, {"center": False}, {"axis": 3}])
def test_a_normalization_is_a_depthwise_convolution(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    done = proven(chain(shape, "ReLU", {BN: options}, "ReLU", conv(4)), NormAsDepthwise())
    assert kinds(done) == ["ReLU", "DepthwiseConv2D", "ReLU", "Conv2D"]


def test_other_normalizations_stay() -> None:
    assert "axis 1" in reasons(proven(chain(IMAGE, {BN: {"axis": 1}}), NormAsDepthwise()))
    assert "int32" in reasons(proven(chain((4, 4, 3), BN, conv(2), dtype="int32"), NormAsDepthwise()))
    assert not proven(chain((7, 6), BN), NormAsDepthwise()).applied
