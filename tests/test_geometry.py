"""Where everything lies in a drawing, from Graphviz's own geometry; and that options change what they say."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from archspec import load
from archspec.draw import DrawError, draw, engine, options
from archspec.draw.compose import Composed
from archspec.draw.engine import FONT, face, layouts, render
from archspec.draw.fit import Figures, fitted
from archspec.draw.geometry import Layout, Place, Rect, halved, read, samples
from archspec.draw.markup import lines, width
from archspec.draw.metrics import Face
from archspec.draw.model import Figure, boxes
from archspec.draw.options import Options
from archspec.draw.report import Report, report
from archspec.draw.stacks import sides, stacks
from archspec.draw.style import Style
from archspec.draw.wrap import wrapped
from archspec.graph.ir import Graph
from tests.graphs import GraphBuilder

engine_module = sys.modules["archspec.draw.engine"]  # in the package, the name is that of a function

pytestmark = pytest.mark.skipif(engine() is None, reason="needs Graphviz")

ROOT = Path(__file__).parents[1]
SPECS = sorted(path.stem for path in (ROOT / "specs").glob("*.yaml") if path.stem != "index")
VARIANTS = (
    "resnet@resnet18", "resnet@resnet152", "resnet@cifar20", "resnet@keras_resnet50v2", "mobilenet@v2", "vgg@vgg19",
    "inception@v2", "inception@rethinking", "unet@small", "unet@zhixuhao",
)  # fmt: skip
# Options under which nothing may overlap or leave its frame either, and the figure is as wide as it may be.
LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("vgg", {"direction": "LR", "width": 7}),
    ("vgg", {"direction": "LR"}),
    ("resnet", {"direction": "LR", "width": 7}),
    ("resnet", {"shapes": "edge"}),
    ("resnet", {"shapes": "none", "title": "A title that is much too long for one line of a narrow column of a paper"}),
    ("resnet", {"theme": "slide"}),
    ("resnet", {"level": "overview", "direction": "LR", "width": 7}),
    ("vit", {"order": "upward"}),
    ("unet", {"width": 7}),
    ("unet", {"level": "layers", "width": 3.3}),
    ("mlp", {"width": 1}),
)


@cache
def graph_of(spec: str) -> Graph:
    name, _, variant = spec.partition("@")
    return load(str(ROOT / "specs" / f"{name}.yaml") + (f"@{variant}" if variant else "")).graph


def made(graph: Graph | str, **given: Any) -> tuple[Figure, Composed, Report]:
    graphviz = engine()
    assert graphviz
    chosen = options(given)
    shown, composed = fitted(Figures(graph_of(graph) if isinstance(graph, str) else graph, chosen), chosen, graphviz)
    return shown, composed, report(shown, composed, graphviz)


def assert_clean(found: Report, inches: float) -> None:
    assert found.width <= inches
    assert (found.overlaps, found.crossings, found.outside, found.tight, found.uneven) == ((), (), (), (), ())


@pytest.mark.parametrize("spec", [*SPECS, *VARIANTS])
def test_figures_of_the_zoo_fit_a_column(spec: str) -> None:
    _, composed, found = made(spec)
    assert_clean(found, 3.3)
    assert found.nodes <= 25 and found.height <= 9 and found.aspect <= 2.2 and found.smallest_text >= 7
    assert composed.width == pytest.approx(found.width * 72, abs=1) and composed.width <= 3.3 * 72
    assert composed.height == pytest.approx(found.height * 72, abs=2)


@pytest.mark.parametrize(
    ("spec", "given"), LOOKS, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_looks(spec: str, given: dict[str, Any]) -> None:
    _, _, found = made(spec, **given)
    assert_clean(found, given.get("width", 10 if "theme" in given else 3.3))


def test_resnet50_fits_where_a_paper_has_room() -> None:
    shown, composed, found = made("resnet@resnet50")
    assert found.nodes <= 20 and found.width <= 3.3 and found.height <= 3.6
    for box in boxes(shown.panels[0].items):
        assert not box.shape or box.shape in composed.dot  # nothing is left out to get there


def placed(composed: Composed) -> Layout:
    graphviz = engine()
    assert graphviz
    return read(json.loads(render(composed.dot, "json", graphviz, placed=True)))


def test_unet_is_a_u_with_shapes_on_its_skips() -> None:
    shown, composed, _ = made("unet")
    macro, layout = shown.panels[0], placed(composed)
    assert macro.shape == "u" and len(macro.levels) == 4
    for left, right in macro.levels:
        assert layout.nodes[left].y == pytest.approx(layout.nodes[right].y, abs=0.1)
        assert layout.nodes[left].x < layout.nodes[right].x
        way = layout.ways[left, right]
        assert way.label and {round(y, 1) for _, y in way.points} == {round(layout.nodes[left].y, 1)}
        assert way.rect.width > way.label_size[0] > 0
    assert len({round(layout.nodes[left].x, 1) for left, _ in macro.levels}) == 1
    assert len({round(layout.nodes[right].x, 1) for _, right in macro.levels}) == 1
    bottom = layout.nodes[list(layout.nodes)[list(layout.nodes).index(macro.levels[-1][0]) + 1]]
    assert all(bottom.y < layout.nodes[id].y for pair in macro.levels for id in pair)


@pytest.mark.parametrize(("spec", "bottom"), [("unet", 1), ("unet@small", 1), ("unet@zhixuhao", 1)])
def test_the_bottom_of_a_u_goes_round(spec: str, bottom: int) -> None:
    """One box in the middle; the others share the sides."""
    shown, composed, _ = made(spec)
    macro, layout = shown.panels[0], placed(composed)
    left, middle, right = sides(macro)
    assert len(middle) == bottom and len(left) + len(middle) + len(right) == len(list(boxes(macro.items)))
    for ids, falls in ((left, True), (right, False)):
        heights = [layout.nodes[id].y for id in ids]
        assert heights == sorted(heights, reverse=falls)
        assert len({round(layout.nodes[id].x) for id in ids}) == 1


def test_graphviz_runs_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for the letters and once for the layout, where the first figure fits; each process takes long."""
    runs: list[int] = []
    run_graphviz = engine_module._run

    def counted(dots: list[str], *arguments: Any) -> bytes:
        runs.append(len(dots))
        return run_graphviz(dots, *arguments)

    monkeypatch.setattr(engine_module, "_run", counted)
    face.cache_clear()
    graphviz = engine()
    assert graphviz
    fitted(Figures(graph_of("resnet@resnet152"), options()), options(), graphviz)
    assert len(runs) == 2
    runs.clear()
    fitted(Figures(graph_of("transformer"), options()), options(), graphviz)
    assert len(runs) <= 4


def chain(length: int, filters: int = 8) -> Graph:
    builder = GraphBuilder("chain")
    x = builder.input("image", (64, 64, 3))
    for number in range(length):
        x = builder.apply({"Conv2D": {"filters": filters + number, "kernel_size": 3}}, x, name=f"conv{number}")
    return builder.graph(x)


def middles(found: tuple[Figure, Composed, Report]) -> list[tuple[float, float]]:
    layout = placed(found[1])
    return [(layout.nodes[box.id].x, layout.nodes[box.id].y) for box in boxes(found[0].panels[0].items)]


def test_directions() -> None:
    graph = chain(5)
    xs, ys = zip(*middles(made(graph, direction="TB")), strict=True)
    assert max(xs) - min(xs) < 1 and list(ys) == sorted(ys, reverse=True)
    _, ys = zip(*middles(made(graph, order="upward")), strict=True)
    assert list(ys) == sorted(ys)
    xs, ys = zip(*middles(made(graph, direction="LR", width=7)), strict=True)
    assert list(xs) == sorted(xs) and max(ys) - min(ys) < 1
    # By itself a chain stands in a column, and lies on a page that is wide enough.
    xs, _ = zip(*middles(made(graph)), strict=True)
    assert max(xs) - min(xs) < 1
    xs, _ = zip(*middles(made(graph, width=7)), strict=True)
    assert list(xs) == sorted(xs) and xs[0] < xs[-1]
    with pytest.raises(DrawError, match="a U needs an encoder and a decoder"):
        made(graph, direction="U")


def test_a_long_column_is_wrapped_and_so_is_a_long_row() -> None:
    standing = middles(made(chain(12), direction="TB"))
    assert len({round(x) for x, _ in standing}) > 1
    lying = middles(made(chain(12), direction="LR"))
    assert len({round(y) for _, y in lying}) > 1


def test_a_figure_that_cannot_fit_says_which_width_it_needs() -> None:
    with pytest.raises(DrawError, match=r"needs ([\d.]+) in and has 3\.3.*--width \1in.*--collapse GLOB") as caught:
        made("inception", level="layers", width=3.3)
    needed = float(re.findall(r"--width ([\d.]+)in", str(caught.value))[0])
    assert made("inception", level="layers", width=needed)[2].width <= needed
    # Where no width is asked for, what is for screens takes what it needs.
    assert made("inception", level="layers")[2].width > 3.3


def test_long_names_are_broken_into_lines() -> None:
    builder = GraphBuilder("long")
    x = builder.apply({"Dense": 8}, builder.input("an input whose name is far wider than a column of any paper", (4,)))
    graph = builder.graph(builder.apply({"Dense": 8}, x, name="_".join(["another"] * 12)))
    assert_clean(made(graph)[2], 3.3)


def test_sizes_of_text() -> None:
    for size in (8, 12):
        found = made("lenet", font_size=size, width=7)[2]
        assert found.smallest_text == size - 1


def test_shapes_stand_in_boxes_or_on_edges_or_nowhere() -> None:
    graph = chain(3)
    dots = {shapes: made(graph, shapes=shapes)[1].dot for shapes in ("node", "edge", "none")}
    shape = "60×60×9"
    assert f"{shape}</font>" in dots["node"] and f'label="{shape}"' not in dots["node"]
    assert f"{shape}</font>" not in dots["edge"] and f'label="{shape}"' in dots["edge"]
    assert shape not in re.sub(r'tooltip="[^"]*"', "", dots["none"])


def test_palettes_and_themes() -> None:
    def fills(**given: Any) -> set[str]:
        return set(re.findall(r'fillcolor="(#\w+)"', made("lenet", **given)[1].dot))

    assert "#77AADD" in fills() and "#56B4E9" in fills(palette="okabe-ito")
    for greys in (fills(palette="grey"), fills(theme="grey")):
        assert all(len({colour[1:3], colour[3:5], colour[5:7]}) == 1 for colour in greys)
    assert "#123456" in fills(palette={"dense": "#123456"}) and "#77AADD" in fills(palette={"dense": "#123456"})
    assert 'bgcolor="#1E1E1E"' in made("lenet", theme="dark")[1].dot


def test_title_and_legend() -> None:
    with_both, without = made("lenet", title="LeNet <5>")[1].dot, made("lenet", legend=False)[1].dot
    assert "LeNet &lt;5&gt;" in with_both and '"legend"' in with_both
    assert '"title"' not in without and '"legend"' not in without


def test_frozen_layers_are_marked() -> None:
    builder = GraphBuilder("frozen")
    x = builder.apply({"Dense": 8}, builder.input("x", (4,)), name="fixed", trainable=False)
    graph = builder.graph(builder.apply({"Dense": 9}, x, name="free"))
    assert made(graph, trainable=True)[1].dot.count("frozen</font>") == 1
    assert "frozen</font>" not in made(graph)[1].dot


def run(*arguments: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", "archspec", "draw", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, timeout=120, check=True, capture_output=True, text=True)


def test_options_stand_in_the_spec_and_the_command_line_wins(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    spec.write_text(
        "archspec: 1\nname: net\ninputs: {image: [28, 28, 1]}\n"
        "layers: [{Conv2D: {filters: 4, kernel_size: 3}}, Flatten, {Dense: 10}]\n"
        "draw: {theme: dark, title: From the spec, palette: {dense: '#123456'}}\n"
    )
    run(str(spec), "-o", str(tmp_path / "a.dot"))
    run(str(spec), "-o", str(tmp_path / "b.dot"), "--title", "From the line", "--theme", "paper")
    first, second = ((tmp_path / name).read_text() for name in ("a.dot", "b.dot"))
    assert "From the spec" in first and "#1E1E1E" in first and "#123456" in first
    assert "From the line" in second and "#1E1E1E" not in second and "#123456" in second


@pytest.mark.parametrize("spec", ["resnet@resnet50", "unet", "transformer"])
def test_dot_and_svg_are_the_same_in_every_run(spec: str, tmp_path: Path) -> None:
    name = spec.replace("@", ".yaml@") if "@" in spec else f"{spec}.yaml"
    for extension in ("dot", "svg"):
        written = []
        for seed in ("1", "2"):
            path = tmp_path / f"{seed}.{extension}"
            run(f"specs/{name}", "-o", str(path), seed=seed)
            written.append(path.read_bytes())
        assert written[0] == written[1]


def test_the_pdf_is_as_large_as_reported_and_has_its_fonts_in_it(tmp_path: Path) -> None:
    graph = graph_of("resnet@resnet50")
    pdf = draw(graph, tmp_path / "x.pdf").read_bytes()
    # Objects may be packed into streams.
    text = pdf + b"".join(unpacked(found) for found in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL))
    fonts = re.findall(rb"/Type\s*/FontDescriptor.*?>>", text, re.DOTALL)
    assert fonts and all(re.search(rb"/FontFile\d?", font) for font in fonts)
    assert not re.search(rb"/Subtype\s*/Type3", text)
    page = re.search(rb"/MediaBox\s*\[\s*([\d. ]+)\]", text)
    assert page
    _, _, wide, high = map(float, page[1].split())
    found = made(graph)[2]
    assert wide == pytest.approx(found.width * 72, abs=1.5) and high == pytest.approx(found.height * 72, abs=1.5)


def unpacked(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""


# The parts


def test_text_is_as_wide_as_helvetica() -> None:
    """Numbers from Adobe's Helvetica.afm and Helvetica-Bold.afm."""
    assert Face().breadth("conv 3×3", 10) == pytest.approx((500 + 556 + 556 + 500 + 278 + 556 + 584 + 556) / 100)
    assert Face().breadth("×16", 10, bold=True) == pytest.approx((584 + 556 + 556) / 100)
    assert Face().breadth("名前", 10) == 20


def test_text_is_as_wide_as_graphviz_says() -> None:
    graphviz = engine()
    assert graphviz
    words = ("conv 3×3, 256, /2", "112×112×64", "stage4 bottleneck", "normalisation", "MaxPooling2D")
    label = "<br/>".join(f"{word}<br/><b>{word}</b>" for word in words)
    (found,) = layouts([f'digraph {{ a [fontsize=8, fontname="{FONT}", label=<{label}>] }}'], graphviz)
    widths = [op["width"] for op in found["objects"][0]["_ldraw_"] if op["op"] == "T"]
    own = face(graphviz, 8, 7)
    expected = [own.breadth(word, 8, bold) for word in words for bold in (False, True)]
    assert expected == pytest.approx(widths, abs=1.5)


def test_text_is_broken_at_blanks_first() -> None:
    assert Face().broken("one two three", 8, 40) == ["one two", "three"]
    assert "".join(Face().broken("a" * 50, 8, 40)) == "a" * 50
    assert all(Face().breadth(line, 8) <= 40 for line in Face().broken("a" * 50, 8, 40))
    assert Face().broken("a" * 50, 8, 40, words=True) == ["a" * 50]


def test_boxes_get_no_wider_than_their_limit() -> None:
    shown, _, _ = made("resnet")
    style = Style(limit=70)
    for box in boxes(shown.panels[0].items):
        assert width(box, style) <= 80
        words = "".join(line.left + line.right for line in lines(box, style)).replace(" ", "")
        assert box.label.replace(" ", "") in words and box.shape in words


def test_columns_are_the_lines_that_go_straight() -> None:
    shown, _, _ = made("resnet@resnet50")
    macro, micro = shown.panels
    assert [len(ids) for ids in stacks(macro)] == [len(list(boxes(macro.items)))]
    main = {edge.tail for edge in micro.edges if edge.kind == "main"}
    assert any(main <= set(ids) for ids in stacks(micro))


def test_halves_of_a_curve_are_the_same_curve() -> None:
    points = ((0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0))
    twice = halved(points)
    assert len(twice) == 7 and (twice[0], twice[3], twice[-1]) == ((0, 0), (5, 7.5), (10, 0))
    for one, other in zip(samples(twice, 10), samples(points, 20), strict=True):
        assert one == pytest.approx(other)
    assert max(y for _, y in twice) < 10


def test_a_wrapped_column_keeps_every_box_and_edge() -> None:
    shown, _, _ = made(chain(12), width=1.6)
    panel = shown.panels[0]
    ids = [box.id for box in boxes(panel.items)]
    column = Layout({id: Place(0, -20.0 * place, 60, 15) for place, id in enumerate(ids)}, {}, {})
    for count in (2, 3):
        found = wrapped(panel, column, count)
        assert list(found.nodes) == ids and len({place.x for place in found.nodes.values()}) == count
        assert len(found.ways) == count - 1
        assert not any(p.rect.meets(q.rect) for p, q in pairs(list(found.nodes.values())))


def pairs(places: Sequence[Place]) -> list[tuple[Place, Place]]:
    return [(p, q) for number, p in enumerate(places) for q in places[number + 1 :]]


def test_rectangles() -> None:
    one = Rect(0, 0, 2, 1)
    assert one.meets(Rect(1, 0, 3, 1)) and not one.meets(Rect(2, 0, 3, 1))
    assert one.within(one) and one.grown(-0.1).within(one) and not one.grown(0.1).within(one)


def test_widths() -> None:
    assert (Options().inches, Options(level="raw").inches, options({"width": "7in"}).inches) == (3.3, 1000, 7)
    for wrong in ("wide", 0.2, 2000):
        with pytest.raises(DrawError, match="width must be"):
            options({"width": wrong})


def test_the_report_notices_what_is_wrong() -> None:
    shown, composed, _ = made("resnet@resnet50")
    graphviz = engine()
    assert graphviz
    first, second = [box.id for box in boxes(shown.panels[0].items)][:2]
    one, other = (re.findall(rf'"{id}" \[.*?pos="([^"]*)"', composed.dot, re.DOTALL)[0] for id in (first, second))
    over = dataclasses.replace(composed, dot=composed.dot.replace(f'pos="{other}"', f'pos="{one}"'))
    assert (first, second) in report(shown, over, graphviz).overlaps
    wide = re.sub(r'bb="[^"]*"', 'bb="0,0,10,10"', composed.dot)
    assert report(shown, dataclasses.replace(composed, dot=wide), graphviz).outside
