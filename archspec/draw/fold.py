"""Graph → figure: which parts become rows, frames and panels, so that a figure stays small and loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from archspec.analysis.cost import Cost, node_cost
from archspec.draw.columns import columns
from archspec.draw.draft import Draft
from archspec.draw.labels import types_text
from archspec.draw.lines import long_skips, main_wires
from archspec.draw.model import Figure, Level, Panel, boxes
from archspec.draw.parts import Parts
from archspec.draw.pieces import Part, Run, Scope, Unit, flat, followers, scopes, staged
from archspec.draw.words import attends, environment, members_of, varying
from archspec.graph.ir import Graph

Kind = tuple[str, str]

MOST_NODES = 25  # of a figure of blocks, that a column of a paper holds and a reader takes in
MOST_ROWS = 16
MOST_IN_OVERVIEW = 12
MANY = 100  # rows
LEAST_ROWS = 8
LEAST_NESTED = 6  # boxes that panels for what panels hold need
SMALL = 3  # parts of a block that is not worth a row
MOST_INSIDE = 12  # boxes of a panel; scopes inside open up to it
INLINE = 14  # networks of so few boxes are drawn whole
ROLES = (
    "convolution", "normalization", "activation", "pooling", "upsampling", "dense", "embedding", "attention",
    "recurrent", "block",
)  # fmt: skip


class FoldError(ValueError):
    """A level, a scope or a glob that matches nothing. The message says what there is."""


@dataclass(frozen=True, slots=True)
class View:
    """What of a network is shown. `block` names the block of level block; the globs are of scope paths."""

    level: Level = "blocks"
    block: str = ""
    only: str = ""
    expand: tuple[str, ...] = ()
    collapse: tuple[str, ...] = ()
    title: str = ""
    nodes: int = MOST_NODES
    rows: int = MOST_ROWS
    inline: int = INLINE
    frames: bool = True  # whether a block that one row stands for is drawn in its place


def figure(graph: Graph, view: View = View()) -> Figure:
    """The diagram of a graph."""
    raw, whole = view.level == "raw", view.level in ("raw", "layers")
    parts = Parts(graph, fuse=not raw, fold=not whole)
    root = parts.root()
    _check_globs(view, scopes(root))
    if view.only:
        root = _inside(root, view.only)
    maker = Maker(graph, parts, view)
    if view.level == "block":
        panels: tuple[Panel, ...] = (maker.block(root),)
    elif whole:
        panels = (maker.panel("macro", [root], whole=True),)
    else:
        panels = maker.blocks(root)
    roles = {
        role for panel in panels for box in boxes(panel.items) for role in (box.role, *(s.role for s in box.strips))
    }
    return Figure(graph.name, view.level, panels, tuple(role for role in ROLES if role in roles), view.title)


def _check_globs(view: View, found: list[Scope]) -> None:
    for glob in (*view.expand, *view.collapse):
        if not any(fnmatchcase(scope.path, glob) for scope in found):
            raise FoldError(f"no scope matches {glob!r}; there are {_some(sorted({s.path for s in found}))}")


def _inside(root: tuple[Part, ...], only: str) -> tuple[Part, ...]:
    found = scopes(root)
    for scope in found:
        if scope.path == only:
            return scope.items
    inside = [part for part in flat(root) if part.path == only or part.path.startswith(f"{only}.")]
    if inside:
        return tuple(inside)
    raise FoldError(f"there is no scope {only!r}; there are {_some([s.path for s in found])}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "none"


class Maker:
    """Makes panels. Keeps the numbers of boxes, and which kinds of scope have a panel."""

    def __init__(self, graph: Graph, parts: Parts, view: View) -> None:
        self.graph, self.parts, self.view = graph, parts, view
        self.fuses, self.opens = parts.fuse, True
        self.main = main_wires(graph)
        self.shown: dict[Kind, str] = {}
        self.stages: dict[Kind, Kind] = {}
        self.members: dict[Kind, list[Scope]] = {}
        self.firsts: dict[Kind, list[int]] = {}
        self.inside: dict[Kind, list[list[Part]]] = {}
        self.varying: dict[Kind, set[str]] = {}
        self.framed: set[str] = set()
        self._costs: dict[str, Cost] = {}
        self._number = 0

    def new_id(self, what: str) -> str:
        self._number += 1
        return f"{what}{self._number}"

    def cost(self, name: str) -> Cost:
        if name not in self._costs:
            self._costs[name] = node_cost(self.graph, self.graph.nodes[name])
        return self._costs[name]

    # What is drawn how

    def blocks(self, root: Sequence[Part]) -> tuple[Panel, ...]:
        overview = self.view.level == "overview"
        rows = self._opened(list(root), 0 if overview else self.view.inline)
        rows = self._shrunk(rows, min(self.view.rows, MOST_IN_OVERVIEW) if overview else self.view.rows)
        if not overview:
            rows = self._chosen(rows)
        micro = [self._micro(kind) for kind in self.shown]
        return (self._macro(rows), *micro)

    def block(self, root: Sequence[Part]) -> Panel:
        found = [scope for scope in scopes(root) if self.view.block in (*scope.blocks, scope.kind[1])]
        if not found:
            names = sorted({scope.kind[1] for scope in scopes(root)})
            raise FoldError(f"there is no block {self.view.block!r} of more than one box; there are {_some(names)}")
        kind = ("block", self.view.block)
        later = {id(part) for part in followers(root)}
        self._collect(kind, found, [i for i, scope in enumerate(found) if id(scope) not in later])
        self.shown[kind] = "block1"
        return self._micro(kind)

    def _chosen(self, rows: list[Part]) -> list[Part]:
        """Which kinds of block get a panel or a frame; the rows, fewer where the panels need the room."""
        self._collect_all(rows)
        sizes = {kind: self._boxes_of(kind) for kind in self.members}
        chief = [kind for kind, members in self.members.items() if self._share(members) >= 0.2 and sizes[kind] > 1]
        need = sum(sizes[kind] for kind in chief)
        sorts = any(members[0].sort for members in self.members.values())  # what they hold has as many sorts
        if len(chief) > 1 and not sorts and len(rows) + need > self.view.nodes:
            self.opens = False  # what they hold has panels of its own
            self._collect_all(rows)
            small = {kind: self._boxes_of(kind) for kind in self.members}
            if sum(small[kind] for kind in chief) + LEAST_ROWS + LEAST_NESTED <= self.view.nodes:
                sizes, need = small, self.view.nodes - LEAST_ROWS
            else:
                self.opens = True
                self._collect_all(rows)
        if chief and len(rows) + need > self.view.nodes and need + LEAST_ROWS <= self.view.nodes:
            kept = {id(row) for row in rows if self.kind_of(row) in chief}
            rows = self._merged(rows, self.view.nodes - need, kept)
        room = self.view.nodes - len(rows)
        alone = [row for row in rows if self.kind_of(row) in chief and len(members_of(row)) > 1]
        if self.view.frames and len(alone) == len(chief) == 1 and sizes[chief[0]] <= min(room + 1, MOST_INSIDE):
            self.framed.add(alone[0].path)
            room -= sizes[chief[0]] - 1
            sizes.pop(chief[0])
        for kind in sorted(sizes, key=lambda kind: (kind not in chief, -self._share(self.members[kind]))):
            if any(self.kind_of(row) == kind for row in rows) and 1 < sizes[kind] <= room:
                room -= sizes[kind]
                self.shown[kind] = f"block{len(self.shown) + 1}"
        self._nested(room)
        return rows

    def _nested(self, room: int) -> None:
        """Panels for what the chosen ones hold folded, while there is room."""
        found: dict[Kind, list[Scope]] = {}
        self.opens = True
        for kind in self.shown:
            for part in (part for parts in self.inside[kind] for part in parts):
                if members_of(part):
                    found.setdefault(self.kind_of(part), []).extend(members_of(part))
        for kind in sorted(found, key=lambda kind: (kind not in self.shown, -self._share(found[kind]))):
            known = kind in self.members
            before = self._boxes_of(kind) if kind in self.shown else 0
            self._collect(kind, [*self.members.get(kind, ()), *found[kind]], self.firsts[kind] if known else [0])
            size = self._boxes_of(kind)
            if kind in self.shown:
                room -= size - before
            elif 2 < size <= room:
                room -= size
                self.shown[kind] = f"block{len(self.shown) + 1}"

    def _share(self, members: Sequence[Scope]) -> float:
        return sum(len(member.nodes) for member in members) / len(self.graph.nodes)

    def _boxes_of(self, kind: Kind) -> int:
        return len(columns(self.inside[kind], self.graph))

    def _collect_all(self, rows: Sequence[Part]) -> None:
        """The uses of each kind that the rows stand for."""
        self.members = {}
        firsts: dict[Kind, list[int]] = {}
        every = [part for row in rows for part in (row.members if isinstance(row, Run) else (row,))]
        stages = [part for part in every if isinstance(part, Scope) and staged(part)]
        self.stages = {stage.kind: members_of(stage)[0].kind for stage in stages}
        for row in rows:
            if members_of(row) and not self._kept(row):
                kind = self.kind_of(row)
                firsts.setdefault(kind, []).append(len(self.members.get(kind, ())))
                self.members.setdefault(kind, []).extend(members_of(row))
        for kind, members in self.members.items():
            self._collect(kind, members, firsts[kind])

    def _collect(self, kind: Kind, members: list[Scope], firsts: list[int]) -> None:
        self.members[kind], self.firsts[kind] = members, firsts
        self.inside[kind] = self._insides(members)
        self.varying[kind] = varying(members)

    def kind_of(self, row: Part) -> Kind:
        """What its uses have a panel together as; a stage of one block counts as that block."""
        members = members_of(row)
        if not members or self._kept(row):
            return ("", row.path)
        other = self.stages.get(members[0].kind)
        return other if other and other[1] in members[0].blocks else members[0].kind

    def _insides(self, members: Sequence[Scope]) -> list[list[Part]]:
        """What a panel shows of each use: its parts, of which those open whose inside tells most."""
        largest = max(members, key=lambda member: len(member.nodes))
        open: set[Kind] = set()
        shown = self._with_open(largest, open)
        refused: set[Kind] = set()
        while True:
            choices = [
                part for part in shown
                if isinstance(part, Scope) and part.kind not in refused and not attends(part, self.graph)
            ]  # fmt: skip
            if not choices or not self.opens:
                return [self._with_open(member, open) for member in members]
            choice = min(choices, key=lambda part: (not self._sums(part), len(part.nodes)))
            opened = self._with_open(largest, open | {choice.kind})
            if len(opened) <= MOST_INSIDE:
                open, shown = open | {choice.kind}, opened
            else:
                refused.add(choice.kind)

    def _with_open(self, scope: Scope, open: set[Kind]) -> list[Part]:
        found: list[Part] = []
        for item in scope.items:
            if isinstance(item, Scope) and item.kind in open:
                found += self._with_open(item, open)
            elif isinstance(item, Scope) and attends(item, self.graph):
                found.append(Unit(item.nodes, item.path, len(item.nodes) - 1, (), item))
            else:
                found.append(item)
        return self.parts.fused(found)

    def _sums(self, scope: Scope) -> bool:
        return any(type(self.graph.nodes[name].layer).__name__ == "Add" for name in scope.nodes)

    # Rows of the macro view

    def _opened(self, rows: list[Part], inline: int) -> list[Part]:
        """Scopes opened while the figure stays small: all of a small network, else those that hold little or most."""
        if inline and self._size(rows) <= inline:
            opened = [part for row in rows for part in (flat((row,)) if not self._kept(row) else (row,))]
            return self.parts.fused(opened)
        while True:
            choice = self._choice(rows, inline)
            if choice is None:
                return self.parts.fused(rows)
            rows = [part for row in rows for part in (self._items(row) if id(row) in choice else (row,))]

    @staticmethod
    def _items(row: Part) -> tuple[Part, ...]:
        assert isinstance(row, Scope)
        return row.items

    def _choice(self, rows: list[Part], inline: int) -> set[int] | None:
        """The next rows to open: one alone of its kind, or all stages of a kind that hold more than a run of blocks."""
        kinds: dict[Kind, list[Scope]] = {}
        for row in rows:
            if isinstance(row, Scope) and not self._kept(row):
                kinds.setdefault(row.kind, []).append(row)
                if any(fnmatchcase(row.path, glob) for glob in self.view.expand):
                    return {id(row)}
        best: list[Scope] = []
        for alike in kinds.values():
            if len(alike) == 1:
                (row,) = alike
                small = len(flat(row.items)) <= SMALL * bool(inline)
                most = self.view.rows if inline and any(map(_repeats, flat(row.items))) else MOST_IN_OVERVIEW
                opens = small or (not staged(row) and len(rows) - 1 + len(row.items) <= most)
            else:
                stages = all(any(_repeats(item) for item in row.items) for row in alike)
                wider = len(rows) + sum(len(row.items) - 1 for row in alike)
                opens = bool(inline) and stages and not all(map(staged, alike)) and wider <= self.view.rows
            if opens and sum(len(row.nodes) for row in alike) > sum(len(row.nodes) for row in best):
                best = alike
        return {id(row) for row in best} or None

    def _kept(self, part: Part) -> bool:
        return any(fnmatchcase(part.path, glob) for glob in self.view.collapse)

    def _size(self, parts: Sequence[Part]) -> int:
        leaves = flat(parts)
        return sum(
            len(flat(leaf.members[0].items)) + 1 if isinstance(leaf, Run) and isinstance(leaf.members[0], Scope) else 1
            for leaf in leaves
        )

    def _shrunk(self, rows: list[Part], most: int) -> list[Part]:
        """At most so many rows: blocks of one kind fold whatever their settings, then small neighbours become one."""
        if len(rows) > most:
            rows = list(self.parts.folded(rows, loose=True))
        return self._merged(rows, most, set())

    def _merged(self, rows: list[Part], most: int, kept: set[int]) -> list[Part]:
        """Small neighbours as one row, those first that read each other."""
        rows, inputs = list(rows), set(self.graph.inputs)
        while len(rows) > max(most, MANY):  # in pairs at once, so that the cost does not grow with the square
            rows = [_joined(rows[i : i + 2]) for i in range(0, len(rows), 2)]
        while len(rows) > most:
            free = [id(row) not in kept and not inputs & set(row.nodes) for row in rows]
            pairs = [i for i in range(len(rows) - 1) if free[i] and free[i + 1]]
            if not pairs and kept:
                return rows
            place = min(pairs or range(len(rows) - 1), key=lambda i: self._cost_of_merging(rows[i], rows[i + 1]))
            rows[place : place + 2] = [_joined(rows[place : place + 2])]
        return rows

    def _cost_of_merging(self, one: Part, other: Part) -> tuple[bool, int]:
        mine = set(other.nodes)
        reads = any(reader in mine for name in one.nodes for reader in self.graph.readers[name])
        return (not reads, len(one.nodes) + len(other.nodes))

    # Panels

    def _macro(self, rows: Sequence[Part]) -> Panel:
        """The macro panel with its skips marked, and their shapes."""
        macro = self._skipping(self.panel("macro", [rows]))
        skips = long_skips(macro)
        if len(skips) > 1:
            macro = self._skipping(replace(macro, shape="u", levels=skips))
        return macro

    def _skipping(self, macro: Panel) -> Panel:
        order = {box.id: place for place, box in enumerate(boxes(macro.items))}
        lines = []
        for edge in macro.edges:
            far = order[edge.head] - order[edge.tail] > 2 or (edge.tail, edge.head) in macro.levels
            if edge.kind == "branch" and edge.wires and far:
                node, index = edge.wires[0][:2]
                carried = self.graph.nodes[node].outputs[index]
                edge = replace(edge, kind="skip", label=types_text((carried,)) if len(carried.shape) > 2 else "")
            lines.append(edge)
        return replace(macro, edges=tuple(lines))

    def _micro(self, kind: Kind) -> Panel:
        members = self.members[kind]
        panel = self.panel(self.shown[kind], self.inside[kind], self.firsts[kind], members)
        return replace(panel, title=kind[1].rsplit(".", 1)[-1], times=len(members))

    def panel(
        self, id: str, instances: Sequence[Sequence[Part]], firsts: Sequence[int] = (0,),
        members: Sequence[Scope] = (), whole: bool = False,
    ) -> Panel:  # fmt: skip
        """One panel: of the whole network, or of a block with all its uses."""
        draft = Draft(self, id, bool(members), whole)
        environments = [environment(members[i]) if members else {} for i in firsts]
        items = draft.items(instances, list(firsts), environments)
        return draft.finished(items, [tuple(n for part in parts for n in part.nodes) for parts in instances])


def _joined(rows: Sequence[Part]) -> Part:
    """One row for neighbours."""
    if len(rows) == 1:
        return rows[0]
    items = tuple(item for row in rows for item in _loose(row))
    return Scope(tuple(name for row in rows for name in row.nodes), items[0].path, items, (), 0)


def _loose(row: Part) -> tuple[Part, ...]:
    return row.items if isinstance(row, Scope) and not row.own else (row,)


def _repeats(part: Part) -> bool:
    return isinstance(part, Run) and isinstance(part.members[0], Scope)
