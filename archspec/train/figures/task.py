"""What an output is asked for, and so which figures say how well it answers: chosen by its loss and its target.

| loss | target | task |
|---|---|---|
| SparseCategoricalCrossentropy, CategoricalGeneralizedCrossEntropy | class numbers | classes |
| other Categorical…, `crossentropy`; Dice and Tversky of several channels | one-hot | classes |
| Binary…, Hinge, SquaredHinge, Dice, Tversky, of one unit | two values | two classes |
| Binary… of several units | two values each | labels, any number of which may hold |
| Binary… | other values, or the network's own input | amounts |
| CTC, Circle | | none: predictions and targets do not pair up |
| all others | numbers | amounts |

A class for each place of an example, rather than for the whole, makes it a segmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from archspec.layers.objects import Loss

Kind = Literal["classes", "binary", "labels", "amounts"]
Scores = Literal["probabilities", "logits", "margins"]

_SPARSE = ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy")
_ONE_HOT = ("CategoricalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalHinge")
_BINARY = ("BinaryCrossentropy", "BinaryFocalCrossentropy", "Hinge", "SquaredHinge")
_OVERLAP = ("Dice", "Tversky")
_MARGINS = ("Hinge", "SquaredHinge", "CategoricalHinge")
_UNPAIRED = ("CTC", "Circle")


@dataclass(frozen=True)
class Task:
    """One output's task.

    `places` counts the axes along which an example has several answers: 0 one for the example, 1 for each position of
    a sequence, 2 for each pixel. `classes` names them where they are classes or labels; `ignored` is no class.
    `shape` is that of the images which amounts were before a last step of preprocessing made them vectors.
    """

    output: str
    kind: Kind
    classes: tuple[str, ...] = ()
    sparse: bool = False
    scores: Scores = "probabilities"
    places: int = 0
    ignored: int | None = None
    shape: tuple[int, ...] | None = None

    @property
    def segments(self) -> bool:
        return self.places >= 2 and self.kind in ("classes", "binary")


def task(
    output: str, loss: Loss | str, names: Sequence[str] | None, reconstructs: bool, y: np.ndarray | None, p: np.ndarray
) -> Task | None:
    """The task of an output, by its loss and the first targets and predictions, or None where it has no figures.

    `names` are the target's classes; an output that `reconstructs` has the same field as an input. Without targets,
    those of a binary loss are taken to have two values.
    """
    kind = _by_shape(y, p) if isinstance(loss, str) else type(loss).__name__
    logits = getattr(loss, "from_logits", False)
    scores: Scores = "margins" if kind in _MARGINS else "logits" if logits else "probabilities"
    width = p.shape[-1] if p.ndim > 1 else 1
    if kind in _UNPAIRED:
        return None
    if kind in _SPARSE or kind in _ONE_HOT or (kind in _OVERLAP and width > 1):
        sparse = kind in _SPARSE
        ignored = getattr(loss, "ignore_class", None)
        return Task(output, "classes", _named(names, width), sparse, scores, p.ndim - 2, ignored)
    if kind in (*_BINARY, *_OVERLAP) and not reconstructs and (y is None or _two_valued(y)):
        if width == 1:
            return Task(output, "binary", _named(names, 2), True, scores, max(0, p.ndim - 2))
        return Task(output, "labels", _named(names, width), False, scores, p.ndim - 2)
    return Task(output, "amounts", places=max(0, p.ndim - 2))


def _by_shape(y: np.ndarray | None, p: np.ndarray) -> str:
    """Which loss Keras takes for `crossentropy`."""
    if p.shape[-1] == 1 or p.ndim == 1:
        return "BinaryCrossentropy"
    return (
        "CategoricalCrossentropy" if y is not None and y.shape[1:] == p.shape[1:] else "SparseCategoricalCrossentropy"
    )


def _two_valued(y: np.ndarray) -> bool:
    return bool(np.isin(y, (0, 1)).all() or np.isin(y, (-1, 1)).all())


def _named(names: Sequence[str] | None, width: int) -> tuple[str, ...]:
    """The classes' names, and numbers for those that the network has beyond them."""
    known = tuple(names or ())[:width]
    return known + tuple(str(code) for code in range(len(known), width))
