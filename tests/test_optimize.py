"""Every pass on graphs made for it: it applies, says why not, keeps the function, and a wrong one is noticed."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archspec.export.proof import Proof, prove
from archspec.export.samples import random_network
from archspec.graph.ir import Graph
from archspec.optimize.driver import OPTIONAL, ORDER, Optimized, run
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Level, Pass
from archspec.tensor import ShapeError
from tests.passes import Breakage, Case, Refusal, has_cases, module_of

pytest.importorskip("keras")

# Others that rewrite weights have their mistakes in test_optimize_weights_mistakes.
PASSES = tuple(each for each in (*ORDER, *OPTIONAL) if each.keeps_weights or has_cases(each.name))


def of_all(kind: str) -> list[Any]:
    found = [(each, case) for each in PASSES for case in getattr(module_of(each.name), kind)]
    return [pytest.param(each, case, id=f"{each.name}: {case.name}") for each, case in found]


def proven(graph: Graph, each: Pass, level: Level) -> tuple[Optimized, Proof]:
    network = random_network(graph)
    optimized = run(network, level, [each])
    undo = optimized.undo if level == "training" else None
    assert undo or level == "inference"
    return optimized, prove(network, optimized.network, undo=undo)


def test_names_are_unique_and_levels_are_right() -> None:
    every = (*ORDER, *OPTIONAL)
    assert len({each.name for each in every}) == len(every)
    assert all(each.level in ("training", "inference") for each in every)


@pytest.mark.parametrize("each", PASSES, ids=lambda each: each.name)
def test_a_pass_has_cases_refusals_and_three_breakages(each: Pass) -> None:
    cases = module_of(each.name)
    assert cases.CASES and (cases.REFUSALS or each.name == "dead-nodes") and len(cases.BREAKAGES) >= 3
    assert each.level == "inference" or any(case.level == "training" for case in cases.CASES)
    assert type(each).__doc__ and "Precondition" in type(each).__doc__


@pytest.mark.parametrize("each, case", of_all("CASES"))
def test_a_pass_applies_and_keeps_the_function(each: Pass, case: Case) -> None:
    optimized, proof = proven(case.graph, each, case.level or "inference")
    assert len(optimized.applied) == case.rewrites, (optimized.applied, optimized.skipped)
    assert proof.holds, proof
    assert tuple(optimized.network.graph.outputs) == tuple(case.graph.outputs)
    assert optimized.network.graph.inputs == case.graph.inputs
    before, after = random_network(case.graph).weights or {}, optimized.network.weights or {}
    back = optimized.undo(after) if optimized.undo else after if each.keeps_weights else {}
    assert not optimized.undo or back.keys() == before.keys()
    for name, values in back.items():
        assert all(np.array_equal(a, b) for a, b in zip(values, before[name], strict=True))
    assert not run(Network(optimized.network.graph), case.level or "inference", [each]).applied, "it is not done"


@pytest.mark.parametrize("each, refusal", of_all("REFUSALS"))
def test_a_pass_says_why_not(each: Pass, refusal: Refusal) -> None:
    optimized = run(Network(refusal.graph), refusal.level or "inference", [each])
    assert not optimized.applied and optimized.network.graph is refusal.graph
    reasons = [skipped.reason for skipped in optimized.skipped]
    assert any(refusal.reason in r for r in reasons) if refusal.reason else not reasons, reasons


@pytest.mark.parametrize("each, breakage", of_all("BREAKAGES"))
def test_a_wrong_pass_is_noticed(each: Pass, breakage: Breakage) -> None:
    assert isinstance(breakage.broken, type(each))
    try:
        optimized, proof = proven(breakage.graph, breakage.broken, breakage.level or each.level)
    except (AssertionError, ShapeError) as error:
        place = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        assert not place.is_relative_to(Path(__file__).parent), "the breakage itself is broken"
        return
    assert optimized.applied, "the breakage does nothing"
    assert not proof.holds, proof
