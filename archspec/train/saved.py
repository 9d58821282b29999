"""What a run has saved for Keras, read back: its network, its weights, its preprocessing."""

from __future__ import annotations

import importlib
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.train.folder import RunFailed
from archspec.train.runs import RunFolder

if TYPE_CHECKING:
    import keras

INITIAL = "initial.keras"  # the network's weights before the first step, where the spec names some to begin with


def preprocessing(run: RunFolder, names: Sequence[str]) -> dict[str, keras.Model]:
    """The saved preprocessing models by input, for those of the inputs that have one. Raises RunFailed."""
    made = {}
    for name in names:
        file = run.path / (f"preprocess-{name}.keras" if len(names) > 1 else "preprocess.keras")
        if file.is_file():
            made[name] = load_model(file)
    return made


def load_model(file: Path) -> keras.Model:
    """A saved model in Keras's safe mode, with archspec's own layers known. Raises RunFailed."""
    import keras

    importlib.import_module("archspec.build")  # which registers the layers
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise RunFailed(f"{str(file)!r} cannot be loaded: {_first_line(error)}") from error


def load_weights(network: keras.Model, file: Path) -> None:
    """Only arrays are read: the layers are those of the spec. Raises RunFailed where they do not fit."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # it stays as it is
            network.load_weights(file)
    except (ValueError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        message = f"the weights of {str(file)!r} do not fit the network: {_first_line(error)}"
        raise RunFailed(message, help="changes may be of data, train and run, not of the network") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
