"""The `train` and `run` sections of a spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, MinLen
from pydantic import BeforeValidator, Discriminator, Field, SerializeAsAny, Tag, model_validator

from archspec.language.expressions import ExpressionError, names, parse
from archspec.layers.base import Model
from archspec.layers.fields import NonNegative, Positive
from archspec.layers.objects import Loss, Optimizer, known
from archspec.layers.objects.fields import CallbackField, LossByShape, MetricField, OptimizerField, parse_loss
from archspec.layers.objects.optimizers import Adafactor, Lamb, Muon

Weight = Annotated[float, Ge(0)]
WHOLE_WEIGHTS = (Adafactor, Lamb, Muon)  # optimizers whose steps do not go number by number


class FormulaLoss(Model):
    """A loss as a formula over the network's tensors by name, its outputs, and `target`.

    It gives one number, or one value for each example, of which the mean counts. `target` is that of the output that
    the formula is named after, or of the only output. `weight` multiplies it in the sum of all losses.
    """

    expr: Annotated[str, MinLen(1)]
    weight: Weight = 1.0


def _is_formula(value: Any) -> bool:
    return isinstance(value, FormulaLoss) or (isinstance(value, Mapping) and isinstance(value.get("expr"), str))


def _losses(value: Any) -> str:
    """`{MeanSquaredError: {…}}` is one loss with its arguments, `{decoded: MeanSquaredError}` one for each output."""
    if not isinstance(value, Mapping) or _is_formula(value):
        return "one"
    if len(value) == 1:
        ((key, inner),) = value.items()
        names_a_loss = key in known(Loss)
        inner_is_loss = (
            isinstance(inner, str | Loss)
            or _is_formula(inner)
            or (isinstance(inner, Mapping) and set(inner) & set(known(Loss)))
        )
        return "each" if inner_is_loss and not names_a_loss else "one"
    return "each"


def _loss(value: Any) -> Any:
    return FormulaLoss.model_validate(value) if _is_formula(value) else parse_loss(value)


def _shape(value: Any) -> str:
    return "each" if isinstance(value, Mapping) else "one"


def _listed(value: Any) -> Any:
    """A list, of one where only a name is given."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


AnyLoss = LossByShape | Loss | FormulaLoss
_LossField = Annotated[LossByShape | SerializeAsAny[Loss] | FormulaLoss, BeforeValidator(_loss)]
Losses = Annotated[
    Annotated[_LossField, Tag("one")] | Annotated[dict[str, _LossField], Tag("each")], Discriminator(_losses)
]
# Names of layers and of the scopes around them, * and ? standing for any text.
Scopes = Annotated[tuple[Annotated[str, MinLen(1)], ...], BeforeValidator(_listed)]
Passes = Annotated[tuple[Annotated[str, MinLen(1)], ...], BeforeValidator(_listed)]
MetricList = Annotated[tuple[MetricField, ...], BeforeValidator(_listed)]
Metrics = Annotated[
    Annotated[MetricList, Tag("one")] | Annotated[dict[str, MetricList], Tag("each")], Discriminator(_shape)
]


def _adam() -> Optimizer:
    adam = known(Optimizer)["Adam"].model_validate({})
    assert isinstance(adam, Optimizer)
    return adam


class Phase(Model):
    """One of several trainings that take turns at each step: what it trains, by which loss, and how.

    `trains` names layers or the scopes around them; `*` and `?` stand for any text. Without an `optimizer` it is one
    like the training's.
    """

    trains: Annotated[Scopes, MinLen(1)]
    loss: Losses
    loss_weights: dict[str, Weight] | None = None
    optimizer: OptimizerField | None = None


class Train(Model):
    """How the network learns, in the words of Keras's `compile` and `fit`.

    `loss` and `metrics` are meant for the only output, or given for each output by its name; a loss may be a formula.
    `phases` instead of `loss` train parts of the network in turn. `class_weight` counts examples by their class, named
    or numbered; `balanced` gives all classes the same sum. `initial_weights` is a run's folder, a `.keras` or a
    `.weights.h5` file, for the whole network or for scopes by name; `frozen` names layers or scopes that do not learn.
    """

    epochs: Positive = 10
    loss: Losses | None = None
    loss_weights: dict[str, Weight] | None = None
    phases: dict[str, Phase] | None = None
    optimizer: OptimizerField = Field(default_factory=_adam)
    metrics: Metrics = ()
    callbacks: tuple[CallbackField, ...] = ()
    class_weight: Literal["balanced"] | dict[str, Weight] | None = None
    initial_weights: Annotated[str, MinLen(1)] | dict[str, Annotated[str, MinLen(1)]] | None = None
    frozen: Scopes = ()
    steps_per_execution: Literal["auto"] | Positive = "auto"
    validation_freq: Positive = 1


class Checkpoints(Model):
    """How often the training is kept, so that it can be resumed.

    No more than `seconds` of it are lost when the process is killed. Each epoch's end is kept besides, unless writing
    it takes more than a hundredth of the time.
    """

    seconds: Annotated[float, Ge(0)] = 300.0


class Rewrites(Model):
    """Which rewrites are made of those that keep the function and its gradients (`archspec optimize --level training`).

    Only those of `passes`, where they are given; `also` those that pay on some backends only; none of `skip`.
    """

    passes: Passes | None = None
    also: Passes = ()
    skip: Passes = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        from archspec.optimize.driver import UnknownPass, chosen

        if self.passes is not None and self.also:
            raise ValueError("passes takes the named passes only, also adds to all: give one of them")
        try:
            chosen("training", self.passes, self.skip, self.also)
        except UnknownPass as error:
            raise ValueError(str(error)) from None
        return self


def _rewrites(value: Any) -> str | None:
    if isinstance(value, Mapping | Rewrites):
        return "rewrites"
    return "level" if isinstance(value, str) else None


class Run(Model):
    """What the training runs on.

    Without a `backend` it is the one that is loaded already, else KERAS_BACKEND's, else tensorflow.
    `devices: auto` takes all GPUs or TPUs that can share a batch, else the CPU; a number, as many devices. `mesh` names
    the axes of a grid of devices, the first for the examples of a batch, and `layout` the axis of the mesh along which
    each axis of a weight is divided. `hosts` lists the addresses of all processes, and `host` is this one's place.
    `jit: auto` leaves the choice to a measurement, or to Keras where the training is short.
    `remat` names blocks, * and ? standing for any text, whose tensors are computed again in the backward pass to save
    memory; `auto` takes as many as the memory asks for. `optimize: training` rewrites the network where that keeps the
    function and its gradients, `none` trains it as it is written.
    """

    backend: Literal["tensorflow", "jax"] | None = None
    precision: Literal["float32", "float64", "bfloat16", "mixed_float16", "mixed_bfloat16"] = "float32"
    devices: Literal["auto", "cpu", "gpu", "tpu"] | Positive = "auto"
    mesh: Annotated[dict[str, Positive], MinLen(1)] | None = None
    layout: dict[str, tuple[str | None, ...]] | None = None
    hosts: Literal["auto"] | Annotated[tuple[Annotated[str, MinLen(1)], ...], MinLen(1)] | None = None
    host: NonNegative | None = None
    seed: NonNegative = 0
    jit: Literal["auto"] | bool = "auto"
    remat: Literal["auto"] | Annotated[Scopes, Field(strict=False)] = ()
    optimize: Annotated[
        Annotated[Literal["none", "training"], Tag("level")] | Annotated[Rewrites, Tag("rewrites")],
        Discriminator(
            _rewrites,
            custom_error_type="not_a_level",
            custom_error_message="none, training, or a mapping with passes, also and skip",
        ),
    ] = "training"
    checkpoint: Checkpoints = Checkpoints()
    tensorboard: bool = False

    @property
    def device_count(self) -> int | None:
        """The number of devices in the mesh, if there is one."""
        return None if self.mesh is None else math.prod(self.mesh.values())


def sees_single_weights(train: Train, run: Run) -> str | None:
    """What depends on which numbers are one weight, so that none may have another form while it learns, if anything."""
    if run.layout is not None:
        return "run.layout divides weights by their names and axes"
    if train.phases:
        return "phases train weights by their layers' names"
    inner = getattr(train.optimizer, "inner_optimizer", train.optimizer)
    if isinstance(inner, WHOLE_WEIGHTS):
        return f"{type(inner).__name__} looks at each weight as a whole"
    if getattr(inner, "clipnorm", None) is not None:
        return "clipnorm looks at each weight as a whole"
    return None


def reads_target(loss: FormulaLoss) -> bool:
    """Whether the formula names the target. A formula that cannot be read names nothing."""
    try:
        return "target" in names(parse(loss.expr))
    except ExpressionError:
        return False


def by_output(given: Any, outputs: tuple[str, ...]) -> dict[str, Any]:
    """What is given for each output, a single value being meant for all of them."""
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(outputs, given)
