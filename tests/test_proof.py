"""What a proof is given, and what it sees: signs of scales, and errors behind a softmax."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from archspec.build.weights import built, read_weights
from archspec.export.formats.keras import keras_run
from archspec.export.logits import with_logits
from archspec.export.proof import prove, tolerated
from archspec.export.samples import random_inputs, random_network, random_weights
from archspec.graph.ir import Edge, Graph
from archspec.graph.prune import pruned
from archspec.graph.verify import verify
from archspec.optimize.network import Network, Weights
from archspec.optimize.rewrite import changed
from tests.graphs import GraphBuilder, siamese
from tests.passes import chain

pytest.importorskip("keras")


@pytest.mark.parametrize("layer", ["BatchNormalization", "LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("channels", [2, 3, 16])
def test_a_quarter_of_the_scales_is_negative(layer: str, channels: int) -> None:
    (weights,) = random_weights(chain((5, channels), layer)).values()
    assert (weights[0] < 0).sum() == math.ceil(channels / 4)
    assert np.all(np.abs(weights[0]) >= 0.5)


def test_scales_that_must_not_be_negative_are_not() -> None:
    (weights,) = random_weights(chain((8,), {"BatchNormalization": {"gamma_constraint": "non_neg"}})).values()
    assert np.all(weights[0] > 0)


def _classes(end: str, inside: bool) -> Graph:
    """A classifier whose activation is the dense layer's own, or a layer behind it."""
    if inside:
        return chain((6,), {"Dense": {"units": 4, "activation": end}})
    return chain((6,), {"Dense": 4}, {"Activation": end})


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "tanh"])
def test_an_error_that_the_last_activation_hides_is_seen(end: str) -> None:
    graph = _classes(end, inside=True)
    kernel, bias = random_network(graph).weights["dense1"]  # type: ignore[index]
    sure = Network(graph, {"dense1": (1e4 * kernel, bias)})
    off = Network(graph, {"dense1": (1.001e4 * kernel, bias)})
    proof = prove(sure, off)
    assert proof.outputs["output"] < 1e-6
    assert 1e-4 < proof.outputs[f"output before {end}"] < 1e-1
    assert not proof.holds
    assert prove(sure, sure).holds


@pytest.mark.parametrize(("change", "holds"), [(0.0, True), (1e-3, False)])
def test_the_rounding_of_rewritten_weights_is_no_mistake(change: float, holds: bool) -> None:
    """A sum of large terms that next to cancel: the last digit of a weight is seen in what is left of it."""
    graph = chain((6,), {"Dense": {"units": 2, "use_bias": False}}, {"Dense": {"units": 1, "use_bias": False}})
    rng = np.random.default_rng(0)
    column = rng.standard_normal((6, 1))
    first = 1 / 3 * np.concatenate([column, column + 1e-4 * rng.standard_normal((6, 1))], axis=1)
    original = Network(graph, {"dense1": (first.astype("float32"),), "dense2": (np.array([[1], [-1]], "float32"),)})

    def thirds(weights: Weights) -> Weights:
        return {"dense1": (weights["dense1"][0] * ((1 + change) / 3),), "dense2": (weights["dense2"][0] * 3,)}

    assert original.weights
    optimized = Network(graph, thirds(original.weights))
    blind, seen = prove(original, optimized), prove(original, optimized, redo=thirds)
    assert blind.outputs["output"] == seen.outputs["output"] > 1e-4
    assert not blind.holds and seen.holds is holds, seen
    assert not prove(original, optimized, redo=thirds, tolerance=1e-4).holds, "a tolerance is taken at its word"


def test_outputs_without_a_finite_number_show_nothing() -> None:
    network = Network(graph := chain((6,), {"Dense": 2}), random_network(graph).weights)
    blank = Network(graph, {"dense1": tuple(np.full_like(w, np.nan) for w in network.weights["dense1"])})
    proof = prove(blank, blank)
    assert not proof.holds
    assert str(proof) == "output is NaN or infinite throughout, for ordinary inputs"


@pytest.mark.parametrize(("size", "least", "most"), [(0.0, 1e-4, 1e-4), (1e4, 1e-3, 2e-2), (1e7, 0.1, 0.1)])
def test_what_is_put_down_to_rounding(size: float, least: float, most: float) -> None:
    """x + size - size keeps the fewer digits of x the larger the size is."""
    graph = chain((64,), {"Rescaling": {"scale": 1.0, "offset": size}}, {"Rescaling": {"scale": 1.0, "offset": -size}})
    network, inputs = Network(graph, {}), random_inputs(graph, batch=2)
    given = keras_run(built(network), graph)(inputs)
    assert least <= tolerated(network, inputs, given) <= most


def sampled(*, twice: bool = False) -> Graph:
    """An encoder to a distribution, a sample of it, or the sum of two, and a decoder."""
    builder = GraphBuilder("sampled")
    x = builder.input("x", (6,))
    ends = [builder.apply({"Dense": 4}, x, name=name) for name in ("mean", "log_var")]
    drawn = [builder.apply("Sampling", *ends, name=name) for name in (("one", "two") if twice else ("one",))]
    middle = builder.apply("Average", *drawn) if twice else drawn[0]
    return builder.graph(builder.apply({"Dense": {"units": 3, "activation": "sigmoid"}}, middle, name="decoder"))


def test_what_is_drawn_after_training_too_is_compared() -> None:
    network = random_network(sampled())
    assert prove(network, network).error == 0
    assert prove(network, network, undo=lambda weights: weights).holds
    assert network.weights
    kernel, bias = network.weights["log_var"]
    off = Network(network.graph, {**network.weights, "log_var": (kernel * 1.01, bias)})
    assert not prove(network, off).holds


def test_two_samples_are_not_one() -> None:
    """Though at one point of the distribution, where they are compared, they are the same."""
    two, one = sampled(twice=True), sampled()
    weights = random_network(one).weights
    proof = prove(Network(two, weights), Network(one, weights))
    assert proof.error < 1e-6 and not proof.holds
    assert "Sampling" in str(proof)


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "tanh"])
def test_an_activation_within_a_layer_is_the_same_as_behind_it(end: str) -> None:
    inside, behind = _classes(end, inside=True), _classes(end, inside=False)
    weights = random_network(inside).weights
    proof = prove(Network(behind, weights), Network(inside, weights))
    assert proof.holds, proof
    assert set(proof.outputs) == {"output", f"output before {end}"}


def test_named_tensors_are_compared_in_training() -> None:
    """Losses may be taken of them: one that is next to the right tensor is a mistake, though outputs are the same."""
    graph = chain((6,), {"Dense": 4}, "ReLU", {"Dense": 3})
    weights = random_network(graph).weights
    right, wrong = (Network(replace(graph, tensors={"code": Edge(node)}), weights) for node in ("re_lu1", "dense1"))
    assert prove(right, wrong).holds, "after the training nobody asks for it"
    proof = prove(right, wrong, undo=lambda weights: weights)
    assert not proof.holds and proof.outputs["tensor code"] > 1
    assert prove(right, right, undo=lambda weights: weights).holds


@pytest.mark.parametrize("pool", ["MaxPooling3D", "AveragePooling3D"])
def test_steps_of_networks_on_volumes_are_compared(pool: str) -> None:
    """TensorFlow pools them in float32 only."""
    layers = [{"Conv3D": {"filters": 4, "kernel_size": 2}}, "ReLU", {pool: {"pool_size": 2}}, "Flatten", {"Dense": 2}]
    network = random_network(chain((5, 5, 5, 2), *layers))
    proof = prove(network, network, undo=lambda weights: weights)
    assert proof.holds and proof.gradients


def test_ends_that_differ_are_compared_as_they_are() -> None:
    with_end, without = _classes("softmax", inside=True), chain((6,), {"Dense": 4})
    weights = random_network(without).weights
    proof = prove(Network(with_end, weights), Network(without, weights))
    assert set(proof.outputs) == {"output"} and not proof.holds


def test_what_others_read_behind_an_activation_stays() -> None:
    builder = GraphBuilder()
    gate = builder.apply({"Dense": {"units": 6, "activation": "sigmoid"}}, x := builder.input("x", (6,)), name="gate")
    graph = builder.graph(gate=gate, gated=builder.apply("Multiply", x, gate, name="gated"))
    network = random_network(graph)
    (shown,) = with_logits([network])
    assert list(shown.graph.outputs) == ["gate", "gated", "gate before sigmoid"]
    assert prove(network, network).holds
    wrong = replace(graph.nodes["gate"], layer=changed(graph.nodes["gate"].layer, activation="tanh"))
    other = Network(replace(graph, nodes={**graph.nodes, "gate": wrong}), network.weights)
    assert not prove(network, other).holds


def test_layers_with_several_uses_stay() -> None:
    network = random_network(siamese())
    assert with_logits([network])[0] is network


def test_a_layer_whose_first_use_no_output_needs_is_that_of_its_next() -> None:
    """What only the first use read is no part of Keras's model, which has one layer, by the first use's name."""
    builder = GraphBuilder()
    x = builder.input("x", (4,))
    builder.apply({"Dense": 4}, builder.apply({"Dense": 4}, x, name="before"), name="first")
    second = builder.apply({"Dense": 4}, x, name="second", shares="first")
    third = builder.apply({"Dense": 4}, second, name="third", shares="second")
    graph = pruned(replace(builder.graph(third), tensors={"second": second}))
    verify(graph)
    assert {name: node.shares for name, node in graph.nodes.items()} == {"x": None, "first": None, "third": "first"}
    assert graph.tensors == {"second": Edge("first")}
    network = random_network(graph)
    assert read_weights(built(network), graph).keys() == {"first"} and prove(network, network).holds
