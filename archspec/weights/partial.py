"""As many of a model's weights as a source's arrays fit, for a training that begins with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archspec.weights.loading import Match, Misshapen, WeightsError, assign, listed, meanings, misfit, signature
from archspec.weights.ready import mappings
from archspec.weights.rules import Array, Shape

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Partial:
    """What went where by which mapping, and what did not: weights left as they were, arrays left out."""

    mapping: str
    matches: tuple[Match, ...]
    parameters: int
    total: int
    missing: tuple[str, ...]
    misshapen: tuple[Misshapen, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{len(self.matches)} weights with {self.parameters:,} of {self.total:,} parameters"
        return "\n".join(
            [
                head,
                *listed("of another shape:", "weights", [str(pair) for pair in self.misshapen]),
                *listed("not in the file:", "weights", self.missing),
                *listed("not in the network:", "arrays", self.unused),
            ]
        )


def load_some(model: keras.Model, arrays: Mapping[str, Array], scope: str = "") -> Partial:
    """Sets the weights of the model, or of one scope of it, that have an array of their name and shape.

    The mapping is the ready one by which most arrays fit. Within a scope the arrays' names begin below it.

    Raises:
        WeightsError: where nothing fits; the model is left as it was then.
    """
    lead = f"{scope}." if scope else ""
    weights = {w.path.removeprefix(lead): w for w in model.weights if w.path.startswith((lead, f"{scope}/"))}
    shapes = {path: signature(weight) for path, weight in weights.items()}
    found = max((_by(name, shapes, arrays) for name in mappings()), key=lambda each: len(each.matches))
    if not found.matches:
        raise WeightsError(found.missing, found.unused, found.misshapen)
    assign(model, weights, arrays, found.matches)
    return found


def _by(mapping: str, shapes: Mapping[str, tuple[Shape, str]], arrays: Mapping[str, Array]) -> Partial:
    """What would fit by a mapping; of several equal ones the first is archspec's own."""
    meant = {path: found[0] for path, found in meanings(shapes, arrays, mappings()[mapping])[0].items()}
    bad = {path: pair for path, m in meant.items() if (pair := misfit(m, shapes[path], arrays[m.array]))}
    used = {match.array for match in meant.values()}
    return Partial(
        mapping,
        tuple(match for path, match in meant.items() if path not in bad),
        sum(math.prod(shapes[path][0]) for path in meant if path not in bad),
        sum(math.prod(shape) for shape, _ in shapes.values()),
        tuple(path for path in shapes if path not in meant),
        tuple(bad.values()),
        tuple(array for array in arrays if array not in used),
    )
