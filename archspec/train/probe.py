"""How fast this machine trains: small networks of one kind of layer each, timed with the framework."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from archspec.train.environment import choose_backend, dtype_policy
from archspec.train.machine import Throughput

LAYERS = 4  # of each network
CALLS = 16  # layers of next to nothing
LEAST_SECONDS = 0.2
LEAST_STEPS = 5
BATCH, WIDTH = 512, 512  # of products
IMAGES, EDGE, CHANNELS, KERNEL = 16, 32, 32, 3
ROWS, POSITIONS, FEATURES = 64, 64, 128  # of what is normalised


def measure(backend: str | None, precision: str) -> tuple[str, Throughput]:
    """The backend in use, and its rates. Raises RuntimeError where the backend is not there."""
    chosen = choose_backend(backend)
    import keras

    layers = keras.layers
    number = 2 if precision.endswith("16") else 4  # bytes
    with dtype_policy(precision):
        many, one = ([layers.Dense(8) for _ in range(n)] for n in (CALLS + 1, 1))
        call = max((_step((8,), many, 8) - _step((8,), one, 8)) / CALLS, 1e-6)
        product = _step((WIDTH,), [layers.Dense(WIDTH) for _ in range(LAYERS)], BATCH)
        images = [layers.Conv2D(CHANNELS, KERNEL, padding="same") for _ in range(LAYERS)]
        convolution = _step((EDGE, EDGE, CHANNELS), images, IMAGES)
        others: list[Any] = []
        for _ in range(LAYERS):
            others += [layers.LayerNormalization(), layers.ReLU()]
        moved = _step((POSITIONS, FEATURES), others, ROWS)
    macs = IMAGES * EDGE**2 * (KERNEL * CHANNELS) ** 2
    made = 2 * LAYERS * ROWS * POSITIONS * FEATURES * number * _KEPT
    return chosen, Throughput(
        6 * LAYERS * macs / _beyond(convolution, LAYERS * call),
        6 * LAYERS * BATCH * WIDTH**2 / _beyond(product, LAYERS * call),
        made / _beyond(moved, 2 * LAYERS * call),
        call,
    )


_KEPT = 1.5  # what a normalisation is reckoned to move for each byte it makes is two, a ReLU one


def _beyond(seconds: float, calls: float) -> float:
    """What is left of a step without its calls; never less than a tenth of it."""
    return max(seconds - calls, seconds / 10)


def _step(shape: tuple[int, ...], layers: Sequence[Any], batch_size: int) -> float:
    """Seconds of a training step of the layers one after the other, the first steps left out: they compile."""
    import keras

    model = keras.Sequential([keras.Input(shape), *layers])
    model.compile(keras.optimizers.SGD(1e-6), "mean_squared_error")
    x = np.random.default_rng(0).random((batch_size, *shape), "float32")
    y = np.zeros((batch_size, *model.output_shape[1:]), "float32")
    for _ in range(2):
        model.train_on_batch(x, y)
    seconds: list[float] = []
    while sum(seconds) < LEAST_SECONDS or len(seconds) < LEAST_STEPS:
        began = time.perf_counter()
        model.train_on_batch(x, y)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
