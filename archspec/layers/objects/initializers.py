"""Keras's initializers (keras.initializers)."""

from __future__ import annotations

from archspec.layers.objects.base import Initializer


class GlorotUniform(Initializer):
    """Uniform in ±sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010."""

    seed: int | None = None


class Zeros(Initializer):
    """All zeros."""


class Ones(Initializer):
    """All ones."""


GLOROT_UNIFORM = GlorotUniform()
ZEROS = Zeros()
ONES = Ones()
