"""`text`: texts with a class or an amount each, as files in a folder for each class or as a column of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Len

from archspec.data.base import DataError, Loaded, Source, SplitPaths, existing
from archspec.data.columns import ColumnType
from archspec.data.folders import class_files, split_folders
from archspec.data.sources.csv import Csv

SUFFIXES = frozenset({".txt"})


class Text(Source):
    """Texts in memory: a folder whose subfolders are the classes and hold .txt files in UTF-8, or a CSV file.

    Where all subfolders are named train, validation (or val) and test, these are the splits, with the classes below.
    Of a CSV file (or one for each split) the column `text` is the text and `target` what belongs to it, read as a class
    unless it holds numbers or `type` says otherwise.
    Fields: `text`, and `label` or the target's column. Text becomes numbers under `data.preprocess`, by
    TextVectorization, whose vocabulary comes from the training examples.
    """

    KIND = "text"

    path: str | SplitPaths
    text: str = "text"
    target: str = "label"
    type: ColumnType | None = None
    delimiter: Annotated[str, Len(1, 1)] = ","

    def load(self, folder: Path) -> Loaded:
        if isinstance(self.path, str) and (folder / Path(self.path).expanduser()).is_dir():
            return _read_folder(existing(self.path, folder, "folder"))
        types: dict[str, ColumnType] = {self.text: "string"}
        types |= {self.target: self.type} if self.type else {}
        columns: dict[str, str | tuple[str, ...]] = {"text": self.text}
        table = Csv(path=self.path, target=self.target, columns=columns, types=types, delimiter=self.delimiter)
        return table.load(folder)


def _read_folder(root: Path) -> Loaded:
    import numpy as np

    from archspec.data.tables import load_arrays

    classes, found = class_files(split_folders(root), SUFFIXES)
    if not any(found.values()):
        raise DataError(f"no texts lie in {str(root)!r}", help="one folder for each class holds its .txt files")
    parts = {
        part: {
            "text": np.array([_read(file) for file, _ in files], dtype=object),
            "label": np.array([code for _, code in files], "int32"),
        }
        for part, files in found.items()
    }
    return load_arrays(parts, ("text",), ("label",), {"label": classes})


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(file)!r} cannot be read as text: {error}", help="it must be text in UTF-8") from error
