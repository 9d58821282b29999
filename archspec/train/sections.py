"""The sections `data`, `train` and `run` read together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from archspec.data.settings import Data
from archspec.diagnostics import Diagnostic, SpecError
from archspec.graph.ir import Graph
from archspec.language import Document, section
from archspec.layers.base import Model
from archspec.layers.objects import Loss
from archspec.train.objective.aims import TARGET, losses_by_name, output_of
from archspec.train.settings import FormulaLoss, Run, Train, reads_target

M = TypeVar("M", bound=Model)

# Until the data are read nobody knows how many steps there will be: round numbers stand for them.
_ASSUMED = {"steps_per_epoch": 100, "epochs": 100, "steps": 10_000, "batch_size": 32}


@dataclass(frozen=True)
class Sections:
    """The three sections, validated."""

    data: Data
    train: Train
    run: Run

    def losses(self, graph: Graph) -> dict[str, Loss | str | None]:
        """The outputs that have targets: the loss that compares the two, None where a formula does."""
        phases = self.train.phases or {}
        given: list[Any] = [phase.loss for phase in phases.values()] or [self.train.loss]
        found: dict[str, Loss | str | None] = {}
        for losses in given:
            for name, loss in losses_by_name(losses, graph).items() if losses is not None else ():
                if not isinstance(loss, FormulaLoss):
                    found[name] = loss
                elif reads_target(loss) and TARGET not in graph.tensors:
                    output = output_of(name, graph)
                    if output is not None:
                        found.setdefault(output, None)
        return found


def sections(document: Document, steps_per_epoch: int | None = None) -> Sections:
    """The sections, with Keras's defaults for what is not there. Before the data are read, steps are only assumed.

    Raises SpecError with what is wrong in any of them.
    """
    found: list[Diagnostic] = []

    def read(key: str, model: type[M], names: Mapping[str, Any]) -> M:
        try:
            return section(document, key, model, names)
        except SpecError as error:
            found.extend(error.diagnostics)
            return model()

    train = read("train", Train, _ASSUMED)
    data = read("data", Data, _ASSUMED | {"epochs": train.epochs})
    run = read("run", Run, {})
    if found:
        raise SpecError(found, document.texts)
    if steps_per_epoch is not None:
        known = {"steps_per_epoch": steps_per_epoch, "epochs": train.epochs, "batch_size": data.batch_size}
        train = section(document, "train", Train, known | {"steps": steps_per_epoch * train.epochs})
    return Sections(data, train, run)
