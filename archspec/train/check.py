"""What can be said about the training before any framework is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archspec.data.plan import check_augment
from archspec.diagnostics import Diagnostic, Span, SpecError, did_you_mean
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.train.layout import check_layout
from archspec.train.objective.aims import aims
from archspec.train.plan import remat_blocks
from archspec.train.sections import Sections, sections
from archspec.train.settings import FormulaLoss, Phase, Rewrites, Train, sees_single_weights


def check_settings(document: Document, graph: Graph) -> Sections:
    """The sections beside the network, checked as far as that goes without the data. Raises SpecError."""
    settings = sections(document)
    found = _check_outputs(document, graph, settings)
    found += check_layout(document, graph, settings.run, settings.data.batch_size)
    found += check_synchronized(graph, settings.run.backend)
    found += _check_rewrites(document, settings)
    if not found:
        try:
            aims(document, graph, settings.train)
        except SpecError as error:
            found.extend(error.diagnostics)
    try:
        check_augment(document, graph)
    except SpecError as error:
        found.extend(error.diagnostics)
    if settings.run.remat != "auto":
        try:
            remat_blocks(document, graph, settings)
        except SpecError as error:
            found.extend(error.diagnostics)
    if found:
        raise SpecError(found, document.texts)
    return settings


def check_synchronized(graph: Graph, backend: str | None) -> list[Diagnostic]:
    """Keras makes layers with `synchronized: true` on TensorFlow only."""
    found = []
    for node in graph.nodes.values() if backend == "jax" else ():
        inner = getattr(node.layer, "layer", None)  # of TimeDistributed and its like
        if getattr(inner or node.layer, "synchronized", False):
            message = "synchronized needs TensorFlow; on JAX statistics are those of the whole batch already"
            found.append(Diagnostic("E504", message, node.origin.span, help="leave synchronized out"))
    return found


def _check_rewrites(document: Document, settings: Sections) -> list[Diagnostic]:
    """Passes that give weights another form while something needs them as they are."""
    given, why = settings.run.optimize, sees_single_weights(settings.train, settings.run)
    if why is None or not isinstance(given, Rewrites):
        return []
    from archspec.optimize.driver import chosen  # which loads numpy

    found = []
    for key, names in (("passes", given.passes or ()), ("also", given.also)):
        changing = {each.name for each in chosen("training", names, given.skip) if not each.keeps_weights}
        for i, name in enumerate(names):
            if name in changing:
                span = document.mark.at("run", "optimize", key, i).span
                message = f"optimize: {name} gives weights another form, but {why}"
                found.append(Diagnostic("E504", message, span, help="leave the pass out"))
    return found


def require_loss(document: Document, settings: Sections) -> None:
    """Training needs a loss. Raises SpecError."""
    if settings.train.loss is None and not settings.train.phases:
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
    targets = settings.losses(graph)
    groups: list[tuple[tuple[str, ...], Train | Phase]] = [(("train",), train)]
    groups += [(("train", "phases", name), phase) for name, phase in (train.phases or {}).items()]
    if train.phases and train.loss is not None:
        span = document.mark.key("train", "loss")
        found.append(Diagnostic("E504", "phases have losses of their own, beside which there is no other", span))
    for path, given in groups:
        by_name: dict[str, Any] = {"loss": given.loss, "loss_weights": given.loss_weights}
        by_name |= {"metrics": given.metrics} if isinstance(given, Train) else {}
        for key, value in by_name.items():
            for name, one in value.items() if isinstance(value, Mapping) else ():
                span = document.mark.key(*path, key, name)
                if isinstance(one, FormulaLoss):
                    continue
                if name not in graph.outputs:
                    help = did_you_mean(name, graph.outputs) or f"the outputs are {', '.join(graph.outputs)}"
                    found.append(Diagnostic("E504", f"{key}: there is no output {name!r}", span, help=help))
                elif name not in targets or (key == "loss_weights" and targets[name] is None):
                    found.append(_without_loss(key, name, targets, span))
    for i, callback in enumerate(train.callbacks if train.phases else ()):
        if (name := type(callback).__name__) in ("ReduceLROnPlateau", "SwapEMAWeights"):
            span = document.mark.at("train", "callbacks", i).span
            found.append(Diagnostic("E504", f"{name} is for one optimizer, and each phase has its own", span))
    losses = train.phases or train.loss
    if losses and train.metrics and not isinstance(train.metrics, Mapping) and not targets:
        span = document.mark.key("train", "metrics")
        found.append(Diagnostic("E504", "metrics compare outputs with targets, and no loss has a target", span))
    if train.class_weight is not None and not (not train.phases and _only_keras(targets, train)):
        span = document.mark.key("train", "class_weight")
        found.append(Diagnostic("E504", "class_weight is for a network with one output and one loss of Keras's", span))
    return found


def _only_keras(targets: Mapping[str, Any], train: Train) -> bool:
    """Whether a single loss of Keras's is all that there is."""
    given = train.loss.values() if isinstance(train.loss, Mapping) else [train.loss]
    return len(targets) <= 1 and not any(isinstance(loss, FormulaLoss) for loss in given)


def _without_loss(key: str, name: str, targets: Mapping[str, Any], span: Span) -> Diagnostic:
    if name in targets:
        return Diagnostic("E504", f"{key}: the weight of a formula stands in it: {{expr: …, weight: 2}}", span)
    return Diagnostic("E504", f"{key}: output {name!r} has no loss that compares it with a target", span)
