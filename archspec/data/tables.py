"""Fields and splits that lie in memory as arrays: what the sources of tables share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archspec.data.base import Arrays, Field, Loaded, Rows, Selection, hash_arrays
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np

_LABELS = 1000  # whole numbers beyond this, and beyond the number of examples, are amounts


def load_arrays(
    parts: Mapping[str, Mapping[str, np.ndarray]],
    inputs: tuple[str, ...],
    targets: tuple[str, ...],
    classes: Mapping[str, tuple[str, ...]] | None = None,
    *,
    labels: tuple[str, ...] | None = None,
) -> Loaded:
    """A source from arrays by split and field.

    `classes` names a label's classes. A field among `labels` (the targets where left out) that holds one whole number
    from 0 for each example counts them from its values.
    """
    import numpy as np

    first = next(iter(parts.values()))
    ranges = {name: _range([part[name] for part in parts.values()]) for name in first}
    named = dict(classes or {})
    size = sum(len(next(iter(part.values()))) for part in parts.values())
    for name in targets if labels is None else labels:
        around = ranges[name]
        if name not in named and around and _is_label(first[name]) and 0 <= around[0] <= around[1] < max(_LABELS, size):
            named[name] = tuple(map(str, range(1 + int(around[1]))))
    codes = {
        name: {part: _codes(array[name]) for part, array in parts.items()} for name in named if _is_code(first[name])
    }

    def read(selection: Selection) -> Rows:
        chosen = [(parts[part], at) for part, at in selection.items()]
        return Arrays({name: np.concatenate([part[name][at] for part, at in chosen]) for name in first})

    return Loaded(
        fields={name: Field(_element(array), named.get(name), ranges[name]) for name, array in first.items()},
        sizes={name: len(next(iter(part.values()))) for name, part in parts.items()},
        inputs=inputs,
        targets=targets,
        read=read,
        fingerprint=hash_arrays((f"{name}.{f}", a) for name, part in parts.items() for f, a in part.items()),
        labels=codes,
    )


def _is_label(array: np.ndarray) -> bool:
    return array.shape[1:] in ((), (1,)) and array.dtype.kind in "iu"


def _is_code(array: np.ndarray) -> bool:
    """Whether each example has one class, as a number or as a one-hot vector, and not a map of classes."""
    return array.shape[1:] in ((), (1,)) or (array.ndim == 2 and array.dtype.kind == "f")


def _codes(array: np.ndarray) -> np.ndarray:
    """The class of each example."""
    return array.argmax(axis=1) if array.ndim == 2 and array.shape[1] > 1 else array.reshape(-1)


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
