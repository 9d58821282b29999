"""Which layers of two graphs stand for each other: scope by scope, by what they are, where they stand, their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from archspec.graph.ir import Graph, Node
from archspec.graph.text import layer_text

# Weighing every pair takes the product of both lengths; above this only what is equal is paired.
MOST_PAIRS = 4_000_000


@dataclass(slots=True, eq=False)
class _Item:
    """A layer, or a scope with its items in order. `content` is equal where all inside is, numbers in names aside."""

    name: str
    node: Node | None = None
    items: dict[tuple[str, bool], _Item] = field(default_factory=dict)
    content: object = None

    def nodes(self) -> Iterator[Node]:
        if self.node:
            yield self.node
        for item in self.items.values():
            yield from item.nodes()


def stem(name: str) -> str:
    """The name without its number: `conv2d_3` → `conv2d`."""
    return name.rstrip("0123456789").rstrip("_") or name


def match(before: Graph, after: Graph) -> dict[str, str]:
    """The second graph's layers → those of the first that they stand for, in the second's order."""
    known: dict[object, int] = {}
    old, new = _tree(before, known), _tree(after, known)
    pairs = {b.name: a.name for a, b in _paired(list(old.items.values()), list(new.items.values()))}
    most = max(len(before.nodes), len(after.nodes))
    if 2 * len(pairs) <= most and most**2 <= MOST_PAIRS:
        pairs = _by_kind(before, after, most) or pairs
    return {name: pairs[name] for name in after.nodes if name in pairs}


def _by_kind(before: Graph, after: Graph, most: int) -> dict[str, str]:
    """The pairs of networks that are alike but for their names and scopes, as one built by hand; else none."""
    old, new = list(before.nodes.values()), list(after.nodes.values())
    places = _equal(list(map(_kind, old)), list(map(_kind, new)))
    return {new[j].name: old[i].name for i, j in places} if len(places) >= 0.7 * most else {}


def _kind(node: Node) -> object:
    """What layers of other names are told apart by: their class, of activations the function."""
    name = getattr(node.layer, "activation", None) if type(node.layer).__name__ == "Activation" else None
    return (name if isinstance(name, str) else type(node.layer).__name__).lower(), len(node.inputs)


def _tree(graph: Graph, known: dict[object, int]) -> _Item:
    root = _Item("")
    for node in graph.nodes.values():
        item = root
        for part in node.scope:
            item = item.items.setdefault((part, True), _Item(part))
        name = node.name.rpartition(".")[2]
        item.items[name, False] = _Item(name, node)
    _read(root, known)
    return root


def _read(item: _Item, known: dict[object, int]) -> None:
    """Gives it and all inside their contents, as numbers, so that comparing them takes no time."""
    for inner in item.items.values():
        _read(inner, known)
    inside = tuple((stem(inner.name), inner.content) for inner in item.items.values())
    item.content = known.setdefault(layer_text(item.node.layer) if item.node else inside, len(known))


def _paired(old: Sequence[_Item], new: Sequence[_Item]) -> Iterator[tuple[Node, Node]]:
    for a, b in _aligned(old, new):
        if a.node and b.node:
            yield a.node, b.node
        elif a.content == b.content:
            yield from zip(a.nodes(), b.nodes(), strict=True)
        else:
            yield from _paired(list(a.items.values()), list(b.items.values()))


def _aligned(old: Sequence[_Item], new: Sequence[_Item]) -> Iterator[tuple[_Item, _Item]]:
    """The pairs, in order, of the most weight together."""
    most = min(len(old), len(new))
    start = next((i for i in range(most) if not _same(old[i], new[i])), most)
    end = next((i for i in range(most - start) if not _same(old[-1 - i], new[-1 - i])), most - start)
    yield from zip(old[:start], new[:start], strict=True)
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    if len(a) * len(b) <= MOST_PAIRS:
        places = _heaviest(a, b)
    else:
        places = _equal([item.content for item in a], [item.content for item in b])
    yield from ((a[i], b[j]) for i, j in places)
    yield from zip(old[len(old) - end :], new[len(new) - end :], strict=True)


def _same(one: _Item, other: _Item) -> bool:
    return one.content == other.content and stem(one.name) == stem(other.name)


def _weight(one: _Item, other: _Item) -> float:
    """What is equal weighs more than what has the same name: one more `conv2d` in front renames all that follow."""
    if one.content == other.content:
        return 4 if one.name == other.name else 2
    if type(one.node and one.node.layer) is not type(other.node and other.node.layer):
        return 0
    return 1.5 if one.name == other.name else 1 if stem(one.name) == stem(other.name) else 0


def _heaviest(old: Sequence[_Item], new: Sequence[_Item]) -> list[tuple[int, int]]:
    """The alignment of Needleman and Wunsch (1970), in which gaps cost nothing."""
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in range(len(old) - 1, -1, -1):
        row, below = best[i], best[i + 1]
        for j in range(len(new) - 1, -1, -1):
            weight = _weight(old[i], new[j])
            together = weight + below[j + 1] if weight else 0
            row[j] = max(together, below[j], row[j + 1])
    places, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        weight = _weight(old[i], new[j])
        if weight and best[i][j] == weight + best[i + 1][j + 1]:
            places.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return places


def _equal(old: Sequence[object], new: Sequence[object]) -> list[tuple[int, int]]:
    """The places of what is equal, in the same order in both."""
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return [(a + i, b + i) for a, b, size in blocks for i in range(size)]
