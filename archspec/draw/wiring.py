"""The tensors of a panel: between its boxes, inside them, from one repeat to the next, from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from archspec.draw.lines import main_ways
from archspec.draw.model import Box, Edge, EdgeKind, Group, Wire
from archspec.graph.ir import Edge as Tensor
from archspec.graph.ir import Graph

Ends = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Homes:
    """Where each layer is: its box, which repeat of which frame, which repeat of a row that another panel shows."""

    box: dict[str, str] = field(default_factory=dict)
    repeat: dict[str, tuple[str, int]] = field(default_factory=dict)
    member: dict[str, int] = field(default_factory=dict)


class Wiring:
    """Tensors become edges. `instances` holds the layers of each use of the block, of the network itself just one."""

    def __init__(
        self, graph: Graph, homes: Homes, boxes: Mapping[str, Box], instances: Sequence[tuple[str, ...]], id: str,
        open: bool,
    ) -> None:  # fmt: skip
        self.graph, self.homes, self.boxes, self.id, self.open = graph, homes, boxes, id, open
        self.inner: dict[str, list[Wire]] = {}
        self.wires: dict[Ends, list[Wire]] = {}
        self.used: dict[Ends, set[int]] = {}  # by which instances, an edge that one goes around counts too
        self.around: set[str] = set()  # boxes in whose place other instances have the identity
        self.sources: dict[str, dict[Tensor, None]] = {}  # of the points where tensors enter
        self.taken: dict[tuple[str, int], str] = {}
        self.heads: dict[str, list[str]] = {}
        self.count = len(instances)
        present = [frozenset(homes.box[name] for name in instance) for instance in instances]
        for number in sorted(range(len(instances)), key=lambda i: -len(present[i])):
            self._instance(number, instances[number], present[number])
        for number, instance in enumerate(instances if self.partial else ()):
            self._leave(number, instance, present[number])
        self.joined = self._joined()

    @property
    def partial(self) -> set[str]:
        return {id for id, box in self.boxes.items() if box.partial}

    def _instance(self, number: int, names: tuple[str, ...], present: frozenset[str]) -> None:
        own = set(names)
        entering: dict[Tensor, list[tuple[str, Wire, tuple[str, int]]]] = {}
        counts: dict[str, int] = {}
        missing: list[tuple[str, str, Wire]] = []
        for name in names:
            head = self.homes.box[name]
            for place, tensor in enumerate(self.graph.nodes[name].inputs):
                wire = (tensor.node, tensor.index, name, place)
                if tensor.node in own:
                    if not self._inside(wire, head):
                        missing.append((self.homes.box[tensor.node], head, wire))
                elif self.open:
                    counts[head] = counts.get(head, -1) + 1
                    entering.setdefault(tensor, []).append((head, wire, (head, counts[head])))
        missing = [*self._entering(entering), *missing]
        for tail, head, wire in missing:
            self._connect(number, (tail, head), wire, present)

    def _inside(self, wire: Wire, head: str) -> bool:
        """Whether a tensor stays in a box or goes to the next repeat of a frame; then it is noted there."""
        tail, homes = self.homes.box[wire[0]], self.homes
        here, there = homes.repeat.get(wire[0]), homes.repeat.get(wire[2])
        if tail == head:
            if not self.boxes[tail].panel or homes.member[wire[0]] != homes.member[wire[2]]:
                self.inner.setdefault(tail, []).append(wire)
            return True
        if here and there and here[0] == there[0] and here[1] != there[1]:
            self.inner.setdefault(here[0], []).append(wire)
            return True
        return False

    def _entering(
        self, entering: Mapping[Tensor, list[tuple[str, Wire, tuple[str, int]]]]
    ) -> list[tuple[str, str, Wire]]:
        """Tensors from outside enter where those that other instances have in their place do, else where none does."""
        claimed = {self.taken[use] for uses in entering.values() for _, _, use in uses if use in self.taken}
        ways: list[tuple[str, str, Wire]] = []
        for tensor, uses in entering.items():
            known = [self.taken[use] for _, _, use in uses if use in self.taken]
            free = [point for point in self.sources if point not in claimed]
            own = known[0] if known else free[0] if free else f"{self.id}in{len(self.sources) + 1}"
            claimed.add(own)
            for head, wire, use in uses:
                point = self.taken.setdefault(use, own)
                self.sources.setdefault(point, {})[tensor] = None
                ways.append((point, head, wire))
        return ways

    def _connect(self, number: int, ends: Ends, wire: Wire, present: frozenset[str]) -> None:
        way = [ends]
        if ends not in self.wires:
            way = self._around(*ends, present) or way
        for one in way:
            if one not in self.wires:
                self.heads.setdefault(one[0], []).append(one[1])
                self.wires[one] = []
            self.used.setdefault(one, set()).add(number)
        self.wires[way[0]].append(wire)
        self.around.update(head for _, head in way[:-1])

    def _around(self, tail: str, goal: str, present: frozenset[str]) -> list[Ends]:
        """A way that leads only through boxes that an instance lacks: its tensor takes it."""
        todo: list[tuple[str, list[Ends]]] = [(tail, [])]
        seen = {tail}
        while todo:
            box, way = todo.pop()
            for head in self.heads.get(box, ()):
                if head == goal and way:
                    return [*way, (box, head)]
                if head not in seen and head not in present and self.boxes[head].partial:
                    seen.add(head)
                    todo.append((head, [*way, (box, head)]))
        return []

    def _leave(self, number: int, names: tuple[str, ...], present: frozenset[str]) -> None:
        """An instance whose result comes from before a dashed box goes there as others do."""
        own = set(names)
        for name in names:
            readers = self.graph.readers[name]
            if readers and all(reader in own for reader in readers):
                continue
            for head in self.heads.get(self.homes.box[name], ()):
                if head not in present and self.boxes[head].partial:
                    self.used[(self.homes.box[name], head)].add(number)

    # What comes of it

    def edges(self, main: set[Wire]) -> tuple[Edge, ...]:
        """The main way first: of the network, or of a block the longest through it."""
        ways = {ends for ends, wires in self.wires.items() if any(wire in main for wire in wires)}
        if self.open:
            inputs: dict[str, list[str]] = {id: [] for id in (*self.sources, *self.boxes)}
            for tail, head in self.wires:
                inputs[head].append(tail)
            ways = main_ways(inputs)
        found = [self._edge(ends, wires, ends in ways) for ends, wires in self.wires.items()]
        return tuple(sorted(found, key=lambda edge: edge.kind != "main"))

    def _edge(self, ends: Ends, wires: list[Wire], main: bool) -> Edge:
        tail, head = ends
        kind: EdgeKind = "main" if main else "residual" if self.boxes[head].kind == "symbol" else "branch"
        entering = tail in self.sources
        index = "" if entering else ",".join(sorted({str(wire[1]) for wire in wires if wire[1]}))
        partial = len(self.used[ends]) < self.count
        return Edge(tail, head, kind, index, partial, () if entering else tuple(wires))

    def _joined(self) -> dict[str, str]:
        """Points beside the first that lead to the same box alone are one: two masks, the memory and its mask."""
        chief: dict[str, str] = {}
        found: dict[str, str] = {}
        for point in list(self.sources)[1:]:
            ways = self.heads[point]
            kept = chief.setdefault(ways[0], point) if len(ways) == 1 else point
            if kept != point:
                found[point] = kept
                self.used[kept, ways[0]] |= self.used[point, ways[0]]
                del self.wires[point, ways[0]]
        return found

    def points(self) -> tuple[Box, ...]:
        """Where tensors enter, with names where there are several."""
        names: dict[str, str] = {}
        for id, sources in self.sources.items():
            names[id] = _distinct(self._name(list(sources), bool(names)), list(names.values()))
        kept = {id: [names[id]] for id in names if id not in self.joined}
        for id, other in self.joined.items():
            kept[other].append(names[id])
        return tuple(Box(id, "point", ", ".join(own) if len(names) > 1 else "", "fork") for id, own in kept.items())

    def _name(self, sources: list[Tensor], further: bool) -> str:
        """What enters: by the name that the spec gave the tensor, else its layer or scope; the first is just x."""
        known = {tensor: name for name, tensor in self.graph.tensors.items()}
        known |= {Tensor(name): name for name in self.graph.inputs}
        given = {_stem(known[source]) if source in known else "" for source in sources}
        if len(given) == 1 and "" not in given:
            return given.pop()
        if not further:
            return "x"
        stems = {_stem(source.node.split(".")[0]) for source in sources}
        return min(stems) if len(stems) == 1 else "y"


def _stem(name: str) -> str:
    return re.sub(r"_?\d+$", "", name) or name


def _distinct(name: str, others: Sequence[str]) -> str:
    number = 2
    found = name
    while found in others:
        found, number = f"{name}{number}", number + 1
    return found


def with_inner(item: Box | Group, inner: Mapping[str, Sequence[Wire]]) -> Box | Group:
    """A box or a group that knows the tensors that stay in it."""
    own = tuple(inner.get(item.id, ()))
    if isinstance(item, Group):
        return replace(item, items=tuple(with_inner(i, inner) for i in item.items), inner=own)
    return replace(item, inner=own)
