"""Figures of labels of which any number may hold at once."""

from __future__ import annotations

import numpy as np

from archspec.train.figures.classification import Pairs, Sample
from archspec.train.figures.task import Task
from archspec.train.figures.worst import Example, Worst


class Labels:
    """Collects the figures of an output whose task is `labels`: each unit says whether its label holds."""

    def __init__(self, task: Task, examples: int) -> None:
        self.task = task
        self.pairs = [Pairs(2) for _ in task.classes]
        self.sample = Sample(examples)
        self.worst = Worst(24)
        self.exact = 0
        self.size = 0

    def add(self, start: int, y: np.ndarray, p: np.ndarray) -> None:
        """The targets and predictions of a chunk, whose first example is at `start` of the split."""
        threshold = 0.5 if self.task.scores == "probabilities" else 0.0
        width = len(self.task.classes)
        truth = (y > 0.5).reshape(-1, width)
        scores = p.reshape(-1, width)
        predicted = scores > threshold
        for i, pairs in enumerate(self.pairs):
            pairs.add(truth[:, i], predicted[:, i])
        self.exact += int((truth == predicted).all(1).sum())
        self.size += len(truth)
        if not self.task.places:
            self.sample.add(start, truth, scores)
            self.worst.add(start, (truth != predicted).mean(1), truth, predicted)

    def figures(self) -> dict[str, float]:
        rows = list(self.by_class().values())
        found = {"accuracy": _mean(rows, "accuracy"), "exact_match": self.exact / self.size}
        found |= {f"{name}_macro": _mean(rows, name) for name in ("precision", "recall", "f1")}
        areas = [row["roc_auc"] for row in rows if "roc_auc" in row]
        return found | ({"roc_auc": float(np.mean(areas))} if areas else {})

    def by_class(self) -> dict[int, dict[str, float]]:
        """The figures of each label, by its number."""
        from sklearn import metrics

        truths, scores = (None, None) if self.task.places else self.sample.all()
        rows = {}
        for code, pairs in enumerate(self.pairs):
            truth, predicted, counts = pairs.weighted()
            precision, recall, f1, _ = metrics.precision_recall_fscore_support(
                truth, predicted, labels=[1], sample_weight=counts, zero_division=0
            )
            row = {
                "precision": float(precision[0]),
                "recall": float(recall[0]),
                "f1": float(f1[0]),
                "accuracy": float(metrics.accuracy_score(truth, predicted, sample_weight=counts)),
            }
            if truths is not None and scores is not None and 0 < truths[:, code].sum() < len(truths):
                row["roc_auc"] = float(metrics.roc_auc_score(truths[:, code], scores[:, code]))
            rows[code] = row | {"support": float(counts[truth == 1].sum())}
        return rows

    def examples(self) -> tuple[Example, ...]:
        return self.worst.examples()


def _mean(rows: list[dict[str, float]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))
