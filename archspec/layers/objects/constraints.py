"""Keras's constraints (keras.constraints): the norms are taken along `axis`."""

from archspec.layers.objects.base import AtLeastZero, Constraint, Fraction

Axis = int | tuple[int, ...]


class MaxNorm(Constraint):
    """Scales down what has a norm above max_value. Srivastava et al. 2014."""

    max_value: AtLeastZero = 2.0
    axis: Axis = 0


class NonNeg(Constraint):
    """No negative weights."""


class UnitNorm(Constraint):
    """Scales to norm 1."""

    axis: Axis = 0


class MinMaxNorm(Constraint):
    """Moves norms into [min_value, max_value], by the share `rate` of the way at each step."""

    min_value: AtLeastZero = 0.0
    max_value: AtLeastZero = 1.0
    rate: Fraction = 1.0
    axis: Axis = 0
