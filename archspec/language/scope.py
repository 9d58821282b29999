"""What names mean while a spec is elaborated: tensors, variables, bodies, and where in the graph one stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archspec.diagnostics import did_you_mean
from archspec.graph.ir import Edge, Use
from archspec.language.document import Block, Document, Step
from archspec.language.expressions import ExpressionError
from archspec.layers.base import Layer
from archspec.tensor import TensorType


class Failed(Exception):
    """What was asked for depends on something already reported; nothing more is said."""


@dataclass(frozen=True, slots=True)
class Maker:
    """What made a value, for `reuse`: a layer with its arguments, or a block with its variables; and its nodes."""

    layer: Layer | None
    arguments: Mapping[str, Any]
    block: Block | None
    frame: Frame | None
    first: int  # its nodes are those from the first up to, not including, the last, in the order they were made
    last: int


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor, or several: where they come from and their types. `names` are those reached by `value.name`."""

    edges: tuple[Edge, ...]
    types: tuple[TensorType, ...]
    names: Frame | None = None
    maker: Maker | None = None

    @property
    def edge(self) -> Edge:
        return self.edges[0]

    @property
    def type(self) -> TensorType:
        return self.types[0]

    def part(self, index: int) -> Value:
        return Value((self.edges[index],), (self.types[index],))

    def attribute(self, name: str) -> Any:
        """A tensor's shape and its parts, for expressions; or a tensor inside a block by its name."""
        if self is POISON:
            raise Failed
        if self.names and name in self.names.names:
            return self.names.names[name]
        if self is UNSET:
            raise ExpressionError("x is not set yet", "say which input is meant: from: NAME")
        if name in _ATTRIBUTES:
            return _ATTRIBUTES[name](self.type.shape)
        inner = list(self.names.names) if self.names else []
        help = did_you_mean(name, [*_ATTRIBUTES, *inner]) or f"a tensor has {' '.join(_ATTRIBUTES)}"
        raise ExpressionError(f"a tensor has no .{name}", help)

    def __repr__(self) -> str:
        return "a tensor"


def _axis(index: int, least: int) -> Any:
    def length(shape: tuple[int | None, ...]) -> int | None:
        if len(shape) < least:
            raise ExpressionError(f"a tensor of shape {shape} has no such axis")
        return shape[index]

    return length


# Channels-last: (height, width, channels), (length, channels), (depth, height, width, channels).
_ATTRIBUTES: Mapping[str, Any] = {
    "shape": lambda shape: shape,
    "rank": len,
    "channels": _axis(-1, 1),
    "height": _axis(-3, 3),
    "width": _axis(-2, 2),
    "length": _axis(0, 1),
}

POISON = Value((), ())  # a tensor that could not be made
UNSET = Value((), ())  # x before anything was applied, where there is not exactly one input


@dataclass(frozen=True, slots=True)
class Body:
    """Steps given to a block as an argument; they see the names where they were written."""

    steps: tuple[Step, ...]
    frame: Frame

    def __repr__(self) -> str:
        return "steps"


@dataclass(slots=True)
class Frame:
    """The names of one block's use, or of the top level. `active` are the blocks in use around it, for cycles."""

    document: Document
    variables: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Value] = field(default_factory=dict)
    inputs: Mapping[str, Value] = field(default_factory=dict)  # of the spec, which all its blocks see
    params: Mapping[str, Any] = field(default_factory=dict)  # of the spec
    active: tuple[str, ...] = ()

    def lookup(self, name: str, x: Value) -> Any:
        """What an expression's name stands for. Raises ExpressionError, or Failed for a tensor that is not there."""
        if name == "x":
            return x
        if name in self.variables:
            value = self.variables[name]
            if value is POISON:
                raise Failed
            return value
        if name in self.names:
            return self.names[name]
        help = did_you_mean(name, self.legal()) or _listing("known here are", self.legal())
        raise ExpressionError(f"the name {name!r} is not known here", help)

    def tensor(self, path: str, x: Value) -> Value | None:
        """The tensor of a name, with dots into blocks; None if there is none."""
        first, *rest = path.split(".")
        value = x if first == "x" else self.names.get(first)
        for part in rest:
            value = value.names.names.get(part) if value and value.names else None
        return value

    def legal(self) -> list[str]:
        return [*self.names, *self.variables]


def _listing(words: str, names: Iterable[str]) -> str | None:
    names = list(names)
    return f"{words} {', '.join(names[:12])}" if names else None


@dataclass(frozen=True, slots=True)
class Where:
    """The place in the graph that steps are put: the scope's prefix, the uses that led there, frozen or not."""

    prefix: str = ""
    uses: tuple[Use, ...] = ()
    trainable: bool = True
    depth: int = 0  # of groups, paths and blocks

    def inside(self, scope: str, use: Use) -> Where:
        return Where(f"{scope}.", (*self.uses, use), self.trainable, self.depth + 1)

    def deeper(self) -> Where:
        """Inside a group that opens no scope."""
        return Where(self.prefix, self.uses, self.trainable, self.depth + 1)


@dataclass(frozen=True, slots=True)
class Turn:
    """One iteration of a step's loops: its number of how many, the suffix of its names, the loop's variables."""

    iteration: int
    iterations: int
    suffix: str
    variables: tuple[tuple[str, Any], ...]

    def within(self, outer: Turn | None) -> Turn:
        """This turn of `repeat` inside one of `for`."""
        if outer is None:
            return self
        number = (outer.iteration - 1) * self.iterations + self.iteration
        total = outer.iterations * self.iterations
        return Turn(number, total, f"{outer.suffix}_{self.suffix}", outer.variables)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a step is applied: the current tensor, the names it sees, and the place its nodes are put."""

    x: Value
    frame: Frame
    where: Where = Where()

    def at(self, x: Value) -> Site:
        """The same with another current tensor."""
        return Site(x, self.frame, self.where)


def chain(uses: tuple[Use, ...]) -> tuple[str, ...]:
    """The blocks that led to a place, innermost first, each with the loops it was used in."""
    notes: list[str] = []
    loops: list[str] = []
    for use in uses:
        if use.iterations > 1 or (use.iterations and use.variables and use.kind != "block"):
            shown = ", ".join(f"{name}={value}" for name, value in use.variables if use.kind != "block")
            turn = f"{use.name} {use.iteration} of {use.iterations}"
            loops.append(f"{turn}: {shown}" if shown else turn)
        if use.kind in ("block", "spec"):
            place = f", used at line {use.span.line}" if use.span else ""
            kind = "block" if use.kind == "block" else "the spec"
            around = f" ({'; '.join(loops)})" if loops else ""
            notes.append(f"in {kind} {use.name}{place}{around}")
            loops = []
    if loops:
        notes.append(f"in {'; '.join(loops)}")
    return tuple(reversed(notes))[:6]
