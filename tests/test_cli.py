"""The command line: help, exit codes, output, and what it must not load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import archspec
from archspec import cli
from archspec.language.source import parse

ROOT = Path(__file__).parent.parent
MLP = str(ROOT / "archspec/templates/mlp.yaml")
WRONG = "archspec: 1\nname: net\ninputs: {image: [8, 8, 1]}\nlayers:\n  - Con2D: {filters: 8, kernel_size: 3}\n"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process: its exit code, and what it printed to both streams."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["archspec", *arguments])
        code = cli.main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_explains_and_fits_a_terminal(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"archspec {command}" in out.partition("Options:")[0].split("\n", 1)[1], "an example of the command"
    assert max(map(len, out.splitlines())) <= 120


def test_help_lists_every_command_with_a_line(run: Run) -> None:
    _, out, _ = run("--help")
    for command in cli.COMMANDS:
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {command} ")]
        assert len(line.split()) > 2


# --- exit codes ----------------------------------------------------------------------------------


def test_0_where_all_is_well(run: Run) -> None:
    assert run("check", MLP)[0] == 0
    assert run("summary", MLP)[0] == 0


@pytest.mark.parametrize("command", ["check", "summary", "show", "draw", "build", "train"])
def test_1_where_the_spec_is_wrong_and_nothing_is_written(
    run: Run, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text(WRONG)
    code, _, err = run(command, "wrong.yaml")
    assert code == 1
    assert "error[E204]" in err and "wrong.yaml:5:5" in err and "did you mean 'Conv2D'?" in err
    assert [p.name for p in tmp_path.iterdir()] == ["wrong.yaml"]


def test_1_where_the_file_is_missing(run: Run) -> None:
    code, _, err = run("summary", "nowhere.yaml")
    assert code == 1 and "nowhere.yaml" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chek",), "did you mean 'check'?"),
        (("summary",), "Missing argument"),
        (("summary", MLP, "classes=3"), "PATH=VALUE"),
        (("summary", MLP, "--limit", "nods=3"), "nods"),
        (("summary", MLP, "--depth", "0"), "0"),
        (("layers", "Con2D"), "did you mean 'Conv2D'?"),
        (("layers", "Lambda"), "refused"),
        (("explain", "E999"), "E999"),
        (("new", "rnn"), "transformer"),
        (("build", MLP, "-o", "model.h5"), ".keras"),
    ],
)
def test_2_where_the_command_is_used_wrongly(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2 and said in err


def test_3_where_archspec_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise KeyError("broken")

    monkeypatch.setattr("archspec.architecture.load", broken)
    code, _, err = run("summary", MLP)
    assert code == 3 and "bug" in err and "broken" in err


# --- what commands print -------------------------------------------------------------------------


def test_check_as_json(run: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(WRONG)
    code, out, _ = run("check", str(wrong), "--json")
    told = json.loads(out)
    assert code == 1 and not told["ok"] and [d["code"] for d in told["diagnostics"]] == ["E204"]
    assert json.loads(run("check", MLP, "--json")[1])["ok"]


def test_summary_as_json(run: Run) -> None:
    told = json.loads(run("summary", MLP, "params.classes=7", "--json")[1])
    assert {"parameters", "macs", "inputs", "outputs", "layers"} <= told.keys()
    assert told["outputs"]["output"]["shape"] == [7]
    parameters = told["parameters"]
    assert parameters["total"] == parameters["trainable"] + parameters["non_trainable"] > 0


def test_summary_by_depth_has_fewer_rows_and_the_same_total(run: Run) -> None:
    by_layer, by_block = (json.loads(run("summary", MLP, "--json", *more)[1]) for more in ((), ("--depth", "1")))
    assert len(by_block["layers"]) < len(by_layer["layers"])
    assert by_block["parameters"] == by_layer["parameters"]


SHOWN = """\
archspec: 1
name: net
inputs: {image: [8, 8, 1]}                           #               8×8×1
blocks:
  half:
    params: {filters: int}
    layers:
      - Conv2D: {filters: =filters, kernel_size: 3}  # 6×6×4 … 2×2×16 (×3)
layers:
  - add: {skip: x, f: [Rescaling: 2, ReLU]}          #               8×8×1
  - half: {filters: =filters}                        # 6×6×4 … 2×2×16 (×3)
    for: {filters: [4, 8, 16]}
  - Flatten                                          #                  64
  - Dense: 10                                        #             10 (×2)
    repeat: 2
"""


def test_show_puts_shapes_beside_the_steps(run: Run, tmp_path: Path) -> None:
    text = "\n".join(line.partition("  #")[0].rstrip() for line in SHOWN.splitlines()) + "\n"
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    assert run("show", str(spec))[1] == SHOWN


def test_show_tells_which_file_a_line_is_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("archspec: 1\nname: base\ninputs: {a: [4]}\nlayers:\n  - Dense: 8\n")
    (tmp_path / "over.yaml").write_text("extends: base.yaml\nname: over\n")
    _, out, _ = run("show", str(tmp_path / "over.yaml"))
    assert out.startswith("extends: base.yaml\nname: over\n\n# ") and "  - Dense: 8" in out
    assert out.splitlines()[-1].endswith("# 8")


def test_show_document_reads_back_as_the_same_network(run: Run) -> None:
    _, out, _ = run("show", f"{MLP}@wide", "params.dropout=1e-3", "--stage", "document")
    data = parse(out).data
    assert data["params"] == {"width": 256, "depth": 2, "dropout": 0.001, "classes": 10}
    assert list(data)[:3] == ["archspec", "name", "description"]
    again = archspec.loads(out)
    assert again.graph.nodes.keys() == archspec.load(f"{MLP}@wide").graph.nodes.keys()


def test_show_graph(run: Run) -> None:
    assert run("show", MLP, "--stage", "graph")[1].startswith("graph mlp\ninputs:\n  image: (8, 8, 1)\nnodes:\n")


def test_layers_lists_and_explains(run: Run) -> None:
    assert (
        "Conv2D" in run("layers")[1]
        and "einsum" in run("layers", "--ops")[1]
        and "AdamW" in run("layers", "--objects")[1]
    )
    page = run("layers", "Conv2D")[1]
    assert "Shape:" in page and "kernel_size" in page and "glorot" in page.lower() and "- Conv2D: {" in page
    (told,) = json.loads(run("layers", "Dense", "--json")[1])
    assert told["arguments"][0] | {"of_call": False} == {
        "name": "units", "type": "int > 0", "required": True, "default": None, "of_call": False,
    }  # fmt: skip


def test_layers_shows_all_that_a_name_stands_for(run: Run) -> None:
    assert [entry["kind"] for entry in json.loads(run("layers", "Hinge", "--json")[1])] == ["loss", "metric"]


def test_every_page_can_be_made(run: Run) -> None:
    from archspec import reference
    from archspec.cli.layers import _page

    for name in reference.names():
        assert all(entry.doc and _page(entry) for entry in reference.find(name)), name


def test_explain(run: Run) -> None:
    assert "E301" in run("explain")[1]
    assert "To mend it:" in run("explain", "e301")[1]
    assert json.loads(run("explain", "E301", "--json")[1])["code"] == "E301"


def test_doctor_without_devices(run: Run) -> None:
    code, out, _ = run("doctor", "--no-devices", "--json")
    told = json.loads(out)
    names = [finding["name"] for finding in told["findings"]]
    assert (
        code == 0 and told["ok"] and {"python", "keras", "backend", "graphviz"} <= set(names) and "devices" not in names
    )


def test_doctor_names_the_remedy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    code, out, _ = run("doctor", "--no-devices")
    assert code == 1 and "export KERAS_BACKEND=tensorflow" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    code, out, _ = run("completion", shell)
    assert code == 0 and "_ARCHSPEC_COMPLETE" in out


def test_completion_completes_commands_and_variants() -> None:
    def completed(*words: str) -> str:
        environment = {
            **os.environ,
            "_ARCHSPEC_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        script = "from archspec.cli import run; run()"
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=ROOT, check=True
        )
        return run.stdout

    assert "plain,summary" in completed("archspec", "sum")
    assert f"{MLP}@wide" in completed("archspec", "summary", f"{MLP}@w")


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mlp", "cnn", "transformer"])
def test_new_writes_a_spec_that_is_right_and_never_overwrites(run: Run, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    assert run("new", kind, "-o", str(path))[0] == 0
    assert path.read_text().startswith("# yaml-language-server: $schema=")
    assert run("new", kind)[1] == path.read_text()
    assert run("check", str(path))[0] == 0
    data = archspec.load(path).document.raw
    assert {"archspec", "name", "description", "params", "inputs", "blocks", "layers", "data", "train"} <= data.keys()
    assert data["data"]["source"] == {"sklearn": "digits"}
    path.write_text("mine")
    code, _, err = run("new", kind, "-o", str(path))
    assert code == 1 and "not overwritten" in err and path.read_text() == "mine"


def test_draw_names_the_file_after_the_network(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("draw", f"{MLP}@wide", "--format", "dot", "--direction", "LR")[0] == 0
    assert "digraph" in Path("mlp_wide.dot").read_text()
    code, _, err = run("draw", MLP, "-o", "nowhere/net.dot")
    assert code == 1 and "nowhere" in err


def test_build_refuses_to_overwrite(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("mine")
    code, _, err = run("build", MLP, "-o", str(path))
    assert code == 1 and "--force" in err and path.read_text() == "mine"


def test_an_unknown_backend_is_told_plainly(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from archspec.cli import run; run()",
        "build",
        MLP,
        "-o",
        str(tmp_path / "m.keras"),
    ]
    environment = {**os.environ, "KERAS_BACKEND": "theano"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert run.returncode == 1 and "tensorflow and jax" in run.stderr


def test_build_saves_a_model_that_keras_loads(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    code, _, _ = run("build", MLP, "params.classes=7", "-o", str(path))
    import keras

    assert code == 0 and keras.models.load_model(path).output_shape == (None, 7)
    assert list(tmp_path.iterdir()) == [path], "no drafts are left"


def test_train_makes_a_run_folder_and_uses_no_other_twice(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run("train", MLP, "train.epochs=1", "--run-dir", str(folder), "--quiet")[0] == 0
    assert (folder / "model.keras").is_file() and (folder / "metrics.csv").is_file()
    code, _, err = run("train", MLP, "train.epochs=1", "--run-dir", str(folder), "--quiet")
    assert code == 1 and "not empty" in err


# --- what must not be loaded ---------------------------------------------------------------------

HEAVY = {"keras", "tensorflow", "jax", "torch", "numpy", "matplotlib", "sklearn", "h5py"}
STATIC = [
    ("check", MLP),
    ("check", "specs/resnet.yaml"),
    ("summary", MLP),
    ("show", MLP),
    ("draw", MLP, "--format", "dot", "-o", "{tmp}/net.dot"),
    ("layers", "Conv2D"),
    ("schema",),
    ("explain", "E301"),
    ("new", "mlp"),
]


@pytest.mark.parametrize("arguments", STATIC, ids=[" ".join(a[:2]).rpartition("/")[2] for a in STATIC])
def test_the_static_commands_load_no_framework(arguments: tuple[str, ...], tmp_path: Path) -> None:
    script = (
        "import sys\nfrom archspec.cli import main\ncode = main()\n"
        "print('LOADED', code, *{name.partition('.')[0] for name in sys.modules})\n"
    )
    command = [sys.executable, "-c", script, *(a.format(tmp=tmp_path) for a in arguments)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    _, code, *loaded = run.stdout.splitlines()[-1].split()
    assert code == "0", run.stderr
    heavy = HEAVY | {"graphviz", "pygraphviz"} if arguments[0] == "check" else HEAVY
    assert not heavy & set(loaded)
