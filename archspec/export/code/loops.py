"""Items of a body that repeat, one after the other, as one item in a loop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archspec.export.code.items import LAST, Each, Item, Key, Ref

_NUMBER = re.compile(r"\d+")


def looped(items: Sequence[Item], outputs: Sequence[Ref]) -> tuple[list[Item], list[Ref]]:
    """The same body with loops for the items that differ in numbers only and pass one tensor on to the next."""
    readers = _readers(items, outputs)
    found: list[Item] = []
    moved: dict[int, int] = {-1: -1}  # places before → now; a loop's result is its last turn's
    place = 0
    while place < len(items):
        run = _run(items, readers, place)
        made = _loop(items[place : place + len(run)], run) if run else items[place]
        inputs = tuple((parameter, Ref(moved[ref.item], ref.index)) for parameter, ref in made.inputs)
        again = None if made.again is None else moved[made.again]
        length = max(len(run), 1)
        moved.update(dict.fromkeys(range(place, place + length), len(found)))
        found.append(replace(made, inputs=inputs, again=again))
        place += length
    return found, [Ref(moved[ref.item], ref.index) for ref in outputs]


def _readers(items: Sequence[Item], outputs: Sequence[Ref]) -> Mapping[int, list[int]]:
    readers: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        for _, ref in item.inputs:
            readers.setdefault(ref.item, []).append(place)
    for ref in outputs:
        readers.setdefault(ref.item, []).append(len(items))
    return readers


def _run(items: Sequence[Item], readers: Mapping[int, list[int]], start: int) -> list[str]:
    """The labels of the turns of the loop that begins here, one place of a number marked `{i}`; empty if none does."""
    first = items[start]
    if first.outputs != 1 or first.again is not None:
        return []
    best: list[str] = []
    for label, number in _numbered(first.label):
        run = [label]
        while start + len(run) < len(items):
            before, now = start + len(run) - 1, start + len(run)
            fits = (label, number + len(run)) in list(_numbered(items[now].label))
            if not fits or not _follows(items, readers, start, before, now):
                break
            run.append(label)
        if len(run) > max(len(best), 1) or (
            not best and first.turn and first.turn == number and not isinstance(first.made, type)
        ):
            best = run
    return best


def _numbered(label: str) -> Iterator[tuple[str, int]]:
    """The label with each of its numbers in turn left open, and that number."""
    for match in _NUMBER.finditer(label):
        if match[0] == "0" or match[0][0] != "0":
            yield f"{label[: match.start()]}{{i}}{label[match.end() :]}", int(match[0])


def _follows(items: Sequence[Item], readers: Mapping[int, list[int]], start: int, before: int, now: int) -> bool:
    """Whether an item does to the one before it what the loop's turns do."""
    first, item = items[start], items[now]
    same = (first.made, first.outputs, first.detail, first.shared, tuple(first.values)) == (
        item.made, item.outputs, item.detail, item.shared, tuple(item.values)
    )  # fmt: skip
    if not same or item.again is not None or len(item.inputs) != len(first.inputs):
        return False
    carried = _carried(item, before)
    if not carried or set(readers.get(before, ())) != {now}:
        return False
    if before > start and carried != _carried(items[before], before - 1):
        return False
    begins = {first.inputs[place][1] for place in carried}
    rest = all(
        first.inputs[place] == item.inputs[place] and first.inputs[place][1] not in begins
        for place in range(len(item.inputs))
        if place not in carried
    )
    return rest and len(begins) == 1


def _carried(item: Item, before: int) -> tuple[int, ...]:
    return tuple(place for place, (_, ref) in enumerate(item.inputs) if ref.item == before)


def _loop(turns: Sequence[Item], labels: Sequence[str]) -> Item:
    first = turns[0]
    label = labels[0]
    number = next(n for text, n in _numbered(first.label) if text == label)
    values: dict[Key, Any] = {}
    for key in first.values:
        column = tuple(turn.values[key] for turn in turns)
        values[key] = column[0] if len({repr(value) for value in column}) == 1 else Each(column)
    values[LAST] = number + len(turns) - 1
    carried = _carried(turns[1], _place(turns)) if len(turns) > 1 else (0,)
    return replace(first, label=label, values=values, start=number, carried=carried)


def _place(turns: Sequence[Item]) -> int:
    """The place in the body of the first turn: what the second is carried from."""
    first, second = turns[0].inputs, turns[1].inputs
    return next(b.item for (_, a), (_, b) in zip(first, second, strict=True) if a != b)
