"""Keras's regularizers (keras.regularizers)."""

from typing import Literal

from archspec.layers.objects.base import AtLeastZero, Regularizer


class L1(Regularizer):
    """l1 · Σ|w|."""

    l1: AtLeastZero = 0.01


class L2(Regularizer):
    """l2 · Σw²."""

    l2: AtLeastZero = 0.01


class L1L2(Regularizer):
    """l1 · Σ|w| + l2 · Σw²."""

    ALIASES = ("l1l2",)

    l1: AtLeastZero = 0.0
    l2: AtLeastZero = 0.0


class OrthogonalRegularizer(Regularizer):
    """factor · the mean of |cosine| over pairs of a matrix's rows or columns."""

    factor: AtLeastZero = 0.01
    mode: Literal["rows", "columns"] = "rows"
