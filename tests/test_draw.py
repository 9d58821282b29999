"""Drawings: what they show, that they do not change by themselves, names of all kinds, and what goes wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from archspec.draw import DrawError, Engine, Fonts, draw, engine, fonts
from archspec.draw import picture as picture_module
from archspec.draw.diagram import Box, Diagram, Group, diagram
from archspec.draw.dot import to_dot
from archspec.draw.engine import render
from archspec.draw.labels import layer_text
from archspec.draw.palette import FILLS, INK
from archspec.graph.ir import Graph, Origin, Use
from archspec.layers import catalogue, parse_layer
from tests.graphs import GraphBuilder, bottleneck, conv_bn, resnet50

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


@pytest.mark.parametrize("name", GRAPHS)
def test_dot_is_as_in_the_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.dot"
    found = to_dot(diagram(GRAPHS[name]()))
    if os.environ.get("ARCHSPEC_UPDATE"):
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_dot_does_not_depend_on_the_hash_seed(seed: str, tmp_path: Path) -> None:
    code = "import sys; from tests.test_draw import *; draw(encoder(), sys.argv[1])"
    path = tmp_path / "x.dot"
    root = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONHASHSEED": seed}
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, env=env, timeout=60, check=True)
    assert path.read_bytes() == (GOLDEN / "encoder.dot").read_bytes()


def boxes(picture: Diagram) -> dict[str, Box]:
    def visit(items: tuple[Box | Group, ...]) -> list[Box]:
        return [box for item in items for box in (visit(item.items) if isinstance(item, Group) else [item])]

    return {box.id: box for box in visit(picture.items)}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_layer_and_every_edge_is_drawn(name: str) -> None:
    graph = GRAPHS[name]()
    picture = diagram(graph)
    drawn = boxes(picture)
    layers = [box.path for box in drawn.values() if box.kind not in ("output", "point")]
    assert sorted(layers) == sorted(graph.nodes)
    into_points = {line.head: line.tail for line in picture.lines if drawn[line.head].kind == "point"}
    edges = [
        (drawn[into_points.get(line.tail, line.tail)].path, drawn[line.head].path)
        for line in picture.lines
        if line.head not in into_points and drawn[line.head].kind != "output"
    ]
    assert sorted(edges) == sorted((e.node, n.name) for n in graph.nodes.values() for e in n.inputs)
    assert [box.label for box in drawn.values() if box.kind == "output"] == list(graph.outputs)


def test_the_longest_way_is_the_main_one() -> None:
    picture = diagram(residual())
    main = {(line.tail, line.head) for line in picture.lines if line.main}
    block = "stage.bottleneck1"
    assert (f"{block}.conv_bn3.batch_normalization", f"{block}.add") in main
    assert (f"{block}.shortcut.batch_normalization", f"{block}.add") not in main
    fork = next(line.head for line in picture.lines if line.tail == "stem.batch_normalization")
    assert (fork, f"{block}.conv_bn1.conv2d") in main and (fork, f"{block}.shortcut.conv2d") not in main


def test_a_fork_stands_in_the_block_that_reads_twice() -> None:
    picture = diagram(residual())
    stage = next(item for item in picture.items if isinstance(item, Group) and item.title == "stage")
    for block in stage.items:
        assert isinstance(block, Group)
        assert [box.kind for box in block.items if isinstance(box, Box)].count("point") == 1


def test_a_group_says_its_block_and_its_arguments() -> None:
    group = next(item for item in diagram(encoder()).items if isinstance(item, Group))
    assert (group.title, group.block, group.settings) == ("layer1", "pre_norm", "block pre_norm(dim=8), 1 of 2")


def test_a_box_says_what_is_special() -> None:
    drawn = boxes(diagram(encoder()))
    assert drawn["layer1.mlp.dense"].note == "frozen"
    assert (drawn["tied"].name, drawn["tied"].note) == ("tied", "weights of layer2.mlp.dense")
    assert (drawn["embed"].name, drawn["embed"].label, drawn["embed"].shape) == ("embed", "Embedding 100, 8", "?×8")
    assert (drawn["lstm"].name, drawn["layer1.add"].kind, drawn["concatenate"].kind) == ("", "symbol", "bar")


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ({"Conv2D": {"filters": 64, "kernel_size": 3, "strides": 2}}, "Conv2D 3×3, 64, /2"),
        ({"Conv2D": {"filters": 64, "kernel_size": [1, 7], "strides": [1, 2]}}, "Conv2D 1×7, 64, /1×2"),
        ({"Conv2D": {"filters": 8, "kernel_size": 3, "dilation_rate": 2}}, "Conv2D 3×3, 8, dilation 2"),
        ({"Conv1D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "Conv1D 3, 8, relu"),
        ({"Conv2DTranspose": {"filters": 8, "kernel_size": 2, "strides": 2}}, "Conv2DTranspose 2×2, 8, /2"),
        ("MaxPooling2D", "MaxPooling2D 2×2, /2"),
        ({"MaxPooling2D": {"pool_size": 3, "strides": 1}}, "MaxPooling2D 3×3"),
        ({"Dense": {"units": 10, "activation": "softmax"}}, "Dense 10, softmax"),
        ({"Dropout": 0.5}, "Dropout 0.5"),
        ({"Reshape": [7, 7, 64]}, "Reshape 7×7×64"),
        ({"Activation": "relu"}, "Activation relu"),
        ("ReLU", "ReLU"),
        ({"Bidirectional": {"layer": {"LSTM": 32}}}, "Bidirectional LSTM 32"),
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
    svg = ET.parse(draw(odd(), tmp_path / "x.svg"))
    texts = {element.text for element in svg.iter() if element.tag.endswith("}text")}
    assert {ODD, "<b>", "{|}", "\\", "flat&lt;\ufffd\ufffd", '"<1>"'} <= texts
    ids = {element.get("id") for element in svg.iter()}
    assert {ODD, "<b>.{|}.\\", "<b>", "<b>.{|}", f"{ODD}.flat&lt;\ufffd\ufffd"} <= ids
    tooltips = {element.get("{http://www.w3.org/1999/xlink}title") or "" for element in svg.iter()}
    assert f"{ODD}\nInputLayer(shape=[8, 8, 3], dtype=float32)" in tooltips
    assert "<b>.{|}.\\\nConv2D(filters=4, kernel_size=[3, 1])" in tooltips
    title = next(element.text for element in svg.iter() if element.tag.endswith("}title"))
    assert title == ODD


@needs_engine
def test_a_way_around_layers_stays_in_its_block() -> None:
    """Geometry, from Graphviz itself: the residual's curve lies inside the block's frame."""
    shapes: dict[str, str] = {}
    for element in ET.fromstring(render(to_dot(diagram(residual())), "svg", _engine())).iter():
        title = next((child.text for child in element if child.tag.endswith("}title")), None)
        shape = next((c.get("points") or c.get("d") for c in element.iter() if c.get("points") or c.get("d")), None)
        if title and shape and title not in shapes:
            shapes[title] = shape
    frame = [x for x, _ in points(shapes["cluster_stage.bottleneck2"])]
    (skip,) = (path for title, path in shapes.items() if re.fullmatch(r"#fork\d+->stage.bottleneck2.add", title))
    xs = curve(points(skip))
    assert min(frame) <= min(xs) and max(xs) <= max(frame)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


def curve(path: list[tuple[float, float]]) -> list[float]:
    """Where a chain of Bézier curves lies from left to right."""
    xs = []
    for start in range(0, len(path) - 3, 3):
        a, b, c, d = (x for x, _ in path[start : start + 4])
        for t in (i / 20 for i in range(21)):
            u = 1 - t
            xs.append(u**3 * a + 3 * u * u * t * b + 3 * u * t * t * c + t**3 * d)
    return xs


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
    with pytest.raises(DrawError, match=r"no Graphviz here.*x\.dot is written.*archspec\[diagrams\]"):
        draw(residual(), tmp_path / "x.pdf")
    assert os.listdir(tmp_path) == ["x.dot"]
    assert (tmp_path / "x.dot").read_text("utf-8") == (GOLDEN / "residual.dot").read_text("utf-8")


@needs_engine
def test_without_fonts_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_module, "fonts", lambda _: Fonts(False, None))
    with pytest.raises(DrawError, match=r"no fonts.*fonts-liberation"):
        draw(residual(), tmp_path / "x.png")
    assert os.listdir(tmp_path) == []


@needs_engine
def test_too_large_a_graph_is_refused_but_for_dot(tmp_path: Path) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2,))
    for _ in range(2000):
        x = builder.apply("ReLU", x)
    with pytest.raises(DrawError, match=r"2,001 layers are too many"):
        draw(builder.graph(x), tmp_path / "x.svg")
    assert draw(builder.graph(x), tmp_path / "x.dot").exists()


@needs_engine
def test_too_large_a_bitmap_is_refused(tmp_path: Path) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2,))
    for _ in range(600):
        x = builder.apply("ReLU", x)
    with pytest.raises(DrawError, match="larger than bitmaps can be"):
        draw(builder.graph(x), tmp_path / "x.png")
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


@needs_engine
def test_resnet50_is_drawn(tmp_path: Path) -> None:
    svg = draw(resnet50(), tmp_path / "x.svg").read_text("utf-8")
    assert svg.count('class="cluster"') == 6 + 16 * 6 + 4  # stem, stages, head; 16 blocks; their parts; projections
