"""A source's arrays into a model's weights: all of them, or none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archspec.weights.rules import Array, Rule, Shape, counted_anew

if TYPE_CHECKING:
    import keras

_SHOWN = 10  # of each kind of trouble, in a message


@dataclass(frozen=True, slots=True)
class Match:
    """A weight of ours and the array that goes into it."""

    weight: str
    array: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Misshapen:
    """An array that does not fit its weight. `made` is its shape once transformed, if it can be."""

    weight: str
    shape: Shape
    dtype: str
    array: str
    array_shape: Shape
    array_dtype: str
    transform: str
    made: Shape | None

    def __str__(self) -> str:
        turned = ""
        if self.transform != "same":
            turned = f", which {self.transform!r} " + (f"makes {self.made}" if self.made else "cannot be applied to")
        array = f"{self.array} is {self.array_shape} {self.array_dtype}"
        return f"{self.weight} is {self.shape} {self.dtype}, {array}{turned}"


@dataclass(frozen=True)
class Report:
    """What went where."""

    matches: tuple[Match, ...]
    parameters: int
    unused: tuple[str, ...] = ()  # arrays that the mapping says are not needed

    def __str__(self) -> str:
        unused = f"; {len(self.unused)} arrays were not needed" if self.unused else ""
        return f"{len(self.matches)} weights with {self.parameters:,} parameters{unused}"


@dataclass
class WeightsError(Exception):
    """The arrays do not fit the model, which was left as it was. Each field lists one kind of trouble."""

    unmatched_weights: Sequence[str] = ()  # no array for them
    unmatched_arrays: Sequence[str] = ()  # no weight for them
    misshapen: Sequence[Misshapen] = ()
    doubled: Sequence[tuple[str, tuple[str, ...]]] = ()  # a weight, and the several arrays meant for it
    mapping: str | None = None  # its name, where a ready one was used

    def __str__(self) -> str:
        doubled = [f"{weight}: {', '.join(arrays)}" for weight, arrays in self.doubled]
        parts = [
            f"the arrays do not fit the model{f' by the mapping {self.mapping}' if self.mapping else ''}; "
            "nothing was changed",
            *listed("no array for", "weights", self.unmatched_weights),
            *listed("no weight for", "arrays", self.unmatched_arrays),
            *listed("misshapen:", "arrays", [str(pair) for pair in self.misshapen]),
            *listed("several arrays for", "weights", doubled),
        ]
        return "\n".join(parts)

    def __len__(self) -> int:
        return sum(map(len, (self.unmatched_weights, self.unmatched_arrays, self.misshapen, self.doubled)))

    def __bool__(self) -> bool:
        return True


def listed(title: str, kind: str, entries: Sequence[str]) -> list[str]:
    if not entries:
        return []
    more = [f"    … and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return [f"  {title} {len(entries)} {kind}", *(f"    {entry}" for entry in entries[:_SHOWN]), *more]


def load(model: keras.Model, arrays: Mapping[str, Array], mapping: Sequence[Rule]) -> Report:
    """Sets every weight of the model from the arrays, as the mapping says where they go.

    Raises:
        WeightsError: with all that does not fit; the model is left as it was then.
    """
    weights = {weight.path: weight for weight in model.weights}
    found = fit({path: signature(weight) for path, weight in weights.items()}, arrays, mapping)
    if isinstance(found, WeightsError):
        raise found
    assign(model, weights, arrays, found.matches)
    return found


def assign(
    model: keras.Model, weights: Mapping[str, Any], arrays: Mapping[str, Array], matches: Sequence[Match]
) -> None:
    """Sets the weights of the model, given by the names that the matches have for them."""
    from archspec.build.weights import finish

    values = [(weights[m.weight], m.rule.apply(arrays[m.array], tuple(weights[m.weight].shape))) for m in matches]
    for weight, value in values:
        weight.assign(value)
    finish(model)


def signature(weight: Any) -> tuple[Shape, str]:
    return tuple(weight.shape), str(weight.dtype)


def fit(
    weights: Mapping[str, tuple[Shape, str]], arrays: Mapping[str, Array], mapping: Sequence[Rule]
) -> Report | WeightsError:
    """Which array goes into which weight (given by path, with shape and dtype), or all that does not fit."""
    meant, unmatched_arrays, unused = meanings(weights, arrays, mapping)
    unmatched_weights = [path for path in weights if path not in meant]
    matches = [found[0] for found in meant.values()]
    bad = [pair for match in matches if (pair := misfit(match, weights[match.weight], arrays[match.array]))]
    doubled = [
        (path, tuple(m.array for m in found))
        for path, found in meant.items()
        if not _agree(found, weights[path], arrays)
    ]
    if unmatched_weights or unmatched_arrays or bad or doubled:
        return WeightsError(unmatched_weights, unmatched_arrays, bad, doubled)
    parameters = sum(int(np.prod(weights[match.weight][0])) for match in matches)
    return Report(tuple(matches), parameters, tuple(unused))


def meanings(
    weights: Mapping[str, tuple[Shape, str]], arrays: Mapping[str, Array], mapping: Sequence[Rule]
) -> tuple[dict[str, list[Match]], list[str], list[str]]:
    """The arrays meant for each weight; the arrays without a weight; those that are not needed."""
    places: dict[str, list[str]] = {}
    for path in weights:
        places.setdefault(path.rpartition("/")[0], []).append(path)
    anew = counted_anew(arrays) if any(rule.numbered for rule in mapping) else {}
    meant: dict[str, list[Match]] = {}
    unmatched: list[str] = []
    unused: list[str] = []
    for name in arrays:
        found = needless = False
        for rule in mapping:
            match = rule.matches(anew[name] if rule.numbered else name)
            if not match:
                continue
            if rule.target is None:
                needless = True
                continue
            path = _located(rule.path(match), places)
            if path in weights:
                found = True
                meant.setdefault(path, []).append(Match(path, name, rule))
        if not found:
            (unused if needless else unmatched).append(name)
    return meant, unmatched, unused


def _located(path: str, places: Mapping[str, Sequence[str]]) -> str:
    """`layer/1` as the path of the layer's second weight; any other path as it is."""
    layer, _, variable = path.rpartition("/")
    if re.fullmatch(r"\d+", variable) and layer in places and int(variable) < len(places[layer]):
        return places[layer][int(variable)]
    return path


def _agree(found: Sequence[Match], weight: tuple[Shape, str], arrays: Mapping[str, Array]) -> bool:
    """Whether all arrays meant for a weight are the same: some sources list what layers share under each one's name."""
    first, *others = found
    if not others:
        return True
    if any(misfit(match, weight, arrays[match.array]) for match in found):
        return False
    value = first.rule.apply(arrays[first.array], weight[0])
    return all(np.array_equal(value, other.rule.apply(arrays[other.array], weight[0])) for other in others)


def misfit(match: Match, weight: tuple[Shape, str], array: Array) -> Misshapen | None:
    shape, dtype = weight
    try:
        made = match.rule.apply(array, shape).shape
    except ValueError:
        made = None
    if made == shape and _holds(dtype, array):
        return None
    rule = match.rule
    return Misshapen(match.weight, shape, dtype, match.array, array.shape, str(array.dtype), rule.transform, made)


def _holds(dtype: str, array: Array) -> bool:
    """Whether a weight can hold the array's numbers but for their precision; dtypes of other packages are floats."""
    if array.dtype.kind not in "biuf":
        return "float" in str(array.dtype) and "float" in dtype
    return "float" in dtype or array.dtype.kind != "f"
