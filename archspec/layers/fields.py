"""Types that the arguments of many layers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator, SerializeAsAny

from archspec.layers.base import Layer
from archspec.layers.objects import Constraint, Initializer, Regularizer, object_field

Positive = Annotated[int, Gt(0)]
NonNegative = Annotated[int, Ge(0)]
Rate = Annotated[float, Ge(0), Lt(1)]
Window1 = Positive | tuple[Positive]
Window2 = Positive | tuple[Positive, Positive]
Window3 = Positive | tuple[Positive, Positive, Positive]
Padding = Literal["valid", "same"]
DataFormat = Literal["channels_last"] | None  # None is Keras's default and means the same here

InitializerField = Annotated[SerializeAsAny[Initializer], object_field(Initializer)]
RegularizerField = Annotated[SerializeAsAny[Regularizer], object_field(Regularizer)]
ConstraintField = Annotated[SerializeAsAny[Constraint], object_field(Constraint)]


def _parse_layer(value: Any) -> Any:
    from archspec.layers import parse_layer

    return parse_layer(value) if isinstance(value, str | Mapping) else value


# A layer inside another: `{LSTM: 64}`, `{GRU: {units: 8}}`, `ReLU`.
LayerField = Annotated[SerializeAsAny[Layer], BeforeValidator(_parse_layer)]
