"""Drawings: what they show, that they do not change by themselves, names of all kinds, and what goes wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from archspec import load
from archspec.draw import DrawError, Engine, Fonts, draw, engine, fonts, measure, options
from archspec.draw import picture as picture_module
from archspec.draw.dot import Style, panel_dot
from archspec.draw.engine import render
from archspec.draw.fold import View, figure
from archspec.draw.labels import layer_text
from archspec.draw.model import boxes, groups, unfold
from archspec.draw.palette import FILLS, INK
from archspec.graph.ir import Graph, Origin, Use
from archspec.layers import catalogue, parse_layer
from tests.graphs import GraphBuilder, bottleneck, conv_bn

GOLDEN = Path(__file__).parent / "golden" / "draw"
ODD = 'a<b>&"c"{|}\\N \\ ü 名前:x'

needs_engine = pytest.mark.skipif(engine() is None, reason="needs Graphviz")


def residual() -> Graph:
    builder = GraphBuilder("residual")
    x = conv_bn(builder, builder.input("image", (32, 32, 3)), "stem", 16, 3, 2)
    for index in (1, 2):
        x = bottleneck(builder, x, f"stage.bottleneck{index}", 16, 1, index == 1)
    return builder.graph(builder.chain(x, "GlobalAveragePooling2D", {"Dropout": 0.5}, {"Dense": 10}, scope="head"))


def encoder() -> Graph:
    """Blocks with arguments, a named layer, shared and frozen weights, a merge by concatenation, several outputs."""
    builder = GraphBuilder("encoder")
    tokens = builder.input("tokens", (None,), "int32")
    x = builder.apply({"Embedding": {"input_dim": 100, "output_dim": 8}}, tokens, name="embed")
    for index in (1, 2):
        scope = f"layer{index}"
        y = builder.apply("LayerNormalization", x, name=f"{scope}.mlp.layer_normalization")
        y = builder.apply({"Dense": {"units": 8, "activation": "gelu"}}, y, name=f"{scope}.mlp.dense", trainable=False)
        x = builder.apply("Add", x, y, name=f"{scope}.add")
    again = builder.apply({"Dense": {"units": 8, "activation": "gelu"}}, x, name="tied", shares="layer2.mlp.dense")
    x = builder.apply("Concatenate", x, again, name="concatenate")
    return _with_uses(builder.graph(states=x, first=builder.apply({"LSTM": 3}, x, name="lstm")))


def _with_uses(graph: Graph) -> Graph:
    def uses(scope: tuple[str, ...]) -> tuple[Use, ...]:
        layer = (
            Use("block", "pre_norm", None, int(scope[0][-1]), 2, (("dim", 8), ("body", object()))) if scope else None
        )
        return (layer, Use("path", "mlp", None))[: len(scope)] if layer else ()

    nodes = {n.name: dataclasses.replace(n, origin=Origin(None, uses(n.scope))) for n in graph.nodes.values()}
    return dataclasses.replace(graph, nodes=nodes)


def odd() -> Graph:
    builder = GraphBuilder(ODD)
    x = builder.apply(
        {"Conv2D": {"filters": 4, "kernel_size": [3, 1]}}, builder.input(ODD, (8, 8, 3)), name="<b>.{|}.\\"
    )
    return builder.graph(**{'"<1>"': builder.apply("Flatten", x, name=f"{ODD}.flat&lt;\x00\ud800")})


GRAPHS = {"residual": residual, "encoder": encoder, "odd": odd}


SPECS = sorted((Path(__file__).parents[1] / "specs").glob("*.yaml"))
LEVELS: tuple[Any, ...] = ("overview", "blocks", "layers", "raw")


def dots(graph: Graph, view: View) -> str:
    return "".join(panel_dot(panel, Style()) for panel in figure(graph, view).panels)


@pytest.mark.parametrize("level", ["blocks", "raw"])
@pytest.mark.parametrize("name", GRAPHS)
def test_dot_is_as_in_the_golden_file(name: str, level: Any) -> None:
    path = GOLDEN / f"{name}_{level}.dot"
    found = dots(GRAPHS[name](), View(level))
    if os.environ.get("ARCHSPEC_UPDATE"):
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_dot_does_not_depend_on_the_hash_seed(seed: str) -> None:
    code = (
        "import sys; from tests.test_draw import *; sys.stdout.buffer.write(dots(encoder(), View('blocks')).encode())"
    )
    root = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONHASHSEED": seed}
    run = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, timeout=60, check=True, capture_output=True)
    assert run.stdout == (GOLDEN / "encoder_blocks.dot").read_bytes()


def wires(graph: Graph) -> set[tuple[str, int, str, int]]:
    return {(e.node, e.index, n.name, i) for n in graph.nodes.values() for i, e in enumerate(n.inputs)}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_figure_unfolds_to_the_graph(name: str, level: Any) -> None:
    graph = GRAPHS[name]()
    assert unfold(figure(graph, View(level))) == (set(graph.nodes), wires(graph))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_figures_of_the_zoo_unfold_and_fit_a_column(path: Path) -> None:
    graph = load(path).graph
    for level in LEVELS:
        assert unfold(figure(graph, View(level))) == (set(graph.nodes), wires(graph))
    shown = figure(graph, View("overview")).panels[0]
    assert sum(1 for _ in boxes(shown.items)) <= 12
    if engine() is None:
        return
    found = measure(graph)
    assert found.nodes <= 25 and found.width <= 3.3 and found.height <= 9 and found.aspect <= 2.2
    assert found.smallest_text >= 7 and found.overlaps == () and found.crossings == ()


SPEC = {path.stem: path for path in SPECS}


@needs_engine
def test_resnet50_fits_where_a_paper_has_room() -> None:
    found = measure(load(f"{SPEC['resnet']}@resnet50").graph)
    assert found.nodes <= 20 and found.width <= 3.3 and found.height <= 3.9


def test_resnet50_has_its_stages_and_one_bottleneck() -> None:
    macro, micro = figure(load(f"{SPEC['resnet']}@resnet50").graph).panels
    rows = [(box.label, box.times, box.detail) for box in boxes(macro.items) if box.kind == "block"]
    assert rows == [
        ("stage1", 3, "c=64"),
        ("stage2", 4, "c=128, /2"),
        ("stage3", 6, "c=256, /2"),
        ("stage4", 3, "c=512, /2"),
    ]
    assert (micro.title, micro.formals, micro.times) == ("bottleneck", ("c", "s"), 16)
    (dashed,) = (box for box in boxes(micro.items) if box.partial)
    assert (dashed.label, dashed.where) == ("1×1, 4c, /s", "only in the first of each ×n")
    assert any(edge.kind == "residual" for edge in micro.edges)


def test_the_panels_of_resnet50_add_up_to_its_parameters() -> None:
    macro, _ = figure(load(f"{SPEC['resnet']}@resnet50").graph).panels
    assert sum(box.parameters for box in boxes(macro.items)) == 25_610_152


def test_unet_is_a_u() -> None:
    macro = figure(load(SPEC["unet"]).graph).panels[0]
    names = {box.id: box.label for box in boxes(macro.items)}
    assert macro.shape == "u"
    assert [(names[a], names[b]) for a, b in macro.levels] == [(f"down{i}", f"up{5 - i}") for i in range(1, 5)]


def test_an_encoder_stands_in_a_frame_with_both_residuals() -> None:
    macro = figure(load(SPEC["vit"]).graph).panels[0]
    (frame,) = groups(macro.items)
    assert (frame.label, frame.times) == ("encoder", 12)
    inside = {box.id for box in boxes(frame.items)}
    sums = {box.id for box in boxes(frame.items) if box.label == "+"}
    assert len(sums) == 2 and {e.head for e in macro.edges if e.kind == "residual" and e.head in inside} == sums


def test_globs_and_scopes() -> None:
    graph = load(SPEC["resnet"]).graph
    assert any(
        box.path == "stage2" and not box.panel
        for box in boxes(figure(graph, View(collapse=("stage2",))).panels[0].items)
    )
    only = figure(graph, View(only="stage2.bottleneck1"))
    assert all(name.startswith("stage2.bottleneck1.") for box in boxes(only.panels[0].items) for name in box.layers)
    block = figure(graph, View("block", "bottleneck")).panels
    assert [panel.title for panel in block] == ["bottleneck"]
    for view in (View(collapse=("nothing*",)), View(only="nothing"), View("block", "nothing")):
        with pytest.raises(ValueError, match="nothing"):
            figure(graph, view)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"levle": "raw"}, "unknown drawing option 'levle'; did you mean 'level'"),
        ({"theme": "neon"}, "unknown theme 'neon'; known are paper"),
        ({"palette": "rainbow"}, "unknown palette 'rainbow'"),
        ({"palette": {"dense": "green"}}, "the colour of dense must be like"),
        ({"width": "wide"}, "width must be inches"),
        ({"font_size": 6}, "font_size must be a whole number"),
        ({"direction": "UP"}, "unknown direction 'UP'"),
    ],
)
def test_wrong_options(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DrawError, match=message):
        options(given)


def test_later_options_win() -> None:
    found = options({"theme": "slide", "width": "7in"}, {"width": 5})
    assert (found.theme, found.width, found.text_size) == ("slide", 5.0, 14)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ({"Conv2D": {"filters": 64, "kernel_size": 3, "strides": 2}}, "conv 3×3, 64, /2"),
        ({"Conv2D": {"filters": 64, "kernel_size": [1, 7], "strides": [1, 2]}}, "conv 1×7, 64, /1×2"),
        ({"Conv2D": {"filters": 8, "kernel_size": 3, "dilation_rate": 2}}, "conv 3×3, 8, dilation 2"),
        ({"Conv1D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "conv 3, 8, relu"),
        ({"Conv2DTranspose": {"filters": 8, "kernel_size": 2, "strides": 2}}, "up conv 2×2, 8, /2"),
        ("MaxPooling2D", "max pool 2×2, /2"),
        ({"MaxPooling2D": {"pool_size": 3, "strides": 1}}, "max pool 3×3"),
        ({"Dense": {"units": 10, "activation": "softmax"}}, "dense 10, softmax"),
        ({"Dropout": 0.5}, "dropout 0.5"),
        ({"Reshape": [7, 7, 64]}, "reshape 7×7×64"),
        ({"Activation": "relu"}, "relu"),
        ("ReLU", "ReLU"),
        ({"Bidirectional": {"layer": {"LSTM": 32}}}, "bidir. LSTM 32"),
        ({"LSTM": {"units": 32, "return_sequences": True}}, "LSTM 32, sequences"),
    ],
)
def test_labels(layer: Any, text: str) -> None:
    assert layer_text(parse_layer(layer)) == text


def test_every_example_of_the_catalogue_has_a_short_latin_label() -> None:
    for name, cls in catalogue().items():
        for example in cls.EXAMPLES:
            text = layer_text(parse_layer({name: example.arguments}))
            assert len(text) < 90
            text.encode("latin-1")


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out() -> None:
    assert all(contrast(fill, "#111111") >= 7.5 for fill in FILLS.values())
    assert all(contrast(fill, INK) >= 6 for fill in FILLS.values())


def test_roles_of_the_palette_are_those_of_layers() -> None:
    roles = {cls.ROLE for cls in catalogue().values()}
    assert set(FILLS) <= roles


SIGNATURES = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG", "dot": b"digraph"}


@needs_engine
@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("format", SIGNATURES)
def test_formats(format: str, direction: Any, tmp_path: Path) -> None:
    path = draw(residual(), tmp_path / f"x.{format}", direction=direction)
    assert path.read_bytes().startswith(SIGNATURES[format])
    assert os.listdir(tmp_path) == [path.name]


@needs_engine
def test_the_format_may_be_given(tmp_path: Path) -> None:
    assert draw(encoder(), tmp_path / "picture", format="svg").read_bytes().startswith(b"<?xml")


@needs_engine
def test_pdf_has_its_fonts_in_it(tmp_path: Path) -> None:
    assert b"/FontFile" in draw(encoder(), tmp_path / "x.pdf").read_bytes()


@needs_engine
def test_odd_names_come_out_right(tmp_path: Path) -> None:
    svg = ET.parse(draw(odd(), tmp_path / "x.svg", level="raw"))
    texts = {element.text for element in svg.iter() if element.tag.endswith("}text")}
    assert {ODD, "<b>", "{|}", "\\", "flat&lt;\ufffd\ufffd", '"<1>"'} <= texts
    ids = {element.get("id") for element in svg.iter()}
    assert {ODD, "<b>.{|}.\\", "<b>", "<b>.{|}", f"{ODD}.flat&lt;\ufffd\ufffd"} <= ids
    tooltips = {element.get("{http://www.w3.org/1999/xlink}title") or "" for element in svg.iter()}
    assert f"{ODD}\nInputLayer(shape=[8, 8, 3], dtype=float32)" in tooltips
    assert "<b>.{|}.\\\nConv2D(filters=4, kernel_size=[3, 1])" in tooltips
    title = next(element.text for element in svg.iter() if element.tag.endswith("}title"))
    assert title == ODD


def _engine() -> Engine:
    found = engine()
    assert found
    return found


def test_an_unknown_extension(tmp_path: Path) -> None:
    with pytest.raises(DrawError, match=r"unknown format 'jpg'; known are dot, svg, pdf, png"):
        draw(residual(), tmp_path / "x.jpg")
    with pytest.raises(DrawError, match="has no extension"):
        draw(residual(), tmp_path / "x")
    with pytest.raises(DrawError, match="unknown format 'tiff'"):
        draw(residual(), tmp_path / "x.pdf", format="tiff")
    with pytest.raises(DrawError, match="unknown direction 'UP'"):
        draw(residual(), tmp_path / "x.pdf", direction="UP")  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DrawError, match="there is no folder"):
        draw(residual(), tmp_path / "nowhere" / "x.dot")
    (tmp_path / "x.dot").mkdir()
    with pytest.raises(DrawError, match=r"cannot write .*x\.dot"):
        draw(residual(), tmp_path / "x.dot")
    with pytest.raises(DrawError, match="cannot write"):
        draw(residual(), tmp_path / ("x" * 300 + ".dot"))
    assert os.listdir(tmp_path) == ["x.dot"] and os.listdir(tmp_path / "x.dot") == []


def test_without_an_engine_dot_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert engine() is None
    with pytest.raises(DrawError, match=r"no Graphviz here.*x\.dot and .*x\.mmd are written.*archspec\[diagrams\]"):
        draw(residual(), tmp_path / "x.pdf")
    assert sorted(os.listdir(tmp_path)) == ["x.dot", "x.mmd"]


@needs_engine
def test_without_fonts_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_module, "fonts", lambda _: Fonts(False, None))
    with pytest.raises(DrawError, match=r"no fonts.*fonts-liberation"):
        draw(residual(), tmp_path / "x.png")
    assert os.listdir(tmp_path) == []


def test_an_engine_that_fails_or_hangs() -> None:
    broken = Engine("dot", (sys.executable, "-c", "import sys; sys.exit('Error: no layout')"))
    with pytest.raises(DrawError, match="Graphviz failed: Error: no layout"):
        render("digraph {}", "svg", broken)
    with pytest.raises(DrawError, match="Graphviz failed: exit code 3"):
        render("digraph {}", "svg", Engine("dot", (sys.executable, "-c", "import os; os._exit(3)")))
    hanging = Engine("dot", (sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(DrawError, match="longer than 1 s"):
        render("digraph {}", "svg", hanging, timeout_s=1)


@needs_engine
def test_the_probes_tell_of_engine_and_fonts() -> None:
    found = _engine()
    assert found.kind in found.version().lower() or "graphviz" in found.version().lower()
    assert fonts(found).usable
