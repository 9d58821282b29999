"""Real examples of a spec's data: to calibrate integers with, and to say what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archspec.export.base import ExportFailed, Run
from archspec.graph.ir import Graph
from archspec.optimize.network import Array

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.data.plan import Plan
    from archspec.train.feed import Feed
    from archspec.train.sections import Sections


@dataclass(frozen=True)
class Examples:
    """The training examples, and those of the test split (else validation), as the network takes them."""

    graph: Graph
    plan: Plan
    settings: Sections
    training: Feed
    judging: Feed
    split: str

    def calibration(self, count: int) -> list[Array]:
        """The first training examples of each input, spread over the whole split where it lies in memory."""
        return _first(self.training, count, len(self.graph.inputs))

    def judge(self, run: Run) -> dict[str, float]:
        """The figures of what a runtime predicts, by their names and, where there are several, their outputs."""
        from archspec.train.figures import judge

        losses = self.settings.losses(self.graph)
        size = self.settings.data.batch_size
        judged: Any = judge(_Predictor(run), self.plan, losses, self.judging, self.split, size)
        several = len(judged) > 1
        return {
            f"{output} {name}" if several else name: value
            for output, each in judged.items()
            for name, value in each.figures.items()
        }


class _Predictor:
    """A runtime where a Keras model is looked for: `judge` asks for predictions of batches, nothing else."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def predict_on_batch(self, x: Any) -> Mapping[str, Array]:
        return self.run([np.asarray(each) for each in (x if isinstance(x, tuple) else (x,))])


def read_examples(architecture: Architecture | None, run: Path | None) -> Examples:
    """Reads the data of a spec, or of a run with its preprocessing. Raises ExportFailed, SpecError, RunFailed."""
    help = "integers are calibrated on examples, which the data section of a spec names"
    if architecture is None:
        raise ExportFailed("a saved model has no data to calibrate integers with", help)
    from archspec.data.plan import plan
    from archspec.data.split import count
    from archspec.train.check import check_settings
    from archspec.train.feed import feed, feeds
    from archspec.train.runs import read_run
    from archspec.train.saved import preprocessing

    document, graph = architecture.document, architecture.graph
    if document.data is None:
        raise ExportFailed(f"{architecture.name} has no data to calibrate integers with", help)
    settings = check_settings(document, graph)
    ready = plan(document, graph, settings.data, settings.losses(graph))
    size = settings.data.batch_size
    parts = {"test": ready.parts.test, "validation": ready.parts.validation, "train": ready.parts.train}
    split, chosen = next((name, part) for name, part in parts.items() if part is not None and count(part))
    if run is None:
        fed = feeds(ready, graph, size)
        return Examples(graph, ready, settings, fed.train, getattr(fed, split), split)
    models = {ready.inputs[n]: made for n, made in preprocessing(read_run(run), tuple(graph.inputs)).items()}
    training, judging = (
        feed(ready, graph, models, ready.source.read(part), size) for part in (ready.parts.train, chosen)
    )
    return Examples(graph, ready, settings, training, judging, split)


def _first(fed: Feed, count: int, inputs: int) -> list[Array]:
    if fed.y is not None:
        values = fed.x if isinstance(fed.x, tuple) else (fed.x,)
        places = np.unique(np.linspace(0, fed.size - 1, min(count, fed.size)).astype(int))
        return [np.asarray(value)[places] for value in values]
    parts: list[tuple[Array, ...]] = []
    for x, _ in fed.x.as_numpy_iterator():
        parts.append(x if isinstance(x, tuple) else (x,))
        if sum(len(part[0]) for part in parts) >= count:
            break
    return [np.concatenate([part[i] for part in parts])[:count] for i in range(inputs)]
