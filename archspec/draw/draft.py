"""One panel in the making: parts become boxes and frames, tensors become edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from archspec.draw.columns import Column, columns
from archspec.draw.entries import with_entries
from archspec.draw.labels import (
    common_words,
    formal_name,
    is_given,
    op_words,
    plain_text,
    range_text,
    strip_text,
    types_text,
)
from archspec.draw.model import Box, Edge, Group, Panel, Strip, boxes
from archspec.draw.parts import STRIPS, SYMBOLS
from archspec.draw.pieces import Part, Run, Scope, Unit
from archspec.draw.wiring import Homes, Wiring, with_inner
from archspec.draw.words import arguments, attends, contents, members_of, numbers, row_name, settings, where
from archspec.graph.ir import Node
from archspec.graph.text import layer_text

if TYPE_CHECKING:
    from archspec.draw.fold import Maker

Environments = list[dict[str, float]]
CROWDED = 6  # boxes of branches side by side, from which on labels say only what all uses share
SIGNS = {"Add": "+", "Multiply": "×", "Subtract": "-"}
assert set(SIGNS) == SYMBOLS


class Draft:
    """A panel in the making. `micro` says that it shows a block with all its uses, not the network."""

    def __init__(self, maker: Maker, id: str, micro: bool, whole: bool = False) -> None:
        self.maker, self.graph, self.id, self.micro, self.whole = maker, maker.graph, id, micro, whole
        self.homes = Homes()
        self.formals: dict[str, None] = {}
        self.crowded = False

    def items(
        self, instances: Sequence[Sequence[Part]], firsts: Sequence[int], environments: Environments
    ) -> tuple[Box | Group, ...]:
        """The boxes and frames of what stands side by side; `firsts` are the uses that labels are taken from."""
        found: list[Box | Group] = []
        side_by_side = columns(instances, self.graph)
        self.crowded = len(side_by_side) > CROWDED and any(map(self._joins, side_by_side))
        for column in side_by_side:
            first = next(part for part in column if part is not None)
            if not isinstance(first, Unit) and self._framed(first):
                found.append(self._frame(first))
            else:
                found.append(self._box(column, firsts, environments))
        return tuple(found)

    def _joins(self, column: Column) -> bool:
        part = next(part for part in column if part is not None)
        return type(self.graph.nodes[part.nodes[-1]].layer).__name__ == "Concatenate"

    def _framed(self, part: Scope | Run) -> bool:
        return isinstance(part, Scope) if self.whole else part.path in self.maker.framed and not self.micro

    def _frame(self, part: Scope | Run) -> Group:
        members = (part,) if self.whole and isinstance(part, Scope) else members_of(part)
        id = self.maker.new_id("group")
        for number, member in enumerate(members):
            self.homes.repeat.update(dict.fromkeys(member.nodes, (id, number)))
        inside = [list(m.items) for m in members] if self.whole else self.maker.inside[self.maker.kind_of(part)]
        block = self.maker.kind_of(part)[1].rsplit(".", 1)[-1] if members[0].blocks else ""
        label = row_name(part, self.graph)
        told = numbers(members[:1], arguments(members[0])) if self.whole else ""
        detail = f"{'' if _says(label, block) else block} {told}".strip()
        return Group(id, label, part.path, self.items(inside, [0], []), detail, len(members), settings(part))

    def _box(self, column: Column, firsts: Sequence[int], environments: Environments) -> Box:
        present = [part for part in column if part is not None]
        sample = [part for i in firsts if (part := column[i]) is not None] or present[:1]
        known = environments if len(sample) == len(environments) else []
        nodes = tuple(name for part in present for name in part.nodes)
        base = self._base(nodes, sample)
        self.homes.box.update(dict.fromkeys(nodes, base.id))
        if len(present) < len(column):
            base = replace(base, partial=True, where=where(column, firsts))
        first = sample[0]
        if isinstance(first, Unit) or isinstance(first.members[0] if isinstance(first, Run) else first, Unit):
            return self._counted(base, sample, present, known)
        return self._row(base, first, present)

    def _base(self, nodes: tuple[str, ...], sample: Sequence[Part]) -> Box:
        costs = [self.maker.cost(name) for name in nodes]
        trained = [self.graph.nodes[n] for n, c in zip(nodes, costs, strict=True) if c.parameters_total]
        return Box(
            self.maker.new_id("box"), "layer", "", "", path=sample[0].path, layers=nodes,
            parameters=sum(c.parameters_total for c in costs), macs=sum(c.macs for c in costs),
            frozen=bool(trained) and not any(n.trainable for n in trained), shape=self._shape(sample),
        )  # fmt: skip

    def _shape(self, sample: Sequence[Part]) -> str:
        ends = [part.nodes[0] if part.nodes[0] in self.graph.inputs else part.nodes[-1] for part in sample]
        shapes = {types_text(self.graph.nodes[end].outputs) for end in ends}
        return shapes.pop() if len(shapes) == 1 and not self.micro else ""

    # Boxes of layers

    def _counted(self, base: Box, sample: list[Part], present: list[Part], environments: Environments) -> Box:
        """One op, or as many alike as follow each other."""
        times = [len(part.members) if isinstance(part, Run) else 1 for part in sample]
        units = [part.members[0] if isinstance(part, Run) else part for part in sample]
        every = [m for part in present for m in (part.members if isinstance(part, Run) else (part,))]
        box = self._unit(
            base, [u for u in units if isinstance(u, Unit)], [u for u in every if isinstance(u, Unit)], environments
        )
        if len(set(times)) > 1:
            return replace(box, label=f"{box.label} (×{range_text(times)})")
        return replace(box, times=times[0])

    def _unit(self, base: Box, sample: list[Unit], every: list[Unit], environments: Environments) -> Box:
        heads = [self.graph.nodes[unit.nodes[unit.head]] for unit in sample]
        first, layer, kind = sample[0], heads[0].layer, type(heads[0].layer).__name__
        told = "\n".join(layer_text(self.graph.nodes[name].layer) for name in first.nodes)
        base = replace(base, settings=told, strips=self._strips(every))
        if first.block:
            label, detail = row_name(first.block, self.graph), contents(first.block, self.graph)
            told = settings(first.block)
            return replace(base, kind="block", label=label, role="attention", detail=detail, settings=told)
        if kind == "InputLayer":
            return replace(base, kind="input", label=first.nodes[0].rsplit(".", 1)[-1], role="input")
        if kind in SIGNS:
            return replace(base, kind="symbol", label=SIGNS[kind], role="merge", settings=f"{told} {base.shape}",
                           shape="", strips=())  # fmt: skip
        if kind == "Concatenate":
            return replace(base, kind="bar", label="concat", role="merge", strips=())
        if kind == "Weight" and len(first.nodes) > 1:
            sign = "concat" if type(self.graph.nodes[first.nodes[1]].layer).__name__ == "Concatenate" else "+"
            return replace(base, label=f"{sign} {plain_text(first.path, layer)}", role=layer.role, strips=())
        if self.maker.fuses and self.maker.parts.plain(first.nodes[first.head]):
            return replace(base, label=plain_text(first.path, layer), role=layer.role, strips=())
        given = given_name(heads[0]) if self.maker.view.level in ("raw", "layers") else ""
        return replace(base, label=self._label(heads, environments), role=layer.role, name=given)

    def _label(self, heads: list[Node], environments: Environments) -> str:
        words = [op_words(node.layer, self.maker.view.level == "raw") for node in heads]
        if self.micro and heads[0].layer.role == "convolution" and all(w.get("") == "conv" for w in words):
            words = [{field: word for field, word in w.items() if field} for w in words]  # the colour says it
        label, used = common_words(words, environments, self.crowded)
        self.formals.update(dict.fromkeys(used))
        return label

    def _strips(self, every: list[Unit]) -> tuple[Strip, ...]:
        """The strips of all uses; what some are dropped out with, others not, has a rate from 0 on."""
        found: dict[tuple[str, int], list[tuple[str, str]]] = {}
        for unit in every:
            seen: dict[str, int] = {}
            for role, kind, text in self._strips_of(unit):
                seen[kind] = seen.get(kind, 0) + 1
                found.setdefault((kind, seen[kind]), []).append((role, text))
        strips = []
        for entries in found.values():
            texts = list(dict.fromkeys(text for _, text in entries))
            rates = [float(text.rpartition(" ")[2]) for text in texts if _rated(text)]
            if rates and (len(texts) > 1 or len(entries) < len(every)):
                rates += [0.0] * (len(entries) < len(every))
                texts = [f"{texts[0].rpartition(' ')[0]} {range_text(rates)}"]
            strips.append(Strip(texts[0], entries[0][0]))
        return tuple(strips)

    def _strips_of(self, unit: Unit) -> list[tuple[str, str, str]]:
        paths = dict(unit.strips)
        found = []
        for name in unit.nodes[unit.head + 1 :]:
            layer = self.graph.nodes[name].layer
            if name in paths:
                found.append((layer.role, f"step {paths[name].rpartition('.')[2]}", plain_text(paths[name], layer)))
            elif layer.role in STRIPS:
                found.append((layer.role, type(layer).__name__, strip_text(layer)))
        return found

    # Rows

    def _row(self, base: Box, part: Part, present: Sequence[Part]) -> Box:
        kind = self.maker.kind_of(part)
        panel = self.maker.shown.get(kind, "")
        panel = "" if panel == self.id else panel
        for number, member in enumerate(member for one in present for member in members_of(one)):
            self.homes.member.update(dict.fromkeys(member.nodes, number))
        label, members = row_name(part, self.graph), members_of(part)
        if panel:
            title = kind[1].rsplit(".", 1)[-1]
            told = numbers(members, self.maker.varying.get(kind, ()))
            plain = _says(label, title) or (told and len(self.maker.shown) == 1)
            detail = told if plain else f"{title} {told}".strip()
        else:
            detail = contents(part, self.graph)
        if not panel and part.path.rpartition(".")[2].rstrip("0123456789") == "layers":
            label, detail = detail, ""  # a group without a name
        role = "attention" if attends(part, self.graph) else "block"
        return replace(base, kind="block", label=label, role=role, detail=detail, times=len(members) or 1,
                       panel=panel, settings=settings(part))  # fmt: skip

    # The panel

    def finished(self, items: tuple[Box | Group, ...], instances: Sequence[tuple[str, ...]]) -> Panel:
        """The panel with the tensors' ways."""
        known = {box.id: box for box in boxes(items)}
        wiring = Wiring(self.graph, self.homes, known, instances, self.id, self.micro)
        results, last = self._results()
        filled: tuple[Box | Group, ...] = tuple(with_inner(item, wiring.inner) for item in items)
        lines = wiring.edges(self.maker.main)
        if not self.whole:
            filled, lines = with_entries(filled, lines)
        filled, lines = (*wiring.points(), *filled, *results), (*lines, *last)
        chain = all(line.kind == "main" for line in lines)
        notes = _notes([replace(box, where=f"{box.where} (else identity)") if box.id in wiring.around else box
                        for box in known.values() if box.where])  # fmt: skip
        formals = tuple(map(formal_name, self.formals))
        return Panel(self.id, filled, lines, formals=formals, notes=notes, shape="column" if chain else "free")

    def _results(self) -> tuple[tuple[Box, ...], tuple[Edge, ...]]:
        """Of full views, the network's outputs."""
        if self.micro or self.maker.view.level not in ("raw", "layers"):
            return (), ()
        kept = {name: edge for name, edge in self.graph.outputs.items() if edge.node in self.homes.box}
        results = tuple(Box(f"output{i}", "output", name, "output", path=name) for i, name in enumerate(kept))
        edges = tuple(
            Edge(self.homes.box[edge.node], box.id, "branch" if self.graph.readers[edge.node] else "main",
                 str(edge.index or "")) for box, edge in zip(results, kept.values(), strict=True)
        )  # fmt: skip
        return results, edges


def _says(label: str, title: str) -> bool:
    """Whether a row's name is that of the panel, a number aside."""
    return label.rstrip("0123456789") == title.rstrip("0123456789") or label == title


def _rated(text: str) -> bool:
    return text.rpartition(" ")[2].replace(".", "", 1).isdigit()


def _notes(dashed: Sequence[Box]) -> tuple[str, ...]:
    """Where the dashed boxes are; which box, where they differ."""
    if len({box.where for box in dashed}) <= 1:
        return tuple(dict.fromkeys(box.where for box in dashed))
    return tuple(f"{box.label} {box.where}" for box in dashed)


def given_name(node: Node) -> str:
    """The name that the author gave a layer, where it is not the usual one."""
    return node.name.rsplit(".", 1)[-1] if is_given(node.name, node.layer) else ""
