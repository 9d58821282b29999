"""Loading Keras, and running converters, without the notes that libraries write to the terminal meanwhile."""

from __future__ import annotations

import importlib
import logging
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
    with quiet(told_on_failure=True):
        keras = importlib.import_module("keras")
        if keras.backend.backend() == "tensorflow":
            importlib.import_module("tensorflow").config.list_physical_devices()  # which looks for a driver, and tells


def set_seed(seed: int) -> None:
    """Keras's `set_random_seed`, which loads TensorFlow where that is installed, whatever the backend."""
    keras = importlib.import_module("keras")
    if "tensorflow" in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    with quiet(told_on_failure=True):
        keras.utils.set_random_seed(seed)


@contextmanager
def quiet(*, told_on_failure: bool = False) -> Iterator[None]:
    """Within the context nothing reaches the terminal, nor Python's log; where it fails, it is told then if wanted."""
    sys.stdout.flush()
    sys.stderr.flush()
    terminals = {number: os.dup(number) for number in (1, 2)}
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    failed = True
    with tempfile.TemporaryFile() as notes:
        for number in terminals:
            os.dup2(notes.fileno(), number)
        try:
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, terminal in terminals.items():
                os.dup2(terminal, number)
                os.close(terminal)
            logging.disable(level)
            if failed and told_on_failure:
                notes.seek(0)
                os.write(2, notes.read())
