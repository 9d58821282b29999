"""A graph as nested parts: layers fused into units, scopes of the spec, repeats folded into runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archspec.graph.ir import Graph, Use
from archspec.graph.text import layer_text

STRIPS = {"normalization", "activation", "regularization"}
BEARERS = {"convolution", "dense", "attention", "recurrent", "upsampling", "embedding"}
SYMBOLS = {"Add", "Multiply", "Subtract"}


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Layers that one box shows: an op with its padding before it and its strips behind."""

    nodes: tuple[str, ...]
    path: str
    head: int = 0  # which of the nodes is the op


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A block's use, a named group, a path: its parts in order. `uses` are those that it and its outer scopes came by."""  # noqa: E501

    nodes: tuple[str, ...]
    path: str
    items: tuple[Part, ...]
    uses: tuple[Use, ...]
    own: int  # how many of `uses`, from the end, are its own: more than one where scopes held nothing but each other

    @property
    def use(self) -> Use | None:
        return self.uses[-self.own] if self.own and len(self.uses) >= self.own else None

    @property
    def kind(self) -> tuple[str, str]:
        """What its repeats have in common: the block's name, else the group's."""
        for use in self.uses[len(self.uses) - self.own :]:
            if use.kind == "block":
                return ("block", use.name)
        return ("group", self.use.name if self.use else self.path)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Parts alike that follow each other."""

    members: tuple[Unit, ...] | tuple[Scope, ...]
    nodes: tuple[str, ...]
    path: str


Part = Unit | Scope | Run


@dataclass(slots=True)
class _Tree:
    path: tuple[str, ...]
    use: Use | None = None
    items: list[str | _Tree] = field(default_factory=list)
    scopes: dict[str, _Tree] = field(default_factory=dict)


class Parts:
    """Makes the parts of a graph. `fuse` and `fold` can be left out for drawings of every layer."""

    def __init__(self, graph: Graph, fuse: bool = True, fold: bool = True) -> None:
        self.graph, self.fuse, self.fold = graph, fuse, fold
        self.results = {edge.node for edge in graph.outputs.values()}
        self._signs: dict[str, tuple[str, str]] = {}

    def root(self) -> tuple[Part, ...]:
        root = _Tree(())
        for node in self.graph.nodes.values():
            tree = root
            for depth, part in enumerate(node.scope):
                if part not in tree.scopes:
                    use = node.origin.uses[depth] if depth < len(node.origin.uses) else None
                    tree.scopes[part] = _Tree((*tree.path, part), use)
                    tree.items.append(tree.scopes[part])
                tree = tree.scopes[part]
            tree.items.append(node.name)
        return self._items(root, ())

    def role(self, name: str) -> str:
        return self.graph.nodes[name].layer.role

    def _items(self, tree: _Tree, uses: tuple[Use, ...]) -> tuple[Part, ...]:
        items: list[Part] = []
        for item in tree.items:
            if isinstance(item, str):
                items.append(Unit((item,), item))
            else:
                items += self._scope(item, uses)
        fused = self._fused(items) if self.fuse else items
        return self.folded(fused) if self.fold else tuple(fused)

    def _scope(self, tree: _Tree, outer: tuple[Use, ...]) -> tuple[Part, ...]:
        """One scope as parts of the outer: its own parts where it has only one, or is but a path into a merge."""
        uses = (*outer, tree.use) if tree.use else outer
        items = self._items(tree, uses)
        path = ".".join(tree.path)
        if self.fuse and (tree.use is not None and tree.use.kind == "path"):
            return items
        if self.fuse and len(items) == 1:
            (item,) = items
            if isinstance(item, Unit):
                return (Unit(item.nodes, path, item.head),)
            if isinstance(item, Scope):
                own = item.own + (tree.use is not None)
                return (Scope(item.nodes, path, item.items, item.uses, own),)
            if isinstance(item.members[0], Unit):
                return items
        nodes = tuple(name for item in items for name in item.nodes)
        return (Scope(nodes, path, items, uses, int(tree.use is not None)),)

    def _fused(self, items: list[Part]) -> list[Part]:
        """Strips join the op that they alone read; padding joins the op that alone reads it."""
        fused: list[Part] = []
        ends: dict[str, int] = {}
        for item in items:
            if isinstance(item, Unit):
                before = self._before(item)
                place = ends.get(before) if before else None
                if place is not None and isinstance(unit := fused[place], Unit) and self._joins(unit, item):
                    nodes = (*unit.nodes, *item.nodes)
                    head = unit.head if self.role(item.nodes[0]) in STRIPS else len(unit.nodes) + item.head
                    path = unit.path if self.role(item.nodes[0]) in STRIPS else item.path
                    fused[place] = Unit(nodes, path, head)
                    ends[nodes[-1]] = place
                    continue
                ends[item.nodes[-1]] = len(fused)
            elif isinstance(item, Run):
                ends.pop("", None)
            fused.append(item)
        return fused

    def _before(self, unit: Unit) -> str | None:
        inputs = self.graph.nodes[unit.nodes[0]].inputs
        if len(inputs) != 1 or inputs[0].node in self.results:
            return None
        before = inputs[0].node
        return before if len(self.graph.readers[before]) == 1 else None

    def _joins(self, unit: Unit, strip: Unit) -> bool:
        op = unit.nodes[unit.head]
        first = self.role(strip.nodes[0])
        if type(self.graph.nodes[op].layer).__name__.startswith("ZeroPadding"):
            return len(unit.nodes) == 1 and self.role(strip.nodes[strip.head]) in ("convolution", "pooling")
        bearer = self.role(op) in BEARERS or self.role(op) in STRIPS
        return bearer and first in STRIPS and all(self.role(name) in STRIPS for name in strip.nodes)

    def folded(self, items: Sequence[Part], loose: bool = False) -> tuple[Part, ...]:
        """Neighbours alike as runs: those with the same layers, or the same block and the same shape of result."""
        found: list[list[Part]] = []
        for item in items:
            if found and self._alike(found[-1], item, loose):
                found[-1].append(item)
            else:
                found.append([item])
        return tuple(run[0] if len(run) == 1 else self._run(run) for run in found)

    def _run(self, run: list[Part]) -> Run:
        members: list[Unit | Scope] = []
        for part in run:
            members += part.members if isinstance(part, Run) else (part,)
        nodes = tuple(name for member in members for name in member.nodes)
        return Run(tuple(members), nodes, members[0].path)  # type: ignore[arg-type]

    def _alike(self, run: list[Part], item: Part, loose: bool) -> bool:
        last: Part = run[-1]
        if loose and isinstance(last, Run):
            last = last.members[-1]
        item_first = item.members[0] if loose and isinstance(item, Run) else item
        if isinstance(last, Run) or isinstance(item_first, Run) or type(last) is not type(item_first):
            return False
        mine = set(item.nodes)
        if not any(
            reader in mine for part in reversed(run) for name in part.nodes for reader in self.graph.readers[name]
        ):
            return False
        if isinstance(last, Unit) and isinstance(item_first, Unit):
            bearer = self.role(last.nodes[last.head]) in BEARERS | {"pooling"}
            return bearer and self.signature(last)[0] == self.signature(item_first)[0]
        assert isinstance(last, Scope) and isinstance(item_first, Scope)
        if last.kind != item_first.kind:
            return self.signature(last) == self.signature(item_first)
        if self.signature(last) == self.signature(item_first):
            return True
        return loose or (self._result(last) == self._result(item_first) and self._within(last, item_first))

    def _within(self, one: Scope, other: Scope) -> bool:
        """Whether the layers of one, in order, are among those of the other."""
        short, long = sorted(
            ([type(self.graph.nodes[n].layer) for n in scope.nodes] for scope in (one, other)), key=len
        )
        rest = iter(long)
        return all(any(layer is candidate for candidate in rest) for layer in short)

    def _result(self, part: Part) -> object:
        return tuple(str(t) for t in self.graph.nodes[part.nodes[-1]].outputs)

    def signature(self, part: Part) -> tuple[str, str]:
        """Its layers with their arguments, and how they are wired."""
        key = f"{type(part).__name__} {part.path} {len(part.nodes)}"
        if key not in self._signs:
            places = {name: place for place, name in enumerate(part.nodes)}
            outside: dict[tuple[str, int], int] = {}
            wires = []
            for name in part.nodes:
                for edge in self.graph.nodes[name].inputs:
                    inner = places.get(edge.node)
                    number = outside.setdefault((edge.node, edge.index), len(outside)) if inner is None else inner
                    wires.append(f"{'o' if inner is None else 'i'}{number}:{edge.index}")
            layers = ";".join(layer_text(self.graph.nodes[name].layer) for name in part.nodes)
            self._signs[key] = (layers, " ".join(wires))
        return self._signs[key]


def flat(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts with all scopes opened; runs of scopes stay."""
    leaves: list[Part] = []
    for part in parts:
        leaves += flat(part.items) if isinstance(part, Scope) else (part,)
    return tuple(leaves)


def scopes(parts: Sequence[Part]) -> list[Scope]:
    """Every scope, outer ones first, those inside runs too."""
    found: list[Scope] = []
    for part in parts:
        if isinstance(part, Run):
            found += scopes(part.members)
        elif isinstance(part, Scope):
            found += [part, *scopes(part.items)]
    return found


def staged(scope: Scope) -> bool:
    """Whether it is a stage: one run of a block, which one row tells."""
    return len(scope.items) == 1 and isinstance(scope.items[0], Run) and isinstance(scope.items[0].members[0], Scope)
