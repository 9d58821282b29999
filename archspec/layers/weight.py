"""A trainable tensor of its own: class tokens, position tables, layer scales."""

from archspec.layers.base import Layer, WeightSpec
from archspec.layers.fields import ConstraintField, InitializerField, Positive, RegularizerField
from archspec.layers.objects.initializers import GLOROT_UNIFORM
from archspec.tensor import TensorType


class Weight(Layer):
    """A weight that stands for every example of the batch.

    Shape: no tensors → shape.
    Weights: weight, of the shape.
    MACs: none.
    """

    ROLE = "embedding"
    OWN = True

    shape: tuple[Positive, ...]
    initializer: InitializerField = GLOROT_UNIFORM
    regularizer: RegularizerField | None = None
    constraint: ConstraintField | None = None

    def infer(self) -> TensorType:
        return TensorType(self.shape, self.output_dtype)

    def weights(self) -> tuple[WeightSpec, ...]:
        return (self.weight("weight", *self.shape),)
