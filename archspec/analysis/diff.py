"""What changed from one graph to another: layers added, removed and changed, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from archspec.analysis.cost import Cost, graph_cost, node_cost
from archspec.graph.ir import Edge, Graph, Node
from archspec.graph.text import changed_arguments, layer_text, types_text, value_text

# Finding the longest common part takes the product of both lengths in the worst case; above this, names alone decide.
MOST_PAIRS = 25_000_000

Token = tuple[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Change:
    """A layer that is in both graphs and not the same: `what` has an aspect with its value before and after."""

    before: Node
    after: Node
    what: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A layer, or a scope with all its layers, that only one of the graphs has."""

    name: str
    kind: str
    layers: tuple[str, ...]
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class Difference:
    """`matched` maps the layers of the second graph to those of the first that they stand for."""

    before: Graph
    after: Graph
    added: tuple[Part, ...]
    removed: tuple[Part, ...]
    changed: tuple[Change, ...]
    ends: tuple[tuple[str, str, str], ...]
    costs: tuple[Cost, Cost]
    matched: Mapping[str, str]

    @property
    def same(self) -> bool:
        return not (self.added or self.removed or self.changed or self.ends)

    def to_text(self) -> str:
        """Totals, then a line for each change: `-` removed, `+` added, `~` changed."""
        lines = [f"{self.before.name} → {self.after.name}"]
        if self.same:
            return f"{lines[0]}: no difference\n"
        lines += ["", *(_total_text(*total) for total in self._totals()), ""]
        lines += [f"~ {name}: {old} → {new}" for name, old, new in self.ends]
        lines += [f"- {text}" for text in _part_texts(self.removed)]
        lines += [f"+ {text}" for text in _part_texts(self.added)]
        lines += [f"~ {_change_text(change)}" for change in self.changed]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "before": self.before.name,
            "after": self.after.name,
            "same": self.same,
            "totals": {name: {"before": old, "after": new} for name, old, new in self._totals()},
            "ends": [{"name": name, "before": old, "after": new} for name, old, new in self.ends],
            "removed": [_part_json(part) for part in self.removed],
            "added": [_part_json(part) for part in self.added],
            "changed": [
                {
                    "name": change.after.name,
                    "before": change.before.name,
                    "type": type(change.after.layer).__name__,
                    "what": [{"aspect": aspect, "before": old, "after": new} for aspect, old, new in change.what],
                }
                for change in self.changed
            ],
        }

    def _totals(self) -> list[tuple[str, int, int]]:
        old, new = self.costs
        return [
            ("layers", len(self.before.nodes), len(self.after.nodes)),
            ("parameters", old.parameters_total, new.parameters_total),
            ("macs", old.macs, new.macs),
            ("activation_bytes", old.output_bytes, new.output_bytes),
        ]


def diff(before: Graph, after: Graph) -> Difference:
    """What changed. Layers stand for each other by what they are and where they stand, their numbers left aside:

    one more `conv2d` at the front of a block is one added layer, not a changed name of all that follow.
    """
    matched = _match(before, after)
    kept = set(matched.values())
    changed = [_change(before, after, before.nodes[old], after.nodes[new], matched) for new, old in matched.items()]
    return Difference(
        before,
        after,
        _parts(after, {name for name in after.nodes if name not in matched}),
        _parts(before, {name for name in before.nodes if name not in kept}),
        tuple(change for change in changed if change.what),
        tuple(_ends(before, after, matched)),
        (graph_cost(before), graph_cost(after)),
        matched,
    )


# --- which layers stand for each other ------------------------------------------------------------


def _match(before: Graph, after: Graph) -> dict[str, str]:
    """The second graph's layers → the first's: alike ones in order, then those of the same name, then by place."""
    old, new = list(before.nodes.values()), list(after.nodes.values())
    pairs: dict[str, str] = {}
    for a, b in _alike([_token(n) for n in old], [_token(n) for n in new]):
        pairs[new[b].name] = old[a].name
    rest_old = [n for n in old if n.name not in set(pairs.values())]
    rest_new = [n for n in new if n.name not in pairs]
    for key in (_full_name, _place):
        rest_old, rest_new = _pair_off(key, rest_old, rest_new, pairs)
    return {node.name: pairs[node.name] for node in new if node.name in pairs}


def _pair_off(key: Any, old: list[Node], new: list[Node], pairs: dict[str, str]) -> tuple[list[Node], list[Node]]:
    """Pairs the layers of equal keys, in order, and returns those that are left."""
    waiting: dict[object, list[Node]] = {}
    for node in reversed(old):
        waiting.setdefault(key(node), []).append(node)
    left = []
    for node in new:
        if same := waiting.get(key(node)):
            pairs[node.name] = same.pop().name
        else:
            left.append(node)
    taken = set(pairs.values())
    return [node for node in old if node.name not in taken], left


def _token(node: Node) -> Token:
    return tuple(map(_stem, node.name.split("."))), layer_text(node.layer)


def _full_name(node: Node) -> object:
    return node.name, type(node.layer)


def _place(node: Node) -> object:
    """Where a layer stands: its scope, and what kind it is."""
    return node.scope, _stem(node.name.split(".")[-1]), type(node.layer)


def _stem(name: str) -> str:
    """The name without its number: `conv2d_3` → `conv2d`."""
    return name.rstrip("0123456789").rstrip("_") or name


def _alike(old: Sequence[Token], new: Sequence[Token]) -> list[tuple[int, int]]:
    """The positions of equal tokens, in the same order in both."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    pairs = [(i, i) for i in range(start)]
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    if len(middle_old) * len(middle_new) <= MOST_PAIRS:
        for a, b, size in SequenceMatcher(None, middle_old, middle_new, autojunk=False).get_matching_blocks():
            pairs += [(start + a + i, start + b + i) for i in range(size)]
    return pairs + [(len(old) - i, len(new) - i) for i in range(end, 0, -1)]


# --- what differs --------------------------------------------------------------------------------


def _change(before: Graph, after: Graph, old: Node, new: Node, matched: Mapping[str, str]) -> Change:
    what = _arguments(old, new)
    what += [("output", types_text(old.outputs), types_text(new.outputs))] if old.outputs != new.outputs else []
    now = tuple(Edge(matched[e.node], e.index) if e.node in matched else None for e in new.inputs)
    if now != old.inputs or old.parameters != new.parameters:
        what.append(("inputs", ", ".join(map(str, old.inputs)), ", ".join(map(str, new.inputs))))
    shared = matched.get(new.shares, f"new {new.shares}") if new.shares else None
    if old.shares != shared:
        what.append(("shares", old.shares or "none", new.shares or "none"))
    if old.trainable != new.trainable:
        what.append(("trainable", value_text(old.trainable), value_text(new.trainable)))
    one, other = node_cost(before, old), node_cost(after, new)
    for aspect, a, b in (
        ("parameters", one.parameters_total, other.parameters_total),
        ("MACs", one.macs, other.macs),
    ):
        what += [(aspect, f"{a:,}", f"{b:,}")] if a != b else []
    return Change(old, new, tuple(what))


def _arguments(old: Node, new: Node) -> list[tuple[str, str, str]]:
    was, now = dict(changed_arguments(old.layer)), dict(changed_arguments(new.layer))
    texts = []
    for name in dict.fromkeys([*was, *now]):
        a, b = (_argument_text(node, name) for node in (old, new))
        texts += [(name, a, b)] if a != b else []
    return texts


def _argument_text(node: Node, name: str) -> str:
    return value_text(getattr(node.layer, name))


def _ends(before: Graph, after: Graph, matched: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """The results that differ. Inputs are layers."""
    for name in dict.fromkeys([*before.outputs, *after.outputs]):
        old, new = before.outputs.get(name), after.outputs.get(name)
        same = old is not None and new is not None and before.type(old) == after.type(new)
        if not same or (new and Edge(matched.get(new.node, ""), new.index) != old):
            yield f"output {name}", _end_text(before, old), _end_text(after, new)


def _end_text(graph: Graph, edge: Edge | None) -> str:
    return "none" if edge is None else f"{edge} {graph.type(edge)}"


def _parts(graph: Graph, names: set[str]) -> tuple[Part, ...]:
    """The layers, each scope that has no others as one part; in the graph's order."""
    inside: Counter[tuple[str, ...]] = Counter()
    found: Counter[tuple[str, ...]] = Counter()
    for node in graph.nodes.values():
        for depth in range(1, len(node.scope) + 1):
            inside[node.scope[:depth]] += 1
            found[node.scope[:depth]] += node.name in names
    parts: dict[tuple[str, ...], list[Node]] = {}
    for node in graph.nodes.values():
        if node.name in names:
            scopes = (node.scope[:depth] for depth in range(1, len(node.scope) + 1))
            whole = next((scope for scope in scopes if inside[scope] == found[scope]), None)
            parts.setdefault(whole or (node.name, ""), []).append(node)
    return tuple(_part(graph, scope, nodes) for scope, nodes in parts.items())


def _part(graph: Graph, scope: tuple[str, ...], nodes: list[Node]) -> Part:
    costs = [node_cost(graph, node) for node in nodes]
    parameters, macs = sum(c.parameters_total for c in costs), sum(c.macs for c in costs)
    names = tuple(node.name for node in nodes)
    if scope[-1] == "":
        return Part(nodes[0].name, layer_text(nodes[0].layer), names, parameters, macs)
    uses = nodes[0].origin.uses[: len(scope)]
    kind = uses[-1].name if len(uses) == len(scope) and uses[-1].kind == "block" else "group"
    return Part(".".join(scope), kind, names, parameters, macs)


# --- as text and as data --------------------------------------------------------------------------


def _total_text(name: str, old: int, new: int) -> str:
    word = {"macs": "MACs", "activation_bytes": "activation bytes"}.get(name, name)
    if old == new:
        return f"{word}: {old:,}"
    share = f", {(new - old) / old:+.1%}" if old else ""
    return f"{word}: {old:,} → {new:,} ({new - old:+,}{share})"


def _part_texts(parts: Sequence[Part]) -> Iterable[str]:
    """A line for each part; those alike that follow each other in one: `stage3.block7 … block9: 3 × …`."""
    for _, run in groupby(parts, key=lambda p: (_stem(p.name), p.kind, len(p.layers), p.parameters, p.macs)):
        alike = list(run)
        name = alike[0].name
        if len(alike) > 1:
            name += f" … {alike[-1].name.split('.')[-1]}"
        yield f"{name}: {f'{len(alike)} × ' if len(alike) > 1 else ''}{_part_text(alike[0])}"


def _part_text(part: Part) -> str:
    words = [part.kind]
    words += [f"{len(part.layers):,} layers"] if len(part.layers) > 1 else []
    words += [f"{part.parameters:,} parameters"] if part.parameters else []
    words += [f"{part.macs:,} MACs"] if part.macs else []
    return ", ".join(words)


def _change_text(change: Change) -> str:
    moved = "" if change.before.name == change.after.name else f" (was {change.before.name})"
    what = "; ".join(f"{aspect} {old} → {new}" for aspect, old, new in change.what)
    return f"{change.after.name}{moved}: {what}"


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "kind": part.kind,
        "layers": list(part.layers),
        "parameters": part.parameters,
        "macs": part.macs,
    }
