"""The graph's invariants and printed form, costs and memory, the summary."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from archspec.analysis import memory
from archspec.analysis.cost import graph_cost, node_cost, rows
from archspec.analysis.summary import summary
from archspec.analysis.table import table_text
from archspec.graph.ir import Edge, Graph, Node, Origin, Use
from archspec.graph.text import arguments_text, to_text
from archspec.graph.verify import verify
from archspec.layers import parse_layer
from archspec.tensor import TensorType
from tests.graphs import GraphBuilder, resnet50


def towers() -> Graph:
    """Two towers with the same weights, a frozen layer, two results."""
    builder = GraphBuilder("towers")
    left, right = builder.input("left", (4,)), builder.input("right", (4,))
    a = builder.apply({"Dense": 8}, left, name="tower.dense")
    b = builder.apply({"Dense": 8}, right, name="tower2.dense", shares="tower.dense")
    both = builder.apply("Add", a, b, name="add")
    normal = builder.apply("BatchNormalization", both, name="batch_normalization", trainable=False)
    return builder.graph(sum=both, score=builder.apply({"Dense": 1}, normal, name="score"))


def changed(graph: Graph, name: str, /, **fields: Any) -> Graph:
    nodes = {**graph.nodes, name: dataclasses.replace(graph.nodes[name], **fields)}
    return dataclasses.replace(graph, nodes=nodes)


def reordered(graph: Graph) -> Graph:
    return dataclasses.replace(graph, nodes=dict(reversed(graph.nodes.items())))


def test_verify_accepts_good_graphs() -> None:
    verify(towers())
    verify(resnet50())


BREAKAGES: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "later node": (lambda g: changed(g, "tower.dense", inputs=(Edge("score"),)), "not an earlier node"),
    "unknown node": (lambda g: changed(g, "score", inputs=(Edge("nothing"),)), "not an earlier node"),
    "output index": (lambda g: changed(g, "score", inputs=(Edge("add", 1),)), "add has 1 outputs"),
    "negative index": (lambda g: changed(g, "score", inputs=(Edge("add", -1),)), "add has 1 outputs"),
    "type": (lambda g: changed(g, "score", outputs=(TensorType((2,)),)), "inferred"),
    "name": (lambda g: changed(g, "score", name="other"), "stands under the name"),
    "no such parameter": (lambda g: changed(g, "score", parameters=("query",)), "not query"),
    "parameter missing": (lambda g: changed(g, "score", parameters=(), inputs=()), "lacks"),
    "twice": (lambda g: changed(g, "score", parameters=("inputs",) * 2, inputs=(Edge("add"),) * 2), "given twice"),
    "lengths": (lambda g: changed(g, "score", parameters=()), "1 inputs"),
    "shares nothing": (lambda g: changed(g, "tower2.dense", shares="nowhere"), "not an earlier node"),
    "other layer": (lambda g: changed(g, "score", shares="tower.dense"), "a different layer"),
    "other weights": (lambda g: changed(_score_of_eight(g), "score", shares="tower.dense"), "against"),
    "result": (lambda g: dataclasses.replace(g, outputs={"y": Edge("add", 3)}), "output y"),
    "tensor": (lambda g: dataclasses.replace(g, tensors={"t": Edge("gone")}), "tensor t"),
    "inputs": (lambda g: dataclasses.replace(g, inputs=("left",)), "InputLayer nodes are"),
    "order": (reordered, "must come first"),
}


def _score_of_eight(graph: Graph) -> Graph:
    """`score` made the same layer as the towers', on an input of another length."""
    return changed(graph, "score", layer=parse_layer({"Dense": 8}), outputs=(TensorType((8,)),))


@pytest.mark.parametrize("name", BREAKAGES)
def test_verify_notices(name: str) -> None:
    breakage, message = BREAKAGES[name]
    with pytest.raises(AssertionError, match=message):
        verify(breakage(towers()))


def test_text() -> None:
    assert to_text(towers()) == (
        "graph towers\n"
        "inputs:\n"
        "  left: (4,)\n"
        "  right: (4,)\n"
        "nodes:\n"
        "  left                = InputLayer(shape=[4], dtype=float32)() → (4,)\n"
        "  right               = InputLayer(shape=[4], dtype=float32)() → (4,)\n"
        "  tower.dense         = Dense(units=8)(left)                   → (8,)\n"
        "  tower2.dense        = Dense(units=8)(right)                  → (8,)  weights of tower.dense\n"
        "  add                 = Add()(tower.dense, tower2.dense)       → (8,)\n"
        "  batch_normalization = BatchNormalization()(add)              → (8,)  frozen\n"
        "  score               = Dense(units=1)(batch_normalization)    → (1,)\n"
        "outputs:\n"
        "  sum = add: (8,)\n"
        "  score = score: (1,)\n"
    )


def test_text_names_inputs_and_outputs() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (5, 4))
    lstm = builder.apply({"LSTM": {"units": 3, "return_state": True}}, x, name="lstm")
    builder.apply({"MultiHeadAttention": {"num_heads": 2, "key_dim": 3}}, query=x, value=x, name="attention")
    text = to_text(builder.graph(Edge(lstm.node, 2)))
    assert "= LSTM(units=3, return_state=true)(x) " in text and "→ (3,), (3,), (3,)" in text
    assert "output = lstm:2: (3,)" in text
    assert "MultiHeadAttention(num_heads=2, key_dim=3)(query=x, value=x)" in text


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ("ReLU", ""),
        ({"Dense": {"units": 3, "activation": "relu", "use_bias": False}}, "units=3, activation=relu, use_bias=false"),
        ({"Dense": {"units": 3, "kernel_initializer": "he_normal"}}, "units=3, kernel_initializer=HeNormal"),
        ({"Dense": {"units": 3, "kernel_regularizer": {"L2": 1e-4}}}, "units=3, kernel_regularizer={L2: 0.0001}"),
        (
            {"Dense": {"units": 3, "kernel_initializer": {"HeNormal": {"seed": 1}}}},
            "units=3, kernel_initializer={HeNormal: 1}",
        ),
        (
            {"Dense": {"units": 3, "kernel_regularizer": {"L1L2": {"l1": 0.5, "l2": 0.25}}}},
            "units=3, kernel_regularizer={L1L2: {l1: 0.5, l2: 0.25}}",
        ),
        ({"Conv2D": {"filters": 2, "kernel_size": [3, 1], "strides": 1}}, "filters=2, kernel_size=[3, 1]"),
        ({"Bidirectional": {"layer": {"LSTM": 4}}}, "layer={LSTM: 4}"),
        ({"Dense": {"units": 3, "dtype": "float16"}}, "units=3, dtype=float16"),
    ],
)
def test_arguments(layer: Any, text: str) -> None:
    made = parse_layer(layer)
    assert arguments_text(made) == text


def test_cost_of_resnet50() -> None:
    cost = graph_cost(resnet50())
    assert (cost.parameters_total, cost.trainable, cost.non_trainable) == (25_610_152, 25_557_032, 53_120)
    assert cost.macs == 4_089_184_256  # the 4.1e9 that are usually given
    assert cost.weight_bytes == 4 * 25_610_152


def test_shared_weights_count_once_and_macs_at_every_call() -> None:
    graph = towers()
    first, second = node_cost(graph, graph.nodes["tower.dense"]), node_cost(graph, graph.nodes["tower2.dense"])
    assert (first.trainable, first.macs) == (40, 32)
    assert (second.parameters_total, second.weight_bytes, second.macs) == (0, 0, 32)


def test_frozen_parameters_do_not_train() -> None:
    graph = towers()
    assert node_cost(graph, graph.nodes["batch_normalization"]).trainable == 0
    thawed = changed(graph, "batch_normalization", trainable=True)
    assert node_cost(thawed, thawed.nodes["batch_normalization"]).trainable == 16
    assert graph_cost(graph).parameters_total == graph_cost(thawed).parameters_total == 40 + 32 + 9


@pytest.mark.parametrize("make", [towers, resnet50])
def test_counts_are_those_of_keras(make: Callable[[], Graph]) -> None:
    keras = pytest.importorskip("keras")
    from archspec.build import build

    model, cost = build(make()), graph_cost(make())
    assert cost.parameters_total == model.count_params()
    assert cost.trainable == sum(keras.ops.size(w) for w in model.trainable_weights)
    assert cost.non_trainable == sum(keras.ops.size(w) for w in model.non_trainable_weights)


@pytest.mark.parametrize("depth", [None, 0, 1, 2, 3, 9])
def test_rows_add_up(depth: int | None) -> None:
    graph = resnet50()
    parts, cost = rows(graph, depth), graph_cost(graph)
    assert sum(row.layers for row in parts) == len(graph.nodes)
    for field in dataclasses.fields(cost):
        assert sum(getattr(row.cost, field.name) for row in parts) == getattr(cost, field.name)


def test_rows_by_scope() -> None:
    parts = rows(resnet50(), 1)
    assert [row.name for row in parts] == ["image", "stem", "stage1", "stage2", "stage3", "stage4", "head"]
    assert [row.outputs for row in parts[1:4]] == [
        (TensorType((56, 56, 64)),), (TensorType((56, 56, 256)),), (TensorType((28, 28, 512)),)
    ]  # fmt: skip
    assert (parts[0].kind, parts[0].layers, parts[1].layers) == ("InputLayer", 1, 4)
    (whole,) = rows(resnet50(), 0)
    assert (whole.name, whole.kind, whole.outputs) == ("resnet50", "network", (TensorType((1000,)),))


def test_rows_keep_layers_and_scopes_of_one_name_apart() -> None:
    builder = GraphBuilder()
    x = builder.apply({"Dense": 2}, builder.input("x", (3,)), name="a")
    builder.apply({"Dense": 5}, x, name="a.dense")
    x = builder.apply({"Dense": 4}, x, name="b.dense")
    assert [(row.name, row.kind) for row in rows(builder.graph(x), 1)] == [
        ("x", "InputLayer"), ("a", "Dense"), ("a", "group"), ("b", "group")
    ]  # fmt: skip


def test_rows_name_the_block() -> None:
    graph = towers()
    use = Use("block", "encoder", None)
    part = rows(changed(graph, "tower.dense", origin=Origin(None, (use,))), 1)[2]
    assert (part.name, part.kind) == ("tower", "encoder")


def test_memory() -> None:
    graph = towers()
    # left and right 16 bytes each; the towers, their sum and its normalisation 32 each; the score 4
    assert memory.activation_bytes(graph) == 16 + 16 + 32 + 32 + 32 + 32 + 4
    # while add runs, both towers and the sum are alive; left and right are not any more
    assert memory.peak_bytes(graph) == 96
    trainable, frozen = 49 * 4, 32 * 4
    assert memory.weight_bytes(graph) == trainable + frozen
    assert memory.inference_bytes(graph, 10) == trainable + frozen + 960
    assert memory.training_bytes(graph, 10, slots=2) == frozen + 4 * trainable + 10 * memory.activation_bytes(graph)
    assert memory.training_bytes(graph, 10, slots=0) == frozen + 2 * trainable + 10 * memory.activation_bytes(graph)


def test_peak_keeps_what_is_read_late_and_results() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (10,))
    late = builder.apply("ReLU", x)
    y = builder.apply({"Dense": 100}, x)
    y = builder.apply({"Dense": 10}, y)
    total = builder.apply("Add", late, y)
    assert memory.peak_bytes(builder.graph(total)) == 4 * (10 + 100 + 10)  # late waits while the others run
    assert memory.peak_bytes(builder.graph(total, x)) == 4 * (10 + 10 + 100 + 10)  # x is a result: it stays


def test_peak_of_what_nothing_reads() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (10,))
    builder.apply({"Dense": 1000}, x)
    assert memory.peak_bytes(builder.graph(builder.apply({"Dense": 20}, x))) == 4 * 1010


def test_summary_text() -> None:
    assert summary(towers(), 1).to_text() == (
        "towers\n\n"
        "Layer                 Type                         Output shape   Parameters   MACs\n"
        "───────────────────────────────────────────────────────────────────────────────────\n"
        "left                  InputLayer                   (4,)\n"
        "right                 InputLayer                   (4,)\n"
        "tower                 group                        (8,)                   40     32\n"
        "tower2                group                        (8,)                          32\n"
        "add                   Add                          (8,)\n"
        "batch_normalization   BatchNormalization, frozen   (8,)                   32\n"
        "score                 Dense                        (1,)                    9      8\n\n"
        "Parameters: 81 in all, 49 trainable, 32 non-trainable\n"
        "MACs: 72 for one example\n"
        "Weights: 0.32 KiB\n"
        "Activations: 0.16 KiB for one example, at most 0.09 KiB at once in inference\n"
    )


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_summary_fits_and_folds_without_loss(width: int) -> None:
    text = summary(resnet50(), 2).to_text(width)
    table = text.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= max(width, 10 * 3 + 10 + 13 + 12)
    assert "231,211,008" in text and "Parameters" in table[0]


def test_table_folds_the_widest_column() -> None:
    text = table_text(("Name", "N"), [("abcdefghijklmnopqrstuvwxyz", "1,000")], numbers=1, width=24)
    assert text.splitlines()[2:] == ["abcdefghijklmnop   1,000", "qrstuvwxyz"]


def test_summary_json() -> None:
    data = json.loads(json.dumps(summary(towers()).to_json()))
    assert data["name"] == "towers"
    assert data["parameters"] == {"total": 81, "trainable": 49, "non_trainable": 32}
    assert data["macs"] == 72
    assert data["inputs"] == {"left": {"shape": [4], "dtype": "float32"}, "right": {"shape": [4], "dtype": "float32"}}
    assert data["outputs"]["score"] == {"shape": [1], "dtype": "float32"}
    assert (data["weights_bytes"], data["activation_bytes"], data["peak_bytes"]) == (324, 164, 96)
    shared = next(row for row in data["layers"] if row["name"] == "tower2.dense")
    assert shared["shares"] == "tower.dense" and shared["parameters"]["total"] == 0 and shared["macs"] == 32


def test_no_framework_is_loaded() -> None:
    code = (
        "import sys, archspec.analysis.summary, archspec.analysis.memory, archspec.graph.verify, archspec.draw\n"
        "bad = {'keras', 'tensorflow', 'jax', 'numpy', 'graphviz', 'pygraphviz', 'matplotlib', 'sklearn', 'rich'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"


def test_nodes_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        node: Node = towers().nodes["score"]
        node.name = "other"  # type: ignore[misc]
