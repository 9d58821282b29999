"""archspec's own Keras layers. With this module imported, saved models that hold them load like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from archspec.layers import formula
from archspec.layers.evaluator import evaluate, parse
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
        self.supports_masking = formula.keeps_mask(expression, self.arguments)

    def call(self, inputs: Any) -> Any:
        names = dict(zip(self.arguments, _listed(inputs), strict=True))
        result = compute(self.expression, names)
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


@register
class LocalResponseNormalization(keras.layers.Layer):  # type: ignore[misc]
    """x / (bias + alpha · sum of x² over neighbouring channels) ** beta. Krizhevsky et al. 2012, section 3.3.

    Shape: (batch, …, channels) → the same.
    """

    def __init__(
        self, depth_radius: int = 2, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **options: Any
    ) -> None:
        super().__init__(**options)
        self.depth_radius, self.bias, self.alpha, self.beta = depth_radius, bias, alpha, beta
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        radius, channels = self.depth_radius, inputs.shape[-1]
        around = ops.pad(ops.square(inputs), [(0, 0)] * (len(inputs.shape) - 1) + [(radius, radius)])
        total = sum(around[..., i : i + channels] for i in range(2 * radius + 1))
        return inputs * ops.power(self.bias + self.alpha * total, -self.beta)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own}


class _DisjointWindows(keras.layers.Layer):  # type: ignore[misc]
    """What pooling with places and its inverse share: windows of pool_size side by side, padded as Keras pads."""

    def __init__(self, pool_size: int | tuple[int, int] = (2, 2), padding: str = "valid", **options: Any) -> None:
        super().__init__(**options)
        self.pool_size = (pool_size, pool_size) if isinstance(pool_size, int) else tuple(pool_size)
        self.padding = padding

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pool_size": list(self.pool_size), "padding": self.padding}

    def padded(self, length: Any, size: int) -> tuple[Any, Any, Any]:
        """The number of windows along an axis, and the padding before and after it; after it may be negative."""
        if self.padding == "valid":
            return length // size, 0, length // size * size - length
        windows = -(-length // size)
        missing = windows * size - length
        return windows, missing // 2, missing - missing // 2


@register
class MaxPoolingWithArgmax2D(_DisjointWindows):
    """The maximum of each window, and its place row · width + column in the image.

    Shape: (batch, h, w, c) → (batch, h', w', c), and the same in int32. Zeiler & Fergus 2013, arXiv:1311.2901.
    """

    def call(self, inputs: Any) -> tuple[Any, Any]:
        _, height, width, channels = ops.shape(inputs)
        p, q = self.pool_size
        rows, top, bottom = self.padded(height, p)
        columns, left, right = self.padded(width, q)
        if self.padding == "valid":
            x = inputs[:, : rows * p, : columns * q]
        else:
            x = ops.pad(inputs, [(0, 0), (top, bottom), (left, right), (0, 0)], constant_values=-float("inf"))
        windows = ops.transpose(ops.reshape(x, (-1, rows, p, columns, q, channels)), (0, 1, 3, 5, 2, 4))
        best = ops.argmax(ops.reshape(windows, (-1, rows, columns, channels, p * q)), axis=-1)
        best = ops.cast(best, "int32")
        row = ops.reshape(ops.arange(rows, dtype="int32") * p - top, (1, -1, 1, 1)) + best // q
        column = ops.reshape(ops.arange(columns, dtype="int32") * q - left, (1, 1, -1, 1)) + best % q
        maxima = ops.max_pool(inputs, self.pool_size, self.pool_size, self.padding, "channels_last")
        return maxima, row * width + column

    def compute_output_spec(self, inputs: Any) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        batch, *spatial, channels = inputs.shape
        lengths = [None if n is None else self.padded(n, p)[0] for n, p in zip(spatial, self.pool_size, strict=True)]
        shape = (batch, *lengths, channels)
        return keras.KerasTensor(shape, dtype=self.compute_dtype), keras.KerasTensor(shape, dtype="int32")


@register
class MaxUnpooling2D(_DisjointWindows):
    """Each value at its place, as MaxPoolingWithArgmax2D gave it, and 0 elsewhere.

    Shape: (batch, h', w', c), and the places → (batch, *size, c). Noh et al. 2015, arXiv:1505.04366.
    Each value and its place are spread over their window, and stay where that place is: no scatter, whose order and
    speed depend on the backend.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = (2, 2),
        size: tuple[int, int] | None = None,
        padding: str = "valid",
        **options: Any,
    ) -> None:
        super().__init__(pool_size, padding, **options)
        self.size = None if size is None else tuple(size)

    def call(self, inputs: Any, indices: Any) -> Any:
        _, rows, columns, _ = ops.shape(inputs)
        height, width = self.size or (rows * self.pool_size[0], columns * self.pool_size[1])
        spread = self._spread(inputs, height, width, 0)
        places = self._spread(indices, height, width, -1)
        own = ops.arange(height, dtype="int32")[:, None] * width + ops.arange(width, dtype="int32")[None, :]
        return ops.where(places == own[None, :, :, None], spread, ops.zeros_like(spread))

    def _spread(self, x: Any, height: Any, width: Any, empty: int) -> Any:
        """Each element over its window, cut to the image; `empty` where the image goes on beyond the windows."""
        p, q = self.pool_size
        (_, top, bottom), (_, left, right) = self.padded(height, p), self.padded(width, q)
        x = ops.repeat(ops.repeat(x, p, axis=1), q, axis=2)
        if self.padding == "valid":
            return ops.pad(x, [(0, 0), (0, -bottom), (0, -right), (0, 0)], constant_values=empty)
        return x[:, top : top + height, left : left + width]

    def compute_output_spec(self, inputs: Any, indices: Any) -> keras.KerasTensor:
        batch, *spatial, channels = inputs.shape
        whole = [None if n is None else n * p for n, p in zip(spatial, self.pool_size, strict=True)]
        return keras.KerasTensor((batch, *(self.size or whole), channels), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": None if self.size is None else list(self.size)}


@register
class Sampling(keras.layers.Layer):  # type: ignore[misc]
    """A sample of normal distributions by the reparameterization trick: mean + exp(log_var / 2) · noise.

    Shape: (batch, …) twice → (batch, …). Kingma & Welling 2013, arXiv:1312.6114.
    """

    def __init__(self, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, mean_shape: Any, log_var_shape: Any) -> None:
        self.built = True

    def call(self, mean: Any, log_var: Any) -> Any:
        noise = keras.random.normal(ops.shape(mean), dtype=self.compute_dtype, seed=self.seed_generator)
        return mean + ops.exp(log_var / 2) * noise

    def compute_output_spec(self, mean: Any, log_var: Any) -> keras.KerasTensor:
        return keras.KerasTensor(mean.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@register
class ShiftedDepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """Σ over the window's places (a, b) of x[:, i · s + a · r, j · s + b · r] · kernel[a, b]: no convolution at all.

    Shape: (batch, h, w, c) → (batch, h', w', c · depth_multiplier), as keras.layers.DepthwiseConv2D.
    """

    def call(self, inputs: Any) -> Any:
        (rows, columns), (down, right) = self.kernel_size, self.strides
        x, lengths = self._bordered(inputs)
        total: Any = None
        for a in range(rows):
            for b in range(columns):
                top, left = a * self.dilation_rate[0], b * self.dilation_rate[1]
                part = x[
                    :,
                    top : top + (lengths[0] - 1) * down + 1 : down,
                    left : left + (lengths[1] - 1) * right + 1 : right,
                ]
                part = (
                    part[..., None] * self.kernel[a, b] if self.depth_multiplier > 1 else part * self.kernel[a, b, :, 0]
                )
                total = part if total is None else total + part
        if self.depth_multiplier > 1:
            total = ops.reshape(total, (-1, *lengths, total.shape[-2] * self.depth_multiplier))
        if self.use_bias:
            total = total + self.bias
        return total if self.activation is None else self.activation(total)

    def _bordered(self, x: Any) -> tuple[Any, list[Any]]:
        """The image with its zeros around it, and the result's height and width."""
        borders, lengths = [(0, 0)], []
        for axis in (0, 1):
            n = ops.shape(x)[1 + axis]
            span = (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1
            stride = self.strides[axis]
            if self.padding == "valid":
                borders.append((0, 0))
                lengths.append((n - span) // stride + 1)
                continue
            count = -(-n // stride)
            missing = (count - 1) * stride + span - n
            missing = max(0, missing) if isinstance(missing, int) else ops.maximum(missing, 0)
            borders.append((missing // 2, missing - missing // 2))
            lengths.append(count)
        borders.append((0, 0))
        return x if self.padding == "valid" else ops.pad(x, borders), lengths


def compute(expression: str, names: Mapping[str, Any]) -> Any:
    """A formula's value for tensors by name."""
    return evaluate(parse(expression), names, _function)


def _function(name: str) -> Any:
    """Keras's function, if formulas may call it: a saved model's formula is as foreign as a spec's."""
    find(name)
    return getattr(ops, name)


def _listed(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]
