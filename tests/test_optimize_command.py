"""`archspec optimize`: what it prints, writes and refuses, and that explaining loads no framework."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import archspec
from archspec import cli
from archspec.graph.ir import Node
from archspec.graph.text import to_text
from archspec.graph.verify import verify
from archspec.optimize import driver
from archspec.optimize.draft import Draft
from archspec.optimize.driver import optimize
from archspec.optimize.explain import figures, report
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Answer, Pass, Rewrite, changed
from tests.test_golden import compare, specs
from tests.test_optimize_networks import SPECS

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests/golden/optimize"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["archspec", "optimize", *map(str, arguments)])
        code = cli.main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize("spec", specs("optimize"), ids=lambda p: p.stem)
def test_explanations(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(spec.parent)
    graph = archspec.load(spec.name).graph
    text = []
    for level in ("training", "inference"):
        optimized = optimize(Network(graph), level)
        verify(optimized.network.graph)
        text += [report(graph, optimized, level).to_text(), to_text(optimized.network.graph)]
    compare("\n".join(text), spec)


def test_origins_names_and_inputs_survive() -> None:
    graph = archspec.load(GOLDEN / "residual.yaml").graph
    made = optimize(Network(graph), "inference").network.graph
    assert made.inputs == graph.inputs and list(made.outputs) == list(graph.outputs)
    assert all(node.origin.span for node in made.nodes.values())
    assert "pooled" in graph.tensors and "pooled" in made.tensors
    assert optimize(Network(graph), "inference", keep=["pooled"]).network.graph.tensors["pooled"]


def test_figures_count_what_is_read_and_written() -> None:
    graph = archspec.loads(
        "archspec: 1\nname: n\ninputs: {values: [4]}\nlayers: [{Dense: {units: 3, use_bias: false}}, ReLU]"
    ).graph
    found = figures(graph)
    assert (found.layers, found.parameters, found.macs) == (2, 12, 12)
    assert found.traffic_bytes == 4 * ((4 + 12 + 3) + (3 + 3))


def test_explaining_loads_no_framework() -> None:
    code = (
        "import sys, archspec.cli as c; sys.argv[1:] = ['optimize', sys.argv[1], '--explain', '--json'];"
        "assert c.main() == 0; print(sorted({'keras', 'tensorflow', 'jax'} & sys.modules.keys()))"
    )
    spec = str(SPECS / "resnet.yaml@resnet18")
    made = subprocess.run([sys.executable, "-c", code, spec], capture_output=True, text=True, check=True)
    said, _, modules = made.stdout.rstrip().rpartition("\n")
    assert modules == "[]" and json.loads(said)["after"]["layers"] < json.loads(said)["before"]["layers"]


def test_a_saved_model_is_optimised_and_computes_the_same(run: Run, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    x = keras.Input((8, 8, 3), name="image")
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(layers.ZeroPadding2D(1)(x))))
    model = keras.Model(x, layers.Dense(5)(layers.Flatten()(layers.Dropout(0.5)(y))))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.3, 1.3, weight.shape))
    model.save(tmp_path / "model.keras")
    code, out, err = run(tmp_path / "model.keras", "-o", tmp_path / "fast.keras", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["verified"]["holds"] and not said["refused"]
    made = keras.saving.load_model(tmp_path / "fast.keras")
    assert not {"BatchNormalization", "ZeroPadding2D", "Dropout", "ReLU"} & {type(n).__name__ for n in made.layers}
    images = rng.standard_normal((2, 8, 8, 3)).astype("float32")
    assert np.allclose(model(images), made(images), rtol=1e-4, atol=1e-4)
    before = (tmp_path / "fast.keras").read_bytes()
    code, _, err = run(tmp_path / "model.keras", "-o", tmp_path / "fast.keras")
    assert code == 1 and "--force" in err and (tmp_path / "fast.keras").read_bytes() == before


def test_a_spec_is_verified_with_random_weights(run: Run) -> None:
    pytest.importorskip("keras")
    code, out, err = run(GOLDEN / "padded.yaml", "--verify", "--level", "training")
    assert code == 0, err
    assert "Verified: largest error" in out


def test_passes_are_added_to_those_of_the_level(run: Run) -> None:
    alone = json.loads(run(GOLDEN / "padded.yaml", "--json")[1])
    more = json.loads(run(GOLDEN / "padded.yaml", "--json", "--also", "norm-as-depthwise,dense-for-one-by-one")[1])
    applied = [{each["pass"] for each in told["applied"]} for told in (alone, more)]
    assert applied[1] - applied[0] == {"norm-as-depthwise", "dense-for-one-by-one"} and applied[0] < applied[1]
    for level in ("training", "inference"):
        names = [each.name for each in driver.chosen(level, skip=["activations"], also=["shifted-depthwise"])]  # type: ignore[arg-type]
        assert names[-1] == "shifted-depthwise" and "activations" not in names and "identities" in names


@dataclass(frozen=True)
class Wrong(Pass):
    """Takes a relu for a tanh. Precondition: none."""

    name = "wrong"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if getattr(node.layer, "activation", None) != "relu":
            return None
        return Rewrite((node.name,), (replace(node, layer=changed(node.layer, activation="tanh")),))


def test_a_pass_that_cannot_be_proven_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras")
    monkeypatch.setattr(driver, "ORDER", (*driver.ORDER, Wrong()))
    code, out, _ = run(GOLDEN / "padded.yaml", "--verify", "--json")
    assert code == 0
    said = json.loads(out)
    assert [each["pass"] for each in said["refused"]] == ["wrong"] and said["verified"]["holds"]
    assert said["refused"][0]["error"] > 1e-2
    assert {each["pass"] for each in said["applied"]} > {"activations", "paddings"}


@dataclass(frozen=True)
class Biasless(Pass):
    """Loses the bias of convolutions. Precondition: none."""

    name = "biasless"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        if not getattr(node.layer, "use_bias", False):
            return None
        made = replace(node, layer=changed(node.layer, use_bias=False))
        return Rewrite((node.name,), (made,), weights=lambda old: {node.name: old[node.name][:1]})


def test_what_fresh_weights_hide_is_seen(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of a spec gets fresh weights, whose biases are 0; what is compared are random ones."""
    keras = pytest.importorskip("keras")
    monkeypatch.setattr(driver, "ORDER", (*driver.ORDER, Biasless()))
    code, out, err = run(GOLDEN / "padded.yaml", "-o", tmp_path / "made.keras", "--json")
    assert code == 0, err
    assert [each["pass"] for each in json.loads(out)["refused"]] == ["biasless"]
    made = keras.saving.load_model(tmp_path / "made.keras")
    biases = [weight for weight in made.weights if weight.path.endswith("bias")]
    assert biases and not any(np.any(bias) for bias in biases)


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["padded.yaml", "--passes", "padings"], 2, "did you mean 'paddings'?"),
        (["padded.yaml", "--skip", "nothing"], 2, "the passes are"),
        (["padded.yaml", "--also", "shifted-depthwize"], 2, "did you mean 'shifted-depthwise'?"),
        (["padded.yaml", "--also", "norm-as-depthwise", "--level", "training"], 2, "of the level inference"),
        (["padded.yaml", "--also", "merge-parallel", "--passes", "paddings"], 2, "give one of them"),
        (["padded.yaml", "--level", "training", "--passes", "fold-batch-norm"], 2, "of the level inference"),
        (["padded.yaml", "--tolerance", "nan"], 2, "not a number above 0"),
        (["padded.yaml", "-o", "made.onnx"], 2, ".keras"),
        (["padded.yaml", "-o", "nowhere/made.keras"], 1, "no folder"),
        (["padded.yaml", "--explain", "-o", "made.keras"], 2, "writes nothing"),
        (["padded.yaml", "--explain", "--verify"], 2, "builds nothing"),
        (["padded.yaml", "--tolerance", "1e-3"], 2, "which --verify or -o makes"),
        (["padded.yaml", "--no-verify", "--tolerance", "1e-3", "-o", "made.keras"], 2, "which --verify or -o makes"),
        (["padded.yaml", "--force"], 2, "which -o names"),
        (["nothing.keras"], 1, "cannot read nothing.keras"),
        (["broken.keras"], 1, "broken.keras"),
        (["broken.keras", "params.x=1"], 2, "no values to change"),
    ],
)
def test_bad_input_gets_one_message(
    run: Run, arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "padded.yaml").write_text((GOLDEN / "padded.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04 nothing of use")
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*arguments)
    assert (found, out) == (code, "") and message in err and "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.keras", "padded.yaml"]


def test_the_documentation_lists_every_pass_in_order() -> None:
    text = (ROOT / "docs/optimize.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (training|inference) \|", text, re.MULTILINE)
    assert rows == [(each.name, each.level) for each in (*driver.ORDER, *driver.OPTIONAL)]
