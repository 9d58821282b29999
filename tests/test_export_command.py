"""`archspec export`: what it writes and says, and what bad input gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import archspec
from archspec.cli import cli
from archspec.export.base import formats
from tests.test_export import DIGITS, convolutional, installed, source_of, target


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


def spec(folder: Path, text: str = DIGITS) -> Path:
    path = folder / "digits.yaml"
    path.write_text(text)
    return path


def test_the_command_writes_code_and_says_what_it_checked(tmp_path: Path) -> None:
    path = tmp_path / "digits.py"
    result = run(spec(tmp_path), "--to", "python", "-o", path, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["format"] == "python"
    assert max(told["errors"].values()) <= told["tolerance"]
    assert path.read_text().startswith('"""tiny_digits: A small network for handwritten digits"""')


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ((), {"InputLayer", "Conv2D", "DepthwiseConv2D", "Flatten", "Dense"}),
        (("--also", "shifted-depthwise"), {"InputLayer", "Conv2D", "ShiftedDepthwiseConv2D", "Flatten", "Dense"}),
        (("--no-optimize",), {"InputLayer", "Conv2D", "BatchNormalization", "DepthwiseConv2D", "Flatten", "Dense"}),
    ],
)
def test_a_keras_file_is_optimised_as_the_others_are(options: tuple[str, ...], kinds: set[str], tmp_path: Path) -> None:
    import keras

    layers = "[Conv2D: {filters: 4, kernel_size: 3}, BatchNormalization, DepthwiseConv2D: 3, Flatten, Dense: 3]"
    text = f"archspec: 1\nname: small\ninputs: {{image: [8, 8, 3]}}\nlayers: {layers}\n"
    path = tmp_path / "small.keras"
    result = run(spec(tmp_path, text), "--to", "keras", "-o", path, *options)
    assert result.exit_code == 0, result.output
    assert {type(layer).__name__ for layer in keras.saving.load_model(path).layers} == kinds


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "python", "--also", "shifted-depthwise"), "it takes --optimize"),
        (("--to", "keras", "--also", "shifted-depthwise", "--no-optimize"), "it takes --optimize"),
        (("--to", "keras", "--also", "shifted"), "there is no pass 'shifted'"),
        (("--to", "onxx"), "there is no format 'onxx'"),
        (("--to", "python", "-o", "made.txt"), "python is written into .py files"),
        (("--to", "python", "-o", "missing/made.py"), "there is no folder"),
        (("--to", "python", "--int8"), "python is not written with int8"),
        (("--to", "keras", "--int8", "--tolerance", "1e-3"), "does not go with --int8"),
        (("--to", "keras", "--examples", "9"), "they take --int8"),
        (("--to", "python", "-o", "/proc/made.py"), "cannot write /proc/made.py"),
    ],
)
def test_bad_input_gets_one_message(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with inside(tmp_path):
        result = run(spec(tmp_path), *arguments)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.yaml"]


def inside(folder: Path) -> Any:
    import contextlib

    return contextlib.chdir(folder)


@pytest.mark.slow
def test_a_full_disk_is_told_and_python_ends_well(tmp_path: Path) -> None:
    """HDF5 cannot write, and once Python ends, it writes again: so the exit code is that of a process."""
    import subprocess
    import sys

    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    ignored = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    code = f"{limited}; {ignored}; from archspec.cli import run; run()"
    text = "archspec: 1\nname: large\ninputs: {values: [300]}\nlayers: [Dense: 300]\n"
    source_of(archspec.load(spec(tmp_path, text)).graph).model.save(tmp_path / "large.keras")
    command = [sys.executable, "-c", code, "export", "large.keras", "--to", "python", "-o", "made.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot write made.py: File too large" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.yaml", "large.keras"]


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "made.py"
    path.write_text("mine")
    result = run(spec(tmp_path), "--to", "python", "-o", path)
    assert result.exit_code == 1
    assert "is there already" in result.output
    assert path.read_text() == "mine"


def test_no_data_to_calibrate_with(tmp_path: Path) -> None:
    if not installed(formats()["litert"]):
        pytest.skip("litert is not installed")
    text = DIGITS[: DIGITS.index("data:")]
    result = run(spec(tmp_path, text), "--to", "litert", "--int8", "-o", tmp_path / "made.tflite")
    assert result.exit_code == 1
    assert "has no data to calibrate integers with" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["digits.yaml"]


def test_a_saved_model_is_read_as_data(tmp_path: Path) -> None:
    source = source_of(convolutional())
    source.model.save(tmp_path / "saved.keras")
    result = run(tmp_path / "saved.keras", "--to", "python", "-o", tmp_path / "made.py")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "made.weights.h5").is_file()
    (tmp_path / "bad.keras").write_bytes(b"nothing of the kind")
    result = run(tmp_path / "bad.keras", "--to", "python", "-o", tmp_path / "bad.py")
    assert result.exit_code == 1
    assert not (tmp_path / "bad.py").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["litert", "keras"])
def test_integers_keep_the_accuracy_of_a_run(name: str, tmp_path: Path) -> None:
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    archspec.load(spec(tmp_path)).train(tmp_path / "run", quiet=True)
    path = target(tmp_path, formats()[name])
    result = run(tmp_path / "run", "--to", name, "--int8", "-o", path, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout[result.stdout.index("{") :])
    assert told["before"]["accuracy"] > 0.8 and told["split"] == "test"
    assert abs(told["before"]["accuracy"] - told["after"]["accuracy"]) < 0.03
    if name == "litert":
        floats = tmp_path / "floats.tflite"
        assert run(tmp_path / "run", "--to", name, "-o", floats).exit_code == 0
        assert path.stat().st_size < 0.6 * floats.stat().st_size
