"""`npz`: arrays that NumPy has saved."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.data.base import WHOLE, DataError, Loaded, Source, existing

if TYPE_CHECKING:
    import numpy as np

_SUFFIXES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}


class Npz(Source):
    """A `.npz` file: each array is a field, its first axis the examples.

    Arrays named `x_train`, `y_train`, `x_test`, … are the fields `x` and `y` in the splits `train`, `test` and
    `validation`. The field `x` is the input and `y` the target unless `data.inputs` and `data.targets` say otherwise.
    Pickled objects are not read: they could run code.
    """

    KIND = "npz"

    path: str

    def load(self, folder: Path) -> Loaded:
        import numpy as np

        from archspec.data.tables import load_arrays

        file = existing(self.path, folder)
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{str(file)!r} cannot be read as an .npz file: {error}",
                help="save plain arrays with numpy.savez; arrays of Python objects are not read",
            ) from error
        parts = _split_by_name(arrays)
        for part, fields in parts.items():
            _check_lengths(file, part, fields)
        names = list(next(iter(parts.values())))
        rest = tuple(name for name in names if name != "y")
        return load_arrays(parts, ("x",) if "x" in names else rest, ("y",) if "y" in names else (), labels=tuple(names))


def _split_by_name(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Arrays by split and field: `x_train` is the field `x` of the split `train`, if all are named in this way."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        stem, _, suffix = name.rpartition("_")
        if not stem or suffix not in _SUFFIXES:
            return {WHOLE: arrays}
        parts.setdefault(_SUFFIXES[suffix], {})[stem] = array
    return parts if len({tuple(sorted(fields)) for fields in parts.values()}) == 1 else {WHOLE: arrays}


def _check_lengths(file: Path, part: str, fields: dict[str, np.ndarray]) -> None:
    lengths = {name: len(array) if array.ndim else None for name, array in fields.items()}
    if not lengths or len(set(lengths.values())) != 1 or None in lengths.values():
        shown = ", ".join(f"{name} {fields[name].shape}" for name in lengths) or "nothing"
        where = "" if part == WHOLE else f" of split {part!r}"
        raise DataError(f"the arrays{where} in {str(file)!r} must have equally many examples along axis 0, got {shown}")
