"""Random inputs and weights that bring mistakes to light: nothing is 0 or 1, and activations keep a sane scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from archspec.graph.ir import Graph, Node
from archspec.layers.base import FLOATS, Layer, WeightSpec
from archspec.layers.core import Embedding, ReversibleEmbedding
from archspec.layers.formula import Formula
from archspec.layers.normalization import BatchNormalization
from archspec.layers.objects.constraints import NonNeg
from archspec.layers.own import Sampling
from archspec.optimize.network import Array, Network, Weights
from archspec.tensor import TensorType, numpy_dtype

STEPS, PIXELS = 7, 64  # what an unknown length is: of a sequence, of an image
POSITIVE = ("variance", "stddev", "count")  # weights that must be above zero
SCALES = ("gamma", "scale")  # weights that keep their distance from zero
NEGATIVE = 0.25  # of the scales of a layer: what holds for positive ones only, as of relu and maxima, is seen so
SOFT = 0.2  # of the usual scale: kernels before a softmax
CALIBRATED = 4  # examples that the statistics are taken of, with those of a proof among them
LARGE = 4.0  # times as large is every second example
NOISE = ("rate", "dropout", "recurrent_dropout", "stddev")  # arguments of how much is drawn at random in training
DRAWN = 0.7  # standard deviations from the mean, for what is drawn after training too
WORDS = ("a", "b", "c d")


def random_inputs(graph: Graph, batch: int = 2, seed: int = 0) -> list[Array]:
    """A batch for each input. Numbers are normal; integers lie below what reads them can take.

    Every second example is LARGE times as large: the bound of relu6 is seldom met otherwise. A larger batch begins
    with the examples of a smaller one.
    """
    rngs = [np.random.default_rng([seed, 1, place]) for place in range(len(graph.inputs))]
    named = zip(rngs, graph.inputs, strict=True)
    samples = [_sample(rng, graph.nodes[name].outputs[0], bounds(graph, name), batch) for rng, name in named]
    for sample in filter(lambda sample: sample.dtype.kind == "f", samples):
        sample[1::2] *= LARGE
    return samples


def _sample(rng: np.random.Generator, tensor: TensorType, bound: int, batch: int) -> Array:
    unknown = STEPS if tensor.rank <= 2 else PIXELS
    shape = (batch, *(unknown if length is None else length for length in tensor.shape))
    if tensor.dtype == "string":
        return rng.choice(WORDS, shape).astype(object)
    if tensor.dtype in FLOATS or "complex" in tensor.dtype:
        return rng.standard_normal(shape).astype(numpy_dtype(tensor.dtype))
    return rng.integers(0, bound, shape).astype(tensor.dtype)


def bounds(graph: Graph, name: str) -> int:
    """Below what the integers of an input must be for the tables that they are looked up in; 2 where there is none.

    They are followed through layers without weights. Linear in the graph.
    """
    found, seen, waiting = [], {name}, [name]
    while waiting:
        for reader in graph.readers[waiting.pop()]:
            if reader in seen:
                continue
            seen.add(reader)
            table = _table(graph.nodes[reader].layer)
            if table:
                found.append(table)
            elif not graph.nodes[reader].shares and not graph.weights(graph.nodes[reader]):
                waiting.append(reader)
    return min(found, default=2)


def _table(layer: Layer) -> int | None:
    if isinstance(layer, Embedding | ReversibleEmbedding):
        return layer.input_dim
    rows = getattr(layer, "num_tokens", None) or getattr(layer, "input_dim", None)
    nested = getattr(layer, "layer", None)
    return rows or (_table(nested) if isinstance(nested, Layer) else None)


def random_weights(graph: Graph, seed: int = 0) -> Weights:
    """Weights of the scale that keeps activations as large as they are: kernels by their inputs, He et al. 2015."""
    rng = np.random.default_rng([seed, 2])
    found = {}
    for name, node in graph.nodes.items():
        # A softmax of large values takes one of them for all, which hides or blows up what they were.
        scale = SOFT if getattr(node.layer, "activation", None) == "softmax" else 1.0
        specs = graph.weights(node)
        signed = not isinstance(getattr(node.layer, "gamma_constraint", None), NonNeg)
        if specs:
            found[name] = tuple(_weight(rng, spec, scale, signed) for spec in specs)
    return found


def _weight(rng: np.random.Generator, spec: WeightSpec, scale: float, signed: bool) -> Array:
    name = spec.name.rpartition("/")[2]
    if spec.dtype not in FLOATS:
        return rng.integers(1, 5, spec.shape).astype(spec.dtype)
    if any(word in name for word in POSITIVE):
        values = rng.uniform(0.5, 1.5, spec.shape)
    elif any(word in name for word in SCALES):
        values = rng.uniform(0.5, 1.5, spec.shape) * (_signs(rng, spec.shape) if signed else 1)
    elif "kernel" in name and len(spec.shape) > 1:
        values = rng.standard_normal(spec.shape) * (scale * math.sqrt(2 / _inputs(name, spec.shape)))
    else:
        values = rng.standard_normal(spec.shape) * 0.3
    return np.asarray(values).astype(numpy_dtype(spec.dtype))


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """-1 for a quarter, at least for one of several, else 1; which ones is random."""
    size = math.prod(shape)
    negative = math.ceil(NEGATIVE * size) if size > 1 else 0
    return np.where(rng.permutation(size) < negative, -1.0, 1.0).reshape(shape)


def _inputs(name: str, shape: tuple[int, ...]) -> int:
    """How many numbers one output of a kernel sums: a depthwise one has its channels beside each other."""
    window = math.prod(shape[:-2])
    return max(1, window if "depthwise" in name else window * shape[-2])


def random_network(graph: Graph, seed: int = 0) -> Network:
    """The graph with random weights. Moving statistics are near those of the activations, as after a training.

    Else residual networks, which normalise to keep their scale, would grow twofold with each block.
    """
    network = Network(graph, random_weights(graph, seed))
    return _calibrated(network, seed) if any(map(_normalizes, graph.nodes.values())) else network


def filled(network: Network, seed: int = 0) -> Network:
    """The network, with random weights where it has none."""
    return network if network.weights is not None else random_network(network.graph, seed)


def _normalizes(node: Node) -> bool:
    return isinstance(node.layer, BatchNormalization) and not node.shares


def _calibrated(network: Network, seed: int) -> Network:
    """The network with the statistics of a random batch, each off by some: at most half of the variance."""
    from archspec.build.weights import built, read_weights

    graph = stilled(network.graph)
    nodes = {name: replace(node, layer=_forgetting(node.layer), trainable=True) for name, node in graph.nodes.items()}
    model = built(Network(replace(graph, nodes=nodes), network.weights))
    inputs = random_inputs(graph, CALIBRATED, seed)
    model(inputs if len(inputs) > 1 else inputs[0], training=True)
    rng, weights = np.random.default_rng([seed, 3]), {**(network.weights or {}), **read_weights(model, network.graph)}
    for name in filter(lambda name: _normalizes(network.graph.nodes[name]), weights):
        specs = network.graph.weights(network.graph.nodes[name])
        weights[name] = _off(rng, specs, weights[name])
    return Network(network.graph, weights)


def _forgetting(layer: Layer) -> Layer:
    """Batch normalisation whose moving statistics are those of the last batch."""
    return layer.model_copy(update={"momentum": 0.0}) if isinstance(layer, BatchNormalization) else layer


def _off(rng: np.random.Generator, specs: Sequence[WeightSpec], values: tuple[Array, ...]) -> tuple[Array, ...]:
    """Statistics that are off by up to half of the variance, and by a third of the standard deviation."""
    found = dict(zip((spec.name for spec in specs), (value.astype(np.float64) for value in values), strict=True))
    # Of few pixels some channels have next to no variance, and would be blown up a thousandfold.
    variance = found["moving_variance"] + 0.1 * np.mean(found["moving_variance"]) + 1e-3
    found["moving_variance"] = variance * rng.uniform(0.5, 1.5, variance.shape)
    found["moving_mean"] += rng.standard_normal(variance.shape) * 0.3 * np.sqrt(variance)
    return tuple(found[spec.name].astype(numpy_dtype(spec.dtype)) for spec in specs)


def stilled(graph: Graph) -> Graph:
    """The graph with nothing left to chance in its dropouts and noises, those inside of other layers too.

    What is drawn of a distribution, in training and after it, is the same point of it for all.
    """
    nodes = {name: _still_node(node) for name, node in graph.nodes.items()}
    return replace(graph, nodes=nodes)


def _still_node(node: Node) -> Node:
    if isinstance(node.layer, Sampling):
        text, dtype = f"mean + exp(log_var / 2) * {DRAWN}", node.layer.dtype
        point = Formula(expression=text, arguments=("mean", "log_var"), dtype=dtype)
        return replace(node, layer=point, parameters=("inputs", "inputs"))
    return replace(node, layer=_still(node.layer))


def random_outputs(graph: Graph) -> set[str]:
    """The outputs that depend on what is drawn anew in each call, after training too. Linear in the graph."""
    drawn: set[str] = set()
    for node in graph.nodes.values():
        if isinstance(node.layer, Sampling) or any(edge.node in drawn for edge in node.inputs):
            drawn.add(node.name)
    return {name for name, edge in graph.outputs.items() if edge.node in drawn}


def _still(layer: Layer) -> Layer:
    changes: dict[str, Any] = {name: 0.0 for name, _ in noises(layer)}
    nested = {name: getattr(layer, name) for name in type(layer).model_fields}
    changes |= {name: _still(value) for name, value in nested.items() if isinstance(value, Layer)}
    return layer.model_copy(update=changes) if changes else layer


def noises(layer: Layer) -> Iterator[tuple[str, float]]:
    """The layer's arguments that say how much is drawn at random in training, where that is anything."""
    fields: Mapping[str, Any] = type(layer).model_fields
    yield from ((name, value) for name in NOISE if name in fields and (value := getattr(layer, name)))
