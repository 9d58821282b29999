"""Going on with a run, or doing it again: what its folder says, and what may have changed since."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.graph.ir import Graph
from archspec.graph.text import to_text
from archspec.language import Document
from archspec.layers.base import Model
from archspec.train.folder import RunFailed
from archspec.train.runs import open_run
from archspec.train.sections import sections

if TYPE_CHECKING:
    from archspec.train.checkpoint import Position

# What may change in a run that goes on: settings that leave the network's variables and the examples' order alone.
RUNTIME = (
    "train.epochs", "train.callbacks", "train.optimizer", "train.loss_weights", "train.class_weight",
    "train.steps_per_execution", "train.validation_freq", "run.devices", "run.mesh", "run.layout", "run.hosts",
    "run.host", "run.jit", "run.remat", "run.checkpoint", "run.tensorboard", "data.source",
)  # fmt: skip
_RATE = "train.optimizer.learning_rate"
_SHOWN = 20  # lines of a diff


@dataclass(frozen=True)
class Resumed:
    """A run that goes on: its facts so far, and what changes, as `path: before → now`.

    `fresh` names the optimizers' variables that the spec gives anew.
    """

    facts: Mapping[str, Any]
    changes: tuple[str, ...] = ()
    fresh: tuple[str, ...] = field(default=())


def resumed(folder: Path, document: Document, graph: Graph) -> Resumed:
    """What going on with the run in the folder by this spec means.

    Raises RunFailed where the run is finished, and where the spec changes more than a run that goes on can take.
    """
    run, old = open_run(folder)
    old_document, old_graph = old.document, old.graph
    changes, refused = _changes(old_document, document)
    if to_text(old_graph) != to_text(graph):
        refused = [*_network(old_graph, graph), *refused]
    if refused:
        shown = "\n".join(f"  {line}" for line in refused)
        help = "a run goes on with the same network, data, loss and metrics; train it as a new run"
        raise RunFailed(f"the spec has changed since the run began:\n{shown}", folder, help)
    more = any(line.startswith("train.epochs:") for line in changes)
    if run.is_finished and not more:
        help = "train.epochs=N with more epochs goes on with it; --repeat does it again"
        raise RunFailed(f"the run in {folder} is finished", None, help)
    fresh = ("learning_rate",) if any(line.startswith(_RATE) for line in changes) else ()
    return Resumed(run.environment, tuple(changes), fresh)


def check_data(folder: Path, facts: Mapping[str, Any], fingerprint: str) -> None:
    """Raises RunFailed where the data are not those that the run began with."""
    if facts["data"] != fingerprint:
        message = f"the data have changed since the run began: {facts['data']} has become {fingerprint}"
        raise RunFailed(message, folder, "bring the old data back, or train a new run")


def trained_seconds(position: Position) -> float:
    """Seconds that earlier sessions trained, as far as the checkpoint has what came of them."""
    return sum(line["seconds"] for line in position.lines) + position.seconds


def history(before: Resumed | None, started: datetime.datetime, ended: datetime.datetime | None) -> dict[str, Any]:
    """When the run began and ended, and each time that it went on, with what had changed."""
    now = started.isoformat(timespec="seconds")
    end = ended.isoformat(timespec="seconds") if ended else None
    if before is None:
        return {"started": now, "ended": end, "resumed": []}
    again = {"at": now, "changes": before.changes}
    return {"started": before.facts["started"], "ended": end, "resumed": [*before.facts["resumed"], again]}


def _network(old: Graph, new: Graph) -> list[str]:
    """The difference of two networks by their printed lines."""
    lines = difflib.unified_diff(to_text(old).splitlines(), to_text(new).splitlines(), lineterm="", n=0)
    found = [" ".join(line.split()) for line in lines if line[:3] not in ("---", "+++") and not line.startswith("@@")]
    return found[:_SHOWN] + ([f"… and {len(found) - _SHOWN} more lines"] if len(found) > _SHOWN else [])


def _changes(old: Document, new: Document) -> tuple[list[str], list[str]]:
    """What differs between the settings of two specs: what may, and what must not."""
    before, now = _settings(old), _settings(new)
    changes: list[str] = []
    refused: list[str] = []
    for path in dict.fromkeys([*before, *now]):
        if before.get(path) != now.get(path):
            line = f"{path}: {_shown(before, path)} → {_shown(now, path)}"
            may = any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in RUNTIME)
            (changes if may and path != "train.optimizer" else refused).append(line)
    reads_params = any("=" in str((spec.data or {}).get(key, "")) for spec in (old, new) for key in
                       ("preprocess", "augment"))  # fmt: skip
    if reads_params and old.raw.get("params") != new.raw.get("params"):
        refused.append("params, which data.preprocess and data.augment can read")
    return changes, refused


def _shown(values: Mapping[str, Any], path: str) -> str:
    return str(values[path]) if path in values else "nothing"


def _settings(document: Document) -> dict[str, Any]:
    """All settings by their path, a Keras object's class at its own."""
    found = sections(document)
    named = {"data": found.data, "train": found.train, "run": found.run}
    return dict(pair for name, model in named.items() for pair in _flat(name, model) if pair[0] != name)


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Model):
        yield path, type(value).__name__
        for name in type(value).model_fields:
            yield from _flat(f"{path}.{name}", getattr(value, name))
    elif isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _flat(f"{path}.{key}", each)
    elif isinstance(value, tuple | list) and value:
        for i, each in enumerate(value):
            yield from _flat(f"{path}[{i}]", each)
    else:
        yield path, value
