"""Loading Keras without the notes that TensorFlow's libraries write to the terminal while they start."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile


def start_keras() -> None:
    """Imports Keras with its backend. What is written meanwhile is shown only if that fails."""
    if "keras" in sys.modules:
        return
    # The setting silences what comes later; at the start some notes are written before it is read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            importlib.import_module("keras")
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if "keras" not in sys.modules:  # a failed import leaves none
                notes.seek(0)
                os.write(2, notes.read())
