"""What the layers share that turn categories into integers or vectors.

Where Keras declares another shape than it computes, a layer refuses the input and says what to do.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from archspec.layers.base import Layer
from archspec.layers.shapes import argument_clash
from archspec.tensor import Shape, ShapeError, TensorType

Salt = int | tuple[int, int]  # of a hash; one number stands for both


class Encoding(Layer):
    """The modes of the result: integers, a vector for each value, or one for all."""

    ROLE = "preprocessing"

    output_mode: str = "int"
    sparse: bool = False

    @model_validator(mode="after")
    def _check_sparse(self) -> Self:
        if self.sparse and self.output_mode == "int":
            raise argument_clash("sparse is for vectors: it needs an output_mode other than int")
        return self

    def one_hot(self, shape: Shape, depth: int) -> Shape:
        """Each value becomes a vector; a last axis of length 1 gives way to it."""
        return (*shape[:-1], depth) if shape[-1:] == (1,) else (*shape, depth)

    def counted(self, inputs: TensorType, depth: int) -> Shape:
        """All values of an example become one vector. Raises ShapeError."""
        if inputs.rank != 1:
            raise ShapeError(
                f"{type(self).__name__} with output_mode {self.output_mode} needs (values,), got {inputs}",
                help="Reshape: [1] makes an axis of a single value" if not inputs.rank else "Flatten it before",
            )
        return (depth,)
