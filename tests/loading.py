"""Sources by name, and what they hold, for the tests of data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import archspec
from archspec.data.base import Arrays, Loaded, Source, sources
from archspec.data.plan import Plan, plan
from archspec.data.split import select
from archspec.train.check import check_settings


def source(kind: str, **arguments: Any) -> Source:
    return sources()[kind].model_validate(arguments)


def rows(loaded: Loaded, text: str) -> list[dict[str, Any]]:
    """The examples of a split, one by one."""
    found = loaded.read(select(loaded.sizes, text, "train"))
    if isinstance(found, Arrays):
        return [{name: values[i] for name, values in found.values.items()} for i in range(found.size)]
    examples = list(found.open().as_numpy_iterator())
    assert len(examples) == found.size
    return examples


def planned(text: str, folder: Path | None = None) -> Plan:
    spec = archspec.loads(text, folder=folder)
    checked = check_settings(spec.document, spec.graph)
    return plan(spec.document, spec.graph, checked.data, checked.losses(spec.graph))
