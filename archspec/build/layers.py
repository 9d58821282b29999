"""archspec's own Keras layers. With this module imported, saved models that hold them load like any other."""

from __future__ import annotations

import ast
from typing import Any

import keras
from keras import ops

from archspec.layers import formula
from archspec.layers.evaluator import evaluate, parse
from archspec.layers.ops import elementwise
from archspec.layers.ops.arguments import find
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
        # Always the batch, also where one example stands for all: merges would take a 1 for the batch's length.
        return keras.KerasTensor((inputs.shape[0], *self.shape), dtype=self.compute_dtype)

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

    Shape: by the rules of the functions in it. A mask passes where each element of the result comes from the same
    element of a single tensor; any other formula may move what is masked.
    """

    def __init__(self, expression: str, arguments: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.expression = expression
        self.arguments = tuple(arguments)
        self.supports_masking = len(self.arguments) == 1 and _is_elementwise(expression)

    def call(self, inputs: Any) -> Any:
        names = dict(zip(self.arguments, _listed(inputs), strict=True))
        result = evaluate(parse(self.expression), names, _function)
        return tuple(result) if isinstance(result, list) else result

    def compute_output_spec(self, inputs: Any) -> Any:
        tensors = _listed(inputs)
        rule = formula.Formula(expression=self.expression, arguments=self.arguments)
        outputs = rule.infer(*(TensorType(tuple(x.shape[1:]), x.dtype) for x in tensors))
        batch = tensors[0].shape[0]
        if isinstance(outputs, TensorType):
            return keras.KerasTensor((batch, *outputs.shape), dtype=outputs.dtype)
        return tuple(keras.KerasTensor((batch, *output.shape), dtype=output.dtype) for output in outputs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return previous_mask[0] if isinstance(previous_mask, list) else previous_mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "expression": self.expression, "arguments": list(self.arguments)}


def _function(name: str) -> Any:
    """Keras's function, if formulas may call it: a saved model's formula is as foreign as a spec's."""
    find(name)
    return getattr(ops, name)


def _listed(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _is_elementwise(expression: str) -> bool:
    for node in ast.walk(parse(expression)):
        if isinstance(node, ast.Subscript | ast.MatMult):
            return False
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            if find(node.func.id).__module__ != elementwise.__name__:
                return False
    return True
