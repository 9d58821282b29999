"""Keras models read for pictures: config → graph. Nothing of the file is run, no framework is loaded."""

from archspec.importing.archive import ImportFailed
from archspec.importing.layers import unknown
from archspec.importing.model import from_model, imported, load_keras

__all__ = ["ImportFailed", "from_model", "imported", "load_keras", "unknown"]
