"""Uses of a block side by side: what in one stands for what in another."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from archspec.draw.parts import STRIPS
from archspec.draw.pieces import Part, Run, Unit
from archspec.graph.ir import Graph, Use

Column = list[Part | None]  # a part for each use, None where it lacks it


def columns(instances: Sequence[Sequence[Part]], graph: Graph) -> list[Column]:
    """A column for each part of any use, in an order that suits all."""
    if len(instances) == 1:
        return [[part] for part in instances[0]]
    keys_of = [[_key(part, graph) for part in instance] for instance in instances]
    order = sorted(range(len(instances)), key=lambda i: -len(instances[i]))
    found: list[Column] = []
    keys: list[str] = []
    for number in order:
        if keys_of[number] == keys:
            for column, part in zip(found, instances[number], strict=True):
                column[number] = part
        else:
            _insert(found, keys, instances[number], keys_of[number], number, len(instances))
    return found


def _insert(
    found: list[Column], keys: list[str], parts: Sequence[Part], own: list[str], number: int, count: int
) -> None:
    """One more use: its parts go where their like is, the others between."""
    shift = 0
    for tag, a, b, c, d in difflib.SequenceMatcher(None, tuple(keys), own, autojunk=False).get_opcodes():
        if tag == "equal":
            for k in range(b - a):
                found[a + k + shift][number] = parts[c + k]
            continue
        new: list[Column] = [[None] * count for _ in range(c, d)]
        for k, column in enumerate(new):
            column[number] = parts[c + k]
        found[b + shift : b + shift] = new
        keys[b + shift : b + shift] = own[c:d]
        shift += d - c


def _key(part: Part, graph: Graph) -> str:
    """What parts that stand for each other have in common: the path of a merge that they are in, and what they are."""
    if isinstance(part, Run):
        return _key(part.members[0], graph)
    if isinstance(part, Unit):
        uses = graph.nodes[part.nodes[part.head]].origin.uses
        return f"{_path(uses)}{'/'.join(part.block.kind) if part.block else _classes(part, graph)}"
    return f"{_path(part.uses[: len(part.uses) - part.own])}{'/'.join(part.kind)}"


def _path(uses: Sequence[Use]) -> str:
    """The paths that lead on from the innermost block."""
    blocks = [place for place, use in enumerate(uses) if use.kind == "block"]
    return "".join(f"{use.name}." for use in uses[blocks[-1] + 1 if blocks else 0 :] if use.kind == "path")


def _classes(unit: Unit, graph: Graph) -> str:
    """Those of its layers, dropout aside."""
    layers = [graph.nodes[name].layer for name in unit.nodes]
    head = layers[unit.head]
    kept = [layer for layer in layers if layer is head or (layer.role in STRIPS and layer.role != "regularization")]
    return ",".join(type(layer).__name__ for layer in kept)
