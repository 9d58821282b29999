"""One panel in the making: parts become boxes and frames, tensors become edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from archspec.draw.labels import common_words, detail_words, formal_name, op_words, role_of, strip_text, types_text
from archspec.draw.model import Box, Edge, Group, Panel, Strip, Wire, boxes
from archspec.draw.parts import SYMBOLS, Part, Run, Scope, Unit, flat, staged
from archspec.graph.ir import Graph, Node
from archspec.graph.text import layer_text, value_text
from archspec.layers.base import default_name

if TYPE_CHECKING:
    from archspec.draw.fold import Maker


LONGEST_DETAIL = 18  # characters of a row's numbers


class Draft:
    """A panel in the making: which box each layer is in, which repeat of which frame."""

    def __init__(self, maker: Maker, id: str, micro: bool) -> None:
        self.maker, self.graph, self.id, self.micro = maker, maker.graph, id, micro
        self.box_of: dict[str, str] = {}
        self.repeat_of: dict[str, tuple[str, int]] = {}
        self.group_of: dict[str, tuple[str, ...]] = {}
        self.formals: dict[str, None] = {}
        self.partial: set[str] = set()
        self.member_of: dict[str, int] = {}  # which repeat of a row whose panel shows it

    def items(
        self, instances: list[list[Part]], firsts: list[int], environments: list[dict[str, float]], whole: bool, depth: int,  # noqa: E501
        home: tuple[str, ...] = (),
    ) -> tuple[Box | Group, ...]:  # fmt: skip
        found: list[Box | Group] = []
        for column in self.maker.columns(instances) if len(instances) > 1 else [[part] for part in instances[0]]:
            present = [part for part in column if part is not None]
            first = present[0]
            frame = isinstance(first, Scope) if whole else first.path in self.maker.framed and not self.micro
            if frame and not isinstance(first, Unit):
                found.append(self._frame(first, whole, depth, home))
                continue
            sample = [part for i in firsts if (part := column[i]) is not None] or [first]
            box = self._box(column, present, sample, environments if len(sample) == len(environments) else [], firsts)
            found.append(box)
            self.group_of[box.id] = home
        return tuple(found)

    def _frame(self, part: Scope | Run, whole: bool, depth: int, home: tuple[str, ...]) -> Group:
        members = (part,) if whole and isinstance(part, Scope) else self.maker.members(part)
        id = self._number("group")
        for number, member in enumerate(members):
            for name in member.nodes:
                self.repeat_of[name] = (id, number)
        leaves = [list(m.items) if whole and isinstance(m, Scope) else self.maker.leaves(m) for m in members]
        label, detail = names(part, self.graph)
        items = self.items(leaves, [0], [], whole, depth + 1, (*home, id))
        return Group(id, label, part.path, items, detail, len(members), _settings(part))

    def _number(self, kind: str) -> str:
        self.maker.number += 1
        return f"{kind}{self.maker.number}"

    def _box(
        self, column: Sequence[Part | None], present: list[Part], sample: list[Part], environments: list[dict[str, float]],  # noqa: E501
        firsts: list[int],
    ) -> Box:  # fmt: skip
        id = self._number("box")
        nodes = tuple(name for part in present for name in part.nodes)
        self.box_of.update(dict.fromkeys(nodes, id))
        partial = len(present) < len(column)
        if partial:
            self.partial.add(id)
        costs = [self.maker.costs[name] for name in nodes]
        own = [self.graph.nodes[name] for name in nodes]
        trained = [n for n, c in zip(own, costs, strict=True) if c.parameters_total]
        base = Box(
            id, "layer", "", "", partial=partial, where=_where(column, firsts) if partial else "", path=sample[0].path,
            layers=nodes, parameters=sum(c.parameters_total for c in costs), macs=sum(c.macs for c in costs),
            frozen=bool(trained) and not any(n.trainable for n in trained), shape=self._shape(sample),
        )  # fmt: skip
        first = sample[0]
        if isinstance(first, Run) and isinstance(first.members[0], Unit):
            base = replace(base, times=len(first.members))
            return self._unit(base, [p.members[0] if isinstance(p, Run) else p for p in sample], environments)
        if isinstance(first, Unit):
            return self._unit(base, sample, environments)
        return self._row(base, first)

    def _shape(self, sample: list[Part]) -> str:
        shapes = {types_text(self.graph.nodes[part.nodes[-1]].outputs) for part in sample}
        return shapes.pop() if len(shapes) == 1 and not self.micro else ""

    def _unit(self, base: Box, sample: Sequence[Part], environments: list[dict[str, float]]) -> Box:
        units = [part for part in sample if isinstance(part, Unit)]
        heads = [self.graph.nodes[unit.nodes[unit.head]] for unit in units]
        layer, kind = heads[0].layer, type(heads[0].layer).__name__
        settings = "\n".join(layer_text(self.graph.nodes[name].layer) for name in units[0].nodes)
        if kind == "InputLayer":
            return replace(
                base, kind="input", label=units[0].nodes[0].rsplit(".", 1)[-1], role="input", settings=settings
            )
        if kind in SYMBOLS:
            sign = {"Add": "+", "Multiply": "×", "Subtract": "-"}[kind]
            return replace(base, kind="symbol", label=sign, role="merge", settings=f"{settings} {base.shape}", shape="")
        if kind == "Concatenate":
            return replace(base, kind="bar", label="concat", role="merge", settings=settings)
        raw = self.maker.view.level == "raw"
        words = [op_words(node.layer, raw) for node in heads]
        if self.micro and layer.role == "convolution" and all(w.get("") == "conv" for w in words):
            words = [{field: word for field, word in w.items() if field} for w in words]  # the colour says it
        label, used = common_words(words, environments)
        self.formals.update(dict.fromkeys(used))
        strips = tuple(
            Strip(strip_text(self.graph.nodes[name].layer), self.graph.nodes[name].layer.role)
            for name in units[0].nodes[units[0].head + 1 :]
        )
        given = given_name(heads[0]) if self.maker.view.level in ("raw", "layers") else ""
        return replace(base, label=label, role=role_of(layer), strips=strips, settings=settings, name=given)

    def _row(self, base: Box, part: Part) -> Box:
        label, detail = names(part, self.graph)
        members = self.maker.members(part)
        kind = self.maker.kind_of(part)
        panel = self.maker.shown.get(kind, "") if not self.micro else ""
        times = len(members) or 1
        self.member_of.update({name: number for number, member in enumerate(members) for name in member.nodes})
        if panel and len(self.maker.shown) == 1:
            detail = detail.removeprefix(f"{kind[1].rsplit('.', 1)[-1]} ")  # the only panel says it
        if not panel:
            detail = detail_words([self.graph.nodes[u.nodes[u.head]].layer for u in _units(part)][:3]) or detail
        return replace(
            base,
            kind="block",
            label=label,
            role="block",
            detail=detail,
            times=times,
            panel=panel,
            settings=_settings(part),
        )

    def finished(self, items: tuple[Box | Group, ...], instances: list[tuple[str, ...]]) -> Panel:
        """The panel with the tensors' ways: between boxes, inside them, from one repeat to the next."""
        known = {box.id: box for box in boxes(items)}
        inner: dict[str, list[Wire]] = {}
        edges: dict[tuple[str, str], list[Wire]] = {}
        missing: list[tuple[str, str, Wire, set[str]]] = []
        points: dict[str, None] = {}
        for instance in instances:
            own = set(instance)
            present = {self.box_of[name] for name in instance}
            sources: dict[tuple[str, int], str] = {}
            for name in instance:
                for place, edge in enumerate(self.graph.nodes[name].inputs):
                    wire = (edge.node, edge.index, name, place)
                    head = self.box_of[name]
                    if edge.node not in own:
                        if self.micro:
                            point = sources.setdefault((edge.node, edge.index), f"{self.id}in{len(sources) + 1}")
                            points[point] = None
                            missing.append((point, head, wire, present))
                        continue
                    tail = self.box_of[edge.node]
                    here, there = self.repeat_of.get(edge.node), self.repeat_of.get(name)
                    if tail == head:
                        row = known[tail]
                        if not row.panel or self.member_of[edge.node] != self.member_of[name]:
                            inner.setdefault(tail, []).append(wire)
                    elif here and there and here[0] == there[0] and here[1] != there[1]:
                        inner.setdefault(here[0], []).append(wire)
                    else:
                        missing.append((tail, head, wire, present))
        heads: dict[str, list[str]] = {}
        ways: dict[tuple[str, str, int], tuple[str, str] | None] = {}
        for tail, head, wire, present in sorted(missing, key=lambda m: -len(m[3])):
            if (tail, head) not in edges and self.partial:
                asked = (tail, head, id(present))
                if asked not in ways:
                    ways[asked] = self._around(heads, tail, head, present)
                key = ways[asked] or (tail, head)
            else:
                key = (tail, head)
            if key not in edges:
                heads.setdefault(key[0], []).append(key[1])
            edges.setdefault(key, []).append(wire)
        entries = tuple(Box(point, "point", "", "fork") for point in points)
        lines = tuple(self._edge(key, wires, known) for key, wires in edges.items())
        lines = tuple(replace(line, wires=() if line.tail in points else line.wires) for line in lines)
        lines = tuple(sorted(lines, key=lambda line: line.kind != "main"))
        notes = tuple(dict.fromkeys(box.where for box in known.values() if box.where))
        results: tuple[Box, ...] = ()
        if not self.micro and self.maker.view.level in ("raw", "layers"):
            kept = {name: edge for name, edge in self.graph.outputs.items() if edge.node in self.box_of}
            results = tuple(Box(f"output{i}", "output", name, "output", path=name) for i, name in enumerate(kept))
            lines += tuple(
                Edge(self.box_of[edge.node], box.id, "main" if not self.graph.readers[edge.node] else "branch",
                     str(edge.index or "")) for box, edge in zip(results, kept.values(), strict=True)
            )  # fmt: skip
        filled = tuple(_with_inner(item, inner) for item in (*entries, *items, *results))
        chain = all(line.kind == "main" for line in lines)
        panel = Panel(self.id, filled, lines, formals=tuple(map(formal_name, self.formals)), notes=notes)
        return replace(panel, shape="column" if chain else "free")

    def _around(self, heads: dict[str, list[str]], tail: str, goal: str, present: set[str]) -> tuple[str, str] | None:
        """The first edge of a way that leads only through boxes that an instance lacks: its tensor takes it."""
        for first in heads.get(tail, ()):
            todo, seen = [first], {first}
            while todo:
                box = todo.pop()
                if box in present or box not in self.partial:
                    continue
                if goal in heads.get(box, ()):
                    return (tail, first)
                new = [head for head in heads.get(box, ()) if head not in seen]
                seen.update(new)
                todo += new
        return None

    def _edge(self, key: tuple[str, str], wires: list[Wire], known: dict[str, Box]) -> Edge:
        tail, head = key
        main = any(wire in self.maker.main for wire in wires)
        partial = tail in self.partial or head in self.partial
        symbol = known[head].kind == "symbol"
        kind = "main" if main else "residual" if symbol else "branch"
        index = {str(wire[1]) for wire in wires if wire[1]}
        return Edge(tail, head, kind, ",".join(sorted(index)) if tail in known else "", partial, tuple(wires))  # type: ignore[arg-type]


def _with_inner(item: Box | Group, inner: dict[str, list[Wire]]) -> Box | Group:
    own = tuple(inner.get(item.id, ()))
    if isinstance(item, Group):
        return replace(item, items=tuple(_with_inner(i, inner) for i in item.items), inner=own)
    return replace(item, inner=own)


def given_name(node: Node) -> str:
    """The name that the author gave a layer, where it is not the usual one."""
    own = node.name.rsplit(".", 1)[-1]
    usual = default_name(type(node.layer)).rstrip("0123456789")
    return "" if own.rstrip("0123456789").rstrip("_") == usual else own


def _units(part: Part) -> list[Unit]:
    return [
        m
        for leaf in flat((part,))
        for m in ((leaf,) if isinstance(leaf, Unit) else _units(leaf.members[0]) if isinstance(leaf, Run) else ())
    ]


def names(part: Part, graph: Graph) -> tuple[str, str]:
    """A row's bold name, and what it is made of: the block with its numbers."""
    own = part.path.rsplit(".", 1)[-1]
    scope = part
    if isinstance(scope, Scope) and staged(scope):
        (scope,) = scope.items
    member = scope.members[0] if isinstance(scope, Run) else scope
    if isinstance(scope, Run) and len(scope.members) > 1 and scope is part:
        own = own.rstrip("0123456789") or own
    if not isinstance(member, Scope) or not member.own:
        return own, ""
    uses = member.uses[: len(member.uses) - member.own + 1]
    values = {name: value for use in uses for name, value in use.variables if isinstance(value, int | float | str)}
    block = member.kind[1].rsplit(".", 1)[-1]
    numbers = ", ".join(
        f"/{value}" if name in ("stride", "strides") else f"{formal_name(name)}={value_text(value)}"
        for name, value in values.items()
        if not isinstance(value, bool) and name not in ("i", "depth", "level", "layer", "index")
        and not (name in ("stride", "strides") and value == 1)
    )  # fmt: skip
    head = block if block != own.rstrip("0123456789") and member.kind[0] == "block" else ""
    while numbers.count(",") and len(numbers) > LONGEST_DETAIL:
        numbers = numbers.rpartition(",")[0]  # the hover has them all
    return own, f"{head} {numbers}".strip()


def _settings(part: Part) -> str:
    scope = part.members[0] if isinstance(part, Run) else part
    use = scope.use if isinstance(scope, Scope) else None
    if use is None:
        return part.path
    values = [f"{name}={value_text(v)}" for name, v in use.variables if isinstance(v, str | int | float)]
    return f"{use.kind} {use.name}({', '.join(values)})"


def _where(column: Sequence[Part | None], firsts: list[int]) -> str:
    present = [i for i, part in enumerate(column) if part is not None]
    if present == [0] or present == sorted(firsts):
        return "only in the first of each ×n"
    if present == [len(column) - 1]:
        return "only in the last"
    return f"in {len(present)} of {len(column)}"


def environment(scope: Scope) -> dict[str, float]:
    """The numbers that the spec's names stand for where a scope is: the nearest loop's and block's arguments."""
    own = scope.uses[: len(scope.uses) - scope.own + 1]
    values = {name: value for use in own for name, value in use.variables}
    return {n: v for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool) and v}
