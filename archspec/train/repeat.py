"""Two runs of one spec compared: their figures, then their weights."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archspec.language import Document
from archspec.train.record import TIMES
from archspec.train.runs import open_run
from archspec.train.saved import INITIAL, load_model


def first_difference(one: Path, two: Path) -> str | None:
    """The first difference of two runs that are finished: in the data, in an epoch's figures, or in the weights.

    None where figures and weights are the same to the last bit.
    """
    facts, others = (json.loads((run / "environment.json").read_text("utf-8")) for run in (one, two))
    if facts["data"] != others["data"]:
        return f"the data: {facts['data']} then, {others['data']} now"
    found = _in_figures(_lines(one), _lines(two)) or _in_weights(one, two)
    if found is None:
        return None
    differing = [line for line in (*_machine(facts, others), *_resumed(facts)) if line]
    return "; ".join([found, *differing])


def kept_weights(run: Path, document: Document) -> Path | None:
    """The weights that the run began with, where this spec begins with the same. Raises RunFailed."""
    named = [(each.train or {}).get("initial_weights") for each in (open_run(run)[1].document, document)]
    file = run / INITIAL
    return file if named[0] is not None and named[0] == named[1] and file.is_file() else None


def _lines(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in line.items() if name not in TIMES} for line in csv.DictReader(file)]


def _in_figures(one: list[dict[str, str]], two: list[dict[str, str]]) -> str | None:
    for before, now in zip(one, two, strict=False):
        for name in dict.fromkeys([*before, *now]):
            if before.get(name) != now.get(name):
                return f"epoch {before['epoch']}: {name} was {before.get(name)} and is {now.get(name)}"
    return f"{len(one)} epochs then, {len(two)} now" if len(one) != len(two) else None


def _in_weights(one: Path, two: Path) -> str | None:
    import keras
    import numpy as np

    networks = [load_model(run / "model.keras") for run in (one, two)]
    for before, now in zip(networks[0].weights, networks[1].weights, strict=True):
        values = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in (before, now)]
        if values[0].tobytes() != values[1].tobytes():
            apart = np.abs(values[0].astype("float64") - values[1].astype("float64")).max()
            return f"the weight {before.path} differs by up to {apart:.3g}"
    return None


def _machine(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    """What else was different and may be why."""
    before = one["versions"] | {name: one[name] for name in ("python", "platform", "backend", "processors")}
    now = two["versions"] | {name: two[name] for name in ("python", "platform", "backend", "processors")}
    return [f"{name} was {before.get(name)} and is {now.get(name)}" for name in dict.fromkeys([*before, *now])
            if before.get(name) != now.get(name)]  # fmt: skip


def _resumed(facts: Mapping[str, Any]) -> list[str]:
    changes = [line for time in facts["resumed"] for line in time["changes"]]
    return [f"the run had been resumed with other settings ({'; '.join(changes)})"] if changes else []
