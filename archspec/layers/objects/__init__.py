"""Keras's initializers, regularizers, constraints, losses, metrics, schedules, optimizers and callbacks."""

from archspec.layers.base import snake_case
from archspec.layers.objects.base import (
    Callback,
    Constraint,
    Initializer,
    Loss,
    Metric,
    Object,
    Optimizer,
    Regularizer,
    Schedule,
    known,
    object_field,
    parse_object,
)

__all__ = [
    "Callback", "Constraint", "Initializer", "Loss", "Metric", "Object", "Optimizer", "Regularizer", "Schedule",
    "known", "object_field", "parse_object", "snake_case",
]  # fmt: skip
