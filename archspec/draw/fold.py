"""Graph → figure: which parts become rows, frames and panels, so that a figure stays small and loses nothing."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from archspec.analysis.cost import node_cost
from archspec.draw.draft import Draft, environment
from archspec.draw.labels import types_text
from archspec.draw.lines import long_skips, main_wires
from archspec.draw.model import Edge, Figure, Level, Panel, boxes
from archspec.draw.parts import Part, Parts, Run, Scope, Unit, flat, scopes, staged
from archspec.graph.ir import Graph

MOST_NODES = 25  # of a figure of blocks, that a column of a paper holds and a reader takes in
MOST_ROWS = 16
MOST_IN_OVERVIEW = 12
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
        panels = (maker.panel("macro", [list(root)], whole=True),)
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
        self.main = main_wires(graph)
        self.costs = {name: node_cost(graph, node) for name, node in graph.nodes.items()}
        self.shown: dict[tuple[str, str], str] = {}
        self.framed: set[str] = set()
        self.number = 0

    # What is drawn how

    def blocks(self, root: Sequence[Part]) -> tuple[Panel, ...]:
        overview = self.view.level == "overview"
        rows = self._opened(list(root), 0 if overview else self.view.inline)
        rows = self._shrunk(rows, MOST_IN_OVERVIEW if overview else self.view.rows)
        kinds = {} if overview else self._kinds(rows)
        room = self.view.nodes - len(rows)
        chosen: list[tuple[str, str]] = []
        for kind, members in sorted(kinds.items(), key=lambda pair: -sum(len(m.nodes) for m in pair[1])):
            size = min(len(self.columns([self.leaves(m) for m in members])), MOST_NODES)
            if size < 2 or size > room:
                continue
            room -= size
            single = [row for row in rows if kind == self.kind_of(row)]
            if (
                self.view.frames
                and len(single) == 1
                and size <= 12
                and not isinstance(single[0], Unit)
                and not self.framed
            ):  # noqa: E501, RUF100
                self.framed.add(single[0].path)
                room += 1
            else:
                chosen.append(kind)
                self.shown[kind] = f"block{len(chosen)}"
        micro = [self._micro(kind, kinds[kind], rows) for kind in chosen]
        macro = self.skipped(self.panel("macro", [list(rows)]))
        skips = long_skips(macro)
        if len(skips) > 1:
            edges = tuple(self._skip(e) if (e.tail, e.head) in skips else e for e in macro.edges)
            macro = replace(macro, edges=edges, shape="u", levels=skips)
        return (macro, *micro)

    def skipped(self, macro: Panel) -> Panel:
        """The macro panel with its skips marked, and their shapes."""
        order = {box.id: place for place, box in enumerate(boxes(macro.items))}
        lines = []
        for edge in macro.edges:
            if edge.kind == "branch" and edge.wires and order[edge.head] - order[edge.tail] > 2:
                edge = self._skip(edge)
            lines.append(edge)
        return replace(macro, edges=tuple(lines))

    def _skip(self, edge: Edge) -> Edge:
        node, index = edge.wires[0][:2]
        return replace(edge, kind="skip", label=types_text((self.graph.nodes[node].outputs[index],)))

    def block(self, root: Sequence[Part]) -> Panel:
        found = [s for s in scopes(root) if s.kind[1] == self.view.block]
        if not found:
            raise FoldError(
                f"there is no block {self.view.block!r} of more than one box;"
                f" there are {_some(sorted({s.kind[1] for s in scopes(root)}))}"
            )
        return self._micro(found[0].kind, found, [])

    def _opened(self, rows: list[Part], inline: int) -> list[Part]:
        """Scopes opened while the figure stays small: all of a small network, else those that hold little or most."""
        keep = self._kept
        if inline and self._size(rows) <= inline:
            return [part for row in rows for part in (flat((row,)) if not keep(row) else (row,))]
        while True:
            kinds = [self.kind_of(row) for row in rows]
            choices = [
                row for row, kind in zip(rows, kinds, strict=True)
                if isinstance(row, Scope) and not keep(row)
                and (
                    any(fnmatchcase(row.path, glob) for glob in self.view.expand)
                    or (len(flat(row.items)) <= 2 * bool(inline) and kinds.count(kind) == 1 and not staged(row))
                    or (kinds.count(kind) == 1 and len(rows) - 1 + len(row.items) <= MOST_IN_OVERVIEW and not staged(row))  # noqa: E501
                )
            ]  # fmt: skip
            if not choices:
                return rows
            choice = max(choices, key=lambda part: len(part.nodes))
            place = rows.index(choice)
            rows = [*rows[:place], *choice.items, *rows[place + 1 :]]

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
        while len(rows) > most:
            inputs = set(self.graph.inputs)
            pairs = [i for i in range(len(rows) - 1) if not inputs & {*rows[i].nodes, *rows[i + 1].nodes}]
            place = min(pairs or range(len(rows) - 1), key=lambda i: len(rows[i].nodes) + len(rows[i + 1].nodes))
            both = (*self._loose(rows[place]), *self._loose(rows[place + 1]))
            nodes = (*rows[place].nodes, *rows[place + 1].nodes)
            rows[place : place + 2] = [Scope(nodes, both[0].path, both, (), 0)]
        return rows

    @staticmethod
    def _loose(row: Part) -> tuple[Part, ...]:
        return row.items if isinstance(row, Scope) and not row.own else (row,)

    def members(self, row: Part) -> tuple[Scope, ...]:
        """The scopes whose inside a row stands for."""
        if isinstance(row, Scope) and staged(row):
            (row,) = row.items
        if isinstance(row, Run):
            return tuple(member for member in row.members if isinstance(member, Scope))
        return (row,) if isinstance(row, Scope) and row.own else ()

    def kind_of(self, row: Part) -> tuple[str, str]:
        members = self.members(row)
        return members[0].kind if members and not self._kept(row) else ("", row.path)

    def _kinds(self, rows: Sequence[Part]) -> dict[tuple[str, str], list[Scope]]:
        kinds: dict[tuple[str, str], list[Scope]] = {}
        for row in rows:
            if self.members(row) and not self._kept(row):
                kinds.setdefault(self.kind_of(row), []).extend(self.members(row))
        return kinds

    def leaves(self, scope: Scope) -> list[Part]:
        """What a panel shows of a scope: everything while that is little, else its own parts."""
        leaves = list(flat(scope.items))
        return leaves if len(leaves) <= 14 else list(scope.items)

    # Boxes of parts that stand for each other

    def columns(self, instances: Sequence[Sequence[Part]]) -> list[list[Part | None]]:
        """The parts of instances side by side: each column holds what stands for the same, or None."""
        order = sorted(range(len(instances)), key=lambda i: -len(instances[i]))
        columns: list[list[Part | None]] = []
        keys: list[str] = []
        for number in order:
            own = [self._key(part) for part in instances[number]]
            place = 0
            for tag, a, b, c, d in difflib.SequenceMatcher(None, keys, own, autojunk=False).get_opcodes():
                if tag == "equal":
                    for k in range(b - a):
                        columns[a + k + place][number] = instances[number][c + k]
                else:
                    new: list[list[Part | None]] = [[None] * len(instances) for _ in range(c, d)]
                    for k, column in enumerate(new):
                        column[number] = instances[number][c + k]
                    columns[b + place : b + place] = new
                    place += d - c
            keys = [self._key(next(part for part in column if part is not None)) for column in columns]
        return columns

    def _key(self, part: Part) -> str:
        if isinstance(part, Unit):
            return ",".join(self._class(name) for name in part.nodes if not self._class(name).startswith("ZeroPadding"))
        if isinstance(part, Run):
            return self._key(part.members[0])
        return "/".join(part.kind)

    def _class(self, name: str) -> str:
        return type(self.graph.nodes[name].layer).__name__

    def _micro(self, kind: tuple[str, str], members: list[Scope], rows: Sequence[Part]) -> Panel:
        title = kind[1].rsplit(".", 1)[-1]
        firsts = [self.members(row)[0] for row in rows if self.kind_of(row) == kind] or members[:1]
        id = self.shown.get(kind, "block1")
        panel = self.panel(
            id, [self.leaves(m) for m in members], firsts=[members.index(f) for f in firsts], members=members
        )
        return replace(panel, title=title, times=len(members))

    def panel(
        self, id: str, instances: list[list[Part]], firsts: Sequence[int] = (0,),
        members: Sequence[Scope] = (), whole: bool = False,
    ) -> Panel:  # fmt: skip
        """One panel: of the whole network, or of a block with all its uses."""
        draft = Draft(self, id, bool(members))
        environments = [environment(members[i]) if members else {} for i in firsts]
        items = draft.items(instances, list(firsts), environments, whole, 0)
        return draft.finished(items, [tuple(n for part in parts for n in part.nodes) for parts in instances])
