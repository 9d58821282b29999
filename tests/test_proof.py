"""What a proof is given, and what it sees: signs of scales, and errors behind a softmax."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from archspec.export.logits import with_logits
from archspec.export.proof import prove
from archspec.export.samples import random_network, random_weights
from archspec.graph.ir import Graph
from archspec.optimize.network import Network
from archspec.optimize.rewrite import changed
from tests.graphs import GraphBuilder, siamese
from tests.weight_rewrites import chain

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


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "tanh"])
def test_an_activation_within_a_layer_is_the_same_as_behind_it(end: str) -> None:
    inside, behind = _classes(end, inside=True), _classes(end, inside=False)
    weights = random_network(inside).weights
    proof = prove(Network(behind, weights), Network(inside, weights))
    assert proof.holds, proof
    assert set(proof.outputs) == {"output", f"output before {end}"}


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
