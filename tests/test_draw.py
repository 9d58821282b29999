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

from archspec.draw import DrawError, Engine, Fonts, draw, engine, fonts, options
from archspec.draw import picture as picture_module
from archspec.draw.dot import panel_dot
from archspec.draw.engine import render
from archspec.draw.fold import View, figure
from archspec.draw.palette import FILLS, INK
from archspec.draw.style import Style
from archspec.graph.ir import Graph, Origin, Use
from archspec.layers import catalogue
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


SPECS = sorted(path for path in (Path(__file__).parents[1] / "specs").glob("*.yaml") if path.stem != "index")
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


SPEC = {path.stem: path for path in SPECS}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"levle": "raw"}, "a drawing has no argument 'levle'; did you mean 'level'"),
        ({"theme": "neon"}, r"theme of a drawing should be 'paper', .* got 'neon'"),
        ({"palette": "rainbow"}, r"palette of a drawing should be 'tol-light', .* got 'rainbow'"),
        ({"palette": {"dense": "green"}}, "in quotes, got 'green'"),
        ({"palette": ["green"]}, r"palette of a drawing should be a name"),
        ({"palette": {"desne": "#112233"}}, "palette has no argument 'desne'; did you mean 'dense'"),
        ({"title": 2015}, "title of a drawing should be text"),
        ({"legend": "no"}, "legend of a drawing should be true or false"),
        ({"width": "wide"}, "width must be inches"),
        ({"font_size": 6}, "font_size of a drawing should be greater"),
        ({"direction": "UP"}, r"direction of a drawing should be .* did you mean 'U'"),
    ],
)
def test_wrong_options(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DrawError, match=message):
        options(given)


def test_later_options_win() -> None:
    found = options({"theme": "slide", "width": "7in"}, {"width": 5})
    assert (found.theme, found.width, found.text_size) == ("slide", 5.0, 14)


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
    with pytest.raises(DrawError, match=r"direction of a drawing should be .* did you mean 'U'"):
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
