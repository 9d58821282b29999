"""The examples that went most wrong, kept while predictions pass by."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

_BYTES = 1 << 20  # larger targets (an image of 512 by 512 floats) are not kept


@dataclass(frozen=True)
class Example:
    """One example of the split, at `index`: how wrong it went, its target, and what the network said instead.

    `truth` and `predicted` are class numbers (also for each place), the labels that hold, or amounts. `likely` holds
    the classes that the network thinks most likely with their probabilities, where it gives any.
    """

    index: int
    badness: float
    truth: np.ndarray
    predicted: np.ndarray
    likely: tuple[tuple[int, float], ...] = ()


class Worst:
    """Keeps the `size` examples of the greatest badness, the earlier ones where they are equal."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._heap: list[tuple[float, int, Example]] = []

    def add(
        self,
        start: int,
        badness: np.ndarray,
        truth: np.ndarray,
        predicted: np.ndarray,
        probabilities: np.ndarray | None = None,
    ) -> None:
        """A chunk of examples, which begins at `start` of the split; a badness of 0 or NaN is none."""
        if truth[:1].nbytes + predicted[:1].nbytes > _BYTES:
            return
        badness = np.nan_to_num(badness, nan=0.0)
        for i in np.argsort(-badness, kind="stable")[: self.size]:
            if badness[i] <= 0:
                return
            key = (float(badness[i]), -(start + int(i)))
            if len(self._heap) == self.size and key <= self._heap[0][:2]:
                return
            likely = _likely(probabilities[i]) if probabilities is not None else ()
            made = Example(start + int(i), float(badness[i]), truth[i].copy(), predicted[i].copy(), likely)
            (heapq.heappush if len(self._heap) < self.size else heapq.heappushpop)(self._heap, (*key, made))

    def examples(self) -> tuple[Example, ...]:
        """The worst first."""
        return tuple(item[2] for item in sorted(self._heap, key=lambda item: item[:2], reverse=True))


def _likely(probabilities: np.ndarray) -> tuple[tuple[int, float], ...]:
    return tuple((int(code), float(probabilities[code])) for code in np.argsort(-probabilities, kind="stable")[:3])
