"""How fast this machine multiplies: a product of matrices and a convolution, timed with the framework."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from archspec.train.environment import choose_backend
from archspec.train.machine import Throughput

SIDE = 1024  # of the matrices
IMAGES, EDGE, CHANNELS, KERNEL = 8, 32, 64, 3
LEAST_SECONDS = 0.3
COMPUTES = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


def measure(backend: str | None, precision: str) -> tuple[str, Throughput]:
    """The backend in use, and its rates in operations a second. Raises RuntimeError where the backend is not there."""
    chosen = choose_backend(backend)
    import keras

    rng = np.random.default_rng(0)
    dtype = COMPUTES.get(precision, precision)

    def tensor(*shape: int) -> Any:
        return keras.ops.cast(rng.random(shape, "float32"), dtype)

    square, images = tensor(SIDE, SIDE), tensor(IMAGES, EDGE, EDGE, CHANNELS)
    kernel = tensor(KERNEL, KERNEL, CHANNELS, CHANNELS)
    pixels = IMAGES * EDGE**2
    convolution = _rate(lambda: keras.ops.conv(images, kernel, padding="same"), 2 * pixels * (KERNEL * CHANNELS) ** 2)
    return chosen, Throughput(convolution, _rate(lambda: keras.ops.matmul(square, square), 2 * SIDE**3))


def _rate(compute: Callable[[], Any], operations: int) -> float:
    """Operations a second, the first calls left out: they compile."""
    import keras

    def once() -> None:
        keras.ops.convert_to_numpy(compute()[0, 0])  # waits for the result

    once()
    once()
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < LEAST_SECONDS:
        once()
        count += 1
    return operations * count / passed
