"""Tables of text: read with the line of each row, and their columns turned into numbers and classes."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from archspec.data.base import DataError

if TYPE_CHECKING:
    import numpy as np

ColumnType = Literal["float", "int", "class", "onehot", "string"]
Missing = Literal["error", "drop", "nan"] | float

_MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})  # in columns of numbers; elsewhere only nothing
_LONGEST = 1 << 30  # characters of one value; the csv module's own limit, 131,072, is less than a novel has
_FEW = 20  # different texts in a column that is a category rather than text


@dataclass(frozen=True)
class Table:
    """A table as written: the columns' names, and each row's values and its first line in the file, from 1."""

    file: Path
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def column(self, name: str) -> list[str]:
        at = self.names.index(name)
        return [row[at] for row in self.rows]

    def without(self, dropped: set[int]) -> Table:
        kept = [i for i in range(len(self.rows)) if i not in dropped]
        return replace(self, rows=[self.rows[i] for i in kept], lines=[self.lines[i] for i in kept])


def read_table(file: Path, delimiter: str) -> Table:
    """A CSV file whose first line names its columns. Raises DataError."""
    csv.field_size_limit(_LONGEST)
    rows, lines, line = [], [], 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            names = tuple(name.strip() for name in next(reader, []))
            line = reader.line_num
            for row in reader:
                if row and len(row) != len(names):
                    message = f"{file}:{line + 1} has {len(row)} values, its first line has {len(names)}"
                    raise DataError(message, help=f"a value with {delimiter!r} in it stands in double quotes")
                if row:
                    rows.append([value.strip() for value in row])
                    lines.append(line + 1)
                line = reader.line_num
    except csv.Error as error:
        raise DataError(f"{file}:{line + 1} cannot be read as CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{str(file)!r} cannot be read as CSV: {error}", help="it must be text in UTF-8") from error
    for i, name in enumerate(names):
        if not name or name in names[:i]:
            raise DataError(
                f"{str(file)!r} has two columns {name!r}" if name else f"{file}:1: column {i + 1} has no name"
            )
    if not rows:
        raise DataError(f"{str(file)!r} has no examples: a line of column names comes first, then one line for each")
    return Table(file, names, rows, lines)


def guess(values: Sequence[str], is_target: bool) -> ColumnType:
    """The narrowest type that all values have. A target of text is a class."""
    if all(map(_is_int, values)):
        return "int"
    if all(value.lower() in _MISSING or _is_float(value) for value in values):
        return "float"
    return "class" if is_target or len(set(values)) <= max(_FEW, len(values) // 10) else "string"


def _is_int(value: str) -> bool:
    try:
        return "_" not in value and abs(int(value)) < 1 << 63
    except ValueError:
        return False


def _is_float(value: str) -> bool:
    try:
        return "_" not in value and math.isfinite(float(value))
    except ValueError:
        return False


def is_missing(value: str, kind: ColumnType) -> bool:
    return not value if kind in ("class", "onehot", "string") else value.lower() in _MISSING


def numbers(table: Table, name: str, kind: ColumnType, missing: Missing) -> np.ndarray:
    """A column of amounts (float32) or whole numbers (int64). Raises DataError with the line of what is none."""
    import numpy as np

    whole = kind == "int"
    fill = math.nan if isinstance(missing, str) else missing
    made = []
    for line, value in zip(table.lines, table.column(name), strict=True):
        if is_missing(value, kind):
            made.append(fill)
        elif _is_int(value) if whole else _is_float(value):
            made.append(int(value) if whole else float(value))
        else:
            message = f"{table.file}:{line}: column {name!r} should hold {'whole numbers' if whole else 'numbers'}"
            raise DataError(f"{message}, here is {value!r}", help=f"give its type: types: {{{name}: class}}")
    return np.array(made, "int64" if whole else "float32")


def class_names(columns: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All values there are: in the order of the numbers where all are numbers, else in alphabetical order."""
    values = {value for column in columns for value in column}
    return tuple(sorted(values, key=float if all(map(_is_float, values)) else str))


def codes(table: Table, name: str, names: tuple[str, ...]) -> np.ndarray:
    """The number of each value among the names, int32. Raises DataError with the line of one that is not there."""
    import numpy as np

    number = {value: code for code, value in enumerate(names)}
    made = []
    for line, value in zip(table.lines, table.column(name), strict=True):
        if value not in number:
            shown = ", ".join(names[:_FEW])
            raise DataError(f"{table.file}:{line}: {value!r} is none of the classes of column {name!r}: {shown}")
        made.append(number[value])
    return np.array(made, "int32")
