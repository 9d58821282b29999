"""A network written in a format, run in its own runtime, and kept only if it gives what Keras gives."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from archspec.diagnostics import did_you_mean
from archspec.export.base import ExportFailed, Format, Source, formats, need
from archspec.export.formats.keras import keras_run
from archspec.export.proof import default_tolerance, relative_error, tolerated
from archspec.export.samples import random_inputs, random_outputs
from archspec.optimize.network import Array

BATCH = 3  # of the check: neither 1, which broadcasts, nor an even number that a fixed shape could hide behind


@dataclass(frozen=True)
class Exported:
    """What was written: its files, and the largest error of each output relative to its spread.

    `tolerance` is None where integers are not compared. `uncompared` are outputs that draw at random in each call.
    """

    path: Path
    format: str
    files: Mapping[str, int]  # sizes in bytes
    errors: Mapping[str, float]
    tolerance: float | None
    uncompared: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        return max(self.errors.values(), default=0.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "format": self.format,
            "files": dict(self.files),
            "errors": dict(self.errors),
            "tolerance": self.tolerance,
            "uncompared": list(self.uncompared),
        }


def find_format(name: str, int8: bool = False) -> Format:
    """The format of this name, with all that it needs, and with integers if wanted. Raises ExportFailed."""
    known = formats()
    if name not in known:
        hint = did_you_mean(name, known) or f"the formats are {', '.join(known)}"
        raise ExportFailed(f"there is no format {name!r}", hint)
    _check_int8(known[name], int8)
    need(known[name].NEEDS, name)
    return known[name]


def _check_int8(format: Format, int8: bool) -> None:
    if int8 and not format.INT8:
        able = ", ".join(name for name, each in formats().items() if each.INT8)
        raise ExportFailed(f"{format.NAME} is not written with int8", f"the formats with int8 are {able}")


def export(source: Source, format: Format, path: Path, tolerance: float | None = None) -> Exported:
    """Writes the network and compares what the file gives with what Keras gives for random inputs.

    Integers are not compared: their accuracy is measured on real examples. Nothing is left behind, and what was there
    stays, where anything fails. Raises ExportFailed, OSError.
    """
    _check_int8(format, source.int8)
    inputs = random_inputs(source.graph, BATCH)
    expected = keras_run(source.original or source.model, source.graph)(inputs)
    with _draft(path) as draft:
        format.write(source, draft)
        found = format.open(draft, source)(inputs)
        uncompared = tuple(sorted(random_outputs(source.graph)))
        errors = {n: relative_error(v, found[n]) for n, v in expected.items() if n not in uncompared}
        if source.int8:
            tolerance = None
        elif tolerance is None:
            tolerance = default_tolerance(source.graph)
            if max(errors.values(), default=0.0) > tolerance:
                tolerance = tolerated(source.network, inputs, expected)
        exported = Exported(path, format.NAME, {}, errors, tolerance, uncompared)
        _check(exported, found)
        files = _sizes(draft.parent)
    return replace(exported, files=files)


def _check(exported: Exported, found: Mapping[str, Array]) -> None:
    """Raises ExportFailed where the file gives something else than Keras."""
    for name, value in found.items():
        if exported.tolerance is None and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ExportFailed(f"the {exported.format} file gives no finite numbers for {name}")
    if exported.tolerance is not None and exported.error > exported.tolerance:
        worst = max(exported.errors, key=lambda name: exported.errors[name])
        raise ExportFailed(
            f"the {exported.format} file does not give what Keras gives: {worst} is off by {exported.error:.1e} of its"
            f" spread, more than {exported.tolerance:.0e}; it was not kept",
            "a larger --tolerance takes it",
        )


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A path in a folder of its own beside the target; all that lies there takes its place if all goes well."""
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        yield Path(folder) / path.name
        for made in Path(folder).iterdir():
            target = path.parent / made.name
            if target.is_dir() and made.is_dir():  # a folder cannot take the place of one that is not empty
                aside = Path(folder) / f"{target.name}.before"
                os.replace(target, aside)
                os.replace(made, target)
                shutil.rmtree(aside)
            else:
                os.replace(made, target)


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file, and of each folder with all in it."""
    return {
        made.name: sum(f.stat().st_size for f in ([made] if made.is_file() else made.rglob("*")) if f.is_file())
        for made in sorted(folder.iterdir())
    }
