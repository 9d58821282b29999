"""Which examples train, validate and test: drawn once by the split's own seed, in proportion to the classes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archspec.data.base import WHOLE, Loaded, Selection
from archspec.data.settings import Split
from archspec.diagnostics import did_you_mean

if TYPE_CHECKING:
    import numpy as np

DEFAULTS = {"test": 0.2, "validation": 0.1}  # where neither the spec nor the source says
_END = r"-?(?:\d+(?:\.\d+)?%|\d+(?:_\d+)*)"
_SLICE = re.compile(rf"\s*(?P<name>[\w.-]+)\s*(?:\[\s*(?P<start>{_END})?\s*:\s*(?P<end>{_END})?\s*\])?\s*")


class BadSplit(Exception):
    """A split cannot be had: which one, why, and how to mend it."""

    def __init__(self, key: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.help = help


@dataclass(frozen=True)
class Divided:
    """The examples of each split; no example is in two of them."""

    train: Selection
    validation: Selection | None
    test: Selection | None


def count(selection: Selection | None) -> int:
    return 0 if selection is None else sum(len(at) for at in selection.values())


def divide(source: Loaded, split: Split, label: str | None) -> Divided:
    """Splits the source. `label` is the class label whose proportions each split keeps. Raises BadSplit."""
    wanted, pool, chosen = _named(source, split)
    total = count(pool)
    for name, value in wanted.items():  # the test examples first, so that they stay when the validation share changes
        if isinstance(value, int | float):
            pool, chosen[name] = _carve(source, pool, _size(value, total), name, split.seed, label)
    return _divided(source, split, chosen, pool)


def folds(source: Loaded, split: Split, label: str | None, n: int) -> Iterator[Divided]:
    """The source split n times for cross-validation: each example is once among the test examples.

    Examples that the spec or the source itself names for the test take no part; a share or a count of test examples
    gives way to the folds. Validation examples are taken out of each fold's rest as `divide` takes them.
    Folds keep the label's proportions where each class has an example for each fold. Raises BadSplit.
    """
    import numpy as np
    from sklearn.model_selection import KFold, StratifiedKFold

    wanted, pool, named = _named(source, split)
    total = count(pool)
    if not 2 <= n <= total:
        raise BadSplit("train", f"{total:,} examples cannot be cut into {n} folds", "folds are 2 or more")
    classes = None if source.ordered else _classes(source, pool, label)
    random = {} if source.ordered else {"shuffle": True, "random_state": split.seed}
    stratified = classes is not None and int(np.unique(classes, return_counts=True)[1].min()) >= n
    cut = (StratifiedKFold if stratified else KFold)(n, **random)
    for kept, held in cut.split(np.arange(total), classes if stratified else None):
        rest, chosen = pick(pool, kept), {**named, "test": pick(pool, held)}
        share = wanted["validation"]
        if isinstance(share, int | float):
            rest, chosen["validation"] = _carve(source, rest, _size(share, len(kept)), "validation", split.seed, label)
        yield _divided(source, split, chosen, rest)


def _named(source: Loaded, split: Split) -> tuple[dict[str, float | int | str | None], Selection, dict[str, Selection]]:
    """What each split is to be, the examples to take shares of, and the splits that are named: these are not in it."""
    wanted: dict[str, float | int | str | None] = {
        name: getattr(split, name) or (name if name in source.sizes else None) for name in DEFAULTS
    }
    if split.train is None and split.validation is None and split.test is None:
        wanted = {name: value or DEFAULTS[name] for name, value in wanted.items()}
    pool = select(source.sizes, split.train or _training(source.sizes), "train")
    chosen: dict[str, Selection] = {}
    for name, value in wanted.items():
        if isinstance(value, str):
            chosen[name] = select(source.sizes, value, name)
            if split.train is None:
                pool = _without(pool, chosen[name])
    return wanted, pool, chosen


def _size(share: float | int, total: int) -> int:
    """At least the share that is asked for; the small number forgives 0.1 * 30 > 3."""
    return share if isinstance(share, int) else math.ceil(share * total - 1e-9)


def _divided(source: Loaded, split: Split, chosen: Mapping[str, Selection], pool: Selection) -> Divided:
    _check({**chosen, "train": pool})
    training = pool if source.ordered else _permuted(pool, split.seed)
    return Divided(training, chosen.get("validation"), chosen.get("test"))


def _training(sizes: Mapping[str, int]) -> str:
    if "train" in sizes:
        return "train"
    if WHOLE in sizes:
        return WHOLE
    known = ", ".join(sizes)
    raise BadSplit("train", f"the data has no split 'train', only {known}", f"name one: split: {{train: {known}}}")


def select(sizes: Mapping[str, int], text: str, key: str) -> Selection:
    """The examples that `train`, `train[:80%]` or `train[:100]+test` mean. Raises BadSplit."""
    import numpy as np

    selection: dict[str, np.ndarray] = {}
    for term in text.split("+"):
        match = _SLICE.fullmatch(term)
        if match is None:
            help = "write the name of a split and a slice of it: train, train[:80%], train[100:200], train+test"
            raise BadSplit(key, f"{term.strip()!r} is no split", help)
        name = match["name"]
        if name not in sizes and name != WHOLE:
            help = did_you_mean(name, sizes) or f"it has {', '.join(sizes)}"
            raise BadSplit(key, f"the data has no split {name!r}", help)
        for part in [name] if name in sizes else sizes:
            size = sizes[part]
            start, end = (_position(key, match[which], size) for which in ("start", "end"))
            at = np.arange(size)[start:end]
            selection[part] = np.union1d(selection[part], at) if part in selection else at
    if count(selection) == 0:
        raise BadSplit(key, f"{text!r} holds no examples", f"the sizes are {_show(sizes)}")
    return selection


def _position(key: str, text: str | None, size: int) -> int | None:
    """Where a slice begins or ends: a share is rounded to the nearest example, as tensorflow-datasets does it."""
    if text is None:
        return None
    at = round(float(text[:-1]) * size / 100.0) if text.endswith("%") else int(text)
    if abs(at) > size:
        raise BadSplit(key, f"{text} reaches beyond the {size:,} examples that there are")
    return at


def _show(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size:,}" for name, size in sizes.items())


def _without(pool: Selection, taken: Selection) -> Selection:
    import numpy as np

    return {part: np.setdiff1d(at, taken[part]) if part in taken else at for part, at in pool.items()}


def _carve(
    source: Loaded, pool: Selection, size: int, name: str, seed: int, label: str | None
) -> tuple[Selection, Selection]:
    """The pool without `size` examples, and these: at random, or the last ones where the source is ordered."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    total = count(pool)
    if not 0 < size < total:
        message = f"{name} would take {size:,} of {total:,} examples and leave {max(0, total - size):,} for training"
        raise BadSplit(name, message, "each split needs at least one")
    if source.ordered:
        kept, taken = np.arange(total - size), np.arange(total - size, total)
    else:
        classes = _proportional(_classes(source, pool, label), size)
        kept, taken = train_test_split(np.arange(total), test_size=size, random_state=seed, stratify=classes)
    return pick(pool, np.sort(kept)), pick(pool, np.sort(taken))


def _classes(source: Loaded, pool: Selection, label: str | None) -> np.ndarray | None:
    """The pool's labels where they are known."""
    import numpy as np

    if label is None or label not in source.labels:
        return None
    return np.concatenate([source.labels[label][part][at] for part, at in pool.items()])


def _proportional(classes: np.ndarray | None, size: int) -> np.ndarray | None:
    """The labels, or None where a split in proportion is not possible: a class or a split is too small."""
    import numpy as np

    if classes is None:
        return None
    counts = np.unique(classes, return_counts=True)[1]
    return classes if counts.min() > 1 and len(counts) <= min(size, len(classes) - size) else None


def pick(pool: Selection, flat: np.ndarray) -> Selection:
    """The examples at these places of the pool's parts laid end to end."""
    picked: dict[str, np.ndarray] = {}
    start = 0
    for part, at in pool.items():
        here = flat[(flat >= start) & (flat < start + len(at))] - start
        if len(here):
            picked[part] = at[here]
        start += len(at)
    return picked


def _permuted(pool: Selection, seed: int) -> Selection:
    """In a fixed random order: where training can shuffle only a part at a time, classes should not come in blocks."""
    import numpy as np

    generator = np.random.default_rng(seed)
    return {part: generator.permutation(at) for part, at in pool.items()}


def _check(chosen: Mapping[str, Selection]) -> None:
    """No example may serve two ends: a test example that was trained on says nothing. Raises BadSplit."""
    import numpy as np

    names = list(chosen)
    if count(chosen["train"]) == 0:
        raise BadSplit("train", "no examples are left for training")
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            parts = chosen[one].keys() & chosen[other].keys()
            shared = sum(len(np.intersect1d(chosen[one][part], chosen[other][part])) for part in parts)
            if shared:
                message = f"{one} and {other} share {shared:,} examples"
                raise BadSplit(one, message, "give them slices that do not overlap")
