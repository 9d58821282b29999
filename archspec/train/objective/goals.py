"""Aims at work on a backend: losses as functions of targets and predictions, and the model that is trained by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from archspec.build.layers import compute
from archspec.train.objective.phases import jax_step, tensorflow_step

Values = Mapping[str, Any]


@dataclass(frozen=True)
class KerasCriterion:
    """One of Keras's losses between an output and its target."""

    name: str
    weight: float
    loss: keras.losses.Loss

    def __call__(self, targets: Values, tensors: Values, sample_weight: Any) -> Any:
        return self.loss(targets[self.name], tensors[self.name], sample_weight)


@dataclass(frozen=True)
class FormulaCriterion:
    """A formula over tensors, and the target of an output if it reads it: `arguments` are the tensors' keys.

    A target of one number an example takes the last axis of its output, as in Keras's own losses.
    """

    name: str
    weight: float
    expression: str
    arguments: Mapping[str, str]
    target: tuple[str, str] | None  # the argument that stands for it, and the output

    def __call__(self, targets: Values, tensors: Values, sample_weight: Any) -> Any:
        names = {name: _float(tensors[key]) for name, key in self.arguments.items()}
        if self.target is not None:
            name, output = self.target
            target = ops.convert_to_tensor(targets[output])
            one = len(target.shape) + 1 == len(tensors[output].shape) and tensors[output].shape[-1] == 1
            names[name] = ops.expand_dims(target, -1) if one else target
        return ops.mean(compute(self.expression, names))


Criterion = KerasCriterion | FormulaCriterion


def _float(tensor: Any) -> Any:
    """Half precision is for the network, not for its losses."""
    if "float" in keras.backend.standardize_dtype(tensor.dtype):
        return ops.cast(tensor, keras.config.floatx())
    return tensor


@dataclass(frozen=True)
class Goal:
    """What one phase minimises. `own` are the places of the weights that it changes among the trainable ones."""

    name: str | None
    criteria: Sequence[Criterion]
    optimizer: keras.optimizers.Optimizer
    own: tuple[int, ...]


class Turns(keras.optimizers.Optimizer):  # type: ignore[misc]
    """The phases' optimizers as one that Keras can build, keep and finish; each is applied to its own weights."""

    def __init__(self, goals: Sequence[Goal]) -> None:
        super().__init__(learning_rate=0.0, name="turns")
        self.built = False
        self.goals = tuple(goals)

    def build(self, variables: Sequence[Any]) -> None:
        if not self.built:
            for goal in self.goals:
                goal.optimizer.build([variables[i] for i in goal.own])
            self.built = True

    @property
    def variables(self) -> list[Any]:
        return [variable for goal in self.goals for variable in goal.optimizer.variables]

    @property
    def iterations(self) -> Any:
        return self.goals[0].optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The first phase's."""
        return self.goals[0].optimizer.learning_rate

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        for goal in self.goals:
            goal.optimizer.finalize_variable_values([var_list[i] for i in goal.own])


class Aimed(keras.Model):  # type: ignore[misc]
    """A model whose outputs are all tensors that its losses read, by name; `aim` says what they are.

    Its logs have each loss before its weight, as NAME_loss, where there are several, and each phase's sum.
    """

    def aim(self, goals: Sequence[Goal], targets: tuple[str, ...]) -> None:
        """To be called once, before `compile`. `targets` are the outputs with targets, in the data's order."""
        self.goals = tuple(goals)
        self.targets = targets
        self.trackers = {name: keras.metrics.Mean(name=name) for goal in goals for name in _logged(goal)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The sum of all losses and penalties, outside of phases."""
        total = sum(self.goal_loss(goal, x, y, y_pred, sample_weight) for goal in self.goals)
        return total + self.penalties()

    def goal_loss(self, goal: Goal, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
        """The weighted sum of a goal's losses, each of them logged."""
        targets, count = self.by_output(y), ops.shape(keras.tree.flatten(x)[0])[0]
        total: Any = 0.0
        for criterion in goal.criteria:
            value = criterion(targets, y_pred, sample_weight)
            self.log(_log_name(goal, criterion), value, count)
            total = total + criterion.weight * value
        if goal.name is not None:
            self.log(f"{goal.name}_loss", total, count)
        return total

    def log(self, name: str, value: Any, count: Any) -> None:
        if name in self.trackers:
            self.trackers[name].update_state(value, sample_weight=count)

    def log_total(self, x: Any, value: Any) -> None:
        """The figure that Keras calls loss, in steps of our own."""
        self._loss_tracker.update_state(value, sample_weight=ops.shape(keras.tree.flatten(x)[0])[0])

    def penalties(self) -> Any:
        """Regularizers' and layers' own losses."""
        return sum((ops.sum(loss) for loss in self.losses), start=0.0)

    def by_output(self, y: Any) -> Values:
        """Targets by output: a single one comes bare."""
        return {self.targets[0]: y} if len(self.targets) == 1 else y or {}

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        if len(self.targets) == 1:  # metrics of a single target go by their own names
            predicted = y_pred[self.targets[0]]
        else:
            y, predicted = self.by_output(y), {name: y_pred[name] for name in self.targets}
        logs: dict[str, Any] = super().compute_metrics(x, y, predicted, sample_weight)
        return logs

    def train_step(self, *arguments: Any) -> Any:
        if self.goals[0].name is None:
            return super().train_step(*arguments)
        return (jax_step if keras.backend.backend() == "jax" else tensorflow_step)(self, *arguments)


def _logged(goal: Goal) -> list[str]:
    """The names of a goal's figures; a single loss outside of phases is what Keras logs already."""
    several = [_log_name(goal, one) for one in goal.criteria] if len(goal.criteria) > 1 else []
    return several if goal.name is None else [f"{goal.name}_loss", *several]


def _log_name(goal: Goal, criterion: Criterion) -> str:
    return f"{criterion.name}_loss" if goal.name is None else f"{goal.name}_{criterion.name}_loss"
