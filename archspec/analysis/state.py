"""What an optimizer keeps beside the weights: the numbers of its variables, as Keras's optimizers make them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from archspec.layers.base import WeightSpec
from archspec.layers.objects import Optimizer

# Variables of a weight's shape that an optimizer keeps for each weight.
SLOTS: Mapping[str, Callable[[Any], int]] = {
    "SGD": lambda o: int(o.momentum != 0),
    "Adam": lambda o: 3 if o.amsgrad else 2,
    "AdamW": lambda o: 3 if o.amsgrad else 2,
    "Adamax": lambda o: 2,
    "Nadam": lambda o: 2,
    "Lamb": lambda o: 2,
    "Lion": lambda o: 1,
    "RMSprop": lambda o: 1 + (o.momentum > 0) + o.centered,
    "Adagrad": lambda o: 1,
    "Adadelta": lambda o: 2,
    "Adafactor": lambda o: 1,  # beside the factors
    "Ftrl": lambda o: 2,
    "Muon": lambda o: 1,  # beside Adam's second for what is no matrix
    "ScheduleFreeAdamW": lambda o: 2,
}


def state_numbers(optimizer: Optimizer, weight: WeightSpec) -> int:
    """Numbers that the optimizer keeps for one weight that learns, its averages and sums of gradients included."""
    given: Any = optimizer
    name = type(optimizer).__name__
    if name == "LossScaleOptimizer":
        return state_numbers(given.inner_optimizer, weight)
    count = SLOTS[name](given) * weight.size
    count += weight.size * (bool(given.use_ema) + bool(given.gradient_accumulation_steps))
    if name == "Adafactor":
        count += _factors(weight.shape)
    if name == "Muon" and _is_adams(given, weight):
        count += weight.size
    return count


def _factors(shape: tuple[int, ...]) -> int:
    """Row and column means of the last two axes; a number each for what has fewer."""
    if len(shape) < 2:
        return 2
    return math.prod(shape[:-1]) + math.prod((*shape[:-2], shape[-1]))


def _is_adams(muon: Any, weight: WeightSpec) -> bool:
    return len(weight.shape) != 2 or (muon.exclude_embeddings and "embedding" in weight.name.lower())
