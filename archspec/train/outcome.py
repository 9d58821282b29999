"""What comes out of a run, once its network is trained: measured, judged, and put into the words of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archspec.analysis.cost import graph_cost
from archspec.data.base import Column
from archspec.data.plan import Plan
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.layers.objects import Loss
from archspec.train.record import Record
from archspec.train.report import show
from archspec.train.report.inputs import Row, inputs_at
from archspec.train.report.pictures import is_picture
from archspec.train.runs import told
from archspec.train.sections import Sections

if TYPE_CHECKING:
    import keras

    from archspec.train.feed import Feed, Feeds
    from archspec.train.figures import Judged

_DRAWN = 32  # images
Metrics = dict[str, dict[str, float]]  # by split and metric


def measured(model: keras.Model, fed: Feeds, record: Record, batch_size: int, seed: int) -> Metrics:
    """Keras's figures of each split; the training split's are the last epoch's, measured as it went."""
    found: Metrics = {"test": {}, "validation": {}}
    for split, feed in (("test", fed.test), ("validation", fed.validation)):
        if feed:
            found[split] = evaluated(model, feed, batch_size, seed)
    return found | {"train": record.measured()}


def evaluated(model: keras.Model, feed: Feed, batch_size: int, seed: int) -> dict[str, float]:
    """Keras's figures of one split. What random layers draw follows from the seed alone."""
    seed_draws(model, seed)
    got = model.evaluate(**feed.arguments(batch_size), verbose=0, return_dict=True)
    return {name: float(value) for name, value in got.items()}


def seed_draws(model: keras.Model, seed: int) -> None:
    """Random layers that draw outside of training, too, draw from here on what they would after any other training."""
    states = [variable for variable in model.non_trainable_variables if variable.name == "seed_generator_state"]
    for state, values in zip(states, np.random.default_rng(seed).integers(2**32, size=(len(states), 2)), strict=True):
        state.assign(values.astype("uint32"))


def judged(
    network: keras.Model, plan: Plan, losses: Mapping[str, Loss | str | None], fed: Feeds, batch_size: int, seed: int
) -> dict[str, Judged]:
    """The figures of what the network predicts for the test examples, else for those of validation."""
    from archspec.train.figures import judge

    seed_draws(network, seed)
    split, feed = ("test", fed.test) if fed.test else ("validation", fed.validation)
    return judge(network, plan, losses, feed, split, batch_size) if feed else {}


def drawn(network: keras.Model, graph: Graph, plan: Plan, fed: Feeds, batch_size: int) -> dict[str, np.ndarray]:
    """Images of outputs that no target is compared with, for the first test examples: those that a GAN draws."""
    from archspec.train.figures import unjudged

    feed = fed.test or fed.validation
    free = tuple(name for name in graph.outputs if name not in plan.targets)
    wanted = tuple(name for name in free if graph.type(graph.outputs[name]).rank in (2, 3))
    if not feed or not wanted:
        return {}
    made = unjudged(network, wanted, feed, batch_size)
    return {name: values[:_DRAWN] for name, values in made.items() if is_picture(values[0])}


def results(
    document: Document, graph: Graph, settings: Sections, plan: Plan, fed: Feeds, record: Record, metrics: Metrics,
    figures: Mapping[str, Judged], seconds: float, optimization: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """What results.json holds."""
    import keras

    return {
        "name": document.name,
        "description": document.spec.description,
        "metrics": metrics,
        "figures": {output: each.to_json() for output, each in figures.items()},
        "examples": fed.sizes,
        "parameters": parameter_counts(graph),
        "classes": {output: list(names) for output, names in plan.classes.items()},
        "epochs": len(record.lines),
        "seconds": round(seconds, 3),
        "backend": keras.backend.backend(),
        "precision": settings.run.precision,
        "seed": settings.run.seed,
        "optimization": optimization,
    }


def parameter_counts(graph: Graph) -> dict[str, int]:
    """How many numbers the network's weights have, and how many of them are trained."""
    cost = graph_cost(graph)
    return {"total": cost.parameters_total, "trainable": cost.trainable}


def shown_inputs(plan: Plan, figures: Mapping[str, Judged]) -> dict[int, Row]:
    """The inputs of the examples that the report shows, as they were before preprocessing."""
    places = [example.index for each in figures.values() for example in each.collected.examples()]
    return inputs_at(plan, plan.parts.test or plan.parts.validation or {}, places)


def shown_columns(plan: Plan) -> dict[str, tuple[Column, ...]]:
    """The columns of a table that make up the inputs, by input."""
    columns = plan.source.columns
    return {name: columns[field] for name, field in plan.inputs.items() if field in columns}


def closing_lines(folder: Path, results: Mapping[str, Any]) -> Iterator[str]:
    """What is said at the end, of what results.json holds."""
    judged = next(iter(results["figures"].values()), {"split": ""})["split"]
    for split in ("test", "validation"):
        figures = (told(results) if split == judged else {}) | results["metrics"][split]
        if figures:
            yield f"{split}: {', '.join(f'{name} {show(name, value)}' for name, value in figures.items())}"
    yield f"{results['seconds']:.0f} s; the model and a report lie in {folder}"
