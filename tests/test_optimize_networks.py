"""All passes together: on graphs drawn at random, on networks of the zoo, and how long they take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import archspec
from archspec.export.proof import prove
from archspec.export.samples import random_network
from archspec.graph.ir import Graph
from archspec.graph.prune import pruned
from archspec.optimize.driver import optimize
from archspec.optimize.explain import figures
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Level
from tests import graphs
from tests.random_graphs import graphs as random_graphs

pytest.importorskip("keras")

SPECS = Path(__file__).parent.parent / "specs"
EVERYTHING = list(HealthCheck)
FEW = settings(max_examples=6, deadline=None, suppress_health_check=EVERYTHING, phases=[Phase.generate])
MANY = settings(FEW, max_examples=25)

# Passes that must apply to each, at least so many times.
ZOO = {
    "resnet.yaml@keras_resnet50 params.size=64": {"strides-first": 9, "fold-batch-norm": 53},
    "mobilenet.yaml@v2 params.size=64 params.alpha=0.35": {"fold-batch-norm": 52, "activations": 35},
    "densenet.yaml@cifar40_k12 params.size=16": {"average-pool-first": 2},
    "nasnet.yaml params.size=32 params.penultimate=264 params.repeats=1": {"common-subexpressions": 20},
    "swin.yaml params.size=56 params.window=7 params.depths=[2,2] params.heads=[3,6]": {"constants": 10},
    "bert.yaml@tiny": {"activations": 2},
    "t5.yaml params.vocabulary=99 params.length=8 params.depth=1 params.dim=32 params.heads=2": {"constants": 2},
}


def proof_of(graph: Graph, level: Level) -> None:
    network = random_network(pruned(graph))
    optimized = optimize(network, level)
    assert optimized.undo or level == "inference"
    proof = prove(network, optimized.network, undo=optimized.undo if level == "training" else None)
    assert proof.holds, (str(proof), [(a.pass_name, a.note) for a in optimized.applied])


@FEW
@given(random_graphs())
def test_random_graphs_keep_their_function(graph: Graph) -> None:
    proof_of(graph, "inference")


@FEW
@given(random_graphs())
def test_random_graphs_keep_their_gradients(graph: Graph) -> None:
    proof_of(graph, "training")


@pytest.mark.slow
@MANY
@given(random_graphs())
def test_many_random_graphs_keep_both(graph: Graph) -> None:
    proof_of(graph, "inference")
    proof_of(graph, "training")


@given(random_graphs())
@settings(max_examples=60, deadline=None, suppress_health_check=EVERYTHING)
def test_structure_does_not_depend_on_weights_and_is_final(graph: Graph) -> None:
    """Twice gives what once gives, and figures never rise."""
    for level in ("training", "inference"):
        once = optimize(Network(graph), level).network.graph
        assert optimize(Network(once), level).network.graph == once
        assert figures(once).macs <= figures(graph).macs


def loaded(line: str) -> Graph:
    spec, *changes = line.split()
    return archspec.load(SPECS / spec, changes=changes).graph


@pytest.mark.parametrize("line", ZOO)
def test_passes_apply_to_networks_of_the_zoo(line: str) -> None:
    applied = Counter(each.pass_name for each in optimize(Network(loaded(line))).applied)
    assert all(applied[name] >= least for name, least in ZOO[line].items()), applied


@pytest.mark.slow
@pytest.mark.parametrize("level", ["training", "inference"])
def test_a_network_of_bottlenecks_keeps_its_function_and_gradients(level: Level) -> None:
    """Those of all families are in test_optimize_zoo, gradients of the small ones."""
    proof_of(loaded("resnet.yaml@keras_resnet50 params.size=64"), level)


def seconds(graph: Graph, level: Level) -> float:
    """The least of three: this machine has other work."""
    found = []
    for _ in range(3):
        start = time.process_time()
        optimize(Network(graph), level)
        found.append(time.process_time() - start)
    return min(found)


@pytest.mark.parametrize("level", ["training", "inference"])
def test_resnet152_takes_less_than_half_a_second(level: Any) -> None:
    assert seconds(loaded("resnet.yaml@keras_resnet152"), level) < 0.5


def chain_of(length: int) -> Graph:
    """Blocks as in a residual network."""
    builder = graphs.GraphBuilder("long")
    x = graphs.conv_bn(builder, builder.input("x", (8, 8, 16)), "stem", 16)
    for index in range(length):
        x = graphs.bottleneck(builder, x, f"block{index}", 4, 1, projected=False)
    return builder.graph(x)


def fan_of(length: int) -> Graph:
    """Many different layers on one tensor."""
    builder = graphs.GraphBuilder("fan")
    x = builder.input("x", (8, 4))
    scaled = [builder.apply({"Rescaling": {"scale": 1.0 + index}}, x) for index in range(10 * length)]
    return builder.graph(builder.apply("Concatenate", *scaled))


def hub_of(length: int) -> Graph:
    """Many branches between one tensor and one sum, each rewritten."""
    builder = graphs.GraphBuilder("hub")
    x = builder.input("x", (4,))
    units = [builder.apply({"Dense": 4}, builder.apply({"Dropout": {"rate": 0.0}}, x)) for _ in range(5 * length)]
    return builder.graph(builder.apply("Add", *(builder.apply("BatchNormalization", dense) for dense in units)))


@pytest.mark.parametrize("graph_of", [chain_of, fan_of, hub_of])
def test_the_time_is_linear_in_the_graph(graph_of: Callable[[int], Graph]) -> None:
    short, long = (seconds(graph_of(length), "inference") for length in (50, 400))
    assert long < 8 * short * 2.5
