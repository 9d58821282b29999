"""What people read, kept as text beside the spec it comes from.

ARCHSPEC_UPDATE=1 writes the texts anew; read the difference before you commit it.
"""

import os
from pathlib import Path

import pytest

from archspec.check import check
from archspec.diagnostics import render
from archspec.graph.text import to_text
from archspec.graph.verify import verify

GOLDEN = Path(__file__).parent / "golden"


def specs(folder: str) -> list[Path]:
    return sorted(p for p in (GOLDEN / folder).iterdir() if p.suffix in (".yaml", ".json"))


def compare(text: str, spec: Path) -> None:
    expected = spec.with_suffix(".txt")
    if os.environ.get("ARCHSPEC_UPDATE"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("spec", specs("errors"), ids=lambda p: p.stem)
def test_errors(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spec.parent)
    result = check(spec.name)
    assert result.diagnostics
    compare(render(result.diagnostics, result.texts) + "\n", spec)


@pytest.mark.parametrize("spec", specs("elaborate"), ids=lambda p: p.stem)
def test_elaborate(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spec.parent)
    result = check(spec.name)
    assert not result.diagnostics, render(result.diagnostics, result.texts)
    for _, network in result.networks:
        verify(network.graph)
    compare("\n".join(to_text(network.graph) for _, network in result.networks), spec)
