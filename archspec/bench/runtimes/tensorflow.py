"""TensorFlow's functions of a model: as it is, compiled by XLA, and with its weights as constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from archspec.bench.base import Runtime, Timed, timed
from archspec.export.base import ExportFailed, Run, Source, cannot_express, short
from archspec.export.functions import frozen, serving, signature, tensors, traced
from archspec.optimize.network import Array
from archspec.start import quiet


def _prepared(function: Callable[..., Any], names: Sequence[str], inputs: Sequence[Array]) -> tuple[Run, Timed]:
    import tensorflow as tf

    def run(values: Sequence[Array]) -> Mapping[str, Array]:
        try:
            made = function(*tensors(values))
        except tf.errors.OpError as error:
            raise ExportFailed(f"TensorFlow cannot run it: {short(error.message)}") from error
        given = made if isinstance(made, dict) else dict(zip(names, made, strict=True))
        return {name: value.numpy() for name, value in given.items()}

    def call() -> None:
        made = function(*tensors(inputs))
        for value in made.values() if isinstance(made, dict) else made:
            value.numpy()

    return run, timed(call)


class Function(Runtime):
    NAME = "function"
    USE = "tf.function(model), called with tensors"
    PLACE = 3

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        function = serving(source.model, source.graph, len(inputs[0]))
        traced(function, source.graph)
        return _prepared(function, list(source.graph.outputs), inputs)


class Xla(Runtime):
    NAME = "xla"
    USE = "tf.function(model, jit_compile=True)"
    PLACE = 5

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        import tensorflow as tf

        if any(x.dtype == object for x in inputs):  # the second try of these ends the process
            raise ExportFailed("XLA has no texts")
        function = serving(source.model, source.graph, len(inputs[0]), jit=True)
        traced(function, source.graph)
        try:
            with quiet():
                function(*tensors(inputs))
        except (tf.errors.OpError, ValueError) as error:
            raise cannot_express(source.graph, "XLA", error) from error
        return _prepared(function, list(source.graph.outputs), inputs)


class Frozen(Runtime):
    NAME = "frozen"
    TO = "savedmodel"
    USE = "convert_variables_to_constants_v2"
    PLACE = 4

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        import tensorflow as tf

        size = len(inputs[0])
        with quiet():
            constant = frozen(source.model, source.graph, size)
        # Called by itself it takes milliseconds more, as TensorFlow wraps what was pruned.
        function = tf.function(lambda *x: constant(*x), input_signature=signature(source.graph, size), autograph=False)
        return _prepared(function, list(source.graph.outputs), inputs)
