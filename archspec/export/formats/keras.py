"""Keras's own file."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.export.base import ExportFailed, Format, Run, Source, called
from archspec.graph.ir import Graph
from archspec.optimize.network import Array

if TYPE_CHECKING:
    import keras


class Keras(Format):
    """A `.keras` file. With int8, the kernels of dense layers and embeddings are integers (Keras's quantizer)."""

    NAME = "keras"
    SUFFIX = ".keras"
    INT8 = True
    BACKEND = None

    def write(self, source: Source, path: Path) -> None:
        if source.int8:
            _quantise(source)
        source.model.save(path)

    def open(self, path: Path, source: Source) -> Run:
        import keras

        importlib.import_module("archspec.build")  # which registers archspec's own layers
        # The file was written a moment ago by this process.
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        return keras_run(model, source.graph)


def _quantise(source: Source) -> None:
    """Rounds the weights in place. Raises ExportFailed where no layer has any that Keras's quantizer takes."""
    before = {layer.name: layer.dtype_policy for layer in source.model._flatten_layers(include_self=False)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # one for each layer that stays as it is
        source.model.quantize("int8")
    after = {layer.name: layer.dtype_policy for layer in source.model._flatten_layers(include_self=False)}
    if all(before[name] == policy for name, policy in after.items() if name in before):
        raise ExportFailed(
            "Keras's quantizer rounds dense layers and embeddings, and the network has none of them",
            "--to litert --int8 takes convolutions as well",
        )


def keras_run(model: keras.Model, graph: Graph) -> Run:
    """A Keras model as a function of arrays."""
    import keras

    def run(inputs: Sequence[Array]) -> Mapping[str, Array]:
        return {n: keras.ops.convert_to_numpy(value) for n, value in called(model, graph, inputs).items()}

    return run
