"""What changed from one network to another: in words, as data, in colour."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import archspec
from archspec.analysis.diff import diff
from archspec.cli import cli
from archspec.draw import engine
from archspec.draw.change import COLOURS, draw_change, marked, merged
from archspec.draw.fold import View, figure
from archspec.draw.model import boxes
from archspec.graph.ir import Graph
from archspec.graph.verify import verify
from tests.graphs import GraphBuilder, bottleneck, masked_lstm, resnet50, siamese

SPEC = """\
archspec: 1
name: net
params: {width: 8}
inputs: {image: [8, 8, 1]}
layers:
  - Conv2D: {filters: =width, kernel_size: 3}
  - ReLU
  - Flatten
  - Dense: 10
"""


def net(text: str = SPEC, **params: int) -> Graph:
    return archspec.loads(text, params=params).graph


def chain(*names: str) -> Graph:
    builder = GraphBuilder("chain")
    x = builder.input("image", (8, 8, 4))
    for name in names:
        x = bottleneck(builder, x, name, 1, 1, False)
    return builder.graph(x)


@pytest.mark.parametrize("graph", [resnet50, siamese, masked_lstm, net])
def test_a_network_is_like_itself(graph: Callable[[], Graph]) -> None:
    found = diff(graph(), graph())
    assert found.same and "no difference" in found.to_text() and found.to_json()["same"]


def test_a_changed_argument_and_what_follows_from_it() -> None:
    found = diff(net(), net(width=4))
    assert not found.added and not found.removed
    assert {c.after.name: {a: (o, n) for a, o, n in c.what} for c in found.changed} == {
        "conv2d": {
            "filters": ("8", "4"), "output": ("(6, 6, 8)", "(6, 6, 4)"), "parameters": ("80", "40"),
            "MACs": ("2,592", "1,296"),
        },
        "relu": {"output": ("(6, 6, 8)", "(6, 6, 4)")},
        "flatten": {"output": ("(288,)", "(144,)")},
        "dense": {"parameters": ("2,890", "1,450"), "MACs": ("2,880", "1,440")},
    }  # fmt: skip
    assert "parameters: 2,970 → 1,490 (-1,480, -49.8%)" in found.to_text()


def test_an_added_layer_does_not_rename_those_behind_it() -> None:
    more = SPEC.replace("  - ReLU\n", "  - Conv2D: {filters: =width, kernel_size: 1}\n  - ReLU\n")
    found = diff(net(), net(more))
    (part,) = found.added
    assert (part.layers, part.parameters, found.removed) == (("conv2d_2",), 72, ())
    assert [(c.after.name, [a for a, _, _ in c.what]) for c in found.changed] == [("relu", ["inputs"])]
    back = diff(net(more), net())
    assert back.removed[0].layers == ("conv2d_2",) and not back.added


def test_a_scope_that_is_new_is_one_part_and_alike_ones_one_line() -> None:
    found = diff(chain("a.block1"), chain("a.block1", "a.block2", "a.block3"))
    assert [part.name for part in found.added] == ["a.block2", "a.block3"]
    assert found.to_text().count("+ ") == 1 and "+ a.block2 … block3: 2 × group, 10 layers" in found.to_text()
    assert (
        sum(part.parameters for part in found.added)
        == found.costs[1].parameters_total - found.costs[0].parameters_total
    )


def test_layers_are_matched_within_their_scopes() -> None:
    """Halved, the second stage looks like the first one did, and still it is the second."""

    def stages(*widths: int) -> Graph:
        builder = GraphBuilder("stages")
        x = builder.input("image", (8, 8, 4))
        for number, width in enumerate(widths):
            conv = {"Conv2D": {"filters": width, "kernel_size": 3, "strides": 1 + number % 2}}
            x = builder.apply(conv, x, name=f"stage{number}.conv2d")
        return builder.graph(x)

    found = diff(stages(16, 32), stages(8, 16))
    assert not found.added and not found.removed
    assert all(change.before.name == change.after.name for change in found.changed)


def test_alike_changes_and_what_follows_take_a_line_each() -> None:
    def deep(width: int) -> Graph:
        builder = GraphBuilder("deep")
        x = builder.input("x", (4,))
        for index in range(1, 6):
            x = builder.apply({"Dense": width}, x, name=f"stage.dense{index}")
            x = builder.apply("LayerNormalization", x, name=f"stage.norm{index}")
        return builder.graph(x)

    lines = diff(deep(8), deep(16)).to_text().splitlines()
    assert [line for line in lines if "alike" in line] == [
        "~ stage.dense2 (and 3 alike): units 8 → 16; output (8,) → (16,); parameters 72 → 272; MACs 64 → 256"
    ]
    assert lines[-1] == "~ stage: 5 layers follow: output (8,) → (16,); parameters 80 → 160"


def test_networks_without_a_common_name_are_matched_by_their_layers() -> None:
    def named(prefix: str) -> Graph:
        builder = GraphBuilder(prefix)
        x = builder.input(f"{prefix}_in", (8,))
        for index, kind in enumerate([{"Dense": 4}, {"Activation": "relu"}, {"Dense": 3}]):
            x = builder.apply(kind, x, name=f"{prefix}{index}.{prefix}")
        return builder.graph(x)

    found = diff(named("a"), named("b"))
    assert not found.added and not found.removed and len(found.matched) == 4


def test_everything_new() -> None:
    found = diff(net(), masked_lstm())
    assert {n for p in found.added for n in p.layers} | set(found.matched) == set(masked_lstm().nodes)
    assert {n for p in found.removed for n in p.layers} | set(found.matched.values()) == set(net().nodes)


def test_results_that_change() -> None:
    text = SPEC.replace("layers:", "outputs: {scores: x}\nlayers:")
    assert [name for name, _, _ in diff(net(), net(text)).ends] == ["output output", "output scores"]


def test_frozen_layers_are_a_change() -> None:
    graph = net()
    dense = dataclasses.replace(graph.nodes["dense"], trainable=False)
    found = diff(graph, dataclasses.replace(graph, nodes={**graph.nodes, "dense": dense}))
    assert [change.what for change in found.changed] == [(("trainable", "true", "false"),)]


def test_layers_of_large_networks_are_compared_in_time() -> None:
    builder, other = GraphBuilder("deep"), GraphBuilder("deep")
    for made, extra in ((builder, 0), (other, 50)):
        x = made.input("x", (4,))
        for index in range(3_000 + extra):
            x = made.apply({"Dense": 4}, x, name=f"s{index // 100}.dense{index}")
    found = diff(builder.graph(), other.graph())
    assert sum(len(part.layers) for part in found.added) == 50


def test_the_picture_has_both_networks_and_says_what_changed() -> None:
    more = SPEC.replace("  - ReLU\n", "  - Conv2D: {filters: =width, kernel_size: 5}\n").replace(
        "Dense: 10", "Dense: 9"
    )
    union, status = merged(diff(net(), net(more)))
    verify(union)
    assert status["dense"] == "changed" and "added" in status.values() and "removed" in status.values()
    shown = {box.role: box.label for panel in marked(figure(union), status).panels for box in boxes(panel.items)}
    assert shown["added"].startswith("+ ") and shown["removed"].startswith("- ") and shown["changed"].startswith("~ ")


def test_the_picture_of_networks_with_nothing_in_common() -> None:
    for one, other in ((net(), masked_lstm()), (siamese(), net()), (chain("a.b1"), resnet50())):
        union, status = merged(diff(one, other))
        verify(union)
        assert set(other.nodes) <= set(union.nodes) and set(status.values()) <= {"added", "removed", "changed"}


REPEATED = """
archspec: 1
name: net
inputs: {image: [8, 8, 4]}
blocks:
  bottleneck:
    layers:
      - add:
          body: [Conv2D: {filters: 1, kernel_size: 1}, Conv2D: {filters: 4, kernel_size: 1}]
          skip: x
layers:
  - {bottleneck: , repeat: """


def test_more_of_a_block_leave_the_block_as_it_is() -> None:
    few, more = (archspec.loads(f"{REPEATED}{times}}}\n").graph for times in (3, 9))
    union, status = merged(diff(few, more))
    macro, *panels = marked(figure(union, View(inline=0, frames=False)), status).panels
    assert [box.detail for box in boxes(macro.items) if box.role == "changed"] == ["layers +18"]
    assert {box.role for panel in panels for box in boxes(panel.items)} <= {"same"}


@pytest.mark.skipif(engine() is None, reason="needs Graphviz")
def test_the_picture_is_written(tmp_path: Path) -> None:
    svg = draw_change(diff(net(), net(width=4)), tmp_path / "x.svg").read_text("utf-8")
    assert "~ conv" in svg and COLOURS["changed"].lower() in svg.lower()


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(SPEC)
    run = CliRunner().invoke
    assert run(cli, ["diff", str(path), str(path)], standalone_mode=False).output == "net → net: no difference\n"
    told = run(cli, ["diff", str(path), str(path), "params.width=4", "--json"])
    assert json.loads(told.stdout)["totals"]["parameters"] == {"before": 2970, "after": 1490}
    same = run(cli, ["diff", str(path), str(path), "--exit-code"], standalone_mode=False)
    other = run(cli, ["diff", str(path), str(path), "params.width=4", "--exit-code"], standalone_mode=False)
    assert (same.return_value, other.return_value) == (0, 4)
    assert "--exit-code it is 4" in run(cli, ["diff", "--help"]).output
    wrong = run(cli, ["diff", str(path), str(path), "-o", str(tmp_path / "x.jpg")])
    assert wrong.exit_code == 1 and "unknown format" in wrong.stderr and not (tmp_path / "x.jpg").exists()


def test_a_saved_model_on_either_side(tmp_path: Path) -> None:
    spec, saved = tmp_path / "net.yaml", tmp_path / "net.keras"
    spec.write_text("archspec: 1\nname: net\ninputs: {features: [8]}\nlayers: [Dense: 4]\n")
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 8]}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 3}},
    ]
    config = {"class_name": "Sequential", "config": {"name": "saved", "layers": layers}}
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    run = CliRunner().invoke
    for pair, said in ((("net.keras", "net.yaml"), "units 3 → 4"), (("net.yaml", "net.keras"), "units 4 → 3")):
        assert said in run(cli, ["diff", *(str(tmp_path / name) for name in pair)]).stdout
    wrong = run(cli, ["diff", str(spec), str(saved), "params.x=3"])
    assert wrong.exit_code == 2 and "no values to change" in wrong.stderr
    (tmp_path / "bad.keras").write_text("no archive")
    wrong = run(cli, ["diff", str(tmp_path / "bad.keras"), str(spec)])
    assert wrong.exit_code == 1 and "no .keras file" in wrong.stderr
