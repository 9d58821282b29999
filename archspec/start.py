"""Loading Keras without the notes that TensorFlow's libraries write to the terminal while they start."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_keras() -> None:
    """Imports Keras with its backend. What is written meanwhile is shown only if that fails."""
    if "keras" in sys.modules:
        return
    # The setting silences what comes later; at the start some notes are written before it is read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _notes_kept():
        keras = importlib.import_module("keras")
        if keras.backend.backend() == "tensorflow":
            importlib.import_module("tensorflow").config.list_physical_devices()  # which looks for a driver, and tells


def set_seed(seed: int) -> None:
    """Keras's `set_random_seed`, which loads TensorFlow where that is installed, whatever the backend."""
    keras = importlib.import_module("keras")
    if "tensorflow" in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    with _notes_kept():
        keras.utils.set_random_seed(seed)


@contextmanager
def _notes_kept() -> Iterator[None]:
    """Within the context nothing is written to the terminal; where it fails, it is written then."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if failed:
                notes.seek(0)
                os.write(2, notes.read())
