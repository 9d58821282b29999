"""What stands for a layer whose code is not run: a function of all that it takes, with the shapes that it gives.

A model that holds one computes something else than the saved model. It serves to compare two graphs that hold the same
ones, and as the form of a file into which `archspec.importing.around` puts the layers' own configs and weights back.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="archspec")
class Opaque(keras.layers.Layer):  # type: ignore[misc]
    """The mean of each input, spread over the outputs in a fixed pattern.

    Shape: (batch, …) of each input → (batch, *shape) for each of `shapes`; unknown lengths are those that the first
    input has on the same axis, else 1.
    """

    def __init__(self, place: str, shapes: list[list[int | None]], dtypes: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.place = place
        self.shapes = [list(shape) for shape in shapes]
        self.dtypes = list(dtypes)

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, inputs: Any) -> Any:
        tensors = keras.tree.flatten(inputs)
        total = sum(
            (i + 1) * ops.mean(ops.reshape(_numbers(x), (ops.shape(x)[0], -1)), axis=1) for i, x in enumerate(tensors)
        )
        first = ops.shape(tensors[0])[1:]
        outputs = []
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            lengths = [(first[i] if i < len(first) else 1) if n is None else n for i, n in enumerate(shape)]
            count = math.prod(lengths) if all(isinstance(n, int) for n in lengths) else ops.prod(ops.stack(lengths))
            pattern = ops.reshape(ops.cos(ops.cast(ops.arange(count), "float32")), (1, *lengths))
            outputs.append(ops.cast(ops.reshape(total, (-1, *(1,) * len(lengths))) * pattern, dtype))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        batch = keras.tree.flatten(inputs)[0].shape[0]
        pairs = zip(self.shapes, self.dtypes, strict=True)
        outputs = tuple(keras.KerasTensor((batch, *shape), dtype=dtype) for shape, dtype in pairs)
        return outputs[0] if len(outputs) == 1 else outputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "place": self.place, "shapes": self.shapes, "dtypes": self.dtypes}


def _numbers(x: Any) -> Any:
    """In float32; texts as zeros."""
    return ops.zeros(ops.shape(x)) if keras.backend.standardize_dtype(x.dtype) == "string" else ops.cast(x, "float32")
