"""`csv`: a table of text with a line of column names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Len, MinLen
from pydantic import BeforeValidator

from archspec.data.base import WHOLE, Column, DataError, Loaded, Source, SplitPaths, existing
from archspec.data.columns import ColumnType, Missing, Table, class_names, codes, guess, is_missing, numbers, read_table
from archspec.diagnostics import did_you_mean

if TYPE_CHECKING:
    import numpy as np

Names = Annotated[tuple[str, ...], MinLen(1)]


def _frozen(value: Any) -> Any:
    """Lists within a mapping as tuples."""
    if not isinstance(value, Mapping):
        return value
    return {key: tuple(inner) if isinstance(inner, list) else inner for key, inner in value.items()}


class Csv(Source):
    """A CSV file whose first line names its columns; or one for each split: `{train: a.csv, test: b.csv}`.

    `columns` (all but the targets where left out) make the one field `features`, a vector in their order, if they are
    numbers or classes; columns of text are fields of their own. Given as a mapping, each of its keys is a field: of the
    one column that it names, or a vector of those that it lists (of whole numbers if all are classes). Each target is a
    field by its column's name.
    A column's type is found from its values unless `types` gives it: `int` and `float` are numbers, `class` numbers the
    values from 0 (in the order of `classes`, else of the alphabet), `onehot` has a number for each class, `string`
    stays text. A target of whole numbers from 0 is a class label; give it the type `float` where it is an amount.
    `missing`, for all columns or for each, says what an empty number is: an `error`, a row to `drop`, `nan`, or the
    number that stands for it. An empty class is a class of its own, but not in a target.
    """

    KIND = "csv"

    path: str | SplitPaths
    target: str | tuple[str, ...] = ()
    columns: Annotated[Names | dict[str, str | Names], BeforeValidator(_frozen)] | None = None
    types: dict[str, ColumnType] | None = None
    classes: Annotated[dict[str, tuple[str | int, ...]], BeforeValidator(_frozen)] | None = None
    missing: Missing | dict[str, Missing] = "error"
    delimiter: Annotated[str, Len(1, 1)] = ","

    def load(self, folder: Path) -> Loaded:
        from archspec.data.tables import load_arrays

        tables = self._tables(folder)
        wanted = self._fields(next(iter(tables.values())))
        used = tuple(dict.fromkeys((*_names(wanted.values()), *self._targets)))
        types = {name: self._type(tables, name) for name in used}
        layout = _layout(wanted, types)
        tables = {part: self._filled(table, types) for part, table in tables.items()}
        classes = {name: self._classes(tables, name) for name in used if types[name] in ("class", "onehot")}
        parts: dict[str, dict[str, np.ndarray]] = {}
        for part, table in tables.items():
            values = {name: self._values(table, name, types[name], classes.get(name)) for name in used}
            parts[part] = {field: _joined(names, values, types, field in wanted) for field, names in layout.items()}
            parts[part] |= {name: values[name] for name in self._targets}
        named = {name: classes[name] for name in self._targets if name in classes}
        inputs = tuple(field for field in layout if field not in self._targets)
        loaded = load_arrays(parts, inputs, self._targets, named)
        made = {name: self._column(name, types[name], classes.get(name, ())) for name in used}
        columns = {field: tuple(made[name] for name in _names([names])) for field, names in layout.items()}
        return replace(loaded, columns=columns)

    @property
    def _targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target

    def _tables(self, folder: Path) -> dict[str, Table]:
        """The table of each split, all with the same columns."""
        paths = {WHOLE: self.path} if isinstance(self.path, str) else self.path.given()
        tables = {part: read_table(existing(path, folder), self.delimiter) for part, path in paths.items()}
        first, *rest = tables.values()
        for table in rest:
            odd = sorted({*table.names} ^ {*first.names})
            if odd:
                raise DataError(f"column {odd[0]!r} is in only one of {str(first.file)!r} and {str(table.file)!r}")
        return tables

    def _fields(self, table: Table) -> Mapping[str, Names | str]:
        """The columns of each input field; a field without a name is `features`, and text by its column's name."""
        wanted: Mapping[str, Names | str]
        if isinstance(self.columns, dict):
            wanted = self.columns
        else:
            wanted = {"": self.columns or tuple(name for name in table.names if name not in self._targets)}
        for name in wanted:
            if name in self._targets:
                raise DataError(f"{name!r} is a target's name: give the field of columns another")
        by_column = self.missing if isinstance(self.missing, dict) else {}
        for name in (*_names(wanted.values()), *self._targets, *(self.types or {}), *(self.classes or {}), *by_column):
            if name not in table.names:
                help = did_you_mean(name, table.names) or f"it has {', '.join(table.names)}"
                raise DataError(f"{str(table.file)!r} has no column {name!r}", help=help)
        return wanted

    def _type(self, tables: Mapping[str, Table], name: str) -> ColumnType:
        given = (self.types or {}).get(name)
        if given or name in (self.classes or {}):
            return given or "class"
        return guess([value for table in tables.values() for value in table.column(name)], name in self._targets)

    def _column(self, name: str, kind: ColumnType, classes: tuple[str, ...]) -> Column:
        how = self._missing(name)
        fill = math.nan if how == "nan" else None if isinstance(how, str) else how
        return Column(name, classes, kind == "onehot", kind == "string", fill)

    def _missing(self, name: str) -> Missing:
        return self.missing.get(name, "error") if isinstance(self.missing, dict) else self.missing

    def _filled(self, table: Table, types: Mapping[str, ColumnType]) -> Table:
        """The table without the rows to drop. Raises DataError for what must not be empty."""
        dropped: set[int] = set()
        for name, kind in types.items():
            target, how = name in self._targets, self._missing(name)
            if not target and kind in ("class", "onehot", "string"):
                continue
            refused = how == "error" or (how == "nan" and (target or kind == "int")) or kind in ("class", "onehot")
            empty = [i for i, value in enumerate(table.column(name)) if is_missing(value, kind)]
            if empty and refused and how != "drop":
                fill = "" if kind in ("class", "onehot", "string") else f", or fill them: missing: {{{name}: 0}}"
                help = f"leave such rows out: missing: {{{name}: drop}}{fill}"
                raise DataError(f"{table.file}:{table.lines[empty[0]]}: column {name!r} is empty", help=help)
            dropped |= set(empty) if how == "drop" else set()
        if len(dropped) == len(table.rows):
            raise DataError(f"{str(table.file)!r} has no row without a missing value")
        return table.without(dropped) if dropped else table

    def _classes(self, tables: Mapping[str, Table], name: str) -> tuple[str, ...]:
        given = (self.classes or {}).get(name)
        return tuple(map(str, given)) if given else class_names([table.column(name) for table in tables.values()])

    def _values(self, table: Table, name: str, kind: ColumnType, classes: tuple[str, ...] | None) -> np.ndarray:
        import numpy as np

        if kind == "string":
            return np.array(table.column(name), dtype=object)
        if classes is None:
            return numbers(table, name, kind, self._missing(name))
        number = codes(table, name, classes)
        return np.eye(len(classes), dtype="float32")[number] if kind == "onehot" else number


def _names(of: Iterable[Names | str]) -> list[str]:
    return [name for names in of for name in ((names,) if isinstance(names, str) else names)]


def _layout(wanted: Mapping[str, Names | str], types: Mapping[str, ColumnType]) -> dict[str, Names | str]:
    """The column of each input field, or those that it has side by side. Raises DataError for text among them."""
    layout: dict[str, Names | str] = {}
    for field, names in wanted.items():
        if isinstance(names, str):
            layout[field] = names
            continue
        texts = [name for name in names if types[name] == "string"]
        if field and texts:
            raise DataError(f"field {field!r} is a vector and cannot hold the text of column {texts[0]!r}")
        layout |= {name: name for name in texts}
        rest = tuple(name for name in names if name not in texts)
        if rest:
            layout[field or "features"] = rest
    return layout


def _joined(
    names: Names | str, values: Mapping[str, np.ndarray], types: Mapping[str, ColumnType], named: bool
) -> np.ndarray:
    """A field's values: of one column, or of several side by side."""
    if isinstance(names, str):
        return values[names]
    whole = named and all(types[name] == "class" for name in names)
    return _side_by_side([values[name] for name in names], "int32" if whole else "float32")


def _side_by_side(columns: Iterable[np.ndarray], dtype: str) -> np.ndarray:
    import numpy as np

    return np.concatenate([column.astype(dtype).reshape(len(column), -1) for column in columns], axis=1)
