"""The `train` and `run` sections of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import BeforeValidator, Discriminator, Field, Tag

from archspec.layers.base import Model
from archspec.layers.fields import NonNegative, Positive
from archspec.layers.objects import Loss, Optimizer, known
from archspec.layers.objects.fields import CallbackField, LossField, MetricField, OptimizerField

Weight = Annotated[float, Ge(0)]


def _losses(value: Any) -> str:
    """`{MeanSquaredError: {…}}` is one loss with its arguments, `{decoded: MeanSquaredError}` one for each output."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, inner),) = value.items()
        names_a_loss = key in known(Loss)
        inner_is_loss = isinstance(inner, str | Loss) or (isinstance(inner, Mapping) and set(inner) & set(known(Loss)))
        return "each" if inner_is_loss and not names_a_loss else "one"
    return "each" if isinstance(value, Mapping) else "one"


def _shape(value: Any) -> str:
    return "each" if isinstance(value, Mapping) else "one"


def _listed(value: Any) -> Any:
    """A list, of one where only a name is given."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Losses = Annotated[
    Annotated[LossField, Tag("one")] | Annotated[dict[str, LossField], Tag("each")], Discriminator(_losses)
]
MetricList = Annotated[tuple[MetricField, ...], BeforeValidator(_listed)]
Metrics = Annotated[
    Annotated[MetricList, Tag("one")] | Annotated[dict[str, MetricList], Tag("each")], Discriminator(_shape)
]


def _adam() -> Optimizer:
    adam = known(Optimizer)["Adam"].model_validate({})
    assert isinstance(adam, Optimizer)
    return adam


class Train(Model):
    """How the network learns, in the words of Keras's `compile` and `fit`.

    `loss` and `metrics` are meant for the only output, or given for each output by its name. `class_weight` counts
    examples by their class, named or numbered; `balanced` gives all classes the same sum.
    """

    epochs: Positive = 10
    loss: Losses | None = None
    loss_weights: dict[str, Weight] | None = None
    optimizer: OptimizerField = Field(default_factory=_adam)
    metrics: Metrics = ()
    callbacks: tuple[CallbackField, ...] = ()
    class_weight: Literal["balanced"] | dict[str, Weight] | None = None
    steps_per_execution: Positive = 1
    validation_freq: Positive = 1


class Run(Model):
    """What the training runs on.

    Without a `backend` it is the one that is loaded already, else KERAS_BACKEND's, else tensorflow.
    `jit: auto` leaves the choice to Keras. `tensorboard` logs the training for TensorBoard in the run's folder.
    """

    backend: Literal["tensorflow", "jax"] | None = None
    precision: Literal["float32", "float64", "bfloat16", "mixed_float16", "mixed_bfloat16"] = "float32"
    devices: Literal["auto", "cpu", "gpu"] = "auto"
    seed: NonNegative = 0
    jit: Literal["auto"] | bool = "auto"
    tensorboard: bool = False


def by_output(given: Any, outputs: tuple[str, ...]) -> dict[str, Any]:
    """What is given for each output, a single value being meant for all of them."""
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(outputs, given)
