"""A network judged on one split: predictions made a batch at a time, and the figures of each output collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from archspec.data.plan import Plan
from archspec.layers.objects import Loss
from archspec.train.figures.amounts import Amounts
from archspec.train.figures.classification import Classes
from archspec.train.figures.labels import Labels
from archspec.train.figures.task import Task, task

if TYPE_CHECKING:
    import keras

    from archspec.train.feed import Feed

Collector = Classes | Labels | Amounts
_MATRIX = 100  # classes of which results.json holds the confusion matrix


@dataclass(frozen=True)
class Judged:
    """The figures of one output on one split, and what they were taken from."""

    split: str
    size: int
    collected: Collector

    @property
    def task(self) -> Task:
        return self.collected.task

    @cached_property
    def figures(self) -> dict[str, float]:
        return self.collected.figures()

    @cached_property
    def by_class(self) -> dict[str, dict[str, float]]:
        """The figures of each class by its name; names that come twice get their numbers."""
        if isinstance(self.collected, Amounts):
            return {}
        names = self.task.classes
        twice = {name for name in names if names.count(name) > 1}
        rows = self.collected.by_class()
        return {f"{names[i]} ({i})" if names[i] in twice else names[i]: row for i, row in rows.items()}

    def matrix(self) -> np.ndarray | None:
        """The confusion matrix: a row for each true class. None where it is large or there are no classes."""
        collected = self.collected
        small = isinstance(collected, Classes) and len(self.task.classes) <= _MATRIX
        return collected.pairs.matrix() if small and isinstance(collected, Classes) else None

    def to_json(self) -> dict[str, Any]:
        """What results.json holds of it."""
        kind = "segmentation" if self.task.segments else self.task.kind
        made: dict[str, Any] = {"task": kind, "split": self.split, "examples": self.size, "figures": self.figures}
        if self.task.kind != "amounts":
            made["classes"] = self.by_class
        matrix = self.matrix()
        if matrix is not None:
            made["confusion"] = {"classes": list(self.task.classes), "counts": matrix.tolist()}
        return made


def judge(
    network: keras.Model, plan: Plan, losses: Mapping[str, Loss | str | None], feed: Feed, split: str, batch_size: int
) -> dict[str, Judged]:
    """The figures of every output that one of Keras's losses compares with a target, from the network's predictions.

    What a formula compares, only the formula knows: it may be distances with classes. Memory holds one batch of
    predictions and what the figures need, whatever the size of the split.
    """
    outputs = {name: loss for name in plan.targets if (loss := losses.get(name)) is not None}
    collectors: dict[str, Collector | None] = {}
    start = 0
    for x, y in _batches(feed, batch_size) if outputs else ():
        predicted = _predicted(network, x, tuple(outputs))
        targets = y if isinstance(y, Mapping) else dict.fromkeys(outputs, y)
        for name, loss in outputs.items():
            truth, made = np.asarray(targets[name]), np.asarray(predicted[name])
            made = made if made.dtype == "float64" else made.astype("float32")
            if name not in collectors:
                reconstructs = plan.targets[name] in plan.inputs.values()
                found = task(name, loss, plan.classes.get(name), reconstructs, truth, made)
                if found and found.kind == "amounts" and found.places == 0:
                    found = _unflattened(found, plan)
                collectors[name] = _collector(found, feed.size) if found else None
            collector = collectors[name]
            if collector is not None:
                collector.add(start, truth, made)
        start += len(np.asarray(next(iter(targets.values()))))
    return {name: Judged(split, start, collector) for name, collector in collectors.items() if collector is not None}


def _unflattened(found: Task, plan: Plan) -> Task:
    """The task of a target that was an image until preprocessing made a vector of it."""
    steps = plan.preprocess.get(plan.targets[found.output])
    node = steps.nodes[next(iter(steps.outputs.values())).node] if steps else None
    if steps is None or node is None or type(node.layer).__name__ not in ("Reshape", "Flatten"):
        return found
    before = steps.type(node.inputs[0])
    known = tuple(length for length in before.shape if length is not None)
    if node.outputs[0].rank != 1 or before.rank not in (2, 3) or len(known) != before.rank:
        return found
    return replace(found, places=2, shape=known)


def _collector(found: Task, examples: int) -> Collector:
    if found.kind == "labels":
        return Labels(found, examples)
    return Amounts(found, examples) if found.kind == "amounts" else Classes(found, examples)


def unjudged(network: keras.Model, wanted: tuple[str, ...], feed: Feed, batch_size: int) -> dict[str, np.ndarray]:
    """What these outputs are for the first batch of a split."""
    x, _ = next(_batches(feed, batch_size))
    made = _predicted(network, x, wanted)
    return {name: np.asarray(made[name]).astype("float32") for name in wanted}


def _predicted(network: keras.Model, x: Any, wanted: tuple[str, ...]) -> Mapping[str, Any]:
    import keras

    if keras.backend.backend() != "tensorflow":  # no other takes the tensors of tf.data
        x = keras.tree.map_structure(np.asarray, x)
    return _by_name(network.predict_on_batch(x), network, wanted)


def _batches(feed: Feed, size: int) -> Iterator[tuple[Any, Any]]:
    """Inputs and targets of a split in its order."""
    if feed.y is None:
        yield from feed.x
        return
    for at in range(0, feed.size, size):
        here = slice(at, at + size)
        x = tuple(each[here] for each in feed.x) if isinstance(feed.x, tuple) else feed.x[here]
        yield x, {n: v[here] for n, v in feed.y.items()} if isinstance(feed.y, Mapping) else feed.y[here]


def _by_name(predicted: Any, network: keras.Model, wanted: tuple[str, ...]) -> Mapping[str, Any]:
    if isinstance(predicted, Mapping):
        return predicted
    if isinstance(predicted, list | tuple):
        return dict(zip(network.output_names, predicted, strict=True))
    return dict.fromkeys(wanted, predicted)
