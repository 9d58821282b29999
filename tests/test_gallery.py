"""The gallery in the repository is what `make gallery` would make now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archspec.draw import engine
from tests.disk import script

ROOT = Path(__file__).parent.parent
HELP = "the gallery is stale: make gallery"

needs_engine = pytest.mark.skipif(engine() is None, reason="needs Graphviz")


gallery = script("make_gallery")
ENTRIES = gallery.entries()
DRAWN = [*ENTRIES, gallery.readme()]
STATE = json.loads((gallery.GALLERY / "state.json").read_text("utf-8"))
QUICK = ("readme", "digits_cnn", "resnet", "unet")


def test_every_spec_is_shown() -> None:
    specs = {path.name for path in gallery.SPECS.glob("*.yaml")} - {"index.yaml"}
    assert {entry.reference.split("@")[0] for entry in ENTRIES} == specs


def test_the_figures_are_those_of_the_specs() -> None:
    assert STATE["figures"] == {entry.file: entry.digest for entry in DRAWN}, HELP


def test_the_pages_are_those_of_the_figures() -> None:
    assert (gallery.GALLERY / "README.md").read_text("utf-8") == gallery.markdown(ENTRIES), HELP
    assert (gallery.GALLERY / "index.html").read_text("utf-8") == gallery.page(ENTRIES), HELP


def test_every_drawing_is_there_and_none_besides() -> None:
    files = {path.name for entry in DRAWN for _, path in entry.drawings()}
    assert {path.name for path in gallery.GALLERY.glob("*.svg")} == files, HELP


def test_a_changed_figure_is_noticed(tmp_path: Path) -> None:
    spec = tmp_path / "mlp.yaml"
    spec.write_text((gallery.SPECS / "mlp.yaml").read_text("utf-8").replace("784", "785"), "utf-8")
    changed = gallery.Entry("mlp", str(spec))
    assert changed.digest != STATE["figures"]["mlp"]


@needs_engine
@pytest.mark.parametrize(
    "entry",
    [pytest.param(e, id=e.file, marks=() if e.file in QUICK else pytest.mark.slow) for e in DRAWN],
)
def test_the_drawings_are_what_is_drawn_now(entry: Any, tmp_path: Path) -> None:
    """Another Graphviz or font gives other drawings; then the figures alone are compared."""
    now = gallery.state([])
    if any(now[key] != STATE[key] for key in ("engine", "font")):
        pytest.skip(f"the gallery was drawn by {STATE['engine']} in {STATE['font']}")
    entry.draw(tmp_path)
    for (_, made), (_, kept) in zip(entry.drawings(tmp_path), entry.drawings(), strict=True):
        assert made.read_bytes() == kept.read_bytes(), HELP
