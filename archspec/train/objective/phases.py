"""One step of a training in phases: each in turn sees the weights that the one before has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from archspec.train.objective.goals import Aimed, Goal


def tensorflow_step(model: Aimed, data: Any) -> Any:
    """A step on TensorFlow: the logs."""
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    total: Any = 0.0
    for goal in model.goals:
        own = [model.trainable_variables[i] for i in goal.own]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in own])
            y_pred = model(x, training=True)
            loss = model.goal_loss(goal, x, y, y_pred, sample_weight)
            scaled = goal.optimizer.scale_loss(loss + model.penalties())
        goal.optimizer.apply_gradients(zip(tape.gradient(scaled, own), own, strict=True))
        total = total + loss
    model.log_total(x, total + model.penalties())
    return model.compute_metrics(x, y, y_pred, sample_weight)


State = tuple[list[Any], list[Any], list[Any], list[Any]]  # trainable, other, optimizers' and metrics' variables


def jax_step(model: Aimed, state: State, data: Any) -> tuple[Any, State]:
    """A step on JAX: the logs and the state after it."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    trainable, other, optimizers, metrics = ([*part] for part in state)
    total: Any = 0.0
    at = 0
    for goal in model.goals:
        end = at + len(goal.optimizer.variables)
        own, aux = _gradients(model, goal, (trainable, other, optimizers[at:end], metrics), (x, y, sample_weight))
        loss, y_pred, other, metrics = aux
        mine = [trainable[i] for i in goal.own]
        mine, optimizers[at:end] = goal.optimizer.stateless_apply(optimizers[at:end], own, mine)
        for i, value in zip(goal.own, mine, strict=True):
            trainable[i] = value
        total, at = total + loss, end
    with keras.StatelessScope(state_mapping=_mapping(model, trainable, other, metrics)) as scope:
        model.log_total(x, total + model.penalties())
        logs = model.compute_metrics(x, y, y_pred, sample_weight)
    return logs, (trainable, other, optimizers, [scope.get_current_value(v) for v in model.metrics_variables])


def _gradients(model: Aimed, goal: Goal, state: State, data: tuple[Any, Any, Any]) -> tuple[list[Any], Any]:
    """The gradients of a phase's own weights; its loss, the predictions, and the other variables after it."""
    import jax

    trainable, other, optimizer, metrics = state
    x, y, sample_weight = data

    def loss_of(own: list[Any]) -> tuple[Any, Any]:
        weights = [*trainable]
        for i, value in zip(goal.own, own, strict=True):
            weights[i] = value
        y_pred, others, losses = model.stateless_call(weights, other, x, training=True, return_losses=True)
        with keras.StatelessScope(state_mapping=_mapping(model, weights, others, metrics)) as scope:
            loss = model.goal_loss(goal, x, y, y_pred, sample_weight)
            penalties = sum((keras.ops.sum(one) for one in losses), start=0.0)
        figures = [scope.get_current_value(v) for v in model.metrics_variables]
        with keras.StatelessScope(state_mapping=list(zip(goal.optimizer.variables, optimizer, strict=True))):
            scaled = goal.optimizer.scale_loss(loss + penalties)
        return scaled, (loss, y_pred, others, figures)

    (_, aux), gradients = jax.value_and_grad(loss_of, has_aux=True)([trainable[i] for i in goal.own])
    return gradients, aux


def _mapping(model: Aimed, trainable: list[Any], other: list[Any], metrics: list[Any]) -> list[tuple[Any, Any]]:
    """The model's variables beside their values."""
    variables = [*model.trainable_variables, *model.non_trainable_variables, *model.metrics_variables]
    return list(zip(variables, [*trainable, *other, *metrics], strict=True))
