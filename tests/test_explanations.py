"""Every code is explained, and every example gives its code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import archspec
from archspec.explanations import EXPLANATIONS, Explanation

SOURCE = Path(archspec.__file__).parent


def test_the_codes_explained_are_those_that_occur() -> None:
    used = {
        code
        for file in SOURCE.rglob("*.py")
        if file.name != "explanations.py"
        for code in re.findall(r'"([EW]\d{3})"', file.read_text("utf-8"))
    }
    assert used == set(EXPLANATIONS)


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_the_wrong_example_gives_its_code(code: str) -> None:
    codes = {d.code for d in diagnostics(EXPLANATIONS[code])}
    assert codes == {code}


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_lines_fit_a_terminal(code: str) -> None:
    assert max(map(len, EXPLANATIONS[code].to_text(code).splitlines())) <= 104


def diagnostics(explanation: Explanation) -> list[archspec.Diagnostic]:
    """What is found wrong in an example, as far as its stage."""
    try:
        network = archspec.loads(
            explanation.wrong, explanation.format, set=explanation.set, variant=explanation.variant
        )
        if explanation.stage == "train":
            plan(network)
        return network.check() if explanation.stage == "check" else []
    except archspec.SpecError as error:
        return list(error.diagnostics)


def plan(network: archspec.Architecture) -> None:
    from archspec.data.plan import plan
    from archspec.train.check import check_settings

    settings = check_settings(network.document, network.graph)
    plan(network.document, network.graph, settings.data, settings.losses(network.graph))
