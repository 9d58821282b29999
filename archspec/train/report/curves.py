"""Curves, as files for papers and as drawings that take the page's colours."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archspec.train.record import is_figure
from archspec.train.report.tags import Html

Lines = Sequence[Mapping[str, float]]
_DECADE = 10  # a loss that falls by more than this is drawn on a logarithmic scale

# Matplotlib writes colours as numbers: these stand for the page's own, which replace them in the drawing.
_COLOURS = {"#010203": "var(--ink)", "#010204": "var(--soft)", "#010205": "var(--line)", "#010206": "var(--one)",
            "#010207": "var(--two)"}  # fmt: skip
_INK, _SOFT, _LINE, _ONE, _TWO = _COLOURS


def measured(lines: Lines) -> list[str]:
    """The training figures of the epochs, without those of validation."""
    return [name for name in lines[0] if is_figure(name) and not name.startswith("val_")] if lines else []


def write_curves(folder: Path, lines: Lines) -> None:
    """Loss and metrics by epoch, training and validation in one panel each, as SVG and PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = measured(lines)
    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _plot(axes, lines, name, (None, None))
        axes.set_xlabel("epoch")
        axes.set_title(_plain(name))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(folder / "curves.svg", metadata={"Date": None})
    figure.savefig(folder / "curves.png", dpi=120)


def _plot(axes: Any, lines: Lines, name: str, colours: tuple[str | None, str | None]) -> None:
    from matplotlib.ticker import MaxNLocator

    series = ((name, "training", "-", colours[0]), (f"val_{name}", "validation", "--", colours[1]))
    for key, label, style, colour in series:
        points = [(line["epoch"], line[key]) for line in lines if key in line]
        if points:
            marker = "." if len(points) == 1 else None
            axes.plot(*zip(*points, strict=True), style, label=label, marker=marker, color=colour)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    values = [line[key] for line in lines for key in (name, f"val_{name}") if key in line]
    if name.endswith("loss") and 0 < _DECADE * min(values) < max(values):
        axes.set_yscale("log")


def curve(lines: Lines, name: str) -> Html:
    """One figure by epoch, for the page."""

    def draw(axes: Any) -> None:
        _plot(axes, lines, name, (_ONE, _TWO))
        axes.set_xlabel("epoch", color=_SOFT)
        if f"val_{name}" in lines[0] or any(f"val_{name}" in line for line in lines):
            axes.legend(frameon=False, labelcolor=_INK)

    return _drawn(draw, name, wide=True)


def roc(rates: tuple[Sequence[float], Sequence[float]]) -> Html:
    """True against false positives, for the page."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=_SOFT, linestyle=":", linewidth=1)
        axes.plot(*rates, color=_ONE)
        axes.set_xlabel("false positive rate", color=_SOFT)
        axes.set_ylabel("true positive rate", color=_SOFT)

    return _drawn(draw, "ROC curve")


def scatter(points: np.ndarray) -> Html:
    """Predictions against targets, for the page."""

    def draw(axes: Any) -> None:
        ends = [float(points.min()), float(points.max())]
        axes.plot(ends, ends, color=_SOFT, linestyle=":", linewidth=1)
        axes.plot(points[:, 0], points[:, 1], ".", color=_ONE, markersize=4, alpha=0.6)
        axes.set_xlabel("target", color=_SOFT)
        axes.set_ylabel("prediction", color=_SOFT)

    return _drawn(draw, "predictions against targets")


def _drawn(draw: Callable[[Any], None], name: str, wide: bool = False) -> Html:
    """An SVG with real text in the page's fonts and colours."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.9 if wide else 3.6), layout="constrained")
    figure.patch.set_visible(False)
    canvas = FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    draw(axes)
    axes.set_title(_plain(name), color=_INK)
    axes.tick_params(which="both", color=_LINE, labelcolor=_SOFT)
    axes.grid(color=_LINE, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_LINE)
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        canvas.print_svg(text, metadata={"Date": None})
    made = text.getvalue()
    for number, colour in _COLOURS.items():
        made = made.replace(number, colour)
    return Html(made[made.index("<svg") :])


def _plain(name: str) -> str:
    """A name without the signs that Matplotlib takes for mathematics."""
    return name.replace("$", r"\$")
