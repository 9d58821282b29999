"""Initial values drawn with NumPy: the distributions of Keras's initializers, without a compilation for each shape.

JAX compiles a random function anew for every shape, which is nine tenths of the time that a fresh process spends on a
ResNet-50. An initializer with a seed of its own keeps Keras's numbers; the others are random anyway, and are drawn from
the seed that Keras gave them from Python's `random`, so `keras.utils.set_random_seed` still makes a build repeatable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Draw = Callable[..., Any]
LARGE = 2**22  # elements from which on Keras draws faster, on several cores (VGG's dense kernel: half the time)
TRUNCATED_STD = 0.87962566103423978  # the standard deviation of a unit normal cut at ±2


@contextmanager
def drawn_with_numpy(layer: keras.Layer) -> Iterator[None]:
    """Within the context, weights that the layer and its sublayers make are drawn here where they can be."""
    layers = layer._flatten_layers()
    for each in layers:
        vars(each)["add_weight"] = _add_weight(each.add_weight)
    try:
        yield
    finally:
        for each in layers:
            del vars(each)["add_weight"]


def _add_weight(add_weight: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, initializer: Any = None, **options: Any) -> Any:
        shape = options.get("shape", args[0] if args else ())
        large = shape is not None and math.prod(shape) >= LARGE
        if not (large and keras.distribution.distribution()):  # which Keras fills where they lie
            initializer = numpy_initializer(initializer)
        return add_weight(*args, initializer=initializer, **options)

    return wrapper


def numpy_initializer(initializer: Any) -> Any:
    """What draws the same distribution with NumPy, or the initializer itself where only Keras knows how."""
    if isinstance(initializer, str):
        initializer = keras.initializers.get(initializer)
    draw = next((draw for kind, draw in _DRAWS.items() if isinstance(initializer, kind)), None)
    if draw is None or initializer.get_config().get("seed") is not None:
        return initializer
    return _drawing(draw, initializer)


def _drawing(draw: Draw, initializer: Any) -> Callable[..., Any]:
    def call(shape: tuple[int, ...], dtype: Any = None) -> Any:
        if keras.backend.standardize_dtype(dtype) != "float32" or math.prod(shape) >= LARGE:
            return initializer(shape, dtype=dtype)
        return draw(initializer, tuple(shape))

    return call


def _generator(initializer: Any) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(initializer.seed))


def _uniform(initializer: Any, shape: tuple[int, ...], low: float, high: float) -> Array:
    values = _generator(initializer).random(shape, dtype=np.float32)
    values *= np.float32(high - low)
    values += np.float32(low)
    return values


def _normal(initializer: Any, shape: tuple[int, ...], mean: float, std: float, truncated: bool = False) -> Array:
    generator = _generator(initializer)
    values = generator.standard_normal(shape, dtype=np.float32)
    if truncated:
        flat = values.reshape(-1)
        outside = np.flatnonzero(np.abs(flat) > 2)
        while outside.size:
            flat[outside] = generator.standard_normal(outside.size, dtype=np.float32)
            outside = outside[np.abs(flat[outside]) > 2]
    values *= np.float32(std)
    values += np.float32(mean)
    return values


def _fans(shape: tuple[int, ...], initializer: Any) -> tuple[int, int]:
    """Inputs and outputs of one unit, by Keras's reading of a kernel: (…window, in, out)."""
    if initializer.input_axes is not None and initializer.output_axes is not None:
        return math.prod(shape[a] for a in initializer.input_axes), math.prod(shape[a] for a in initializer.output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _variance_scaling(initializer: Any, shape: tuple[int, ...]) -> Array:
    fan_in, fan_out = _fans(shape, initializer)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[initializer.mode]
    variance = initializer.scale / max(1.0, fan)
    if initializer.distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return _uniform(initializer, shape, -limit, limit)
    if initializer.distribution == "truncated_normal":
        return _normal(initializer, shape, 0, math.sqrt(variance) / TRUNCATED_STD, truncated=True)
    return _normal(initializer, shape, 0, math.sqrt(variance))


def _orthogonal(initializer: Any, shape: tuple[int, ...]) -> Array:
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(_normal(initializer, (max(rows, columns), min(rows, columns)), 0, 1))
    q *= np.sign(np.diagonal(r))  # makes the draw uniform over orthogonal matrices
    return np.ascontiguousarray(initializer.gain * (q if rows >= columns else q.T).reshape(shape), dtype=np.float32)


_DRAWS: dict[type, Draw] = {
    keras.initializers.VarianceScaling: _variance_scaling,  # Glorot's, He's and LeCun's derive from it
    keras.initializers.Zeros: lambda _, shape: np.zeros(shape, np.float32),
    keras.initializers.Ones: lambda _, shape: np.ones(shape, np.float32),
    keras.initializers.RandomUniform: lambda i, shape: _uniform(i, shape, i.minval, i.maxval),
    keras.initializers.RandomNormal: lambda i, shape: _normal(i, shape, i.mean, i.stddev),
    keras.initializers.TruncatedNormal: lambda i, shape: _normal(i, shape, i.mean, i.stddev, truncated=True),
    keras.initializers.Orthogonal: _orthogonal,
}
