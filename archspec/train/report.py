"""What a run leaves for people: results.json, report.md and the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archspec.files import write_whole
from archspec.train.folder import write_json

_PERCENT = ("accuracy", "precision", "recall")


def write_report(folder: Path, name: str, results: Mapping[str, Any], lines: Sequence[Mapping[str, float]]) -> None:
    """results.json for programs, report.md for people."""
    write_json(folder / "results.json", results)
    parts = [f"# {name}\n"]
    if results["description"]:
        parts.append(f"{results['description']}\n")
    names = [split for split in ("test", "validation", "train") if results["metrics"].get(split)]
    measured = list(dict.fromkeys(metric for split in names for metric in results["metrics"][split]))
    rows = [[metric, *(_cell(metric, results["metrics"][split]) for split in names)] for metric in measured]
    parts += ["## Results\n", _table(["", *names], rows)]
    sizes, parameters = results["examples"], results["parameters"]
    facts = [
        ["examples", ", ".join(f"{split} {size:,}" for split, size in sizes.items() if size)],
        ["parameters", f"{parameters['total']:,}, {parameters['trainable']:,} of them trainable"],
        ["epochs", f"{results['epochs']}"],
        ["time", f"{results['seconds']:.1f} s"],
        ["backend", f"{results['backend']}, seed {results['seed']}, {results['precision']}"],
    ]
    if results["classes"]:
        facts += [["classes" if len(results["classes"]) == 1 else f"classes of {output}", _shown_classes(classes)]
                  for output, classes in results["classes"].items()]  # fmt: skip
    parts += ["## The run\n", _table(["", ""], facts)]
    pictures = [file for file in ("curves.svg", "network.svg") if (folder / file).is_file()]
    parts += [f"![{Path(file).stem}]({file})\n" for file in pictures]
    if lines:
        rate = f"{lines[-1]['learning_rate']:.3g}"
        parts.append(f"Each epoch's figures are in metrics.csv; the last learning rate was {rate}.\n")
    write_whole(folder / "report.md", "\n".join(parts))


def _cell(metric: str, figures: Mapping[str, float]) -> str:
    return show(metric, figures[metric]) if metric in figures else ""


def show(metric: str, value: float) -> str:
    """A figure as people read it: rates in per cent."""
    return f"{value:.2%}" if any(word in metric for word in _PERCENT) and 0 <= value <= 1 else f"{value:.4g}"


def _shown_classes(classes: Sequence[str]) -> str:
    return ", ".join(classes) if len(classes) <= 20 else f"{', '.join(classes[:20])}, … ({len(classes)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n"


def write_curves(folder: Path, lines: Sequence[Mapping[str, float]]) -> None:
    """Loss and metrics by epoch, training and validation in one panel each, as SVG and PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [n for n in lines[0] if n not in ("epoch", "learning_rate", "seconds") and not n.startswith("val_")]
    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
            points = [(line["epoch"], line[key]) for line in lines if key in line]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=label, marker="." if len(points) == 1 else None)
        axes.set_xlabel("epoch")
        axes.set_title(name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        if name.endswith("loss") and all(line[name] > 0 for line in lines if name in line):
            axes.set_yscale("log")
    figure.savefig(folder / "curves.svg", metadata={"Date": None})
    figure.savefig(folder / "curves.png", dpi=120)
