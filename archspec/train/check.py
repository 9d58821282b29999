"""What can be said about the training before any framework is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archspec.data.plan import check_augment
from archspec.diagnostics import Diagnostic, SpecError, did_you_mean
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.train.sections import Sections, sections


def check_settings(document: Document, graph: Graph) -> Sections:
    """The sections beside the network, checked as far as that goes without the data. Raises SpecError."""
    settings = sections(document)
    found = _check_outputs(document, graph, settings)
    try:
        check_augment(document, graph)
    except SpecError as error:
        found.extend(error.diagnostics)
    if found:
        raise SpecError(found, document.texts)
    return settings


def require_loss(document: Document, settings: Sections) -> None:
    """Training needs a loss. Raises SpecError."""
    if settings.train.loss is None:
        message = "there is nothing to train for: the spec names no loss"
        help = "train: {loss: SparseCategoricalCrossentropy} for class labels, {loss: MeanSquaredError} for amounts"
        raise SpecError([Diagnostic("E504", message, document.mark.key("train"), help=help)], document.texts)


def check_validation(document: Document, settings: Sections, validation: int) -> None:
    """A callback that watches a validation figure needs validation examples. Raises SpecError."""
    for i, callback in enumerate(settings.train.callbacks):
        monitor = getattr(callback, "monitor", "")
        if monitor.startswith("val_") and not validation:
            span = document.mark.at("train", "callbacks", i).span
            message = f"{type(callback).__name__} watches {monitor}, but no examples are for validation"
            help = f"data: {{split: {{validation: 0.1}}}}, or monitor: {monitor.removeprefix('val_')}"
            raise SpecError([Diagnostic("E504", message, span, help=help)], document.texts)


def _check_outputs(document: Document, graph: Graph, settings: Sections) -> list[Diagnostic]:
    """Names of outputs that the network does not have, and what only a single output can take."""
    found = []
    train = settings.train
    by_name: dict[str, Any] = {"loss": train.loss, "loss_weights": train.loss_weights, "metrics": train.metrics}
    for key, value in by_name.items():
        for name in value if isinstance(value, Mapping) else ():
            span = document.mark.key("train", key, name)
            if name not in graph.outputs:
                help = did_you_mean(name, graph.outputs) or f"the outputs are {', '.join(graph.outputs)}"
                found.append(Diagnostic("E504", f"{key}: there is no output {name!r}", span, help=help))
            elif isinstance(train.loss, Mapping) and name not in train.loss:
                found.append(Diagnostic("E504", f"{key}: output {name!r} has no loss", span))
    if train.class_weight is not None and len(settings.losses(graph)) > 1:
        span = document.mark.key("train", "class_weight")
        found.append(Diagnostic("E504", "class_weight is for a network with one output", span))
    return found
