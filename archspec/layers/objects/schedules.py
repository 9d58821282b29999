"""Keras's schedules (keras.optimizers.schedules); t counts optimizer steps."""

from typing import Self

from pydantic import model_validator

from archspec.layers.objects.base import AtLeastZero, Count, Finite, Positive, Schedule
from archspec.layers.shapes import argument_clash


class ExponentialDecay(Schedule):
    """initial · decay_rate^(t / decay_steps)."""

    initial_learning_rate: AtLeastZero
    decay_steps: Positive
    decay_rate: Finite
    staircase: bool = False
    name: str = "ExponentialDecay"


class InverseTimeDecay(Schedule):
    """initial / (1 + decay_rate · t / decay_steps)."""

    initial_learning_rate: AtLeastZero
    decay_steps: Positive
    decay_rate: Finite
    staircase: bool = False
    name: str = "InverseTimeDecay"


class PolynomialDecay(Schedule):
    """(initial - end) · (1 - t / decay_steps)^power + end; with cycle it starts again."""

    initial_learning_rate: AtLeastZero
    decay_steps: Positive
    end_learning_rate: AtLeastZero = 0.0001
    power: Finite = 1.0
    cycle: bool = False
    name: str = "PolynomialDecay"


class PiecewiseConstantDecay(Schedule):
    """values[i] up to and with step boundaries[i], the last value afterwards."""

    boundaries: tuple[Finite, ...]
    values: tuple[AtLeastZero, ...]
    name: str = "PiecewiseConstant"

    @model_validator(mode="after")
    def _one_value_more(self) -> Self:
        if len(self.values) != len(self.boundaries) + 1:
            found = f"{len(self.boundaries)} boundaries and {len(self.values)} values"
            raise argument_clash(f"there is one more value than boundaries, got {found}")
        return self


class CosineDecay(Schedule):
    """A half cosine down to the share alpha, after a linear rise to warmup_target. Loshchilov & Hutter 2016."""

    initial_learning_rate: AtLeastZero
    decay_steps: Positive
    alpha: Finite = 0.0
    name: str = "CosineDecay"
    warmup_target: AtLeastZero | None = None
    warmup_steps: Count = 0


class CosineDecayRestarts(Schedule):
    """Half cosines, each t_mul times as long and m_mul times as high as the one before. arXiv:1608.03983."""

    initial_learning_rate: AtLeastZero
    first_decay_steps: Positive
    t_mul: Finite = 2.0
    m_mul: Finite = 1.0
    alpha: Finite = 0.0
    name: str = "SGDRDecay"
