"""Layers that most networks begin and end with: dense, embedding, activation."""

from __future__ import annotations

from archspec.layers.base import Example, Layer, WeightSpec
from archspec.layers.fields import ConstraintField, InitializerField, NonNegative, Positive, RegularizerField
from archspec.layers.objects.activations import Activation as ActivationName
from archspec.layers.objects.initializers import GLOROT_UNIFORM, ZEROS
from archspec.tensor import ShapeError, TensorType


class Dense(Layer):
    """A linear map of the last axis: activation(x · kernel + bias).

    Shape: (…, d) → (…, units).
    Weights: kernel (d, units); bias (units,); with lora_rank r also lora_kernel_a (d, r), lora_kernel_b (r, units).
    MACs: d · units for each position.
    Errors: the last axis must be known.
    """

    ROLE = "dense"
    EXAMPLES = (Example({"units": 4}, ((8,),)), Example({"units": 3, "use_bias": False, "activation": "relu"}, ((5, 8),)))

    units: Positive
    activation: ActivationName | None = None
    use_bias: bool = True
    kernel_initializer: InitializerField = GLOROT_UNIFORM
    bias_initializer: InitializerField = ZEROS
    kernel_regularizer: RegularizerField | None = None
    bias_regularizer: RegularizerField | None = None
    activity_regularizer: RegularizerField | None = None
    kernel_constraint: ConstraintField | None = None
    bias_constraint: ConstraintField | None = None
    lora_rank: NonNegative | None = None
    lora_alpha: float | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        if not inputs.shape or inputs.shape[-1] is None:
            raise ShapeError(f"Dense needs a known last axis, got {inputs}")
        return TensorType((*inputs.shape[:-1], self.units), self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        kernel = WeightSpec("kernel", (inputs.shape[-1] or 0, self.units))
        return (kernel, WeightSpec("bias", (self.units,))) if self.use_bias else (kernel,)

    def macs(self, inputs: TensorType) -> int:
        return inputs.size * self.units
