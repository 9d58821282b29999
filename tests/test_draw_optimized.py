"""`archspec draw --optimized`: the network that the passes make is drawn, and what they did stands at its layers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archspec import load
from archspec.cli import cli
from archspec.draw import draw, engine, measure
from archspec.draw.dot import REWRITTEN
from archspec.draw.fit import Figures
from archspec.draw.model import Box, Figure, boxes, unfold
from archspec.draw.options import options
from archspec.draw.palette import THEMES
from archspec.draw.rewritten import Marks
from archspec.draw.rewritten import rewritten as marking
from archspec.graph.ir import Graph
from archspec.optimize.driver import OPTIONAL, ORDER, optimize
from archspec.optimize.marks import rewritten
from archspec.optimize.network import Network

ROOT = Path(__file__).parents[1]
SPECS = ROOT / "specs"
GOLDEN = Path(__file__).parent / "golden" / "draw" / "optimized.mmd"
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}
MOVED = """
archspec: 1
name: moved
inputs: {image: [16, 16, 8]}
blocks:
  bottleneck:
    params: {s: 1}
    layers:
      - add:
          way:
            - {Conv2D: {filters: 8, kernel_size: 1, strides: =s, use_bias: false}}
            - BatchNormalization
            - ReLU
            - {Conv2D: {filters: 8, kernel_size: 3, padding: same}}
          around: [{Conv2D: {filters: 8, kernel_size: 1, strides: =s}}]
      - ReLU
layers:
  - {bottleneck: , repeat: 3, name: early}
  - {bottleneck: {s: 2}, name: late}
  - Dropout: 0.3
  - GlobalAveragePooling2D
  - {Dense: {units: 10, activation: softmax}}
"""

needs_engine = pytest.mark.skipif(engine() is None, reason="needs Graphviz")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["draw", *arguments])


def done(spec: str | Path, level: str = "inference") -> tuple[Graph, Marks]:
    graph = load(spec).graph
    found = optimize(Network(graph), level)  # type: ignore[arg-type]
    return found.network.graph, rewritten(graph, found)


def shown(graph: Graph, marks: Marks, **given: str) -> Figure:
    return Figures(graph, options(given), marking(graph, marks)).first


def noted(figure: Figure) -> list[Box]:
    return [box for panel in figure.panels for box in boxes(panel.items) if box.note]


def test_the_picture_is_as_in_the_golden_file(tmp_path: Path) -> None:
    spec, picture = tmp_path / "moved.yaml", tmp_path / "moved.mmd"
    spec.write_text(MOVED)
    result = run(str(spec), "--optimized", "-o", str(picture))
    assert result.exit_code == 0, result.output
    if os.environ.get("ARCHSPEC_UPDATE"):
        GOLDEN.write_text(picture.read_text("utf-8"), "utf-8")
    assert picture.read_text("utf-8") == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize(
    "spec", ["resnet.yaml@resnet50_v1", "densenet.yaml", "vit.yaml", "mobilenet.yaml", "swin.yaml"]
)
@pytest.mark.parametrize("level", ["inference", "training"])
def test_what_is_drawn_is_the_optimised_network(spec: str, level: str) -> None:
    graph, marks = done(SPECS / spec, level)
    layers, _ = unfold(shown(graph, marks))
    assert layers == set(graph.nodes)
    assert marks.keys() <= graph.nodes.keys()
    # Layer by layer, exactly those are marked that passes put.
    whole = noted(shown(graph, marks, level="layers"))
    assert {name for box in whole for name in box.layers if name in marks} == set(marks)
    assert all(set(box.layers) & set(marks) for box in whole)
    raw = {box.path: box.note for box in noted(shown(graph, marks, level="raw"))}
    assert raw == {name: ", ".join(told) for name, told in marks.items()}


def test_notes_say_what_was_done() -> None:
    graph, marks = done(SPECS / "densenet.yaml")
    notes = {box.note for box in noted(shown(graph, marks)) if box.kind == "layer"}
    assert notes == {"+BN, +activation", "pool first"}
    rows = {box.label: box.note for box in noted(shown(graph, marks)) if box.kind == "block"}
    assert rows["transition"] == "2 of 4 rewritten"


def test_a_note_that_holds_for_some_uses_counts_them() -> None:
    graph, marks = done(SPECS / "mobilenet.yaml")
    assert "+padding (4 of 12), +BN, +activation" in {box.note for box in noted(shown(graph, marks))}


def test_repeats_rewritten_alike_stay_folded() -> None:
    graph, marks = done(SPECS / "resnet.yaml@resnet50")
    stages = [box.times for box in boxes(shown(graph, marks).panels[0].items) if box.kind == "block"]
    assert stages == [3, 4, 6, 3]
    # In the first version strides move, so the last block of a stage is another one, and only the last stage is even.
    graph, marks = done(SPECS / "resnet.yaml@resnet50_v1")
    stages = [box.times for box in boxes(shown(graph, marks).panels[0].items) if box.kind == "block"]
    assert stages == [1, 1, 1, 3]


def test_what_is_only_put_again_is_not_marked() -> None:
    """A layer as it was, by a pass that keeps weights; one by a pass that changes them is marked."""
    graph = load(SPECS / "vit.yaml").graph
    found = optimize(Network(graph))
    kept = next(name for name in graph.nodes if graph.nodes[name] == found.network.graph.nodes.get(name))
    again = replace(found.applied[0], pass_name="strides-first", puts=(kept,))
    assert kept not in rewritten(graph, replace(found, applied=(again,)))
    again = replace(again, pass_name="fold-batch-norm")
    assert rewritten(graph, replace(found, applied=(again,)))[kept] == ("+BN",)


def test_every_pass_that_makes_layers_has_a_short_mark() -> None:
    assert [each.name for each in (*ORDER, *OPTIONAL) if not each.mark] == ["dead-nodes"]
    assert all(len(each.mark) <= 16 for each in (*ORDER, *OPTIONAL))


# --- the command ----------------------------------------------------------------------------------


@needs_engine
@pytest.mark.parametrize("theme", ["paper", "dark"])
def test_the_outline_has_the_theme_s_accent(theme: str, tmp_path: Path) -> None:
    spec, accent = str(SPECS / "digits_cnn.yaml"), THEMES[theme].accent.lower()
    for level, outlines in (((), 0), (("--optimized",), 2)):
        assert run(spec, *level, "--theme", theme, "-o", str(tmp_path / "x.svg")).exit_code == 0
        text = (tmp_path / "x.svg").read_text("utf-8").lower()
        assert text.count(f'stroke="{accent}" stroke-width="{REWRITTEN}"') == outlines
        assert (accent in text) is bool(outlines)


@pytest.mark.parametrize(
    ("arguments", "level"),
    [(("--optimized", "SPEC"), "inference"), (("SPEC", "--optimized"), "inference"),
     (("SPEC", "--optimized", "--legend"), "inference"), (("--optimized", "training", "SPEC"), "training"),
     (("SPEC", "--optimized=training"), "training")],
)  # fmt: skip
def test_the_level_may_be_left_out(arguments: tuple[str, ...], level: str, tmp_path: Path) -> None:
    spec, file = SPECS / "densenet.yaml", tmp_path / "x.json"
    result = run(*(str(spec) if each == "SPEC" else each for each in arguments), "-o", str(file))
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text("utf-8"))
    layers = {name for panel in found["panels"] for item in panel["items"] for name in item.get("layers", ())}
    graph, _ = done(spec, level)
    assert layers == set(graph.nodes)


def test_what_is_wrong_or_changes_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = str(SPECS / "digits_cnn.yaml")
    monkeypatch.chdir(tmp_path)
    assert "is not one of 'inference', 'training'" in run(spec, "--optimized=much").output
    result = run(spec, "--optimized", "training", "--format", "mermaid")
    assert result.exit_code == 0 and "nothing to rewrite for training" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["digits_cnn-optimized.mmd"]
    assert "rewritten" not in (tmp_path / "digits_cnn-optimized.mmd").read_text("utf-8")


def test_pages_mark_what_is_inside_folded_blocks(tmp_path: Path) -> None:
    graph, marks = done(SPECS / "inception.yaml")
    page = draw(graph, tmp_path / "x.html", rewritten=marks).read_text("utf-8")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    inside = [panel for panel in data["figure"]["panels"] if panel["id"].startswith("inside")]
    assert inside and all("+BN, +activation" in json.dumps(panel) for panel in inside)
    assert ["rewritten", "rewritten"] in data["legend"]


@needs_engine
@pytest.mark.parametrize("spec", ["resnet.yaml@resnet50_v1", "densenet.yaml", "vit.yaml", "unet.yaml"])
def test_notes_stay_inside_their_boxes(spec: str) -> None:
    graph, marks = done(SPECS / spec)
    found = measure(graph, rewritten=marks)
    assert (found.overlaps, found.tight, found.outside, found.uneven) == ((), (), (), ())
    assert found.width <= 3.31 and found.smallest_text >= 7


def test_no_framework_is_loaded_and_it_is_fast() -> None:
    code = (
        "import sys; from archspec.cli import cli; cli(['draw', *sys.argv[1:]], standalone_mode=False);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    began = time.perf_counter()
    command = [sys.executable, "-c", code, str(SPECS / "resnet.yaml@resnet152"), "--optimized", "-o", os.devnull]
    done = subprocess.run([*command, "--format", "json"], check=True, capture_output=True, text=True)
    assert not FRAMEWORKS & set(done.stdout.split())
    assert time.perf_counter() - began < 15  # a second, and a wide margin for a busy machine
