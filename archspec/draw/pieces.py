"""What a graph nests into: units of fused layers, scopes of the spec, runs of repeats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archspec.graph.ir import Use


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Layers that one box shows: an op with its padding before it and its strips behind."""

    nodes: tuple[str, ...]
    path: str
    head: int = 0  # which of the nodes is the op
    strips: tuple[tuple[str, str], ...] = ()  # steps without weights that have a strip: its first node, and its path
    block: Scope | None = None  # a whole block that stands as one op; then the head is its last layer


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A block's use, a named group, a path: its parts in order. `uses` are those that led to it, outer ones first."""

    nodes: tuple[str, ...]
    path: str
    items: tuple[Part, ...]
    uses: tuple[Use, ...]
    own: int  # how many of `uses`, from the end, are its own: more than one where scopes held nothing but each other
    sort: str = ""  # where blocks of one name are of two sorts

    @property
    def use(self) -> Use | None:
        return self.uses[-self.own] if self.own and len(self.uses) >= self.own else None

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that it is a use of, the outermost first."""
        return tuple(use.name for use in self.uses[len(self.uses) - self.own :] if use.kind == "block")

    @property
    def kind(self) -> tuple[str, str]:
        """What its repeats have in common: the block's name, else the group's."""
        what, name = ("block", self.blocks[0]) if self.blocks else ("group", self.use.name if self.use else self.path)
        return (what, f"{self.sort} {name}" if self.sort else name)

    @property
    def stem(self) -> str:
        """Its own name without the number of its repeat."""
        own = self.path.rsplit(".", 1)[-1]
        if own == "layers" and "." in self.path:
            own = self.path.rsplit(".", 2)[-2]
        number = str(self.use.iteration) if self.use and self.use.iteration else ""
        bare = (own.removesuffix(number) if number else re.sub(r"_\d+$", "", own)) or own
        return f"{self.sort} {bare}" if self.sort else bare


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Parts alike that follow each other."""

    members: tuple[Unit, ...] | tuple[Scope, ...]
    nodes: tuple[str, ...]
    path: str


Part = Unit | Scope | Run


def flat(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts with all scopes opened; runs of scopes stay."""
    leaves: list[Part] = []
    for part in parts:
        leaves += flat(part.items) if isinstance(part, Scope) else (part,)
    return tuple(leaves)


def units(part: Part) -> Iterator[Unit]:
    """The units that it holds, each of a run once."""
    if isinstance(part, Unit):
        yield part
    else:
        for item in part.items if isinstance(part, Scope) else part.members[:1]:
            yield from units(item)


def scopes(parts: Sequence[Part]) -> list[Scope]:
    """Every scope, outer ones first, those inside runs too."""
    found: list[Scope] = []
    for part in parts:
        if isinstance(part, Run):
            found += scopes(part.members)
        elif isinstance(part, Scope):
            found += [part, *scopes(part.items)]
    return found


def followers(parts: Sequence[Part]) -> Iterator[Part]:
    """What comes second or later in a run."""
    for part in parts:
        if isinstance(part, Run):
            yield from part.members[1:]
        if not isinstance(part, Unit):
            yield from followers(part.members if isinstance(part, Run) else part.items)


def staged(scope: Scope) -> bool:
    """Whether it is a stage: one run of a block, which one row tells."""
    return len(scope.items) == 1 and isinstance(scope.items[0], Run) and isinstance(scope.items[0].members[0], Scope)
