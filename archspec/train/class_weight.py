"""How much each class counts in the loss."""

from __future__ import annotations

from archspec.data.plan import Plan
from archspec.diagnostics import Diagnostic, SpecError, did_you_mean
from archspec.language import Document
from archspec.train.sections import Sections


def class_weight(document: Document, settings: Sections, plan: Plan) -> dict[int, float] | None:
    """The weight of each class by its number, as Keras takes it. Raises SpecError."""
    given = settings.train.class_weight
    if given is None:
        return None
    ((output, field),) = plan.targets.items()
    names = plan.classes.get(output)
    labels = plan.source.labels.get(field)
    if names is None or labels is None:
        help = "class_weight is for targets of one class each, as labels or one-hot"
        raise _error(document, f"the examples of {field!r} cannot be counted by class", (), help)
    if isinstance(given, str):
        import numpy as np

        drawn = np.concatenate([labels[part][at] for part, at in plan.parts.train.items()])
        counts = np.bincount(drawn, minlength=len(names))
        return {code: len(drawn) / (len(names) * max(1, int(n))) for code, n in enumerate(counts)}
    numbers = {name: code for code, name in enumerate(names)}
    weights = dict.fromkeys(range(len(names)), 1.0)
    for key, weight in given.items():
        code = numbers[key] if key in numbers else int(key) if key.isdigit() else len(names)
        if code >= len(names):
            help = did_you_mean(key, names) or f"the classes are {', '.join(names[:20])}"
            raise _error(document, f"there is no class {key!r}", (key,), help)
        weights[code] = weight
    return weights


def _error(document: Document, message: str, path: tuple[str, ...], help: str | None) -> SpecError:
    span = document.mark.key("train", "class_weight", *path)
    return SpecError([Diagnostic("E504", message, span, help=help)], document.texts)
