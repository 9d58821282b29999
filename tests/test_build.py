"""Graph → keras.Model against real Keras: shapes on real data, weights, sharing, masks, call arguments, saving."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archspec.graph.ir import Graph
from archspec.layers import catalogue
from archspec.layers.base import Example
from archspec.tensor import TensorType
from tests import graphs
from tests.graphs import GraphBuilder, example_graph

keras = pytest.importorskip("keras")

from archspec.build import build  # noqa: E402
from archspec.build.lower import legal_name  # noqa: E402

PLAIN = ("perceptron", "siamese", "many_to_many", "masked_lstm", "attention")
OWN = ("vision_transformer_stem",)
LENGTH = 6  # what an unknown length is in the data
SOUND = 4096  # the same for sound, which is cut into windows


def data(tensor: TensorType, bound: int = 2, batch: int = 2, seed: int = 0, length: int = LENGTH) -> Any:
    """A batch of such tensors; integers are below the bound, unknown lengths are as given."""
    rng = np.random.default_rng(seed)
    shape = (batch, *(length if known is None else known for known in tensor.shape))
    if tensor.dtype == "string":
        return keras.ops.convert_to_tensor(rng.choice(["a", "b", "c d"], shape).astype(object), dtype="string")
    if "float" in tensor.dtype:
        return rng.uniform(0, 1, shape).astype(tensor.dtype)
    return rng.integers(0, bound, shape).astype(tensor.dtype)


def batch_for(graph: Graph, bound: int = 2, batch: int = 2, length: int = LENGTH) -> list[Any]:
    types = [graph.nodes[name].outputs[0] for name in graph.inputs]
    return [data(tensor, bound, batch, seed, length) for seed, tensor in enumerate(types)]


def run(model: Any, inputs: list[Any]) -> list[Any]:
    inputs = [keras.ops.convert_to_tensor(x) for x in inputs]
    return list(keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0])))


def outputs_of(model: Any, inputs: list[Any]) -> list[Any]:
    return [np.asarray(x) for x in run(model, inputs)]


# Examples that are built but given no data.
CANNOT_RUN: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("StringLookup", {"max_tokens": 9}),  # has to see data first (adapt)
)
TENSORFLOW_CANNOT_RUN: tuple[tuple[str, Mapping[str, Any]], ...] = (  # its CPU kernels refuse these, or crash
    ("AdaptiveMaxPooling3D", {"output_size": [4, 2, 1]}),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": [3, 4], "strides": 2, "padding": "same", "output_padding": 0}),
    ("Discretization", {"bin_boundaries": [0.5], "output_mode": "count", "dtype": "float16"}),
)


def runs(name: str, example: Example) -> bool:
    cannot = CANNOT_RUN + (TENSORFLOW_CANNOT_RUN if keras.backend.backend() == "tensorflow" else ())
    return (name, example.arguments) not in cannot


def examples() -> Iterator[Any]:
    for name, cls in catalogue().items():
        if name == cls.__name__ != "InputLayer":
            for i, example in enumerate(cls.EXAMPLES):
                yield pytest.param(name, example, id=f"{name}-{i}")


@pytest.mark.parametrize("name, example", list(examples()))
def test_examples_have_their_shapes_on_real_data(name: str, example: Example) -> None:
    graph = example_graph(name, example)
    node = graph.nodes["scope.layer"]
    model = build(graph)
    layer = model.get_layer("scope.layer")
    assert "compute_output_spec" not in vars(layer) and "add_weight" not in vars(layer)
    assert [tuple(w.shape) for w in layer.weights] == [w.shape for w in graph.weights(node)]
    for symbolic, output in zip(model.outputs, node.outputs, strict=True):
        assert symbolic.shape == (None, *output.shape) and symbolic.dtype == output.dtype
    if runs(name, example):
        length = SOUND if "Spectrogram" in name else LENGTH
        values = run(model, batch_for(graph, example.values, length=length))
        for value, output in zip(values, node.outputs, strict=True):
            assert value.shape[0] == 2
            assert output.shape == tuple(s and v for v, s in zip(value.shape[1:], output.shape, strict=True))


def test_resnet50_is_the_published_one() -> None:
    graph = graphs.resnet50()
    model = build(graph)
    assert model.count_params() == 25_610_152
    assert [layer.name for layer in model.layers if layer.name.startswith("stage1.bottleneck2")] == [
        name for name in graph.nodes if name.startswith("stage1.bottleneck2")
    ]
    for name, node in graph.nodes.items():
        layer = model.get_layer(name)
        assert layer.output.shape == (None, *node.outputs[0].shape)
        if node.inputs:
            assert layer.compute_output_spec(layer.input).shape == layer.output.shape


def test_shared_weights_are_made_once() -> None:
    graph = graphs.siamese()
    model = build(graph)
    assert {layer.name for layer in model.layers if layer.weights} == {"left.tower.dense0", "left.tower.dense1"}
    assert model.count_params() == sum(w.size for node in graph.nodes.values() for w in graph.weights(node))
    x, y = batch_for(graph)[:2]
    difference, _ = outputs_of(model, [x, y, x])
    assert np.all(difference == 0)


def test_several_outputs_train_by_name() -> None:
    graph = graphs.many_to_many()
    model = build(graph)
    model.compile(
        optimizer="sgd",
        loss={"score": "mse", "label": "sparse_categorical_crossentropy"},
        metrics={"label": ["accuracy"], "score": ["mae"]},
        loss_weights={"score": 2.0, "label": 1.0},
    )
    left, right = batch_for(graph, batch=8)
    targets = {"score": np.zeros((8, 1)), "label": np.zeros((8,), "int32")}
    by_list = model.fit([left, right], targets, verbose=0, batch_size=4).history
    by_name = model.fit({"right": right, "left": left}, targets, verbose=0, batch_size=4).history
    for history in (by_list, by_name):
        assert {"loss", "score_loss", "label_loss", "label_accuracy", "score_mae"} <= history.keys()
    assert {name: value.shape for name, value in model.predict([left, right], verbose=0).items()} == {
        "score": (8, 1),
        "label": (8, 4),
    }


def test_masks_and_states_reach_the_layers() -> None:
    tokens = keras.Input((7,), dtype="int32")
    x = keras.layers.Embedding(10, 4, mask_zero=True)(tokens)
    x, h, c = keras.layers.LSTM(5, return_sequences=True, return_state=True)(x)
    x = keras.layers.LSTM(5)(x, initial_state=[h, c])
    expected = keras.Model(tokens, keras.layers.Dense(2)(x))
    model = build(graphs.masked_lstm())
    _same_weights(model, expected)
    inputs = np.array([[3, 1, 2, 0, 0, 0, 0], [4, 4, 4, 4, 4, 0, 0]])
    np.testing.assert_allclose(outputs_of(model, [inputs]), outputs_of(expected, [inputs]), atol=1e-6)
    longer = np.concatenate([inputs[:, :5], inputs[:, 5:] + 1], axis=1)
    assert not np.allclose(outputs_of(model, [inputs]), outputs_of(model, [longer]))


def test_call_arguments_and_masks_reach_attention() -> None:
    tokens, memory = keras.Input((5,), dtype="int32"), keras.Input((6, 8))
    x = keras.layers.Embedding(9, 8, mask_zero=True)(tokens)
    x = keras.layers.MultiHeadAttention(2, 3)(memory, x)
    y, scores = keras.layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True, return_attention_scores=True)
    expected = keras.Model([tokens, memory], {"result": y, "scores": scores})
    model = build(graphs.attention())
    _same_weights(model, expected)
    inputs = [np.array([[1, 2, 0, 0, 0], [5, 0, 0, 0, 0]]), np.random.default_rng(0).normal(size=(2, 6, 8))]
    ours, theirs = model(inputs), expected(inputs)
    for name in ("result", "scores"):
        np.testing.assert_allclose(np.asarray(ours[name]), np.asarray(theirs[name]), atol=1e-6)
    assert np.all(np.triu(np.asarray(ours["scores"])[0, 0], 1) == 0)


def _same_weights(model: Any, expected: Any) -> None:
    """Both get the same random weights, biases too."""
    rng = np.random.default_rng(1)
    values = [rng.normal(size=tuple(w.shape)) for w in expected.weights]
    expected.set_weights(values)
    model.set_weights(values)


def test_weights_of_their_own_and_formulas() -> None:
    model = build(graphs.vision_transformer_stem())
    assert model.get_layer("token").per_example and not model.get_layer("table").per_example
    image = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
    weights = {w.path: np.asarray(w) for w in model.weights}
    x = np.concatenate([np.broadcast_to(weights["token/weight"], (3, 1, 6)), image], axis=1) + weights["table/weight"]
    scores = np.exp(x @ x.swapaxes(-1, -2))
    attention = scores / scores.sum(-1, keepdims=True)
    expected = attention @ (x @ weights["dense1/kernel"] + weights["dense1/bias"])
    np.testing.assert_allclose(outputs_of(model, [image])[0], expected, rtol=1e-4)


@pytest.mark.parametrize("reader", ["Add", "Concatenate"])
def test_a_weight_that_only_weights_meet_keeps_its_batch(reader: str) -> None:
    builder = GraphBuilder()
    image = builder.input("image", (2, 3))
    weights = [builder.apply({"Weight": {"shape": (2, 3)}}) for _ in range(2)]
    x = builder.apply(reader, *weights)
    model = build(builder.graph(builder.apply("Concatenate", *(builder.apply("Flatten", edge) for edge in (x, image)))))
    assert outputs_of(model, [np.zeros((4, 2, 3))])[0].shape == (4, model.output_shape[1])


def test_a_shared_weight_keeps_its_batch_if_one_use_needs_it() -> None:
    builder = GraphBuilder()
    image = builder.input("image", (2, 3))
    weight = builder.apply({"Weight": {"shape": (2, 3)}}, name="weight")
    again = builder.apply({"Weight": {"shape": (2, 3)}}, name="again", shares="weight")
    model = build(builder.graph(builder.apply("Concatenate", builder.apply("Add", image, weight), again)))
    assert model.get_layer("weight").per_example and model.count_params() == 6
    assert outputs_of(model, [np.zeros((4, 2, 3))])[0].shape == (4, 2, 6)


def test_inputs_can_be_outputs_or_unused() -> None:
    builder = GraphBuilder()
    used, unused = builder.input("used", (2,)), builder.input("unused", (3,))
    model = build(builder.graph(used))
    x = np.ones((4, 2), "float32")
    np.testing.assert_array_equal(outputs_of(model, [x, np.ones((4, 3))])[0], x)
    assert [x.name for x in model.inputs] == ["used", "unused"] == [used.node, unused.node]


def test_a_weight_can_be_an_output() -> None:
    builder = GraphBuilder()
    image = builder.input("image", (3,))
    weight = builder.apply({"Weight": {"shape": (3,)}})
    model = build(builder.graph(sum=builder.apply("Add", image, weight), weight=weight))
    assert {name: x.shape for name, x in model(np.zeros((4, 3))).items()} == {"sum": (4, 3), "weight": (4, 3)}


def test_frozen_nodes_do_not_train() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (5, 3))
    x = builder.apply({"Bidirectional": {"layer": {"LSTM": 2}}}, x, name="frozen.rnn", trainable=False)
    x = builder.apply("BatchNormalization", x, name="frozen.norm", trainable=False)
    model = build(builder.graph(builder.apply({"Dense": 2}, x, name="head")))
    assert [w.path for w in model.trainable_weights] == ["head/kernel", "head/bias"]
    before = [np.asarray(w) for w in model.non_trainable_weights]
    model.compile(optimizer="sgd", loss="mse")
    model.fit(np.ones((4, 5, 3)), np.ones((4, 2)), verbose=0)
    assert all(np.array_equal(a, np.asarray(w)) for a, w in zip(before, model.non_trainable_weights, strict=True))


def test_mixed_precision_gives_keras_dtypes() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(graphs.perceptron())
        again = keras.Model.from_config(model.get_config())
        real = model(np.ones((2, 8, 8, 3), "float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output.dtype == again.output.dtype == keras.backend.standardize_dtype(real.dtype) == "bfloat16"
    assert {w.dtype for w in model.weights} == {"float32"}


def test_a_wrong_count_of_weights_is_our_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue()["Dense"], "weights", lambda self, inputs: ())
    with pytest.raises(AssertionError, match=r"head\.dense \(Dense\) has 1285 parameters, the graph says 0"):
        build(graphs.perceptron())


@pytest.mark.parametrize(
    "name, legal", [("net", "net"), ("a/b c", "a_b_c"), ("_x", "model_x"), ("vit-b.16@", "vit-b.16_"), ("é", "model_")]
)
def test_names_of_models_are_legal(name: str, legal: str) -> None:
    assert legal_name(name) == legal


LOAD = """
import sys
import numpy as np
for path in sys.argv[2:]:
    if sys.argv[1] == "own":
        import archspec.build
    import keras
    model = keras.models.load_model(path + ".keras", safe_mode=True)
    saved = np.load(path + ".npz")
    inputs = [saved[f"input{i}"] for i in range(len(model.inputs))]
    outputs = keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0]))
    for i, (symbolic, output) in enumerate(zip(model.outputs, outputs, strict=True)):
        assert symbolic.shape[0] is None, symbolic
        np.testing.assert_allclose(np.asarray(output), saved[f"output{i}"], atol=1e-5)
assert ("archspec" in sys.modules) == (sys.argv[1] == "own")
"""


@pytest.mark.parametrize("kind, names", [("plain", PLAIN), ("own", OWN)])
def test_saved_models_load_in_a_new_process(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    paths = []
    for name in names:
        graph = getattr(graphs, name)()
        model = build(graph)
        for weight in model.weights:
            weight.assign(np.random.default_rng(2).normal(size=tuple(weight.shape)))
        inputs = batch_for(graph, bound=9, batch=3)
        path = tmp_path / name
        model.save(f"{path}.keras")
        arrays = {f"input{i}": x for i, x in enumerate(inputs)}
        arrays |= {f"output{i}": x for i, x in enumerate(outputs_of(model, inputs))}
        np.savez(path, **arrays)
        paths.append(str(path))
    command = [sys.executable, "-c", LOAD, kind, *paths]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
