"""The ready mappings by name, and the one that fits a model and a source's arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from archspec.weights.loading import WeightsError, fit, signature
from archspec.weights.rules import Array, Rule

if TYPE_CHECKING:
    import keras

OWN = (Rule(r"(.*)", "{1}"),)
"""For files of archspec's own models, whose names are the same."""


@cache
def mappings() -> Mapping[str, Sequence[Rule]]:
    """All ready mappings: archspec's own names, Keras applications', Hugging Face's."""
    from archspec.weights import hugging_face, keras_applications

    tables = [{"archspec": OWN}, keras_applications.MAPPINGS, hugging_face.MAPPINGS]
    found = {name: rules for table in tables for name, rules in table.items()}
    assert len(found) == sum(map(len, tables)), "two ready mappings have one name"
    return found


def find_mapping(model: keras.Model, arrays: Mapping[str, Array]) -> str:
    """The name of the first ready mapping by which all arrays fit the model.

    Raises:
        WeightsError: what did not fit by the mapping that came nearest.
    """
    weights = {weight.path: signature(weight) for weight in model.weights}
    nearest: WeightsError | None = None
    for name, rules in mappings().items():
        found = fit(weights, arrays, rules)
        if not isinstance(found, WeightsError):
            return name
        if nearest is None or len(found) < len(nearest):
            found.mapping = name
            nearest = found
    assert nearest is not None
    raise nearest
