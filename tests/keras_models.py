"""Models of Keras as their authors write them, with random weights, and their comparison with what is read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from archspec.build import layers as own
from archspec.build.weights import built
from archspec.graph.ir import Graph
from archspec.graph.verify import verify
from archspec.importing import read_network
from archspec.optimize.network import Network

layers, ops = keras.layers, keras.ops


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with random weights and statistics, none of which is what an initializer would give."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        name, shape = weight.path.rpartition("/")[2], tuple(weight.shape)
        if weight.dtype in ("int64", "int32"):
            continue
        if any(word in name for word in ("variance", "stddev", "gamma", "scale")):
            value = random.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            value = random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
        else:
            value = random.normal(0.02, 0.1, shape)
        weight.assign(value)
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def values(tensor: Any, bound: int, seed: int, unknown: int = 6) -> Any:
    """A batch of 3 for an input, with the length for those that are not known."""
    shape = (3, *(unknown if n is None else n for n in tensor.shape[1:]))
    random = np.random.default_rng(seed)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype == "string":
        return np.full(shape, "a b")
    if dtype == "bool":
        return random.random(shape) < 0.7
    return random.integers(0, bound, shape).astype(dtype) if "int" in dtype else random.normal(size=shape).astype(dtype)


def structure(model: keras.Model) -> Any:
    return model.inputs[0] if isinstance(model, keras.Sequential) else model._inputs_struct


def np_tree(made: Any) -> dict[str, Any]:
    """Outputs by the names that a graph has for them."""
    if isinstance(made, dict):
        return {name: np.asarray(one) for name, one in made.items()}
    return {f"output{i + 1}" if i else "output": np.asarray(one) for i, one in enumerate(keras.tree.flatten(made))}


def called(model: keras.Model, inputs: Sequence[Any]) -> dict[str, Any]:
    given = keras.tree.pack_sequence_as(structure(model), inputs)
    return np_tree(model(given, training=False))


def read_again(model: keras.Model, path: Path) -> Network:
    """What the saved model is read as."""
    model.save(path)
    graph, weights = read_network(path)
    verify(graph)
    return Network(graph, weights)


def check(
    model: keras.Model,
    folder: Path,
    bound: int = 5,
    tolerance: float = 1e-5,
    load: bool = True,
    name: str = "m.keras",
    unknown: int = 6,
) -> Graph:
    """Reads the model again, with random weights, and compares it with what Keras loads."""
    network = read_again(randomised(model), folder / name)
    loaded = keras.models.load_model(folder / name) if load else model
    again = built(network)
    given = keras.tree.flatten(structure(loaded))
    inputs = [values(tensor, bound, seed, unknown) for seed, tensor in enumerate(given)]
    expected = called(loaded, inputs)
    found = np_tree(again(inputs if len(inputs) > 1 else inputs[0], training=False))
    assert {name: one.shape for name, one in found.items()} == {name: one.shape for name, one in expected.items()}
    for name, other in expected.items():
        one = found[name]
        if one.dtype.kind not in "fV":
            np.testing.assert_array_equal(one, other)
            continue
        one, other = one.astype("float64"), other.astype("float64")
        spread = np.abs(other).max() or 1.0
        assert np.isfinite(other).all() and np.abs(one - other).max() <= tolerance * spread
    return network.graph


def kinds(graph: Graph) -> list[str]:
    return [type(node.layer).__name__ for node in graph.nodes.values()]


def tokens(length: int = 6, name: str = "tokens") -> Any:
    return keras.Input((length,), dtype="int32", name=name)


def embedded(mask: bool = True) -> tuple[Any, Any]:
    start = tokens()
    return start, layers.Embedding(5, 8, mask_zero=mask)(start)


def convolutions() -> keras.Model:
    start = keras.Input((12, 12, 3), name="picture")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(start)
    x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, scale=False)(x)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu6")(layers.ReLU(6.0)(x))
    y = layers.SeparableConv2D(8, 3, padding="same", dilation_rate=2)(y)
    x = layers.Concatenate(axis=-1)([layers.Add()([x, y]), layers.ZeroPadding2D(((0, 1), (1, 0)))(x[:, 1:, 1:])])
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1)(x)
    x = layers.LeakyReLU(0.1)(layers.GroupNormalization(2)(x))
    return keras.Model(start, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def recurrent() -> keras.Model:
    start, x = embedded()
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True, name="mine"), merge_mode="sum")(x)
    x = layers.RNN([layers.GRUCell(3), layers.LSTMCell(5)], return_sequences=True)(x)
    x, state = layers.GRU(5, return_sequences=True, return_state=True, reset_after=False)(x)
    y, *states = layers.LSTM(5, return_state=True, activation="linear", recurrent_activation="hard_sigmoid")(
        x, initial_state=[state, state]
    )
    return keras.Model(start, [layers.TimeDistributed(layers.Dense(2))(x), y, *states])


def attention() -> keras.Model:
    start, x = embedded()
    memory = keras.Input((4, 8), name="memory")
    x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    y = layers.MultiHeadAttention(2, 4, value_dim=3, output_shape=8)(x, memory, key=memory)
    x = layers.Add()([x, layers.Dropout(0.1)(y)])
    x = layers.RMSNormalization()(layers.Attention(use_scale=True)([x, memory]))
    x = layers.GroupQueryAttention(4, 4, 2)(x, x)
    return keras.Model({"tokens": start, "memory": memory}, {"b": x, "a": layers.GlobalAveragePooling1D()(x)})


def explicit_mask() -> keras.Model:
    """A mask that the author computed, beside one of Keras's."""
    start, x = embedded()
    mask = ops.greater(start, 1)
    x = layers.LSTM(4, return_sequences=True)(x, mask=mask)
    return keras.Model(start, layers.GRU(3)(x, mask=ops.not_equal(start, 2)))


def lost_mask() -> keras.Model:
    """Functions drop masks: what comes after them sees every step."""
    start, x = embedded()
    y = layers.GRU(3)(x + layers.Dense(8)(x))
    return keras.Model(start, [y, layers.LSTM(3)(ops.relu(x)), layers.LSTM(3)(layers.ReLU()(x)), layers.GRU(2)(x * 2)])


def masking() -> keras.Model:
    start = keras.Input((6, 3))
    x = layers.Masking(0.5)(ops.where(start > 0.3, 0.5, start))
    x = layers.Dropout(0.5)(layers.LSTM(4, return_sequences=True)(x))
    return keras.Model(start, layers.LSTM(4)(x))


def shared() -> keras.Model:
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    dense, relu = layers.Dense(4, name="dense"), layers.ReLU(name="relu")
    other = layers.Dense(4, name="dense_1")  # the name that the second call of `dense` would have
    x, y = relu(dense(first)), relu(dense(second))
    return keras.Model([first, second], [other(dense(x) + y), y])


def tower() -> keras.Model:
    start = keras.Input((4,), name="in")
    return keras.Model(start, layers.BatchNormalization(name="bn")(layers.Dense(4, name="dense")(start)), name="tower")


def nested() -> keras.Model:
    """Models called twice, inside each other, frozen."""
    inner, chain = tower(), keras.Sequential([layers.Dense(4, name="dense"), layers.ReLU()], name="chain")
    start = keras.Input((4,))
    inner.trainable = False
    middle = keras.Model(start, inner(inner(start, training=False)) + start, name="middle")
    start = keras.Input((4,))
    x = middle(chain(start))
    return keras.Model(start, [middle(chain(x)), layers.Dense(2)(x)])


def nested_and_shared() -> keras.Model:
    """A model inside another, and beside it."""
    inner, start = tower(), keras.Input((4,))
    middle = keras.Model(start, inner(start) + start, name="middle")
    start = keras.Input((4,))
    return keras.Model(start, middle(inner(start)))


def several_in_and_out() -> keras.Model:
    """A nested model of two inputs by name and two outputs."""
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    inner = keras.Model({"a": a, "b": b}, [layers.Dense(5)(b), layers.Dense(5)(a)], name="inner")
    x, y = keras.Input((3,), name="x"), keras.Input((4,), name="y")
    first, second = inner({"b": x, "a": y})
    return keras.Model([y, x], [layers.Subtract()([first, second]), first])


def shared_across_models() -> keras.Model:
    """One embedding in two towers, and outside of them."""
    table = layers.Embedding(5, 4, name="table")

    def side(name: str) -> keras.Model:
        start = tokens(name=f"{name}_tokens")
        return keras.Model(start, layers.Dense(3)(table(start)), name=name)

    a, b = tokens(name="a"), tokens(name="b")
    return keras.Model([a, b], [layers.Dot(2)([side("left")(a), side("right")(b)]), table(b)])


def functions() -> keras.Model:
    start = keras.Input((6, 4), name="x")
    x = ops.transpose(start, (0, 2, 1)) @ start
    x = ops.softmax(x / 2.0, axis=-1) * ops.expand_dims(ops.mean(start, axis=1), -1)
    x = ops.concatenate([x, ops.square(x)], axis=1)[:, ::2, 1:3]
    x = ops.reshape(x, (-1, 8)) + np.linspace(-1, 1, 8).astype("float32")
    first, second = ops.split(ops.pad(ops.gelu(x), ((0, 0), (0, 2))), 2, axis=1)
    return keras.Model(
        start, [ops.maximum(first, -second), ops.clip(1 - x, -0.5, 0.5), ops.sum(x, axis=-1, keepdims=True)]
    )


def activations() -> keras.Model:
    """Layers as activations, and functions of Keras."""
    start = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation=layers.LeakyReLU(0.3))(start)
    x = layers.Conv2D(4, 3, activation=keras.activations.silu)(x)
    return keras.Model(start, layers.Dense(4, activation=layers.Softmax(axis=1))(layers.Activation(ops.tanh)(x)))


def half_precision() -> keras.Model:
    start = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, dtype="mixed_float16")(start)
    x = layers.BatchNormalization(dtype="mixed_bfloat16")(ops.relu(x) + x)
    return keras.Model(start, [layers.Dense(3, dtype="bfloat16")(x), layers.Dense(3, dtype="float32")(x)])


def adapted() -> keras.Model:
    """What layers learnt before the training lies beside the config, and in the weights."""
    words, numbers, start = keras.Input((3,), dtype="string"), keras.Input((3,), dtype="int64"), keras.Input((3,))
    strings, integers = layers.StringLookup(mask_token=""), layers.IntegerLookup(output_mode="multi_hot")
    text, scaled, binned = (
        layers.TextVectorization(split=None),
        layers.Normalization(),
        layers.Discretization(num_bins=3),
    )
    for layer in (strings, text):
        layer.adapt(np.array([["b", "a", "a b"], ["a b", "c", "a b"]]))
    integers.adapt(np.array([[2, 4, 4]]))
    for layer in (scaled, binned):
        layer.adapt(np.linspace([1, 2, 3], [4, 8, 8], 9))
    return keras.Model(
        [words, numbers, start], [strings(words), text(words), integers(numbers), scaled(start), binned(start)]
    )


def low_rank() -> keras.Model:
    start = keras.Input((6,), dtype="int32")
    table, dense = layers.Embedding(5, 4), layers.Dense(4)
    model = keras.Model(start, dense(table(start)))
    table.enable_lora(2)
    dense.enable_lora(2)
    return model


def spectral() -> keras.Model:
    start = keras.Input((8, 8, 3))
    return keras.Model(start, layers.SpectralNormalization(layers.Conv2D(4, 3))(start))


def own_layers() -> keras.Model:
    """Archspec's own: a weight, a formula."""
    start = keras.Input((6, 4))
    weight = own.Weight((6, 4), name="stage.positions")(start)
    return keras.Model(start, own.Formula("x * 2 + y", ("x", "y"), name="stage.sum")([start, weight]))


def renamed_inputs() -> keras.Model:
    """The order of the inputs is not that of their layers."""
    a, b, c = (keras.Input((n,), name=name) for n, name in ((2, "c"), (3, "a"), (4, "b")))
    return keras.Model([c, a, b], layers.Concatenate()([b, layers.Dense(2)(a), c]))


def without_functions() -> keras.Model:
    """A model as Keras can save it in its older format: no keras.ops, a frozen layer, models inside models."""
    inner, chain = tower(), keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.BatchNormalization()])
    inner.layers[1].trainable = False
    start = keras.Input((6, 4))
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True))(layers.Conv1D(4, 3, padding="same")(start))
    x = layers.GlobalMaxPooling1D()(layers.MultiHeadAttention(2, 3)(x, x))
    middle_start = keras.Input((4,))
    middle = keras.Model(middle_start, layers.Dense(3)(inner(chain(middle_start))), name="middle")
    return keras.Model(start, [middle(x), chain(x)])


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.ReLU()])


class Twist(keras.layers.Layer):  # type: ignore[misc]
    """A layer of somebody's own: two tensors, one by name; weights, and a layer inside."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.inner = layers.Dense(units)

    def build(self, x_shape: Any, other_shape: Any = None) -> None:
        self.scale = self.add_weight(shape=(x_shape[-1],), name="scale")
        self.inner.build(x_shape)

    def call(self, x: Any, other: Any = None) -> Any:
        return self.inner(x * self.scale) + (0 if other is None else other)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def with_unknown() -> keras.Model:
    start = keras.Input((4,))
    twist = Twist(4, name="twist")
    x = layers.Dense(4, name="before")(start)
    x = twist(layers.Dropout(0.5)(x), other=start)
    x = twist(layers.BatchNormalization()(x))
    x = layers.Lambda(lambda x: x * 2, output_shape=(4,), name="double")(x)
    return keras.Model(start, layers.Dense(3, name="after")(x))
