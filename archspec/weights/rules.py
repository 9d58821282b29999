"""Rules from the names of a source's arrays to the paths of our weights, and how an array is turned to fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_FIELD = re.compile(r"\{(\w+)([+-]\d+)?(#?)\}")
_NUMBERED = re.compile(r"(.*?[a-z][a-z0-9]*?)(?:_(\d+))?")


def _same(array: Array, shape: Shape) -> Array:
    return array


def _transpose(array: Array, shape: Shape) -> Array:
    return array.transpose()


def _axes(array: Array, shape: Shape, *axes: str) -> Array:
    return array.transpose([int(axis) for axis in axes])


def _conv(array: Array, shape: Shape) -> Array:
    return array.transpose(*range(2, array.ndim), 1, 0)


def _depthwise(array: Array, shape: Shape) -> Array:
    return array.transpose(*range(2, array.ndim), 0, 1)


def _reshape(array: Array, shape: Shape) -> Array:
    return array.reshape(shape)


def _split(array: Array, shape: Shape, parts: str, part: str, axis: str = "-1") -> Array:
    return np.split(array, int(parts), int(axis))[int(part)]


def _slice(array: Array, shape: Shape, start: str, stop: str, axis: str = "0") -> Array:
    length = array.shape[int(axis)]
    begin, end, _ = slice(int(start) if start else None, int(stop) if stop else None).indices(length)
    return array.take(range(begin, end), int(axis))


TRANSFORMS: Mapping[str, Callable[..., Array]] = {
    "same": _same,
    "transpose": _transpose,  # (out, in) → (in, out): a dense layer of torch's
    "axes": _axes,  # axes:1,0,2 → any order of the axes
    "conv": _conv,  # OIHW → HWIO, in any number of dimensions
    "depthwise": _depthwise,  # (channels, multiplier, H, W) → (H, W, channels, multiplier)
    "heads": _reshape,  # one axis for all heads → heads and their width, or back, as the weight's shape says
    "reshape": _reshape,
    "split": _split,  # split:3:0 → the first of three equal parts of the last axis; split:3:0:0 → of the first axis
    "slice": _slice,  # slice:2: → the rows from the third on; slice:0:2:1 → the first two columns
}
"""What an array can undergo, by name. `transpose split:3:0 heads` does one behind the other."""


@dataclass(frozen=True)
class Rule:
    """Where arrays of certain names go.

    Args:
        source: a regular expression that the whole name of the array must match.
        target: the path of our weight (`stage1.conv/kernel`), with the groups of `source`: `{1}` or `{name}` for the
            text, `{1-1}` and `{1+2}` for a number counted otherwise, `{1#}` for the suffix by which archspec tells
            repeated names apart (nothing for 1, `_2` for 2), which goes with counting too: `{1+1#}`. A letter counts
            as its place in the alphabet, `a` as 1; a group that took no part as 0. A number in place of the
            variable's name (`stage1.conv/0`) is its position among the layer's weights. None: such arrays are not
            needed, unless another rule has a place for them.
        transform: names of `TRANSFORMS` with their arguments behind colons, applied from left to right.
        numbered: the pattern sees names that Keras has numbered (`conv2d_94/kernel`) counted anew, `conv2d_0` being
            the first of them in the source: such numbers depend on what else a process has built.

    All rules that match an array apply: the parts of a fused array are rules with the same `source`. Targets that the
    model lacks are no mistake as long as one of the array's targets is there.
    """

    source: str
    target: str | None
    transform: str = "same"
    numbered: bool = False

    def __post_init__(self) -> None:
        pattern = self._pattern
        for name, _, _ in _FIELD.findall(self.target or ""):
            known = int(name) <= pattern.groups if name.isdecimal() else name in pattern.groupindex
            if not known:
                raise ValueError(f"the target {self.target!r} names the group {name!r}, which {self.source!r} lacks")
        for name, _ in self._steps:
            if name not in TRANSFORMS:
                raise ValueError(f"there is no transform {name!r}; the transforms are {', '.join(TRANSFORMS)}")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.source)

    @cached_property
    def _steps(self) -> list[tuple[str, list[str]]]:
        return [(step.partition(":")[0], step.split(":")[1:]) for step in self.transform.split()]

    def matches(self, name: str) -> re.Match[str] | None:
        return self._pattern.fullmatch(name)

    def path(self, match: re.Match[str]) -> str:
        """The path of our weight for an array whose name matched."""

        def fill(found: re.Match[str]) -> str:
            name, count, suffix = found.groups()
            text = match[int(name) if name.isdecimal() else name]
            if not count and not suffix:
                return text or ""
            number = _number(text or "0") + int(count or 0)
            return str(number) if not suffix else f"_{number}" if number > 1 else ""

        assert self.target is not None
        return _FIELD.sub(fill, self.target)

    def apply(self, array: Array, shape: Shape) -> Array:
        """The array as the weight needs it. Raises ValueError where the transform cannot be applied to it."""
        for name, arguments in self._steps:
            if name == "axes":
                arguments = arguments[0].split(",")
            try:
                array = TRANSFORMS[name](array, shape, *arguments)
            except (IndexError, np.exceptions.AxisError) as error:
                raise ValueError(str(error)) from None
        return array


def _number(text: str) -> int:
    return ord(text) - ord("a") + 1 if re.fullmatch("[a-z]", text) else int(text)


def counted_anew(names: Iterable[str]) -> dict[str, str]:
    """Each name with the number of its layer counted from 0: conv2d_94/kernel, conv2d_95/kernel → conv2d_0, conv2d_1.

    The last part of a name is the variable, the one before it the layer; a layer's number stands at its end.
    """
    places: dict[str, tuple[str, int]] = {}
    for name in names:
        layer = name.rpartition("/")[0]
        found = _NUMBERED.fullmatch(layer)
        if found:
            places[layer] = (found[1], int(found[2] or 0))
    stems: dict[str, list[int]] = {}
    for stem, number in places.values():
        stems.setdefault(stem, []).append(number)
    ranks = {stem: {number: rank for rank, number in enumerate(sorted(numbers))} for stem, numbers in stems.items()}
    anew = {layer: f"{stem}_{ranks[stem][number]}" for layer, (stem, number) in places.items()}
    return {name: "/".join([anew.get(name.rpartition("/")[0], name.rpartition("/")[0]), name.rpartition("/")[2]])
            if "/" in name else name for name in names}  # fmt: skip
