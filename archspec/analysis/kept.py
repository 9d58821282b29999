"""What a layer's backward pass needs of its forward pass: the documented model behind the estimate of training memory.

| layers | kept until the backward pass |
|---|---|
| convolutions, dense layers | their input, if their weights learn |
| an activation, also inside a layer | its output, if its derivative follows from that, else its input |
| gelu | on TensorFlow three numbers for each element; on JAX its input and one |
| ReLU of a product | on JAX its input |
| normalisation | its input; layer, group and RMS normalisation also what is normalised, on JAX twice |
| maximum pooling | input and output; average pooling nothing |
| Add, Subtract, Average, concatenation, reshaping, padding, upsampling | nothing |
| other merges | their inputs |
| Dropout | a byte for each element |
| recurrent layers | input, and for each step its slice of that, the gates and states: on JAX more of them |
| attention | inputs, projections, weights of attention (on JAX one copy more) and the context |
| formulas | inputs, output and a tensor as large as the largest for each further function |
| anything else | inputs and outputs |
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass

from archspec.graph.ir import Graph, Node
from archspec.layers.base import Layer
from archspec.layers.formula import parse
from archspec.tensor import TensorType

# Activations whose derivative follows from their value.
BY_OUTPUT = frozenset({"relu", "relu6", "sigmoid", "tanh", "softmax", "log_softmax", "exponential", "leaky_relu"})
BY_OUTPUT_LAYERS = frozenset({"ReLU", "LeakyReLU", "Softmax"})
NOTHING = frozenset({
    "InputLayer", "Identity", "Masking", "Weight", "Add", "Subtract", "Average", "Concatenate", "Flatten", "Reshape",
    "Permute", "RepeatVector", "GaussianNoise", "ActivityRegularization",
})  # fmt: skip
ALIASES = frozenset({"Identity", "Masking", "Flatten", "Reshape"})  # the same bytes under another name
# Numbers that a step of a recurrent layer keeps for each unit: gates, states, and what is computed of them. Counted in
# the graph of TensorFlow 2.21's while loop (what is pushed to lists) and in JAX 0.10's saved residuals of the scan.
GATES = {
    "tensorflow": {"LSTM": 7, "GRU": 6, "SimpleRNN": 2, "ConvLSTM": 7},
    "jax": {"LSTM": 12, "GRU": 9, "SimpleRNN": 3, "ConvLSTM": 12},
}
PRODUCTS = ("convolution", "dense")


@dataclass(frozen=True, slots=True)
class Keeps:
    """What one layer keeps: its inputs, its outputs, and so many numbers or bytes for one example beside them."""

    inputs: bool = False
    outputs: bool = False
    numbers: int = 0
    bytes: int = 0


def keeps(graph: Graph, node: Node, backend: str) -> Keeps:
    """What the backward pass of one node needs. That of a node that nothing trained leads to needs nothing."""
    inputs = graph.input_types(node)
    if node.layer.role == "recurrent":
        return _recurrent(node.layer, inputs, node.outputs, GATES[backend])
    if backend == "jax" and _activation_of(node.layer) == "relu" and _of_product(graph, node):
        return Keeps(inputs=True)  # the sign of what was made, which XLA asks for in the backward pass
    if _activation_of(node.layer) == "gelu" and node.layer.role == "activation":
        size = sum(t.size for t in node.outputs)
        return Keeps(inputs=True, numbers=size) if backend == "jax" else Keeps(numbers=3 * size)
    if node.layer.role == "attention":
        copies = 3 if backend == "jax" else 2
        return Keeps(inputs=True, numbers=_attention(node.layer, inputs, copies))
    if backend == "jax" and node.layer.role == "normalization" and type(node.layer).__name__ != "BatchNormalization":
        return Keeps(inputs=True, numbers=2 * sum(t.size for t in node.outputs))
    if type(node.layer).__name__ == "TimeDistributed":
        inner: Layer = node.layer.layer  # type: ignore[attr-defined]
        return _keeps(inner, inputs, node.outputs, node.trainable)
    return _keeps(node.layer, inputs, node.outputs, node.trainable)


def aliases(layer: Layer) -> bool:
    """Whether the output is the input's memory."""
    name = type(layer).__name__
    return name in ALIASES or (name == "Dropout" and not layer.rate)  # type: ignore[attr-defined]


def _keeps(layer: Layer, inputs: tuple[TensorType, ...], outputs: tuple[TensorType, ...], learns: bool) -> Keeps:
    name, role, size = type(layer).__name__, layer.role, sum(t.size for t in outputs)
    if name in NOTHING or role in ("input", "preprocessing", "reshape"):
        return Keeps()
    if name == "Formula":
        return _formula(layer, inputs, outputs)
    if name == "Activation" or (role == "activation" and name != "PReLU"):
        by_output = name in BY_OUTPUT_LAYERS or _activation(layer) in BY_OUTPUT
        return Keeps(not by_output and _activation(layer) != "linear", by_output)
    if role in ("convolution", "dense", "embedding"):
        return _weighted(layer, inputs, outputs, learns)
    if role == "normalization":
        again = 0 if name == "BatchNormalization" else size
        return Keeps(inputs=True, numbers=again)
    if role == "attention":
        return Keeps(inputs=True, numbers=_attention(layer, inputs, 2))
    if role == "regularization":
        return _noise(name, layer, size)
    if role == "upsampling":
        return Keeps(inputs=name == "MaxUnpooling2D")
    if role == "pooling":
        return Keeps() if "Average" in name else Keeps(inputs=True, outputs=True)
    return Keeps(inputs=True, outputs=role != "merge")


def _activation(layer: Layer) -> str:
    given = getattr(layer, "activation", None)
    return given if isinstance(given, str) else "linear" if given is None else "other"


def _activation_of(layer: Layer) -> str:
    """The function that a layer of nothing else computes."""
    return "relu" if type(layer).__name__ == "ReLU" else _activation(layer) if layer.role == "activation" else ""


def _of_product(graph: Graph, node: Node) -> bool:
    return graph.nodes[node.inputs[0].node].layer.role in PRODUCTS


def _weighted(layer: Layer, inputs: tuple[TensorType, ...], outputs: tuple[TensorType, ...], learns: bool) -> Keeps:
    """Products with weights, and the activation in the same layer: one not known by its value keeps what it is of."""
    activation, between = _activation(layer), 0
    if type(layer).__name__.startswith("Separable"):
        multiplier: int = layer.depth_multiplier  # type: ignore[attr-defined]
        channels = (inputs[0].shape[-1] or 1) * multiplier
        between = outputs[0].size // (outputs[0].shape[-1] or 1) * channels
    if activation not in BY_OUTPUT and activation != "linear":
        between += outputs[0].size
    return Keeps(learns, activation in BY_OUTPUT, between)


def _noise(name: str, layer: Layer, size: int) -> Keeps:
    if name in ("Dropout", "AlphaDropout"):
        rate: float = layer.rate  # type: ignore[attr-defined]
        return Keeps(bytes=size if rate else 0)
    if name.startswith("SpatialDropout"):
        return Keeps()
    return Keeps(inputs=name == "Sampling", numbers=size)


def _attention(layer: Layer, inputs: tuple[TensorType, ...], copies: int) -> int:
    """Numbers inside attention: the projections, copies of the weights of every head, and the context."""
    query, value = inputs[0], inputs[min(1, len(inputs) - 1)]
    rows, columns = math.prod(n or 1 for n in query.shape[:-1]), math.prod(n or 1 for n in value.shape[:-1])
    shared = math.prod(n or 1 for n in query.shape[:-2])  # axes before the positions are not paired
    pairs = rows * columns // shared
    heads: int = getattr(layer, "num_heads", 0) or getattr(layer, "num_query_heads", 0)
    if not heads:
        return copies * pairs
    width: int = getattr(layer, "key_dim", 0) or getattr(layer, "head_dim", 0)
    values: int = getattr(layer, "value_dim", 0) or width
    several: int = getattr(layer, "num_key_value_heads", 0) or heads
    projected = rows * heads * width + columns * several * (width + values)
    return projected + copies * pairs * heads + rows * heads * values


def _recurrent(
    layer: Layer, inputs: tuple[TensorType, ...], outputs: tuple[TensorType, ...], gates: Mapping[str, int]
) -> Keeps:
    """The slices of the input, the gates and states of each step, of both directions or of all cells."""
    steps = inputs[0].shape[0] or 1
    inner = getattr(layer, "layer", None) or getattr(layer, "cell", None) or layer
    cells = getattr(inner, "cells", None) or (inner,)
    numbers = inputs[0].size
    for cell in cells:
        name = type(cell).__name__.removesuffix("Cell").rstrip("123D")
        units: int = getattr(cell, "units", 0) or _per_step(outputs[0], inner, steps)
        numbers += steps * units * gates.get(name, 4)
    return Keeps(inputs=True, numbers=numbers * (2 if type(layer).__name__ == "Bidirectional" else 1))


def _per_step(output: TensorType, layer: Layer, steps: int) -> int:
    return output.size // steps if getattr(layer, "return_sequences", False) else output.size


def _formula(layer: Layer, inputs: tuple[TensorType, ...], outputs: tuple[TensorType, ...]) -> Keeps:
    if layer.role in ("reshape", "merge"):
        return Keeps()
    expression: str = layer.expression  # type: ignore[attr-defined]
    functions = sum(isinstance(n, ast.Call | ast.BinOp) for n in ast.walk(parse(expression)))
    largest = max(t.size for t in (*inputs, *outputs))
    return Keeps(inputs=True, outputs=True, numbers=max(0, functions - 1) * largest)
