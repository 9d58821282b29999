"""Keras itself: `predict`, which is made for many batches, and `predict_on_batch`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from archspec.bench.base import Runtime, Timed, timed
from archspec.export.base import Run, Source
from archspec.export.formats.keras import keras_run
from archspec.export.functions import tensors
from archspec.optimize.network import Array


def _given(inputs: Sequence[Array]) -> Any:
    """As `predict` takes them: texts as tensors, numbers as arrays."""
    texts = any(x.dtype == object for x in inputs)
    given = tensors(inputs) if texts else list(inputs)
    return given if len(given) > 1 else given[0]


class Predict(Runtime):
    NAME = "predict"
    USE = "model.predict(x)"
    PLACE = 1

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        x, size = _given(inputs), len(inputs[0])
        run = keras_run(source.model, source.graph)
        return run, timed(lambda: source.model.predict(x, batch_size=size, verbose=0))


class PredictOnBatch(Runtime):
    NAME = "predict_on_batch"
    USE = "model.predict_on_batch(x)"
    PLACE = 2

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        x = _given(inputs)
        run = keras_run(source.model, source.graph)
        return run, timed(lambda: source.model.predict_on_batch(x))
