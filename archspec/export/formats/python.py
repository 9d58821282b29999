"""Keras code that builds the network without archspec, and its weights in a file beside it."""

from __future__ import annotations

import re
import runpy
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.export.base import ExportFailed, Format, Run, Source, short
from archspec.export.code import Unwritable, python_code
from archspec.export.formats.keras import keras_run

if TYPE_CHECKING:
    import keras

WEIGHTS = ".weights.h5"


class Python(Format):
    """A module with `build_model()`. Weights that were learnt lie beside it, in NAME.weights.h5."""

    NAME = "python"
    SUFFIX = ".py"
    BACKEND = None
    FILES = (WEIGHTS,)

    def write(self, source: Source, path: Path) -> None:
        about = source.about
        if source.has_weights:
            about += f'\n\n    model = build_model()\n    model.load_weights("{path.with_suffix(WEIGHTS).name}")'
        try:
            code = python_code(source.graph, about, source.descriptions)
        except Unwritable as error:
            raise ExportFailed(str(error)) from None
        path.write_text(code, "utf-8")
        if source.has_weights:
            _save_weights(source.model, path.with_suffix(WEIGHTS))

    def open(self, path: Path, source: Source) -> Run:
        """The model that the code builds, with the weights of the file, or those that are compared with."""
        from archspec.build.weights import finish

        try:
            model = runpy.run_path(str(path))["build_model"]()
        except (ValueError, TypeError) as error:  # layers that work in a spec alone, such as Equalization
            raise ExportFailed(f"Keras cannot build the network by itself: {short(str(error))}") from error
        assert _weights(model) == _weights(source.model), "the code has other weights than the network"
        if source.has_weights:
            model.load_weights(path.with_suffix(WEIGHTS))
        else:
            model.set_weights(source.model.get_weights())
            finish(model)
        return keras_run(model, source.graph)


def _save_weights(model: keras.Model, path: Path) -> None:
    """As `save_weights`, by way of a `.keras` file: on a full disk HDF5 ends the process. Raises OSError."""
    whole = path.with_suffix(".keras")
    model.save(whole)
    with zipfile.ZipFile(whole) as archive, archive.open("model.weights.h5") as found, path.open("wb") as file:
        shutil.copyfileobj(found, file)
    whole.unlink()


def _weights(model: keras.Model) -> list[tuple[str, tuple[int, ...], str]]:
    """Keras numbers the layers inside of others anew for each model that a process makes."""
    parts = [(*w.path.partition("/"), tuple(w.shape), w.dtype) for w in model.weights]
    return [(name + re.sub(r"_\d+(?=/)", "", rest), shape, dtype) for name, _, rest, shape, dtype in parts]
