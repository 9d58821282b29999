"""Logs for TensorBoard, by Keras's own callback.

It writes through TensorFlow, which archspec depends on, and so works on the JAX backend as well; only profiles and the
graph's picture need TensorFlow as the backend.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.diagnostics import Diagnostic, SpecError
from archspec.language import Document
from archspec.train.sections import Sections

if TYPE_CHECKING:
    import keras


def check_tensorboard(document: Document, settings: Sections) -> None:
    """TensorFlow no longer brings TensorBoard with it. Raises SpecError where it is wanted and not installed."""
    if settings.run.tensorboard and importlib.util.find_spec("tensorboard") is None:
        span = document.mark.at("run", "tensorboard").span
        message = "tensorboard is not installed"
        raise SpecError([Diagnostic("E504", message, span, help="pip install 'archspec[tensorboard]'")], document.texts)


def tensorboard(folder: Path, settings: Sections) -> list[keras.callbacks.Callback]:
    """The callback that logs each epoch's figures into the run's folder, if the spec asks for it."""
    import keras

    if not settings.run.tensorboard:
        return []
    return [keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False)]
