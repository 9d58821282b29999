"""Folders of files with a folder for each class, below folders for the splits if there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from archspec.data.base import WHOLE

_SPLITS = {"train": "train", "training": "train", "validation": "validation", "val": "validation",
           "valid": "validation", "test": "test"}  # fmt: skip


def split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split where all folders below are named as splits, else the root for the whole."""
    below = subfolders(root)
    split = bool(below) and all(f.name.lower() in _SPLITS for f in below)
    return {_SPLITS[f.name.lower()]: f for f in below} if split else {WHOLE: root}


def subfolders(root: Path) -> list[Path]:
    """The folders in it, sorted; hidden ones aside."""
    return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))


def files_below(root: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files with these endings, however deep they lie, sorted; symbolic links are followed to files."""
    return sorted(f for f in root.rglob("*") if f.suffix.lower() in suffixes and f.is_file() and f.name[0] != ".")


def class_files(
    roots: Mapping[str, Path], suffixes: frozenset[str]
) -> tuple[tuple[str, ...], dict[str, list[tuple[Path, int]]]]:
    """The classes, in alphabetical order, and each split's files with the number of their class."""
    classes = tuple(sorted({f.name for root in roots.values() for f in subfolders(root)}))
    found = {
        part: [(file, code) for code, name in enumerate(classes) for file in files_below(root / name, suffixes)]
        for part, root in roots.items()
    }
    return classes, found
