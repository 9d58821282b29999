"""What the examples of a report looked like before any preprocessing: read again from the source, by their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from archspec.data.base import Arrays, Selection
from archspec.data.plan import Plan
from archspec.data.split import pick

Row = Mapping[str, np.ndarray]  # the value of each of the network's inputs


def inputs_at(plan: Plan, selection: Selection, places: Iterable[int]) -> dict[int, Row]:
    """The inputs of the examples at these places of a split."""
    wanted = sorted(set(places))
    if not wanted:
        return {}
    rows = plan.source.read(pick(selection, np.array(wanted)))
    found: list[Mapping[str, Any]]
    if isinstance(rows, Arrays):
        found = [{field: values[i] for field, values in rows.values.items()} for i in range(rows.size)]
    else:
        found = list(rows.open().as_numpy_iterator())
    return {
        place: {name: np.asarray(row[field]) for name, field in plan.inputs.items()}
        for place, row in zip(wanted, found, strict=True)
    }
