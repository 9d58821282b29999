"""Keras models read as data: config → graph, and weights. Nothing of the file is run, no framework is loaded.

`load_keras` reads for pictures: every model gets a graph. `read_network` reads what is to be optimised: exactly, or not
at all.
"""

from archspec.importing.archive import ImportFailed
from archspec.importing.layers import unknown
from archspec.importing.model import from_model, imported, load_keras
from archspec.importing.network import opaque, read_network

__all__ = ["ImportFailed", "from_model", "imported", "load_keras", "opaque", "read_network", "unknown"]
