"""Cross-validation: the network trained once for each fold, in folders of their own, and what comes out on average."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archspec.data.plan import Plan, folds, plan
from archspec.data.split import BadSplit
from archspec.diagnostics import Diagnostic, SpecError
from archspec.files import write_whole
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.train.check import check_settings, require_loss
from archspec.train.fit import TrainedRun, train
from archspec.train.folder import Status, locked, new_folder, write_json, write_spec
from archspec.train.report import show

_SHARED = ("name", "description", "parameters", "classes", "backend", "precision", "seed")  # alike in all folds
Figures = Mapping[str, Mapping[str, float]]  # by split and metric


@dataclass(frozen=True)
class CrossValidated:
    """A cross-validation that ended well: its folder, the mean and the standard deviation of each figure, the folds."""

    path: Path
    mean: Figures
    deviation: Figures
    folds: Sequence[TrainedRun]


def train_folds(
    document: Document,
    graph: Graph,
    n: int,
    run_dir: Path | str | None = None,
    *,
    runs: Path | str = "runs",
    quiet: bool = False,
) -> CrossValidated:
    """Trains the network n times, each time tested on another nth of the examples, in fold-1, fold-2, … of one folder.

    Its results.json holds the means under `metrics`, as that of a single run does, and their sample standard deviations
    (n - 1) under `deviation`. Raises SpecError before anything is written where the spec, the data or n are wrong, and
    RunFailed where a fold breaks off; the folds before it are kept.
    """
    plans = _plans(document, graph, n)
    folder = new_folder(document.name, Path(run_dir) if run_dir is not None else None, Path(runs))
    began = time.perf_counter()
    with locked(folder), Status(folder):
        write_spec(folder, document)
        trained = []
        for number, ready in enumerate(plans, 1):
            if not quiet:
                print(f"fold {number} of {n}", flush=True)
            trained.append(train(document, graph, folder / f"fold-{number}", quiet=quiet, following=ready))
        results = [json.loads((run.path / "results.json").read_text("utf-8")) for run in trained]
        measured = [result["metrics"] for result in results]
        mean, deviation = _over(measured, statistics.fmean), _over(measured, statistics.stdev)
        _write(folder, document, mean, deviation, results, time.perf_counter() - began)
    if not quiet:
        for name, value in mean.get("test", {}).items():
            print(f"test {name}: {_with_deviation(name, value, deviation['test'][name])}", flush=True)
    return CrossValidated(folder, mean, deviation, tuple(trained))


def _plans(document: Document, graph: Graph, n: int) -> list[Plan]:
    settings = check_settings(document, graph)
    require_loss(document, settings)
    ready = plan(document, graph, settings.data, settings.losses(graph))
    try:
        return list(folds(ready, n))
    except BadSplit as error:
        span = document.mark.at("data", "split", error.key).span
        raise SpecError([Diagnostic("E503", error.message, span, help=error.help)], document.texts) from error


def _over(measured: Sequence[Figures], function: Any) -> dict[str, dict[str, float]]:
    """The function of each figure that all folds have."""
    return {
        split: {
            name: float(function([figures[split][name] for figures in measured]))
            for name in measured[0][split]
            if all(name in figures.get(split, {}) for figures in measured)
        }
        for split in measured[0]
    }


def _write(
    folder: Path, document: Document, mean: Figures, deviation: Figures, results: Sequence[Mapping[str, Any]],
    seconds: float,
) -> None:  # fmt: skip
    """results.json for programs, report.md for people."""
    each = [
        {"folder": f"fold-{i}", "metrics": result["metrics"], "examples": result["examples"]}
        for i, result in enumerate(results, 1)
    ]
    shared = {key: results[0][key] for key in _SHARED}
    write_json(
        folder / "results.json",
        {**shared, "metrics": mean, "deviation": deviation, "folds": each, "seconds": round(seconds, 3)},
    )
    names = list(mean.get("test", {}))
    lines = [f"# {document.name}: {len(each)} folds\n", "Mean ± sample standard deviation of the folds.\n"]
    lines += ["| | test | validation | train |", "| --- | --- | --- | --- |"]
    for name in names:
        cells = [
            _with_deviation(name, mean[split][name], deviation[split][name]) if name in mean.get(split, {}) else ""
            for split in ("test", "validation", "train")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"| fold | examples | {' | '.join(names)} |", f"| --- | --- |{' --- |' * len(names)}"]
    for fold in each:
        sizes = ", ".join(f"{split} {size:,}" for split, size in fold["examples"].items())
        figures = " | ".join(show(name, fold["metrics"]["test"][name]) for name in names)
        lines.append(f"| [{fold['folder']}]({fold['folder']}/report.md) | {sizes} | {figures} |")
    write_whole(folder / "report.md", "\n".join([*lines, ""]))


def _with_deviation(name: str, mean: float, deviation: float) -> str:
    return f"{show(name, mean)} ± {show(name, deviation)}"
