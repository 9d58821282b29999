"""Passes that join linear layers: chains, sums and layers in parallel; where they apply, and why not elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archspec.optimize.passes.collapse_linear import CollapseLinear
from archspec.optimize.passes.fold_batch_norm import FoldBatchNorm
from archspec.optimize.passes.merge_parallel import MergeParallel
from archspec.optimize.passes.merge_parallel_dense import MergeParallelDense
from archspec.optimize.passes.rep_branches import RepBranches
from archspec.optimize.rewrite import Level
from tests.graphs import GraphBuilder
from tests.passes import chain
from tests.weight_rewrites import BN, IMAGE, branches, conv, dense, kinds, proven, reasons

pytest.importorskip("keras")

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


def test_a_layer_after_itself_stays() -> None:
    builder = GraphBuilder()
    first = builder.apply(dense(6), builder.input("x", (6,)), name="first")
    done = proven(builder.graph(builder.apply(dense(6), first, name="second", shares="first")), CollapseLinear())
    assert not done.applied
    assert "second uses the weights of first" in reasons(done)


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


def test_a_sum_in_another_dtype_stays() -> None:
    assert not proven(branches(IMAGE, {"Add": {"dtype": "float64"}}, [CONV6], [ONE6]), RepBranches()).applied


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


@pytest.mark.parametrize("activation", ["softmax", "log_softmax", "sparsemax"])
@pytest.mark.parametrize("level", ["training", "inference"])
def test_an_activation_that_sees_all_channels_keeps_parallel_layers_apart(activation: str, level: Level) -> None:
    """Two heads of a classifier: one softmax of both would share what each has for itself."""
    heads = [dense(3, activation=activation), dense(4, activation=activation)]
    done = proven(branches((6,), "Concatenate", *([head] for head in heads)), MergeParallelDense(), level=level)
    assert not done.applied
    assert f"its activation, {activation}, sees all its channels" in reasons(done)
    paths = [[conv(3, 1, activation=activation)], [conv(4, 1, activation=activation)], [conv(2, 1)], [conv(5, 1)]]
    done = proven(branches(IMAGE, "Concatenate", *paths), MergeParallel(), level=level)
    assert kinds(done).count("Conv2D") == 3, "the two without an activation are one"


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
