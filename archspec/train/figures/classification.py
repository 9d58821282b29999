"""Figures of classes: of the whole example, of each position, or of each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from archspec.train.figures.task import Task
from archspec.train.figures.worst import Example, Worst

TOP = 5  # the k of the top-k accuracy, for more classes than that
_SCORES_BYTES = 1 << 26  # for the ROC curve, which needs all scores at once; beyond this, every m-th example's
_DENSE = 1 << 20  # pairs of classes counted in an array; beyond this, only those that occur


class Pairs:
    """How often each class was taken for each: a confusion matrix of which only what occurs is kept."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._codes = np.zeros(0, "int64")
        self._counts = np.zeros(0, "int64")

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        codes = truth.astype("int64") * self.classes + predicted
        if self.classes**2 <= _DENSE:
            counts = np.bincount(codes, minlength=self.classes**2)
            codes = np.flatnonzero(counts)
            counts = counts[codes]
        else:
            codes, counts = np.unique(codes, return_counts=True)
        both, place = np.unique(np.concatenate([self._codes, codes]), return_inverse=True)
        total = np.zeros(len(both), "int64")
        np.add.at(total, place, np.concatenate([self._counts, counts]))
        self._codes, self._counts = both, total

    def weighted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Truth, prediction and count of each pair: what scikit-learn takes as labels with sample weights."""
        return self._codes // self.classes, self._codes % self.classes, self._counts

    def matrix(self) -> np.ndarray:
        """A row for each true class, a column for each predicted one."""
        made = np.zeros((self.classes, self.classes), "int64")
        truth, predicted, counts = self.weighted()
        made[truth, predicted] = counts
        return made


class Sample:
    """Targets and scores of evenly spread examples, as many as fit into `_SCORES_BYTES`."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._step = 0
        self._truth: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []

    def add(self, start: int, truth: np.ndarray, scores: np.ndarray) -> None:
        if not self._step:
            self._step = max(1, -(-self._examples * scores[:1].nbytes // _SCORES_BYTES))
        first = -start % self._step
        self._truth.append(truth[first :: self._step])
        self._scores.append(scores[first :: self._step].astype("float32"))

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate(self._truth), np.concatenate(self._scores)

    @property
    def is_whole(self) -> bool:
        return self._step <= 1


class Classes:
    """Collects the figures of an output whose task is `classes` or `binary`."""

    def __init__(self, task: Task, examples: int) -> None:
        self.task = task
        self.pairs = Pairs(len(task.classes))
        self.sample = Sample(examples)
        self.worst = Worst(8 if task.places else 24)
        self.hits = 0  # of the top k

    def add(self, start: int, y: np.ndarray, p: np.ndarray) -> None:
        """The targets and predictions of a chunk, whose first example is at `start` of the split."""
        scores = self._scores(p)
        truth = (y > 0.5).astype("int64") if self.task.kind == "binary" else y if self.task.sparse else y.argmax(-1)
        truth = truth.reshape(scores.shape[:-1]).astype("int64")
        predicted = scores.argmax(-1)
        counted = np.ones(truth.shape, bool) if self.task.ignored is None else truth != self.task.ignored
        counted &= (truth >= 0) & (truth < len(self.task.classes))
        self.pairs.add(truth[counted], predicted[counted])
        if len(self.task.classes) > TOP and self.task.places < 2 and counted.any():
            self.hits += self._hits(truth[counted], scores[counted])
        if not self.task.segments:
            self.sample.add(start, np.where(counted, truth, -1), scores)
        wrong = counted & (predicted != truth)
        if self.task.places:
            badness = wrong.reshape(len(wrong), -1).mean(1)
            self.worst.add(start, badness, truth.astype("int32"), predicted.astype("int32"))
        else:
            every = np.arange(len(truth))
            gap = scores[every, predicted] - scores[every, np.where(counted, truth, 0)]
            shown = None if self.task.scores == "margins" else scores
            self.worst.add(start, np.where(wrong, np.maximum(gap, 1e-9), 0), truth, predicted, shown)

    def _scores(self, p: np.ndarray) -> np.ndarray:
        """Probabilities (or margins) of every class along the last axis."""
        from scipy.special import expit, softmax

        if self.task.kind == "classes":
            return np.asarray(softmax(p, axis=-1)) if self.task.scores == "logits" else p
        p = p if p.ndim == self.task.places + 2 else p[..., None]
        if self.task.scores == "margins":
            return np.concatenate([-p, p], -1)
        p = expit(p) if self.task.scores == "logits" else p
        return np.concatenate([1 - p, p], -1)

    def _hits(self, truth: np.ndarray, scores: np.ndarray) -> int:
        from sklearn.metrics import top_k_accuracy_score

        return int(top_k_accuracy_score(truth, scores, k=TOP, normalize=False, labels=range(len(self.task.classes))))

    def figures(self) -> dict[str, float]:
        from sklearn import metrics

        truth, predicted, counts = self.pairs.weighted()
        if not len(counts):
            return {}
        found = {"accuracy": metrics.accuracy_score(truth, predicted, sample_weight=counts)}
        if self.task.segments:
            found = {
                "mean_iou": metrics.jaccard_score(truth, predicted, average="macro", sample_weight=counts),
                "pixel_accuracy": found["accuracy"],
            }
        elif len(self.task.classes) > TOP:
            found[f"top_{TOP}_accuracy"] = self.hits / counts.sum()
        scores = metrics.precision_recall_fscore_support(
            truth, predicted, average="macro", sample_weight=counts, zero_division=0
        )
        found |= dict(zip(("precision_macro", "recall_macro", "f1_macro"), scores[:3], strict=True))
        areas = self.areas
        if areas:
            found["roc_auc"] = float(np.mean(list(areas.values())))
        return {name: float(value) for name, value in found.items()}

    def by_class(self) -> dict[int, dict[str, float]]:
        """The figures of each class that occurs among targets or predictions, by its number."""
        from sklearn import metrics

        truth, predicted, counts = self.pairs.weighted()
        labels = np.union1d(truth, predicted)
        if not len(labels):
            return {}
        columns: dict[str, Any] = {}
        columns["precision"], columns["recall"], columns["f1"], _ = metrics.precision_recall_fscore_support(
            truth, predicted, labels=labels, sample_weight=counts, zero_division=0
        )
        if self.task.segments:
            columns["iou"] = metrics.jaccard_score(truth, predicted, labels=labels, average=None, sample_weight=counts)
        rows = {
            int(code): {name: float(values[i]) for name, values in columns.items()} for i, code in enumerate(labels)
        }
        for code, area in self.areas.items():
            if code in rows:
                rows[code]["roc_auc"] = area
        support = np.bincount(truth, weights=counts, minlength=len(self.task.classes))
        return {code: row | {"support": float(support[code])} for code, row in rows.items()}

    @cached_property
    def areas(self) -> Mapping[int, float]:
        """The area under the ROC curve of each class against the rest; of the second class alone where they are two.

        It is to be read when all examples are collected: a thousand classes take seconds.
        """
        from sklearn.metrics import roc_auc_score

        if self.task.segments:
            return {}
        truth, scores = self._sampled()
        found = {}
        for code in [1] if len(self.task.classes) == 2 else range(len(self.task.classes)):
            positive = truth == code
            if positive.any() and not positive.all() and np.isfinite(scores[:, code]).all():
                found[code] = float(roc_auc_score(positive, scores[:, code]))
        return found

    def roc(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """The ROC curve of two classes: false and true positive rates."""
        from sklearn.metrics import roc_curve

        if len(self.task.classes) != 2 or self.task.segments or not self.areas:
            return None
        truth, scores = self._sampled()
        false, true, _ = roc_curve(truth == 1, scores[:, 1])
        kept = np.unique(np.linspace(0, len(false) - 1, 400).astype(int))
        return false[kept].tolist(), true[kept].tolist()

    def _sampled(self) -> tuple[np.ndarray, np.ndarray]:
        truth, scores = self.sample.all()
        flat, rows = truth.reshape(-1), scores.reshape(-1, scores.shape[-1])
        return flat[flat >= 0], rows[flat >= 0]

    def examples(self) -> tuple[Example, ...]:
        return self.worst.examples()
