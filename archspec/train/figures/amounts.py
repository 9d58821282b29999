"""Figures of amounts: how far the predictions are from their targets."""

from __future__ import annotations

import math

import numpy as np

from archspec.train.figures.task import Task
from archspec.train.figures.worst import Example, Worst

_POINTS = 1500  # examples in the plot of predictions against targets


class Amounts:
    """Collects the figures of an output whose task is `amounts`.

    Sums are kept for each value of the target, in float64. R² is the mean over the values of a vector, as scikit-learn
    has it; over images and sequences it is weighted by the values' variance, so that border pixels do not rule it.
    """

    def __init__(self, task: Task, examples: int) -> None:
        from sklearn.preprocessing import StandardScaler

        self.task = task
        self.worst = Worst(8 if task.places else 16)
        self.spread = StandardScaler()  # it sums variances up over chunks without losing digits
        self.squared = np.zeros(())
        self.absolute = np.zeros(())
        self.size = 0
        self._step = max(1, examples // _POINTS)
        self._points: list[np.ndarray] = []

    def add(self, start: int, y: np.ndarray, p: np.ndarray) -> None:
        """The targets and predictions of a chunk, whose first example is at `start` of the split."""
        truth = y.reshape(len(y), -1).astype("float64")
        given = p.reshape(len(p), -1).astype("float64")
        error = given - truth
        self.spread.partial_fit(truth)
        self.squared = self.squared + (error**2).sum(0)
        self.absolute = self.absolute + np.abs(error).sum(0)
        self.size += len(truth)
        self.worst.add(start, np.abs(error).mean(1), np.asarray(y, "float32"), np.asarray(p, "float32"))
        if truth.shape[1] == 1:
            self._points.append(np.concatenate([truth, given], 1)[-start % self._step :: self._step])

    def figures(self) -> dict[str, float]:
        mse = float(self.squared.mean() / self.size)
        found = {"mse": mse, "mae": float(self.absolute.mean() / self.size), "rmse": math.sqrt(mse)}
        total = self.spread.var_ * self.size
        if self.size > 1 and total.any():
            found["r2"] = self._r2(total)
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _r2(self, total: np.ndarray) -> float:
        """Of a value that never changes, 1 where it is met and 0 where not, which is scikit-learn's convention."""
        if self.task.places:
            return float(1 - self.squared[total > 0].sum() / total.sum())
        constant = (self.squared == 0).astype(float)
        ratio = np.divide(self.squared, total, out=1 - constant, where=total > 0)
        return float(np.mean(1 - ratio))

    def points(self) -> np.ndarray | None:
        """Targets and predictions of evenly spread examples, where the target is a single number."""
        return np.concatenate(self._points) if self._points else None

    def examples(self) -> tuple[Example, ...]:
        return self.worst.examples()
