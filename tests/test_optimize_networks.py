"""All passes together: on graphs drawn at random, on networks of the zoo, and how long they take."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import archspec
from archspec.export.proof import prove
from archspec.export.samples import random_network
from archspec.graph.ir import Graph
from archspec.graph.prune import pruned
from archspec.optimize.driver import optimize
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Level
from tests import graphs
from tests.random_graphs import graphs as random_graphs

pytest.importorskip("keras")

SPECS = Path(__file__).parent.parent / "specs"
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

# Each with a small input, so that a proof takes a second or two.
ZOO = {
    "mobilenet_v2.yaml": {"params.size": 32},
    "resnet.yaml@keras_resnet50": {},
}


def proof_of(graph: Graph, level: Level) -> None:
    network = random_network(pruned(graph))
    optimized = optimize(network, level)
    assert optimized.undo or level == "inference"
    proof = prove(network, optimized.network, undo=optimized.undo if level == "training" else None)
    assert proof.holds, (str(proof), [(a.pass_name, a.note) for a in optimized.applied])


@SLOW
@given(random_graphs())
def test_random_graphs_keep_their_function(graph: Graph) -> None:
    proof_of(graph, "inference")


@SLOW
@given(random_graphs())
def test_random_graphs_keep_their_gradients(graph: Graph) -> None:
    proof_of(graph, "training")
