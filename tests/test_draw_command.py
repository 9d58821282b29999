"""`archspec draw` as a program: one clear message for each mistake, nothing half written, no framework loaded."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archspec.cli import cli
from archspec.cli.doctor import command as doctor
from archspec.draw import Fonts, engine

SPECS = Path(__file__).parents[1] / "specs"
RESNET = str(SPECS / "resnet.yaml@resnet50")
HEAVY = {"keras", "tensorflow", "jax", "numpy", "h5py", "torch", "sklearn", "matplotlib"}

needs_engine = pytest.mark.skipif(engine() is None, reason="needs Graphviz")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["draw", *arguments])


def saved(path: Path, name: str = "net") -> Path:
    """A Sequential model as Keras saves it, with a class that nobody knows."""
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 8]}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 3}},
        {"module": "mine", "class_name": "Mine", "registered_name": "Mine>Mine", "config": {"name": "m"}},
    ]
    with zipfile.ZipFile(path, "w") as archive:
        config = {"class_name": "Sequential", "config": {"name": name, "layers": layers}}
        archive.writestr("config.json", json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--level", "blocsk"), 1, "got 'blocsk'; did you mean 'blocks'?"),
        (("--level", "block:nope"), 1, "there is no block 'nope'"),
        (("--only", "nope"), 1, "there is no scope 'nope'; there are stage1"),
        (("--expand", "nope*"), 1, "no scope matches 'nope*'; there are"),
        (("--collapse", "nope*"), 1, "no scope matches 'nope*'"),
        (("-o", "x.jpg"), 1, "unknown format 'jpg'; known are"),
        (("-o", "nowhere/x.svg"), 1, "there is no folder nowhere"),
        (("-o", "x" * 300 + ".svg"), 1, "cannot write"),
        (("-o", "."), 2, "is a directory"),
        (("--format", "jpg"), 2, "is not one of"),
        (("--palette", "dense=green"), 1, "got 'green'"),
        (("--palette", "dens=#112233"), 1, "palette has no argument 'dens'; did you mean 'dense'?"),
        (("--palette", "dense="), 2, "is not role=#RRGGBB"),
        (("--palette", "rainbow"), 1, "got 'rainbow'"),
        (("--width", "wide"), 1, "width must be inches"),
        (("--font-size", "3"), 1, "font_size of a drawing should be"),
        (("nonsense",), 2, "is no change to the spec"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(RESNET, *arguments)
    assert found.exit_code == code and said in found.stderr and "Traceback" not in found.output
    assert isinstance(found.exception, SystemExit) and os.listdir(tmp_path) == []


@needs_engine
def test_a_bitmap_that_would_be_too_large(tmp_path: Path) -> None:
    found = run(RESNET, "--level", "raw", "--direction", "LR", "-o", str(tmp_path / "x.png"))
    assert found.exit_code == 1 and "larger than bitmaps can be; write SVG or PDF" in found.stderr
    assert os.listdir(tmp_path) == []


@needs_engine
def test_without_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archspec.draw.picture.fonts", lambda _: Fonts(False, None))
    found = run(RESNET, "-o", "x.pdf")
    assert found.exit_code == 1 and "fonts-liberation" in found.stderr and os.listdir(tmp_path) == []


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = run(RESNET, "-o", "x.pdf")
    assert found.exit_code == 1 and "only x.dot and x.mmd are written" in found.stderr
    assert sorted(os.listdir(tmp_path)) == ["x.dot", "x.mmd"]
    assert run(RESNET, "-o", "x.html").exit_code == 0 and run(RESNET, "--report").exit_code == 1
    told = CliRunner().invoke(doctor, ["--no-devices"]).output
    assert "archspec[diagrams]" in told and "apt-get install graphviz" in told


@needs_engine
def test_doctor_says_what_draws() -> None:
    lines = CliRunner().invoke(doctor, ["--no-devices"]).output.splitlines()
    (graphviz,) = (line for line in lines if line.startswith("graphviz"))
    assert ", by " in graphviz and any(c.isdigit() for c in graphviz)


def test_a_saved_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file gives the picture its name: the one inside may be anything."""
    monkeypatch.chdir(tmp_path)
    found = run(str(saved(tmp_path / "mine.keras", "../../etc/passwd")), "--format", "mermaid")
    assert found.exit_code == 0 and "not known: Mine" in found.stderr
    assert sorted(os.listdir(tmp_path)) == ["mine.keras", "mine.mmd"]
    assert run("mine.keras", "params.a=3").exit_code == 2


def test_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its folder alone, as the other commands take it; of another folder it is said that it is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    Path("run/resolved.yaml").write_text("archspec: 1\nname: net\ninputs: {image: [4]}\nlayers: [ReLU]\n")
    Path("run/status.json").write_text('{"status": "finished"}')
    Path("run/environment.json").write_text(json.dumps({"home": str(tmp_path)}))
    assert run("run", "--format", "mermaid").exit_code == 0 and Path("net.mmd").read_text("utf-8")
    found = run(str(tmp_path))
    assert found.exit_code == 1 and "is no run" in found.stderr


def test_the_name_of_a_network_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text("archspec: 1\nname: ../a b/.c\ninputs: {image: [4]}\nlayers: [ReLU]\n")
    assert run("net.yaml", "--format", "json").exit_code == 0
    assert sorted(os.listdir(tmp_path)) == ["_a_b_.c.json", "net.yaml"]


@pytest.mark.parametrize("source", ["spec", "model"])
def test_no_framework_is_loaded(source: str, tmp_path: Path) -> None:
    reference = RESNET if source == "spec" else str(saved(tmp_path / "net.keras"))
    code = (
        "import sys; sys.argv = ['archspec', *sys.argv[1:]]\n"
        "from archspec.cli import main; code = main()\n"
        f"assert not code and not {HEAVY!r} & set(sys.modules), sorted({HEAVY!r} & set(sys.modules))"
    )
    formats = ["x.json", "x.html"] if engine() is None else ["x.svg", "x.html"]
    for name in formats:
        command = [sys.executable, "-c", code, "draw", reference, "-o", str(tmp_path / name)]
        subprocess.run(command, check=True, timeout=60, cwd=Path(__file__).parents[1])
