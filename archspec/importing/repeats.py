"""Repeats in a model that has none by name: what follows itself becomes uses of a block, as a spec would write it."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from archspec.graph.ir import Use
from archspec.importing.calls import Call, is_model, text
from archspec.layers import find_layer
from archspec.layers.base import default_name, snake_case

Place = tuple[tuple[str, ...], tuple[Use, ...], str]  # scope, what opened it, name

# What decides whether two layers are of one kind; sizes and strides are a block's arguments.
_DECIDING = ("pool_size", "activation", "layer")
# What some repeats have and others not: the sum around a block, the padding before a stride, dropout.
_OPTIONAL = re.compile(r"Add|ZeroPadding[123]D|\w*Dropout\w*|Rescaling|RandomDrop\w*|StochasticDepth|DropPath")
MOST_TOKENS = 400  # of one repeat


@dataclass(frozen=True, slots=True)
class _Region:
    """Calls between two tensors that everything passes: the longest way through them, and what stands beside."""

    calls: tuple[Call, ...]
    way: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """Regions that repeat, one repeat after the other, and what layers they have."""

    tokens: tuple[object, ...]
    repeats: tuple[tuple[_Region, ...], ...]


def scopes(calls: Sequence[Call]) -> dict[Call, Place]:
    """Where each call of a layer stands, in the order to make them in: what stands beside a block's way comes first.

    Names with dots are scopes already, as archspec's own models have them.
    """
    names = {call: _name(call) for call in calls}
    places: dict[Call, Place] = {}
    if any("." in name for name in names.values()):
        for call, name in names.items():
            *parts, last = name.split(".")
            places[call] = tuple(parts), tuple(Use("group", part, None) for part in parts), last
        return places
    places = {call: ((), (), name) for call, name in names.items()}
    regions = _regions(calls)
    for scope, uses, repeat in _blocks(_runs(regions)):
        places.update(_inside(repeat, scope, uses))
    return {call: places[call] for region in regions for call in _sides_first(region)}


def _name(call: Call) -> str:
    """Keras's own name, numbered where the layer is called again; parts between dots are never empty."""
    name = call.layer or "layer"
    if not all(name.split(".")):
        name = name.replace(".", "_")
    return f"{name}_{call.index}" if call.index else name


# --- regions and runs ----------------------------------------------------------------------------


def _regions(calls: Sequence[Call]) -> list[_Region]:
    """The model cut at each call whose output is all that goes on from there."""
    place = {(call.layer, call.index): number for number, call in enumerate(calls)}
    sources = [sorted({place[ref.layer, ref.index] for ref in call.refs()}) for call in calls]
    last = list(range(len(calls)))  # the last reader of each
    for number, found in enumerate(sources):
        for source in found:
            last[source] = number
    regions, start, reach = [], 0, -1  # reach: the last reader of what lies before
    for number in range(len(calls)):
        if reach <= number:
            regions.append(_region(calls, sources, start, number))
            start = number + 1
        reach = max(reach, last[number])
    if start < len(calls):
        regions.append(_region(calls, sources, start, len(calls) - 1))
    return regions


def _region(calls: Sequence[Call], sources: Sequence[Sequence[int]], start: int, end: int) -> _Region:
    """The calls from start to end, and the longest way to the last of them."""
    length: dict[int, int] = {}
    before: dict[int, int | None] = {}
    for number in range(start, end + 1):
        inside = [source for source in sources[number] if source >= start]
        best = max(inside, key=lambda source: length[source], default=None)
        length[number] = 1 + (length[best] if best is not None else 0)
        before[number] = best
    way = []
    step: int | None = end
    while step is not None:
        way.append(calls[step])
        step = before[step]
    return _Region(tuple(calls[start : end + 1]), tuple(reversed(way)))


def _sides_first(region: _Region) -> tuple[Call, ...]:
    """A sum's shortcut before the way that it shortens, as specs have it, so that blocks with and without one match."""
    sums = any(call.kind == "Add" for call in region.calls)
    if not sums or not len(region.way) < len(region.calls) <= MOST_TOKENS:
        return region.calls
    way = set(region.way)
    inside = {(call.layer, call.index): call for call in region.calls}
    missing = {call: {(r.layer, r.index) for r in call.refs()} & inside.keys() for call in region.calls}
    ordered: list[Call] = []
    while missing:
        ready = [call for call, left in missing.items() if not left]
        chosen = next((call for call in ready if call not in way), ready[0])
        del missing[chosen]
        ordered.append(chosen)
        for left in missing.values():
            left.discard((chosen.layer, chosen.index))
    return tuple(ordered)


def _runs(regions: Sequence[_Region]) -> list[_Run]:
    """Stretches of regions that follow themselves, the longest first found from the left."""
    ids: dict[object, int] = {}
    tokens: list[int] = []
    owner: list[int] = []  # the region that each token is of
    bounds: list[int] = []  # the first token of each region
    words: list[object] = []
    for number, region in enumerate(regions):
        bounds.append(len(tokens))
        for word in _words(region):
            words.append(word)
            tokens.append(ids.setdefault(word, len(ids)))
            owner.append(number)
    bounds.append(len(tokens))
    starts: dict[int, int] = {}  # token → the first region that begins there
    for number, bound in enumerate(bounds):
        starts.setdefault(bound, number)
    alike = _alike(tokens)
    runs = []
    closing = [isinstance(word, tuple) and "Pooling" in str(word[0]) for word in words]
    for at, period, times in _stretches(0, len(tokens), alike, starts, closing):
        cuts = [_cut(starts, regions, at + period * i) for i in range(times + 1)]
        repeats = tuple(tuple(regions[a:b]) for a, b in pairwise(cuts))
        runs.append(_Run(tuple(words[at : at + period]), repeats))
    return runs


def _stretches(
    start: int, end: int, alike: list[list[int]], starts: Mapping[int, int], closing: Sequence[bool]
) -> Iterator[tuple[int, int, int]]:
    """Start, period and times of what follows itself: what saves most, then what is left on both sides of it.

    Of those that save as much, one that ends where a stage does, with a pooling.
    """

    def rank(found: tuple[int, int, int]) -> tuple[float, bool]:
        return _saved(found), closing[found[0] + found[1] - 1]

    waiting = [(start, end)]
    found = []
    while waiting:
        low, high = waiting.pop()
        best: tuple[int, int, int] | None = None
        for at in range(low, high):
            if best and _saved(best) >= high - at:
                break
            if at in starts and (one := _best(at, alike, starts, high)):
                best = one if best is None or rank(one) > rank(best) else best
        if best:
            found.append(best)
            waiting += [(low, best[0]), (best[0] + best[1] * best[2], high)]
    yield from sorted(found)


def _cut(starts: Mapping[int, int], regions: Sequence[_Region], token: int) -> int:
    """The region at which a repeat begins: what is optional goes with the repeat before, but for padding."""
    number = starts[token]
    while number < len(regions) and not _words(regions[number]) and not _pads(regions[number]):
        number += 1
    return number


def _pads(region: _Region) -> bool:
    return all(call.kind.startswith("ZeroPadding") for call in region.calls)


def _words(region: _Region) -> list[object]:
    """A region's layers along its longest way; of a concatenation everything, for there the branches are what it is."""
    whole = any(call.kind == "Concatenate" for call in region.calls) and len(region.calls) > 1
    words: list[object] = [_word(call) for call in region.way if not _OPTIONAL.fullmatch(call.kind)]
    return [*words, tuple(sorted(repr(_word(call)) for call in region.calls))] if whole else words


def _word(call: Call) -> object:
    if is_model(call.data):
        return call.kind, len(call.config["layers"])
    kernel = call.config.get("kernel_size")
    wide = tuple(n != 1 for n in kernel) if isinstance(kernel, list) else kernel not in (None, 1)
    return call.kind, wide, *(_plain(call.config.get(key)) for key in _DECIDING)


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return text(value.get("class_name"))
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def _alike(tokens: Sequence[int]) -> list[list[int]]:
    """`[period][at]`: how many tokens from there on are the same a period later."""
    most = min(len(tokens) // 2, MOST_TOKENS)
    table: list[list[int]] = [[]]
    for period in range(1, most + 1):
        row = [0] * (len(tokens) + 1)
        for at in range(len(tokens) - period - 1, -1, -1):
            row[at] = row[at + 1] + 1 if tokens[at] == tokens[at + period] else 0
        table.append(row)
    return table


def _best(at: int, alike: list[list[int]], starts: Mapping[int, int], end: int) -> tuple[int, int, int] | None:
    """The period and the number of repeats that save most from here on; None where nothing repeats."""
    best: tuple[int, int, int] | None = None
    for period in range(2, min(len(alike), (end - at) // 2 + 1)):
        if at + period not in starts or alike[period][at] < period:
            continue
        most = min(alike[period][at] // period + 1, (end - at) // period)
        if best and _saved((at, period, most)) <= _saved(best):
            continue
        times = 1
        while (
            times * period <= alike[period][at]
            and at + (times + 1) * period in starts
            and at + (times + 1) * period <= end
        ):
            times += 1
        if times > 1 and (best is None or _saved((at, period, times)) > _saved(best)):
            best = at, period, times
    return best


def _saved(found: tuple[int, int, int]) -> float:
    """The layers that need no drawing of their own; less where there are few repeats, for those may be chance."""
    _, period, times = found
    return period * (times - 1) ** 2 / times


# --- blocks --------------------------------------------------------------------------------------


def _blocks(runs: Sequence[_Run]) -> list[tuple[tuple[str, ...], tuple[Use, ...], tuple[_Region, ...]]]:
    """Every repeat with its scope and what opened it. Runs of the same layers use the same block."""
    names: dict[tuple[object, ...], str] = {}
    taken: Counter[str] = Counter()
    for run in runs:
        if run.tokens not in names:
            word = _block_name(run)
            taken[word] += 1
            names[run.tokens] = word if taken[word] == 1 else f"{word}_{string.ascii_lowercase[taken[word] % 26 - 1]}"
    varying = _varying(runs, names)
    found = []
    stage = 0
    seen: Counter[str] = Counter()
    for run in runs:
        name = names[run.tokens]
        groups = _stages(run)
        for group in groups:
            stage += len(groups) > 1
            above = (f"stage{stage}",) if len(groups) > 1 else ()
            opened = tuple(Use("group", part, None) for part in above)
            for number, repeat in enumerate(group, 1):
                seen[".".join((*above, name))] += 1
                variables = tuple((key, value) for key, value in _arguments(repeat) if key in varying[name])
                use = Use("block", name, None, number, len(group), variables)
                scope = (*above, f"{name}{seen['.'.join((*above, name))]}")
                found.append((scope, (*opened, use), repeat))
    return found


def _block_name(run: _Run) -> str:
    kinds = {call.kind for repeat in run.repeats for region in repeat for call in region.calls}
    if any("Attention" in kind for kind in kinds):
        return "attention_block"
    branches = any(len(region.way) < len(region.calls) for repeat in run.repeats for region in repeat)
    if "Concatenate" in kinds:
        return "mixed_block" if branches else "dense_block"
    return "residual_block" if "Add" in kinds else "block"


def _stages(run: _Run) -> list[list[tuple[_Region, ...]]]:
    """A run in groups, each begun by a repeat with a stride; one group where every repeat would be its own."""
    groups: list[list[tuple[_Region, ...]]] = []
    for repeat in run.repeats:
        if not groups or dict(_arguments(repeat))["stride"] > 1:
            groups.append([])
        groups[-1].append(repeat)
    return groups if len(groups) < len(run.repeats) else [list(run.repeats)]


def _arguments(repeat: tuple[_Region, ...]) -> tuple[tuple[str, int], ...]:
    """What repeats may differ in: the channels that come out, the largest kernel, the stride."""
    width, stride, kernel = 0, 1, 1
    for region in repeat:
        for call in region.way:
            for key in ("filters", "units"):
                width = call.config[key] if isinstance(call.config.get(key), int) else width
            stride = max(stride, _largest(call.config.get("strides")))
            kernel = max(kernel, _largest(call.config.get("kernel_size")))
    return ("filters", width), ("kernel", kernel), ("stride", stride)


def _largest(value: object) -> int:
    if isinstance(value, list):
        return max((_largest(one) for one in value), default=1)
    return value if isinstance(value, int) else 1


def _varying(runs: Sequence[_Run], names: Mapping[tuple[object, ...], str]) -> dict[str, set[str]]:
    """The arguments of each block that are not the same in all its uses."""
    values: dict[str, dict[str, set[int]]] = {}
    for run in runs:
        for repeat in run.repeats:
            for key, value in _arguments(repeat):
                values.setdefault(names[run.tokens], {}).setdefault(key, set()).add(value)
    return {name: {key for key, found in keys.items() if len(found) > 1} for name, keys in values.items()}


def _inside(repeat: tuple[_Region, ...], scope: tuple[str, ...], uses: tuple[Use, ...]) -> dict[Call, Place]:
    """Names inside a block: the same in each repeat, by the layers' kinds; what stands beside the way in paths."""
    places: dict[Call, Place] = {}
    way = {call for region in repeat for call in region.way}
    numbers: Counter[tuple[str, ...]] = Counter()
    for region in repeat:
        paths: dict[tuple[str, int], str] = {}
        sums = any(call.kind == "Add" for call in region.calls)
        for call in (*region.way, *(call for call in region.calls if call not in way)):
            path: tuple[str, ...] = ()
            if call not in way:
                near = next((paths[ref.layer, ref.index] for ref in call.refs() if (ref.layer, ref.index) in paths), "")
                if not near:
                    word = "shortcut" if sums else "path"
                    numbers[(*scope, word)] += 1
                    near = word if numbers[(*scope, word)] == 1 else f"{word}{numbers[(*scope, word)]}"
                paths[call.layer, call.index] = near
                path = (near,)
            name = _kind_name(call)
            numbers[(*scope, *path, name)] += 1
            count = numbers[(*scope, *path, name)]
            opened = (*uses, *(Use("path", part, None) for part in path))
            places[call] = (*scope, *path), opened, name if count == 1 else f"{name}{count}"
    return places


def _kind_name(call: Call) -> str:
    cls = None if call.is_operation else find_layer(call.kind)
    if cls:
        return default_name(cls)
    return re.sub(r"\W", "_", snake_case(call.kind)) or "layer"
