"""`csv`: a table of text with a line of column names."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Len, MinLen

from archspec.data.base import WHOLE, Column, DataError, Loaded, Source, existing
from archspec.diagnostics import did_you_mean

if TYPE_CHECKING:
    import numpy as np

ColumnType = Literal["float", "int", "class", "string"]
_MISSING = frozenset({"", "?", "na", "nan", "null", "none"})


class Csv(Source):
    """A CSV file whose first line names its columns.

    `columns` (all but the targets where left out) make the one field `features`, a vector in their order, if they are
    numbers or classes; columns of text are fields of their own. Each target is a field by its column's name.
    A column's type is found from its values unless `types` gives it: `int` and `float` are numbers, `class` numbers
    the values in alphabetical order from 0, `string` stays text. A target of whole numbers from 0 is a class label;
    give it the type `float` where it is an amount.
    """

    KIND = "csv"

    path: str
    target: str | Annotated[tuple[str, ...], MinLen(1)]
    columns: Annotated[tuple[str, ...], MinLen(1)] | None = None
    types: dict[str, ColumnType] | None = None
    delimiter: Annotated[str, Len(1, 1)] = ","

    def load(self, folder: Path) -> Loaded:
        import numpy as np

        from archspec.data.tables import load_arrays

        file = existing(self.path, folder)
        table = _read(file, self.delimiter)
        targets = (self.target,) if isinstance(self.target, str) else self.target
        wanted = self.columns or tuple(name for name in table if name not in targets)
        types = self.types or {}
        for name in (*targets, *wanted, *types):
            if name not in table:
                help = did_you_mean(name, table) or f"it has {', '.join(table)}"
                raise DataError(f"{str(file)!r} has no column {name!r}", help=help)
        fields: dict[str, np.ndarray] = {}
        classes: dict[str, tuple[str, ...]] = {}
        stacked: dict[str, np.ndarray] = {}
        columns: dict[str, tuple[Column, ...]] = {}
        for name in dict.fromkeys((*wanted, *targets)):
            kind = types.get(name) or _guess(table[name], is_target=name in targets)
            values, names = _convert(file, name, table[name], kind)
            if name in targets:
                fields[name] = values
                if names:
                    classes[name] = names
            if name in wanted and kind == "string":
                fields[name], columns[name] = values, (Column(name, text=True),)
            elif name in wanted:
                stacked[name] = values.astype("float32")
                made = Column(name, names, missing=math.nan if kind == "float" else None)
                columns["features"] = (*columns.get("features", ()), made)
        if stacked:
            fields["features"] = np.stack(list(stacked.values()), axis=-1)
        inputs = tuple(name for name in fields if name not in targets)
        loaded = load_arrays({WHOLE: fields}, inputs, targets, classes)
        return replace(loaded, columns=columns)


def _read(file: Path, delimiter: str) -> dict[str, list[str]]:
    """The columns by name, as text."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(reader, [])]
            rows = []
            for row in reader:
                if row and len(row) != len(names):
                    raise DataError(f"{file}:{reader.line_num} has {len(row)} values, its first line has {len(names)}")
                if row:
                    rows.append(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{str(file)!r} cannot be read as CSV: {error}", help="it must be text in UTF-8") from error
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{str(file)!r} has two columns {twice!r}")
    if not rows:
        raise DataError(f"{str(file)!r} has no examples: a line of column names comes first, then one line for each")
    return {name: [row[i].strip() for row in rows] for i, name in enumerate(names)}


def _guess(values: list[str], is_target: bool) -> ColumnType:
    """The narrowest type that all values have. A target of text is a class."""
    for kind, parse in (("int", int), ("float", float)):
        try:
            for value in values:
                if value.lower() not in _MISSING:
                    parse(value)
                elif kind == "int":
                    raise ValueError
        except ValueError:
            continue
        return "int" if kind == "int" else "float"
    return "class" if is_target or len(set(values)) <= max(20, len(values) // 10) else "string"


def _convert(file: Path, name: str, values: list[str], kind: ColumnType) -> tuple[np.ndarray, tuple[str, ...]]:
    """The column's values, and the names of its classes where it has any. A missing amount is NaN in an input."""
    import numpy as np

    if kind == "class":
        names = sorted(set(values))
        codes = {value: code for code, value in enumerate(names)}
        return np.array([codes[value] for value in values], "int32"), tuple(names)
    if kind == "string":
        return np.array(values, dtype=object), ()
    parse, dtype = (int, "int64") if kind == "int" else (float, "float32")
    numbers = []
    for row, value in enumerate(values, 2):
        try:
            numbers.append(float("nan") if kind == "float" and value.lower() in _MISSING else parse(value))
        except ValueError as error:
            raise DataError(
                f"column {name!r} of {str(file)!r} should hold {kind}s, example {row - 1} holds {value!r}",
                help=f"give its type: types: {{{name}: class}}",
            ) from error
    return np.array(numbers, dtype), ()
