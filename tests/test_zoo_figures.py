"""Every figure of the gallery at both of its levels: it fits a column of a paper, is never nearly empty, is legible."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from archspec.draw import engine
from archspec.draw.engine import render
from archspec.draw.geometry import Rect, read, samples
from archspec.draw.model import Figure, Panel, boxes, groups
from docs.make_gallery import VARIANTS
from tests.test_geometry import SPECS, assert_clean, made

pytestmark = pytest.mark.skipif(engine() is None, reason="needs Graphviz")

DRAWN = [f"{name}@{variant}" for name, variants in VARIANTS.items() for variant in variants]
LEAST = {  # nodes of figures that are hard to fit, below which they would be nearly empty
    "transformer": 24, "t5": 20, "googlenet_aux": 20, "nasnet": 17, "amoebanet": 17, "deconvnet": 17, "clip": 20,
    "inception@v2": 14, "swin": 20, "bert": 15, "vit": 12, "gpt2": 11,
}  # fmt: skip


@pytest.mark.parametrize("spec", DRAWN)
def test_figures_of_the_gallery_fit_a_column(spec: str) -> None:
    _, _, found = made(spec)
    assert_clean(found, 3.3)
    assert found.nodes <= 25 and found.height <= 9 and found.aspect <= 2.2 and found.smallest_text >= 7


@pytest.mark.parametrize("spec", [*SPECS, *DRAWN])
def test_an_overview_of_every_spec_fits_a_column(spec: str) -> None:
    _, _, found = made(spec, level="overview")
    assert_clean(found, 3.3)
    assert found.nodes <= 12 and found.height <= 9 and found.aspect <= 2.2 and found.smallest_text >= 7


@pytest.mark.parametrize("spec", LEAST)
def test_no_figure_is_nearly_empty(spec: str) -> None:
    assert made(spec)[2].nodes >= LEAST[spec]


@pytest.mark.parametrize("spec", ["nasnet", "amoebanet"])
def test_normal_and_reduction_cells_are_told_apart(spec: str) -> None:
    macro, cell = made(spec)[0].panels
    rows = [(box.label, box.times) for box in boxes(macro.items) if box.label.endswith(" cell")]
    assert rows[-5:] == [("normal cell", 4), *[("reduction cell", 1), ("normal cell", 4)] * 2]
    assert cell.title == "normal cell" and cell.times == 12


def residuals(panel: Panel) -> int:
    sums = {box.id for box in boxes(panel.items) if box.label == "+"}
    return sum(sum(edge.head == one for edge in panel.edges) == 2 for one in sums)


def test_the_transformer_shows_both_of_its_blocks_with_their_residuals() -> None:
    shown, _, found = made("transformer")
    opened = {panel.title: residuals(panel) for panel in shown.panels[1:]}
    assert opened == {"encoder": 2, "decoder": 3} and found.nodes <= 25 and found.height <= 9


@pytest.mark.parametrize("spec", ["bert", "gpt2", "vit", "deit"])
def test_in_a_frame_residuals_begin_at_a_point_inside(spec: str) -> None:
    shown: Figure = made(spec)[0]
    (macro,) = shown.panels
    (frame,) = groups(macro.items)
    inside = {box.id for box in boxes(frame.items)}
    assert frame.times > 1 and next(boxes(frame.items)).kind == "point"
    assert all(edge.tail in inside for edge in macro.edges if edge.kind == "residual" and edge.head in inside)
    assert residuals(macro) >= 2


@pytest.mark.parametrize("spec", ["highway", "bert", "gpt2", "vit", "transformer", "clip"])
def test_no_line_touches_a_heading(spec: str) -> None:
    _, composed, _ = made(spec)
    graphviz = engine()
    assert graphviz
    found = json.loads(render(composed.dot, "json", graphviz, placed=True))
    ways = [samples(way.points) for way in read(found).ways.values()]
    headings = list(texts(found))
    assert headings
    for rect in headings:
        assert not any(rect.left < x < rect.right and rect.bottom < y < rect.top for way in ways for x, y in way)


def texts(found: dict[str, Any]) -> Iterator[Rect]:
    """Where the headings of panels and frames stand."""
    for item in found["objects"]:
        size = 0.0
        for op in item.get("_ldraw_", ()) if item["name"].startswith("cluster_") else ():
            if op["op"] == "F":
                size = op["size"]
            elif op["op"] == "T" and op["text"].strip():
                (x, y), shift = op["pt"], {"l": 0.0, "c": 0.5, "r": 1.0}[op["align"]] * op["width"]
                yield Rect(x - shift, y, x - shift + op["width"], y + 0.7 * size)
