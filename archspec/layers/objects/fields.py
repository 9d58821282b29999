"""The types of fields that take an object of Keras's. The objects themselves are imported when a spec names one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, SerializeAsAny

from archspec.layers.objects.base import (
    AtLeastZero,
    Callback,
    Loss,
    Metric,
    Optimizer,
    Schedule,
    object_field,
    parse_object,
)

# Names that Keras resolves when it sees targets and predictions: binary, categorical or sparse.
# Among them is `Accuracy`: alone it means the same, not the class, which counts exact equality.
LossByShape = Literal["crossentropy", "ce"]
MetricByShape = Literal["accuracy", "acc", "Accuracy"]


def parse_loss(value: Any) -> Any:
    """A loss as written; other values are left for pydantic to judge."""
    return value if value in ("crossentropy", "ce") else parse_object(Loss, value)


def _parse_metric(value: Any) -> Any:
    return value if value in ("accuracy", "acc", "Accuracy") else parse_object(Metric, value)


LossField = Annotated[LossByShape | SerializeAsAny[Loss], BeforeValidator(parse_loss)]
MetricField = Annotated[MetricByShape | SerializeAsAny[Metric], BeforeValidator(_parse_metric)]
OptimizerField = Annotated[SerializeAsAny[Optimizer], object_field(Optimizer)]
CallbackField = Annotated[SerializeAsAny[Callback], object_field(Callback)]
ScheduleField = Annotated[SerializeAsAny[Schedule], object_field(Schedule)]
LearningRate = Annotated[AtLeastZero | SerializeAsAny[Schedule], object_field(Schedule)]
