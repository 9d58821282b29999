"""archspec's own Keras layers. With this module imported, saved models that hold them load like any other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import keras
from keras import ops

from archspec.layers import formula
from archspec.layers.ops import functions
from archspec.tensor import TensorType

register = keras.saving.register_keras_serializable(package="archspec")


@register
class Weight(keras.layers.Layer):  # type: ignore[misc]
    """A trainable tensor of its own: called with any tensor, it gives the weight for each example of that batch.

    Shape: (batch, …) → (batch, *shape), or (1, *shape) without `per_example`, for readers that broadcast.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        initializer: Any = "glorot_uniform",
        regularizer: Any = None,
        constraint: Any = None,
        per_example: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.shape = tuple(shape)
        self.initializer = keras.initializers.get(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.per_example = per_example
        self.supports_masking = True  # a mask of the tensor it is called with says nothing of the weight

    def build(self, input_shape: Any) -> None:
        self.weight = self.add_weight(
            name="weight",
            shape=self.shape,
            initializer=self.initializer,
            regularizer=self.regularizer,
            constraint=self.constraint,
        )

    def call(self, inputs: Any) -> Any:
        weight = ops.expand_dims(self.weight, 0)
        return ops.broadcast_to(weight, (ops.shape(inputs)[0], *self.shape)) if self.per_example else weight

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        batch = inputs.shape[0] if self.per_example else 1
        return keras.KerasTensor((batch, *self.shape), dtype=self.compute_dtype)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "shape": list(self.shape),
            "initializer": keras.initializers.serialize(self.initializer),
            "regularizer": keras.regularizers.serialize(self.regularizer),
            "constraint": keras.constraints.serialize(self.constraint),
            "per_example": self.per_example,
        }


@register
class Formula(keras.layers.Layer):  # type: ignore[misc]
    """A formula over tensors: called with the list of those that `arguments` names, or with the only one.

    Shape: by the rules of the functions in it. A mask does not pass, as a formula may move what it masks.
    """

    def __init__(self, expression: str, arguments: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.expression = expression
        self.arguments = tuple(arguments)

    def call(self, inputs: Any) -> Any:
        names = dict(zip(self.arguments, _listed(inputs), strict=True))
        return formula.evaluate(formula.parse(self.expression), names, _functions())

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        tensors = _listed(inputs)
        rule = formula.Formula(expression=self.expression, arguments=self.arguments)
        result = rule.infer(*(TensorType(tuple(x.shape[1:]), x.dtype) for x in tensors))
        return keras.KerasTensor((tensors[0].shape[0], *result.shape), dtype=result.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "expression": self.expression, "arguments": list(self.arguments)}


def _listed(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


@cache
def _functions() -> Mapping[str, Any]:
    """What a formula may call."""
    return {name: getattr(ops, name) for name in functions() if not name.endswith("_macs")}
