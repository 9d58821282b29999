"""The `data` section of a spec."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Gt, Lt, MinLen
from pydantic import Field

from archspec.data.base import Source, SourceField, sources
from archspec.layers.base import Model
from archspec.layers.fields import NonNegative, Positive

# A share of the examples, their count, or the source's own splits and slices of them: train[:80%], test[100:].
Part = Annotated[float, Gt(0), Lt(1)] | Positive | Annotated[str, MinLen(1)]


class Split(Model):
    """Which examples train, choose and judge the network.

    What is left out is the source's own split of the name, where it has one. If nothing is said at all, a source
    without a test split gives 0.2 of its examples for it, and one without a validation split 0.1.
    The seed is the split's own, so that runs with other seeds are judged by the same test examples.
    """

    train: Annotated[str, MinLen(1)] | None = None
    validation: Part | None = None
    test: Part | None = None
    seed: NonNegative = 0


def _digits() -> Source:
    return sources()["sklearn"].model_validate({})


class Data(Model):
    """Where the examples come from and how they become batches.

    `inputs` says which field of the source each input of the network takes, `targets` which one each output is
    compared with; where left out, fields go by name, or the only ones that there are.
    `preprocess` belongs to a field: a target that takes the same field as an input gets it preprocessed, too.
    """

    source: SourceField = Field(default_factory=_digits)
    inputs: str | dict[str, str] | None = None
    targets: str | dict[str, str] | None = None
    split: Split = Split()
    batch_size: Positive = 32
    shuffle: bool = True
    preprocess: Any = None
    augment: Any = None
