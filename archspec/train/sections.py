"""The sections `data`, `train` and `run` read together, without any framework: `check` does this, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archspec.data.plan import check_augment
from archspec.data.settings import Data
from archspec.diagnostics import Diagnostic, SpecError, did_you_mean
from archspec.graph.ir import Graph
from archspec.language import Document, section
from archspec.layers.objects import Loss
from archspec.train.settings import Run, Train, by_output

# Until the data are read nobody knows how many steps there will be: round numbers stand for them.
_ASSUMED = {"steps_per_epoch": 100, "epochs": 100, "steps": 10_000, "batch_size": 32}


@dataclass(frozen=True)
class Sections:
    """The three sections, validated."""

    data: Data
    train: Train
    run: Run

    def losses(self, graph: Graph) -> dict[str, Loss | str]:
        """The loss of each output that is trained."""
        return {} if self.train.loss is None else by_output(self.train.loss, tuple(graph.outputs))


def sections(document: Document, graph: Graph, steps_per_epoch: int | None = None) -> Sections:
    """The sections as far as they are there. Before the data are read, steps are only assumed. Raises SpecError."""
    train = section(document, "train", Train, _ASSUMED)
    data = section(document, "data", Data, _ASSUMED | {"epochs": train.epochs})
    if steps_per_epoch is not None:
        names = {"steps_per_epoch": steps_per_epoch, "epochs": train.epochs, "batch_size": data.batch_size}
        train = section(document, "train", Train, names | {"steps": steps_per_epoch * train.epochs})
    result = Sections(data, train, section(document, "run", Run, {}))
    found = _check_outputs(document, graph, result)
    if found:
        raise SpecError(found, document.texts)
    check_augment(document, graph)
    return result


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
            if name not in graph.outputs:
                help = did_you_mean(name, graph.outputs) or f"the outputs are {', '.join(graph.outputs)}"
                span = document.mark.key("train", key, name)
                found.append(Diagnostic("E504", f"{key}: there is no output {name!r}", span, help=help))
            elif isinstance(train.loss, Mapping) and name not in train.loss:
                span = document.mark.key("train", key, name)
                found.append(Diagnostic("E504", f"{key}: output {name!r} has no loss", span))
    if train.class_weight is not None and len(settings.losses(graph)) > 1:
        span = document.mark.key("train", "class_weight")
        found.append(Diagnostic("E504", "class_weight is for a network with one output", span))
    return found
