"""What optimize, export and bench work on: a spec, a run, or a saved model, around whose unknown layers one may go."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from archspec.cli import cli
from archspec.cli.subject import open_subject

SPEC = """
archspec: 1
name: tiny
description: A small one
source: Nobody 2020
inputs: {values: [4]}
run: {backend: tensorflow}
blocks:
  head:
    description: What decides
    layers: [Dense: 3]
layers: [head]
"""


def test_a_spec_has_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    found = open_subject(str(path), (), (), ())
    assert (found.name, found.backend, found.has_weights) == ("tiny", "tensorflow", False)
    assert found.about == "tiny: A small one\n\nNobody 2020"
    assert found.descriptions == {"head": "What decides"}
    assert found.network().weights is None


@pytest.mark.parametrize("command", [["optimize"], ["export", "--to", "python"], ["bench"], ["draw"]])
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["folder"], 1, "is no run"),
        (["blocks.yaml"], 1, "is a library of blocks without layers"),
        (["broken.keras"], 1, "broken.keras"),
        (["broken.keras", "params.x=1"], 2, "has no values to change"),
        (["broken.keras", "--allow", "folder"], 2, "--allow is for"),
        (["folder", "--allow", "folder"], 2, "--allow is for"),
        (["folder", "--limit", "nodes=5"], 2, "keeps the limits"),
        (["missing.yaml"], 1, "missing.yaml"),
    ],
)
def test_what_cannot_be_opened(
    command: list[str], arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "blocks.yaml").write_text("archspec: 1\nname: b\nblocks: {one: {layers: [ReLU]}}\n")
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04 nothing of use")
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(cli, [*command, *arguments])
    told = result.output + str(getattr(result.exception, "diagnostics", ""))  # these are printed further out
    assert result.exit_code == code and said in told, told
    assert sorted(tmp_path.iterdir()) == before


def test_unknown_layers_stay_or_are_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is written for another runtime cannot have a stand-in where a layer was."""
    pytest.importorskip("keras")
    from tests.keras_models import with_unknown

    path = tmp_path / "mine.keras"
    with_unknown().save(path)
    found = open_subject(str(path), (), (), (), around=True)
    assert (found.name, found.model, found.has_weights) == ("mine", path, True)
    assert "left as it is: twist (Twist)" in capsys.readouterr().err
    printed = CliRunner().invoke(cli, ["optimize", str(path)]).output
    assert "Parameters and MACs are without those of twist, twist_1" in printed
    assert json.loads(CliRunner().invoke(cli, ["optimize", str(path), "--json"]).stdout)["not_counted"][0] == "twist"
    with pytest.raises(click.ClickException, match=r"twist \(Twist\)"):
        open_subject(str(path), (), (), ())
    result = CliRunner().invoke(cli, ["export", str(path), "--to", "python", "-o", str(tmp_path / "made.py")])
    assert result.exit_code == 1 and "twist (Twist)" in result.output
    assert list(tmp_path.iterdir()) == [path]
