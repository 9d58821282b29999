"""A difference of two graphs: what was added, removed and changed; in words and as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from archspec.analysis.cost import Cost, node_cost
from archspec.analysis.match import stem
from archspec.graph.ir import Graph, Node
from archspec.graph.text import types_text

# What changes of a layer because of what it reads, not of what it is.
_FOLLOWING = frozenset({"output", "parameters", "MACs"})


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
        lines += [f"~ {text}" for text in _change_texts(self)]
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


# --- in words ------------------------------------------------------------------------------------


def _total_text(name: str, old: int, new: int) -> str:
    word = {"macs": "MACs", "activation_bytes": "activation bytes"}.get(name, name)
    if old == new:
        return f"{word}: {old:,}"
    share = f", {(new - old) / old:+.1%}" if old else ""
    return f"{word}: {old:,} → {new:,} ({new - old:+,}{share})"


def _part_texts(parts: Sequence[Part]) -> Iterable[str]:
    """A line for each part; those alike that follow each other in one: `stage3.block7 … block9: 3 × …`."""
    for _, run in groupby(parts, key=lambda p: (stem(p.name), p.kind, len(p.layers), p.parameters, p.macs)):
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


def _change_texts(found: Difference) -> Iterator[str]:
    """Layers that changed by themselves, alike ones in a line; then what follows from that, a line for each scope."""
    alike: dict[object, list[Change]] = {}
    for change in found.changed:
        if not _follows(change):
            alike.setdefault((tuple(map(stem, change.after.name.split("."))), change.what), []).append(change)
    for first, *others in alike.values():
        more = f" (and {len(others)} alike)" if others else ""
        yield f"{_changed_name(first)}{more}: {_what_text(first.what)}"
    following = [change for change in found.changed if _follows(change)]
    for scope, run in groupby(following, key=lambda c: c.after.scope[:1]):
        those = list(run)
        if len(those) == 1:
            yield f"{_changed_name(those[0])}: {_what_text(those[0].what)}"
        else:
            of = f"{scope[0]}: " if scope else ""
            yield f"{of}{len(those):,} layers follow: {_what_text(_together(found, those))}"


def _follows(change: Change) -> bool:
    return {aspect for aspect, _, _ in change.what} <= _FOLLOWING


def _together(found: Difference, changes: Sequence[Change]) -> list[tuple[str, str, str]]:
    """The last one's output, and the sums of parameters and MACs, where they differ."""
    before = [node_cost(found.before, change.before) for change in changes]
    after = [node_cost(found.after, change.after) for change in changes]
    last = changes[-1]
    rows = [
        ("output", types_text(last.before.outputs), types_text(last.after.outputs)),
        ("parameters", f"{sum(c.parameters_total for c in before):,}", f"{sum(c.parameters_total for c in after):,}"),
        ("MACs", f"{sum(c.macs for c in before):,}", f"{sum(c.macs for c in after):,}"),
    ]
    return [row for row in rows if row[1] != row[2]] or [("layers inside", str(len(before)), str(len(after)))]


def _changed_name(change: Change) -> str:
    return change.after.name + ("" if change.before.name == change.after.name else f" (was {change.before.name})")


def _what_text(what: Iterable[tuple[str, str, str]]) -> str:
    return "; ".join(f"{aspect} {old} → {new}" for aspect, old, new in what)


# --- as data -------------------------------------------------------------------------------------


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "kind": part.kind,
        "layers": list(part.layers),
        "parameters": part.parameters,
        "macs": part.macs,
    }
