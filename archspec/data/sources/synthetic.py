"""`synthetic`: examples made up from a seed, of any shape, for benchmarks and for trying a network out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from annotated_types import Ge
from pydantic import BeforeValidator, model_validator

from archspec.data import patterns
from archspec.data.base import WHOLE, DataError, Loaded, Source
from archspec.data.patterns import Drawn
from archspec.layers.base import Model
from archspec.layers.fields import NonNegative, Positive

if TYPE_CHECKING:
    import numpy as np

DrawnDType = Literal[
    "float32", "float16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    "string",
]  # fmt: skip
Task = Literal[
    "classification", "regression", "none", "discs", "pairs", "sequences", "next", "texts", "graph",
]  # fmt: skip
_RANKS = {"discs": 3, "sequences": 1, "next": 1, "texts": 1, "graph": 1}  # of the shape
_OWN_DTYPES = ("discs", "sequences", "next", "texts", "graph")
_BOUNDS = {"int8": 127, "uint8": 256, "int16": 32767, "uint16": 65536}
_PAIR, _OPINION = ("different", "same"), ("blame", "praise")


class Input(Model):
    """One of several inputs: its shape, its dtype, and the bound that its whole numbers stay below."""

    shape: tuple[Positive, ...]
    dtype: DrawnDType = "float32"
    vocabulary: Positive = 100


def _inputs(value: Any) -> Any:
    """`{image: [32, 32, 3]}` is short for `{image: {shape: [32, 32, 3]}}`."""
    if not isinstance(value, Mapping):
        return value
    return {name: {"shape": given} if isinstance(given, list | tuple) else given for name, given in value.items()}


class Synthetic(Source):
    """Made-up examples, the same for the same arguments.

    `task` says what there is to learn. `classification`: fields `x` and `label`, each class having a pattern of its
    own beneath noise. `regression`: `x` and `target`, `targets` smooth functions of x. `none`: `x` alone, noise, for
    benchmarks and for networks that learn their input. `discs`: `image` and `mask` (height, width), the classes of
    discs before the background, class 0. `pairs`: `left`, `right` and `label`, whether both are of one class.
    `sequences`: `tokens` and `label`, which depends on the order of a few tokens and on nothing else. `next`: `tokens`
    and `next`, the token that follows each, in a language of three likely followers for each token. `texts`: `text`,
    up to `shape` words long, and `label`, which depends on the last clause and on the `not` in it. `graph`: one graph
    of `examples` nodes, `features` (nodes, *shape), `adjacency` (nodes, nodes) and `label` (nodes,), in splits of its
    own, each with the labels of its nodes and -1 for the others; nodes are linked mostly to nodes of their class.

    `inputs` gives several inputs of their own shapes in place of `x`. Whole numbers stay below `vocabulary`; `noise`
    is relative to what is to be learnt, whose standard deviation is 1, and plays no part in sequences and texts.
    """

    KIND = "synthetic"

    shape: tuple[Positive, ...] = (16,)
    task: Task = "classification"
    examples: Positive = 1000
    inputs: Annotated[dict[str, Input], BeforeValidator(_inputs)] | None = None
    dtype: DrawnDType | None = None
    vocabulary: Annotated[int, Ge(2)] = 100
    classes: Annotated[int, Ge(2)] = 2
    targets: Positive = 1
    noise: Annotated[float, Ge(0)] = 0.5
    seed: NonNegative = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for drawn in self._drawn().values():
            if drawn.vocabulary > _BOUNDS.get(drawn.dtype, drawn.vocabulary):
                raise ValueError(f"{drawn.dtype} has no room for a vocabulary of {drawn.vocabulary}")
        rank = _RANKS.get(self.task)
        if rank is not None and len(self.shape) != rank:
            wanted = "[height, width, channels]" if rank == 3 else "[features]" if self.task == "graph" else "[length]"
            raise ValueError(f"{self.task} needs a shape of {wanted}")
        if self.inputs is not None and (self.task not in ("classification", "regression", "none") or not self.inputs):
            raise ValueError("inputs are for the tasks classification, regression and none, and name at least one")
        if self.task in _OWN_DTYPES and self.dtype is not None:
            raise ValueError(f"{self.task} has dtypes of its own")
        if self.task == "texts" and (self.shape[0] < patterns.CLAUSE or self.classes != 2):
            raise ValueError(f"texts have {patterns.CLAUSE} words or more, and two classes")
        if self.task == "graph" and self.examples < 3 * self.classes:
            raise ValueError(f"{self.classes} classes need {3 * self.classes} nodes: one in each split")
        if self.task == "sequences":
            needed = len(patterns.motif(self.classes)[0])
            if self.shape[0] < needed or self.vocabulary < needed + 2:
                raise ValueError(f"{self.classes} classes need a length of {needed} and a vocabulary of {needed + 2}")
        if self.task == "regression" and all(drawn.dtype == "string" for drawn in self._drawn().values()):
            raise ValueError("regression needs an input of numbers")
        return self

    def load(self, folder: Path) -> Loaded:
        import numpy as np

        from archspec.data.tables import load_arrays

        rng = np.random.default_rng(self.seed)
        try:
            if self.task == "graph":
                drawn = Drawn(self.shape, "float32", self.vocabulary)
                parts = patterns.graph(rng, self.examples, self.classes, drawn, self.noise)
                return load_arrays(parts, ("features", "adjacency"), ("label",), {"label": self._names()})
            inputs, targets, names = self._make(rng)
        except MemoryError as error:
            raise DataError(f"{self.examples:,} examples do not fit into memory: {error}") from error
        classes = dict.fromkeys(targets, names) if names else {}
        made = {WHOLE: {**inputs, **targets}}
        return load_arrays(made, tuple(inputs), tuple(targets), classes)

    def _names(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.classes)))

    def _drawn(self) -> dict[str, Drawn]:
        if self.inputs is None:
            return {"x": Drawn(self.shape, self.dtype or "float32", self.vocabulary)}
        return {name: Drawn(one.shape, one.dtype, one.vocabulary) for name, one in self.inputs.items()}

    def _make(
        self, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[str, ...] | None]:
        """Inputs, targets, and the names of the target's classes where it has any."""
        size, names = self.examples, self._names()
        if self.task == "discs":
            height, width, channels = self.shape
            images, masks = patterns.discs(rng, size, (height, width, channels), self.classes, self.noise)
            return {"image": images}, {"mask": masks}, names
        if self.task == "pairs":
            drawn = Drawn(self.shape, self.dtype or "float32", self.vocabulary)
            left, right, same = patterns.pairs(rng, size, self.classes, drawn, self.noise)
            return {"left": left, "right": right}, {"label": same}, _PAIR
        if self.task == "next":
            tokens, following = patterns.chains(rng, size, self.shape[0], self.vocabulary)
            return {"tokens": tokens}, {"next": following}, tuple(map(str, range(self.vocabulary)))
        labels = rng.permutation(size) % self.classes
        if self.task == "sequences":
            tokens = patterns.sequences(rng, labels, self.classes, self.shape[0], self.vocabulary)
            return {"tokens": tokens}, {"label": labels.astype("int32")}, names
        if self.task == "texts":
            return {"text": patterns.texts(rng, labels, self.shape[0])}, {"label": labels.astype("int32")}, _OPINION
        drawn_inputs = self._drawn()
        if self.task == "classification":
            made = {
                name: patterns.of_classes(rng, labels, self.classes, drawn, self.noise)
                for name, drawn in drawn_inputs.items()
            }
            return made, {"label": labels.astype("int32")}, names
        made = {name: patterns.noise_only(rng, size, drawn) for name, drawn in drawn_inputs.items()}
        if self.task == "none":
            return made, {}, None
        return made, {"target": patterns.amounts(rng, made, self.targets, self.noise)}, None
