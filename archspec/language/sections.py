"""The sections beside the network (`data`, `train`, `run`): expressions evaluated, validated by a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from archspec.diagnostics import SpecError
from archspec.language.document import Document
from archspec.language.evaluation import Evaluation
from archspec.language.scope import POISON, Failed, Site
from archspec.language.source import Mark
from archspec.language.validation import diagnose
from archspec.layers.base import Model

M = TypeVar("M", bound=Model)

# Lists of steps, which are elaborated where they are applied.
_STEPS = ("preprocess", "augment")


def section(document: Document, key: str, model: type[M], names: Mapping[str, Any]) -> M:
    """The section `key` as a model; `names` are what its expressions may use beside the spec's params.

    A section that is not there gives the model's defaults. Raises SpecError with all that is wrong.
    """
    raw = document.raw.get(key) or {}
    mark = document.mark.at(key) if key in document.raw else Mark(document.mark.span)
    evaluation = Evaluation(document)
    try:
        frame = evaluation.frame(document, {}, document.mark, ())
        frame.variables.update({name: value for name, value in names.items() if name not in frame.variables})
        site = Site(POISON, frame)
        values = {}
        for name, value in raw.items():
            place = mark.items.get(name, mark)
            values[name] = _frozen(value) if name in _STEPS else evaluation.value(value, place, site)
    except Failed:
        values = {}
    evaluation.raise_found()
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [replace(d, message=d.message.replace("has no argument", "has no key")) for d in
                 diagnose(error, key, model, values, mark)]  # fmt: skip
        raise SpecError(found, document.texts) from None


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
