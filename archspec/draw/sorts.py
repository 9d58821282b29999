"""Repeats of one name that are of two sorts: the cells of a searched network that keep the size, and that reduce it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from archspec.draw.pieces import Part, Scope
from archspec.graph.ir import Graph

STRIDES = ("stride", "strides")
LEAST_INSIDE = 3  # blocks that a cell holds, so that it may count as another one


def with_sorts(items: Sequence[Part], graph: Graph) -> list[Part]:
    """The parts, those marked `normal` and `reduction` that a stride makes another block altogether."""
    sorts: dict[tuple[str, str], dict[str, Scope]] = {}
    for item in items:
        if isinstance(item, Scope) and (word := _word(item)):
            found = sorts.setdefault(item.kind, {})
            found[word] = max(found.get(word, item), item, key=lambda scope: len(scope.nodes))
    apart = {kind for kind, found in sorts.items() if len(found) == 2 and _unlike(list(found.values()), graph)}
    return [
        replace(item, sort=_word(item)) if isinstance(item, Scope) and item.kind in apart else item for item in items
    ]


def _word(scope: Scope) -> str:
    values = dict(scope.use.variables) if scope.use else {}
    strides = [value for name in STRIDES if isinstance(value := values.get(name), int)]
    return ("reduction" if strides[0] > 1 else "normal") if strides else ""


def _unlike(scopes: Sequence[Scope], graph: Graph) -> bool:
    """Whether no more than half of what they hold is the same."""
    mine, theirs = (_contents(scope, graph) for scope in scopes)
    least = min(mine.total(), theirs.total())
    return least >= LEAST_INSIDE and 2 * (mine & theirs).total() <= least


def _contents(scope: Scope, graph: Graph) -> Counter[tuple[str, ...]]:
    """The layers of each of the blocks that it joins, all of one kind."""
    inner = [item for item in scope.items if isinstance(item, Scope)]
    if len(inner) == 1:
        return _contents(inner[0], graph)
    kinds = Counter(part.kind for part in inner)
    alike = [part for part in inner if kinds[part.kind] == max(kinds.values())]
    return Counter(tuple(sorted(type(graph.nodes[name].layer).__name__ for name in part.nodes)) for part in alike)
