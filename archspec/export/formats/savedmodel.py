"""TensorFlow's SavedModel, a folder: for TensorFlow Serving and everything that reads TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from archspec.export.base import ExportFailed, Format, Run, Source, cannot_express, short
from archspec.export.functions import serving, tensors, traced
from archspec.optimize.network import Array
from archspec.start import quiet


class SavedModel(Format):
    """The signature `serving_default` takes the inputs and gives the outputs by their names; any batch."""

    NAME = "savedmodel"
    SUFFIX = ""

    def write(self, source: Source, path: Path) -> None:
        import tensorflow as tf

        module = tf.Module()
        module.model = source.model
        module.serve = serving(source.model, source.graph)
        traced(module.serve, source.graph)
        module.states = [variable.value for variable in source.model.non_trainable_variables]  # of seeds, too
        try:
            with quiet():
                tf.saved_model.save(module, str(path), signatures=module.serve)
        except ValueError as error:  # as names of inputs that Python has not
            raise cannot_express(source.graph, "SavedModel", error) from error
        except tf.errors.OpError as error:  # as on a full disk
            raise ExportFailed(f"TensorFlow cannot save it: {short(error.message.rpartition('; ')[2])}") from error

    def open(self, path: Path, source: Source) -> Run:
        import tensorflow as tf

        with quiet():
            loaded = tf.saved_model.load(str(path))
        names = list(source.graph.inputs)

        def run(inputs: Sequence[Array]) -> Mapping[str, Array]:
            # Looked up each time: a signature alone does not keep the weights.
            made = loaded.signatures["serving_default"](**dict(zip(names, tensors(inputs), strict=True)))
            return {name: value.numpy() for name, value in made.items()}

        return run
