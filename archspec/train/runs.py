"""Run folders read back: what is in them, how they differ, and the spec that they were trained by."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archspec.architecture import Architecture, load
from archspec.language import Limits
from archspec.language.source import parse
from archspec.train.folder import RunFailed, is_locked
from archspec.train.record import is_figure

STATUS = "status.json"  # every run folder has one, from its first moment on


@dataclass(frozen=True)
class RunFolder:
    """A run's folder as it lies there: all but `path` may be missing where it has not come that far.

    `status` is running, finished, or interrupted or failed and why. `epochs` counts those that are complete, `results`
    is results.json and `environment` is environment.json.
    """

    path: Path
    status: str
    epochs: int = 0
    last: Mapping[str, float] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_finished(self) -> bool:
        return self.status == "finished"

    @property
    def seconds(self) -> float | None:
        """How long the run took in all, once it has ended well."""
        seconds = self.results.get("seconds")
        return None if seconds is None else float(seconds)

    def figures(self) -> tuple[str, Mapping[str, float]]:
        """The figures that count most, and the split that they are of: the test's, else what there is."""
        metrics = self.results.get("metrics", {})
        for split in ("test", "validation", "train"):
            if metrics.get(split):
                return split, metrics[split]
        validated = {n.removeprefix("val_"): value for n, value in self.last.items() if n.startswith("val_")}
        return ("validation", validated) if validated else ("train", self.last)

    def all_figures(self) -> dict[str, float]:
        """Every figure by its split and name, and those from predictions by their output."""
        metrics = self.results.get("metrics", {})
        found = {f"{split} {n}": v for split, each in metrics.items() for n, v in each.items()}
        judged = self.results.get("figures", {})
        for output, each in judged.items():
            of = f"{each['split']} {output} " if len(judged) > 1 else f"{each['split']} "
            found |= {of + name: value for name, value in each["figures"].items() if of + name not in found}
        return found

    def settings(self) -> dict[str, Any]:
        """The resolved spec's values by their paths. Raises RunFailed."""
        return flat(_read_yaml(self.path / "resolved.yaml"))

    def to_json(self) -> dict[str, Any]:
        split, figures = self.figures()
        return {
            "run": str(self.path),
            "name": self.results.get("name"),
            "status": self.status,
            "epochs": self.epochs,
            "split": split,
            "figures": dict(figures),
            "seconds": self.seconds,
            "started": self.environment.get("started"),
        }


def told(results: Mapping[str, Any]) -> dict[str, float]:
    """Of each output with classes the figure that says most, where Keras's metrics do not have it."""
    metrics = results.get("metrics", {})
    found: dict[str, float] = {}
    judged = {output: each for output, each in results.get("figures", {}).items() if each["task"] != "amounts"}
    for output, each in judged.items():
        name, value = next(iter(each["figures"].items()), ("", 0.0))
        if name and not any(n.endswith(name) for n in metrics.get(each["split"], {})):
            found[f"{output}_{name}" if len(judged) > 1 else name] = value
    return found


def is_run(path: Path) -> bool:
    return (path / STATUS).is_file()


def read_run(path: Path) -> RunFolder:
    """One run's folder. Raises RunFailed where it is none."""
    if not path.exists():
        raise RunFailed(f"there is no run {str(path)!r}", help="archspec runs lists those in ./runs")
    if not is_run(path):
        raise RunFailed(f"{str(path)!r} is no run: it has no {STATUS}", help="archspec runs lists those in ./runs")
    said = _read_json(path / STATUS)
    status = str(said.get("status", "unknown"))
    if status == "running" and not is_locked(path):
        status = "stopped"
    results, environment = (_read_json(path / f"{name}.json") for name in ("results", "environment"))
    return RunFolder(path, status, *_last_epoch(path / "metrics.csv"), results, environment)


def list_runs(folder: Path) -> list[RunFolder]:
    """The runs that lie in a folder, by name, and the folds of each. Raises RunFailed where there is no such folder."""
    if not folder.is_dir():
        raise RunFailed(f"there is no folder {str(folder)!r}", help="archspec train SPEC makes the first run in ./runs")
    return [read_run(each) for path in sorted(folder.iterdir()) if is_run(path) for each in (path, *_folds(path))]


def open_run(path: Path, changes: Sequence[str] = ()) -> tuple[RunFolder, Architecture]:
    """A run and the network that it trained, from the folder alone; relative paths of data start where they did.

    `changes` override values of the spec: `data.batch_size=8`. Raises RunFailed, and SpecError for changes.
    """
    run = read_run(path)
    spec, home = path / "resolved.yaml", run.environment.get("home")
    if not spec.is_file() or home is None:
        message = f"{str(path)!r} holds no run that got as far as writing down its spec"
        raise RunFailed(message, help="train it anew" if not _folds(path) else f"its folds are runs: {path}/fold-1")
    made = load(spec, changes=changes, limits=Limits(**run.environment.get("limits", {})))
    # What the spec uses lies beside it; relative paths of data start where the spec lay.
    document = replace(made.document, folder=Path(home), variant=run.environment.get("variant"))
    return run, Architecture(document, made.graph)


def _folds(path: Path) -> list[Path]:
    """The runs of a cross-validation, in their order."""
    return sorted((fold for fold in path.glob("fold-*") if is_run(fold)), key=lambda fold: (len(fold.name), fold.name))


def trained_model(run: RunFolder) -> Path:
    """The file with the run's network and weights. Raises RunFailed where the run has none."""
    model = run.path / "model.keras"
    if not model.is_file():
        message = f"{str(run.path)!r} has no trained model; its status is {run.status!r}"
        raise RunFailed(message, help="a run writes model.keras when it ends")
    return model


@dataclass(frozen=True)
class Comparison:
    """Two runs or more side by side: by path, the settings that are not the same in all; by name, all figures.

    A value is None in a run that lacks it.
    """

    runs: Sequence[RunFolder]
    settings: Mapping[str, Sequence[Any]]
    environment: Mapping[str, Sequence[Any]]
    figures: Mapping[str, Sequence[float | None]]

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": [run.to_json() for run in self.runs],
            "settings": dict(self.settings),
            "environment": dict(self.environment),
            "figures": dict(self.figures),
        }


_OWN = ("started", "ended", "command", "folder", "spec")  # differ between any two runs and decide nothing


def compare(runs: Sequence[RunFolder]) -> Comparison:
    """What differs between the runs. Raises RunFailed where a spec cannot be read."""
    facts = [{k: v for k, v in flat(run.environment).items() if k not in _OWN} for run in runs]
    figures = [run.all_figures() for run in runs]
    names = dict.fromkeys(name for each in figures for name in each)
    return Comparison(
        runs,
        _differences([run.settings() for run in runs]),
        _differences(facts),
        {name: [each.get(name) for each in figures] for name in names},
    )


def _differences(each: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    paths = dict.fromkeys(path for values in each for path in values)
    rows = {path: [values.get(path) for values in each] for path in paths}
    return {path: row for path, row in rows.items() if any(value != row[0] for value in row[1:])}


def flat(data: Any, path: str = "") -> dict[str, Any]:
    """Nested data by path: `train.optimizer.Adam.learning_rate`, `layers[2].Dense.units`; empty ones are values."""
    if isinstance(data, Mapping) and data:
        inner = ((f"{path}.{key}" if path else str(key), value) for key, value in data.items())
    elif isinstance(data, list) and any(isinstance(value, Mapping | list) for value in data):
        inner = ((f"{path}[{i}]", value) for i, value in enumerate(data))
    else:
        return {path: data}
    return {name: leaf for at, value in inner for name, leaf in flat(value, at).items()}


def _read_yaml(path: Path) -> Any:
    try:
        return parse(path.read_text("utf-8"), str(path)).data
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailed(f"{str(path)!r} cannot be read: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    """What the file holds; nothing where it is not there. Raises RunFailed where it is damaged."""
    try:
        said = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunFailed(f"{str(path)!r} cannot be read: {error}") from error
    if not isinstance(said, dict):
        raise RunFailed(f"{str(path)!r} cannot be read: it holds no mapping")
    return said


def _last_epoch(path: Path) -> tuple[int, dict[str, float]]:
    """How many epochs the table holds, and the last one's figures."""
    if not path.is_file():
        return 0, {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = list(csv.DictReader(file))
    last = {name: _number(value) for name, value in (lines[-1] if lines else {}).items() if is_figure(name)}
    return len(lines), {name: value for name, value in last.items() if value is not None}


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
