"""Fields and splits that lie in memory as arrays: what the sources of tables share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archspec.data.base import Arrays, Field, Loaded, Rows, Selection, hash_arrays
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np


def load_arrays(
    parts: Mapping[str, Mapping[str, np.ndarray]],
    inputs: tuple[str, ...],
    targets: tuple[str, ...],
    classes: Mapping[str, tuple[str, ...]] | None = None,
) -> Loaded:
    """A source from arrays by split and field.

    `classes` names a label's classes; a whole-numbered scalar target that it leaves out counts them from its values.
    """
    import numpy as np

    first = next(iter(parts.values()))
    named = dict(classes or {})
    for target in targets:
        if target not in named and _is_label(first[target]) and all(part[target].min() >= 0 for part in parts.values()):
            count = 1 + max(int(part[target].max()) for part in parts.values())
            named[target] = tuple(map(str, range(count)))
    ranges = {name: _range([part[name] for part in parts.values()]) for name in first}
    fields = {name: Field(_element(array), named.get(name), ranges[name]) for name, array in first.items()}

    def read(selection: Selection) -> Rows:
        return Arrays(
            {name: np.concatenate([parts[part][name][at] for part, at in selection.items()]) for name in fields}
        )

    return Loaded(
        fields=fields,
        sizes={name: len(next(iter(part.values()))) for name, part in parts.items()},
        inputs=inputs,
        targets=targets,
        read=read,
        fingerprint=hash_arrays((f"{name}.{f}", a) for name, part in parts.items() for f, a in part.items()),
        labels={name: {part: parts[part][name] for part in parts} for name in named},
    )


def _is_label(array: np.ndarray) -> bool:
    return array.ndim == 1 and array.dtype.kind in "iu" and len(array) > 0


def _range(arrays: list[np.ndarray]) -> tuple[float, float] | None:
    """The smallest and the largest value of numbers, NaN aside."""
    import numpy as np

    filled = [array for array in arrays if array.size and array.dtype.kind in "iuf" and not np.isnan(array).all()]
    if not filled:
        return None
    return float(min(np.nanmin(array) for array in filled)), float(max(np.nanmax(array) for array in filled))


def _element(array: np.ndarray) -> TensorType:
    dtype = "string" if array.dtype.kind in "OUST" else str(array.dtype)
    return TensorType(tuple(array.shape[1:]), dtype)
