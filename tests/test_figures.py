"""What figures show: nothing of the graph is lost, residuals stay in sight."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec import load, loads
from archspec.draw.fold import View, figure
from archspec.draw.model import Box, Figure, Group, Panel, Wire, boxes, count, groups, unfold
from archspec.graph.ir import Edge, Graph, Origin, Use
from tests.graphs import GraphBuilder
from tests.test_draw import GRAPHS

ROOT = Path(__file__).parents[1] / "specs"
SPEC = {path.stem: path for path in sorted(ROOT.glob("*.yaml")) if path.stem != "index"}
LEVELS: tuple[Any, ...] = ("overview", "blocks", "layers", "raw")


def graph_of(name: str) -> Graph:
    stem, _, variant = name.partition("@")
    return load(f"{SPEC[stem]}@{variant}" if variant else SPEC[stem]).graph


def variants(stem: str) -> list[str]:
    """The spec as it is and in all its variants."""
    return [stem, *(f"{stem}@{name}" for name in yaml.safe_load(SPEC[stem].read_text("utf-8")).get("variants", {}))]


def content(graph: Graph) -> tuple[frozenset[str], frozenset[Wire]]:
    wires = ((e.node, e.index, n.name, i) for n in graph.nodes.values() for i, e in enumerate(n.inputs))
    return frozenset(graph.nodes), frozenset(wires)


def parameters(graph: Graph) -> int:
    return sum(weight.size for node in graph.nodes.values() for weight in graph.weights(node))


def check(graph: Graph, view: View) -> Figure:
    """A figure that loses nothing, whose sums are the network's, whose edges have ends, whose ids are unique."""
    shown = figure(graph, view)
    assert unfold(shown) == content(graph)
    assert sum(box.parameters for box in boxes(shown.panels[0].items)) == parameters(graph)
    ids = [box.id for panel in shown.panels for box in boxes(panel.items)]
    assert len(ids) == len(set(ids))
    assert {panel.id for panel in shown.panels[1:]} == {box.panel for box in every_box(shown) if box.panel}
    for panel in shown.panels:
        own = {box.id for box in boxes(panel.items)}
        assert all({edge.tail, edge.head} <= own for edge in panel.edges)
        rows = [box for box in every_box(shown) if box.panel == panel.id]
        if rows:  # what rows stand for is what their panel shows: weights that others share count once
            assert sum(box.parameters for box in rows) == sum(box.parameters for box in boxes(panel.items))
            assert sum(len(box.layers) for box in rows) == sum(len(box.layers) for box in boxes(panel.items))
    return shown


def every_box(shown: Figure) -> Iterator[Box]:
    for panel in shown.panels:
        yield from boxes(panel.items)


# Nothing is lost


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_figure_unfolds_to_the_graph(name: str, level: Any) -> None:
    graph = GRAPHS[name]()
    assert unfold(figure(graph, View(level))) == content(graph)


@pytest.mark.parametrize("stem", SPEC)
def test_figures_of_every_variant_lose_nothing_and_stay_small(stem: str) -> None:
    for name in variants(stem):
        graph = graph_of(name)
        assert count(check(graph, View("overview"))) <= 12
        assert count(check(graph, View("blocks"))) <= 25


@pytest.mark.parametrize("stem", SPEC)
def test_figures_of_every_level_and_budget_lose_nothing(stem: str) -> None:
    graph = graph_of(stem)
    for nodes, rows, inline in ((25, 12, 8), (18, 9, 6), (6, 6, 4)):  # what narrow columns ask for
        check(graph, View("blocks", nodes=nodes, rows=rows, inline=inline, frames=False))
    for level in ("layers", "raw"):
        assert unfold(figure(graph, View(level))) == content(graph)


STEPS: tuple[Any, ...] = (
    {"Dense": 8}, {"Dense": 4}, "ReLU", {"Dropout": 0.5}, "LayerNormalization", "Add", "Concatenate",
    {"Weight": {"shape": [8]}},
)  # fmt: skip


@st.composite
def nets(draw: st.DrawFn) -> Graph:
    """Layers in blocks within blocks, which repeat, sum and join what came before."""
    builder = GraphBuilder("net")
    known = [builder.apply({"Dense": 8}, builder.input("image", (8,)), name="first")]
    scopes = ("", "a.", "b1.", "b2.", "b3.", "b1.c.", "b2.c.", "d.layers1.", "d.layers2.")
    blocks = draw(st.lists(st.sampled_from(scopes), min_size=1, max_size=6))
    for number, scope in enumerate(blocks):
        for place, step in enumerate(draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=4))):
            known.append(_applied(builder, step, known, draw(st.integers(0, 5)), f"{scope}l{number}_{place}"))
    graph = builder.graph(known[-1])
    return with_uses(graph)


def _applied(builder: GraphBuilder, step: Any, known: list[Edge], back: int, name: str) -> Edge:
    x, other = known[-1], known[-1 - min(back, len(known) - 1)]
    if step in ("Add", "Concatenate"):
        same = builder.nodes[x.node].outputs == builder.nodes[other.node].outputs
        return builder.apply(step if same else "Concatenate", x, other, name=name)
    if isinstance(step, dict) and "Weight" in step:
        size = builder.nodes[x.node].outputs[0].shape[-1]
        weight = builder.apply({"Weight": {"shape": [size]}}, name=f"{name}w")
        return builder.apply("Add", x, weight, name=name)
    return builder.apply(step, x, name=name)


def with_uses(graph: Graph) -> Graph:
    def use(part: str) -> Use:
        stem = part.rstrip("0123456789")
        number = int(part[len(stem) :] or 0)
        return Use("block" if stem in "ab" else "group", stem, None, number, 3 if number else 0, (("units", 8),))

    nodes = {
        node.name: dataclasses.replace(node, origin=Origin(None, tuple(map(use, node.scope))))
        for node in graph.nodes.values()
    }
    return dataclasses.replace(graph, nodes=nodes)


@settings(max_examples=150, deadline=None)
@given(nets(), st.sampled_from(LEVELS), st.sampled_from([0, 4, 14]))
def test_figures_of_any_graph_lose_nothing(graph: Graph, level: Any, inline: int) -> None:
    view = View(level, inline=inline, rows=5 if inline else 16)
    assert unfold(figure(graph, view)) == content(graph)


BREAKAGES = ("edge", "box", "panel", "inner")


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_the_law_notices_what_is_missing(breakage: str) -> None:
    graph = graph_of("resnet")
    macro, micro = figure(graph).panels
    broken = {
        "edge": (macro, dataclasses.replace(micro, edges=tuple(e for e in micro.edges if e.kind != "residual"))),
        "box": (dataclasses.replace(macro, items=macro.items[:-1]), micro),
        "panel": (macro,),
        "inner": (dataclasses.replace(macro, items=tuple(_forgetful(item) for item in macro.items)), micro),
    }[breakage]
    assert unfold(Figure("x", "blocks", broken)) != content(graph)


def _forgetful(item: Box | Group) -> Box | Group:
    return dataclasses.replace(item, inner=())


def test_ten_thousand_layers_fold_in_time() -> None:
    """Linear: twice the layers take about twice the time, far from four times."""
    took = []
    for times in (2_500, 5_000):
        builder = GraphBuilder("deep")
        x = builder.input("image", (8,))
        for index in range(times):
            y = builder.chain(x, {"Dense": 8}, "ReLU", scope=f"b{index + 1}")
            x = builder.apply("Add", x, y, name=f"b{index + 1}.add")
        graph = with_uses(builder.graph(x))
        start = time.process_time()
        shown = figure(graph)
        took.append(time.process_time() - start)
        assert count(shown) <= 25
    assert took[1] < 3 * took[0] + 0.2 and took[1] < 5


# Blocks and their residuals


def panels(name: str) -> dict[str, Panel]:
    return {panel.title: panel for panel in figure(graph_of(name)).panels}


def ways_around(panel: Panel) -> int:
    """How many sums have two ways into them."""
    sums = {box.id for box in boxes(panel.items) if box.label == "+"}
    return sum(sum(edge.head == one for edge in panel.edges) == 2 for one in sums)


def test_resnet50_has_its_stages_and_one_bottleneck() -> None:
    shown = figure(graph_of("resnet@resnet50"))
    macro, micro = shown.panels
    assert count(shown) <= 20
    rows = [(box.label, box.times, box.detail, box.shape) for box in boxes(macro.items) if box.kind == "block"]
    assert rows == [
        ("stage1", 3, "c=64", "56×56×256"),
        ("stage2", 4, "c=128, /2", "28×28×512"),
        ("stage3", 6, "c=256, /2", "14×14×1024"),
        ("stage4", 3, "c=512, /2", "7×7×2048"),
    ]
    assert (micro.title, micro.formals, micro.times) == ("bottleneck", ("c", "s"), 16)
    labels = sorted(box.label for box in boxes(micro.items))
    assert labels == sorted(["", "1×1, c", "3×3, c, /s", "1×1, 4c", "1×1, 4c, /s", "+", "ReLU"])


def test_the_identity_goes_through_the_dashed_projection() -> None:
    micro = panels("resnet@resnet50")["bottleneck"]
    (dashed,) = (box for box in boxes(micro.items) if box.partial)
    assert (dashed.label, micro.notes) == ("1×1, 4c, /s", ("only in the first of each ×n (else identity)",))
    assert ways_around(micro) == 1 and not any(edge.partial for edge in micro.edges)


def test_an_edge_is_dashed_where_some_uses_lack_the_way() -> None:
    micro = panels("mobilenet_v2")["inverted_residual"]
    (total,) = (box for box in boxes(micro.items) if box.label == "+")
    assert total.partial and [edge.kind for edge in micro.edges if edge.partial] == ["residual"]


RESIDUALS = {  # sums with a way around, in the figure's panels or its frame
    "bert": 2, "gpt2": 2, "vit": 2, "deit": 2, "clip": 2, "swin": 2, "transformer": 5, "resnet": 1, "xception": 2,
    "mobilenet_v2": 1, "efficientnet": 1, "t5": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", RESIDUALS)
def test_every_residual_is_in_sight(name: str) -> None:
    shown = figure(graph_of(name))
    assert sum(ways_around(panel) for panel in shown.panels) >= RESIDUALS[name]


@pytest.mark.parametrize("name", ["vit", "bert", "gpt2"])
def test_an_encoder_stands_in_a_frame_with_both_residuals(name: str) -> None:
    macro = figure(graph_of(name)).panels[0]
    (frame,) = groups(macro.items)
    assert frame.times == 12
    inside = {box.id for box in boxes(frame.items)}
    sums = {box.id for box in boxes(frame.items) if box.label == "+"}
    assert len(sums) == 2 and {e.head for e in macro.edges if e.kind == "residual" and e.head in inside} == sums


def test_the_transformer_shows_encoder_and_decoder_layer_by_layer() -> None:
    shown = panels("transformer")
    encoder = [box.label for box in boxes(shown["encoder"].items) if box.kind != "point"]
    assert encoder == ["attention 8 heads", "+", "LayerNorm", "dense 2048", "dense 512", "+", "LayerNorm"]
    entries = [box.label for box in boxes(shown["decoder"].items) if box.kind == "point"]
    assert entries == ["x", "target_mask", "memory, source_mask"]


def test_a_block_alone_has_the_formals_of_all_its_uses() -> None:
    (panel,) = figure(graph_of("resnet@resnet50"), View("block", "bottleneck")).panels
    assert (panel.formals, panel.times) == (("c", "s"), 16)
    assert {"3×3, c, /s", "1×1, 4c, /s"} < {box.label for box in boxes(panel.items)}


def test_what_only_some_uses_have_stands_in_brackets() -> None:
    labels = [box.label for box in every_box(figure(graph_of("clip"))) if "heads" in box.label]
    assert labels == ["attention c/64 heads, (causal)"]


def test_attention_of_several_layers_is_one_box() -> None:
    (attention,) = (box for box in boxes(panels("swin")["encoder"].items) if box.role == "attention")
    assert (attention.label, attention.detail, attention.kind) == ("window_attention", "weight, dense ×4", "block")


# Names and numbers


def test_rows_of_inception_are_told_apart() -> None:
    shown = figure(graph_of("inception"))
    rows = {box.label: (box.times, box.panel) for box in boxes(shown.panels[0].items) if box.kind == "block"}
    titles = {panel.id: panel.title for panel in shown.panels[1:]}
    assert [rows[name][0] for name in ("mixed35", "mixed17", "mixed8")] == [3, 4, 2]
    assert titles[rows["mixed17"][1]] == "mixed17" and count(shown) <= 25


@pytest.mark.parametrize("name", SPEC)
def test_rows_say_what_they_are(name: str) -> None:
    """A row with a panel names it where there are several, any other says what it holds, in full."""
    shown = figure(graph_of(name))
    titles = {panel.id: panel.title for panel in shown.panels}
    for box in every_box(shown):
        words = f"{box.label} {box.detail} {' '.join(strip.text for strip in box.strips)}"
        words.encode("latin-1")
        if box.kind == "block" and box.panel:
            stem = titles[box.panel].rstrip("0123456789")
            assert stem in box.label or stem in box.detail or (len(titles) == 2 and box.detail)
        elif box.kind == "block":
            assert box.detail or box.label
            assert "..." not in box.detail


def test_unet_is_a_u_with_labelled_skips() -> None:
    for name in ("unet", "unet@zhixuhao", "unet@original"):
        macro = figure(graph_of(name)).panels[0]
        labels = {box.id: box.label for box in boxes(macro.items)}
        assert macro.shape == "u"
        assert [(labels[a], labels[b]) for a, b in macro.levels] == [(f"down{i}", f"up{5 - i}") for i in range(1, 5)]
        skips = [edge for edge in macro.edges if edge.kind == "skip"]
        assert {(edge.tail, edge.head) for edge in skips} == set(macro.levels)
        assert all(edge.label.count("×") == 2 for edge in skips)


def test_dropout_in_one_of_the_downs_does_not_disturb() -> None:
    down = panels("unet@zhixuhao")["down"]
    (conv, pool) = (box for box in boxes(down.items) if box.kind != "point")
    assert (conv.label, conv.times, conv.partial, pool.label) == ("3×3, c", 2, False, "max pool 2×2, /2")
    assert [strip.text for strip in conv.strips] == ["ReLU", "dropout 0-0.5"]


def test_the_legend_joins_roles_of_one_colour() -> None:
    assert figure(graph_of("gpt2")).legend[2:4] == (("dense", "dense, embedding"), ("attention", "attention"))
    assert ("dense", "dense") in figure(graph_of("resnet")).legend


def test_globs_and_scopes() -> None:
    graph = load(SPEC["resnet"]).graph
    macro = figure(graph, View(collapse=("stage2",))).panels[0]
    assert any(box.path == "stage2" and not box.panel for box in boxes(macro.items))
    only = figure(graph, View(only="stage2.bottleneck1"))
    assert all(name.startswith("stage2.bottleneck1.") for box in boxes(only.panels[0].items) for name in box.layers)
    block = figure(graph, View("block", "bottleneck")).panels
    assert [panel.title for panel in block] == ["bottleneck"]
    for view in (View(collapse=("nothing*",)), View(only="nothing"), View("block", "nothing")):
        with pytest.raises(ValueError, match="nothing"):
            figure(graph, view)


def test_blocks_that_panels_open_can_be_drawn_alone() -> None:
    for name, block in (("transformer", "sublayer"), ("swin", "window_attention"), ("t5", "attend")):
        (panel,) = figure(graph_of(name), View("block", block)).panels
        assert panel.title == block and sum(1 for _ in boxes(panel.items)) > 2


SHORTCUTS = """
archspec: 1
name: net
inputs: {image: [8, 8, 3]}
blocks:
  residual:
    params: {filters: int}
    layers:
      - add:
          body:
            - Conv2D: {filters: =filters, kernel_size: 3, padding: same}
            - ReLU
            - Conv2D: {filters: =filters, kernel_size: 5, padding: same}
          shortcut:
            - Conv2D: {filters: =filters, kernel_size: 1}
              when: =x.channels != filters
      - ReLU
layers:
  - for: {width: [16, 16, 32, 32]}
    residual: =width
"""


def test_layers_of_other_paths_do_not_stand_for_each_other() -> None:
    """A shortcut's convolution that only some uses have is no use of the body's, though both are Conv2D."""
    shown = figure(loads(SHORTCUTS).graph, View(frames=False, inline=0))
    (dashed,) = (box for box in every_box(shown) if box.partial)
    assert dashed.label.startswith("1×1")
