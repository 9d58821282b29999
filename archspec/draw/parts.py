"""A graph as nested parts: layers fused into units, scopes of the spec, repeats folded into runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from archspec.draw.labels import is_given, plain_text
from archspec.draw.pieces import Part, Run, Scope, Unit, staged
from archspec.draw.sorts import with_sorts
from archspec.graph.ir import Graph, Use
from archspec.graph.text import layer_text
from archspec.layers.formula import Formula

STRIPS = {"normalization", "activation", "regularization"}
BEARERS = {"convolution", "dense", "attention", "recurrent", "upsampling", "embedding"}
SYMBOLS = {"Add", "Multiply", "Subtract"}
RESHAPES, MOST_STRIPS = {"Reshape", "Permute", "Identity"}, 3
LONGEST_STRIP = 22  # characters
LEAST_OF_MODULE = 5  # parts of a block that is one whatever the channels of its result
LONGEST_PERIOD = 6  # of repeats that no loop of the spec tells


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
        self._signs: dict[tuple[str, ...], tuple[str, str]] = {}
        self._texts = {name: layer_text(node.layer) for name, node in graph.nodes.items()} if fold else {}

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

    def plain(self, name: str) -> bool:
        """Whether a layer only computes on what is there: a formula or a new shape."""
        layer = self.graph.nodes[name].layer
        return isinstance(layer, Formula) or type(layer).__name__ in RESHAPES

    def all_plain(self, nodes: Sequence[str]) -> bool:
        """Whether all do, dropout aside."""
        return self.plain(nodes[0]) and all(self.plain(n) or self.role(n) == "regularization" for n in nodes)

    # Scopes

    def _items(self, tree: _Tree, uses: tuple[Use, ...]) -> tuple[Part, ...]:
        items: list[Part] = []
        for item in tree.items:
            if isinstance(item, str):
                items.append(Unit((item,), item))
            else:
                items += self._scope(item, uses)
        fused = self.fused(items) if self.fuse else items
        return self.folded(with_sorts(fused, self.graph) if self.fuse else fused) if self.fold else tuple(fused)

    def _scope(self, tree: _Tree, outer: tuple[Use, ...]) -> tuple[Part, ...]:
        """One scope as parts of the outer: its own parts where it has only one, or is but a path into a merge."""
        uses = (*outer, tree.use) if tree.use else outer
        items = self._items(tree, uses)
        path = ".".join(tree.path)
        if self.fuse and (tree.use is not None and tree.use.kind == "path"):
            return items
        nodes = tuple(name for item in items for name in item.nodes)
        if self.fuse and self.all_plain(nodes):
            return (Unit(nodes, path),)
        if self.fuse and len(items) == 1:
            (item,) = items
            if isinstance(item, Unit):
                return (Unit(item.nodes, path, item.head, item.strips),)
            if isinstance(item, Scope):
                own = item.own + (tree.use is not None)
                return (Scope(item.nodes, path, item.items, item.uses, own),)
            if isinstance(item.members[0], Unit):
                return items
        return (Scope(nodes, path, items, uses, int(tree.use is not None)),)

    # Units

    def fused(self, items: Sequence[Part]) -> list[Part]:
        """Strips join the op that they alone read; padding joins the op that alone reads it."""
        fused: list[Part] = []
        ends: dict[str, int] = {}
        for item in self._with_weights(items):
            place = ends.get(before) if isinstance(item, Unit) and (before := self._before(item)) else None
            joined = None
            if place is not None and isinstance(item, Unit):
                unit = fused[place]
                assert isinstance(unit, Unit)
                joined = self._joined(unit, item)
            if place is None or joined is None:
                place = len(fused)
                fused.append(item)
            else:
                fused[place] = joined
            if isinstance(item, Unit):
                ends[item.nodes[-1]] = place
        return fused

    def _with_weights(self, items: Sequence[Part]) -> list[Part]:
        """Weights that one layer adds or joins to what it reads stand in its box: learned positions."""
        weights = {
            item.nodes[0]: item for item in items
            if isinstance(item, Unit) and len(item.nodes) == 1 and self._is(item.nodes[0], "Weight")
        }  # fmt: skip
        found: list[Part] = []
        joined: set[str] = set()
        for item in items:
            unit = self._weighted(item, weights) if weights and isinstance(item, Unit) else None
            joined.update(unit.nodes[:1] if unit else ())
            found.append(unit or item)
        return [item for item in found if not joined & set(item.nodes[:1]) or len(item.nodes) > 1]

    def _weighted(self, item: Unit, weights: Mapping[str, Unit]) -> Unit | None:
        name, inputs = item.nodes[0], self.graph.nodes[item.nodes[0]].inputs
        own = [edge.node for edge in inputs if edge.node in weights and len(self.graph.readers[edge.node]) == 1]
        merges = self.plain(name) or self._is(name, "Add", "Concatenate")
        if len(item.nodes) > 1 or len(own) != 1 or not merges or len(inputs) < 2:
            return None
        weight = weights[own[0]]
        path = item.path if self._named(item) or not self._named(weight) else weight.path
        return Unit((own[0], name), path, int(self.plain(name)))

    def _is(self, name: str, *classes: str) -> bool:
        return type(self.graph.nodes[name].layer).__name__ in classes

    def _before(self, unit: Unit) -> str | None:
        """The layer that the unit alone reads, and that it alone reads; an input may have other readers."""
        inputs = [edge for name in unit.nodes for edge in self.graph.nodes[name].inputs if edge.node not in unit.nodes]
        if len(inputs) != 1 or inputs[0].node in self.results:
            return None
        before = inputs[0].node
        alone = len(self.graph.readers[before]) == 1
        return before if alone or (self.plain(unit.nodes[0]) and before in self.graph.inputs) else None

    def _joined(self, unit: Unit, item: Unit) -> Unit | None:
        """One unit for two, or None where they stay apart."""
        op, first = unit.nodes[unit.head], item.nodes[0]
        nodes = (*unit.nodes, *item.nodes)
        if type(self.graph.nodes[op].layer).__name__.startswith("ZeroPadding"):
            pads = len(unit.nodes) == 1 and self.role(item.nodes[item.head]) in ("convolution", "pooling")
            return Unit(nodes, item.path, 1 + item.head, item.strips) if pads else None
        if item.block:
            return None
        follows = self.all_plain(item.nodes) or self.role(first) == "regularization"
        if unit.block is None and self.all_plain(unit.nodes) and follows:
            named = item if self._named(item) or not self._named(unit) else unit
            return Unit(nodes, named.path, 0 if named is unit else len(unit.nodes) + item.head, ())
        bears = unit.block is not None or self.role(op) in BEARERS or self.role(op) in STRIPS
        drops = self.role(op) == "pooling" and self.role(first) == "regularization"
        if (bears or drops) and all(self.role(name) in STRIPS for name in item.nodes):
            return Unit(nodes, unit.path, unit.head, unit.strips, unit.block)
        steps = self.all_plain(item.nodes) or (self._is(item.nodes[0], "Weight") and bears)
        if (bears or self.role(op) == "input") and steps and self._fits(unit, item):
            return Unit(nodes, unit.path, unit.head, (*unit.strips, (first, item.path)), unit.block)
        return None

    def _named(self, unit: Unit) -> bool:
        return is_given(unit.path, self.graph.nodes[unit.nodes[unit.head]].layer)

    def _fits(self, unit: Unit, item: Unit) -> bool:
        text = plain_text(item.path, self.graph.nodes[item.nodes[item.head]].layer)
        own = [name for name in unit.nodes[unit.head + 1 :] if not self.plain(name)]
        return len(text) <= LONGEST_STRIP and len(own) + len(unit.strips) < MOST_STRIPS

    # Runs

    def folded(self, items: Sequence[Part], loose: bool = False) -> tuple[Part, ...]:
        """Neighbours alike as runs: those with the same layers, or the same block and alike results."""
        found: list[list[Part]] = []
        for item in items:
            if found and self._alike(found[-1][-1], item, loose):
                found[-1].append(item)
            else:
                found.append([item])
        runs = [run[0] if len(run) == 1 else self._run(run) for run in found]
        return tuple(self._periodic(runs) if self.fuse else runs)

    def _run(self, run: Sequence[Part]) -> Run:
        members: list[Unit | Scope] = []
        for part in run:
            members += part.members if isinstance(part, Run) else (part,)
        nodes = tuple(name for member in members for name in member.nodes)
        return Run(tuple(members), nodes, members[0].path)  # type: ignore[arg-type]

    def _periodic(self, items: list[Part]) -> list[Part]:
        """Several parts that come again and again as a run of scopes: repeats written out, or inside merges."""
        signs = [self.signature(item)[0] for item in items] if len(items) >= 2 * 2 else []
        found: list[Part] = []
        place = 0
        while place < len(items):
            period, times = _repeat(signs, place)
            end = place + period * times
            if times < 3 or not any(self._adds(item) for item in items[place : place + period]):
                found += items[place:end]
                place = end
                continue
            scopes = []
            for start in range(place, end, period):
                own = tuple(items[start : start + period])
                nodes = tuple(name for item in own for name in item.nodes)
                outer, within = own[-1].path.rpartition(".")[0], own[0].path.rpartition(".")[0]
                path = own[-1].path if within == outer else within
                scopes.append(Scope(nodes, path, own, (Use("group", _stem(path), None),), 1))
            found.append(self._run(scopes))
            place = end
        return found

    def _adds(self, part: Part) -> bool:
        return isinstance(part, Unit) and type(self.graph.nodes[part.nodes[0]].layer).__name__ == "Add"

    def _alike(self, last: Part, item: Part, loose: bool) -> bool:
        if loose:
            last = last.members[-1] if isinstance(last, Run) else last
        first = item.members[0] if loose and isinstance(item, Run) else item
        if isinstance(last, Run) or isinstance(first, Run) or type(last) is not type(first):
            return False
        mine = set(first.nodes)
        if not any(reader in mine for name in last.nodes for reader in self.graph.readers[name]):
            return False
        if isinstance(last, Unit) and isinstance(first, Unit):
            bearer = self.role(last.nodes[last.head]) in BEARERS | {"pooling"}
            return bearer and self._undropped(last) == self._undropped(first)
        assert isinstance(last, Scope) and isinstance(first, Scope)
        if last.stem != first.stem and last.kind[0] != "block":
            return False
        if self.signature(last) == self.signature(first):
            return True
        if last.kind != first.kind or _entries(self.signature(last)) != _entries(self.signature(first)):
            return False
        whole = not (self._module(last) and self._module(first))
        return loose or (self._shape(last, whole) == self._shape(first, whole) and self._within(last, first))

    def _undropped(self, unit: Unit) -> list[str]:
        """Its layers with their arguments, whatever is dropped out after them."""
        return [self._texts[name] for name in unit.nodes if self.role(name) != "regularization"]

    def _within(self, one: Scope, other: Scope) -> bool:
        """Whether the layers of one, in order, are among those of the other."""
        kinds = [[type(self.graph.nodes[n].layer) for n in scope.nodes] for scope in (one, other)]
        short, long = sorted(kinds, key=len)
        rest = iter(long)
        return all(any(layer is candidate for candidate in rest) for layer in short)

    def _module(self, part: Scope) -> bool:
        """Whether it is a block that is one whatever the channels of its result."""
        return part.kind[0] == "block" and not staged(part) and len(part.items) >= LEAST_OF_MODULE

    def _shape(self, part: Scope, whole: bool) -> object:
        types = self.graph.nodes[part.nodes[-1]].outputs
        return tuple(t.shape if whole else t.shape[:-1] for t in types)

    def signature(self, part: Part) -> tuple[str, str]:
        """Its layers with their arguments, and how they are wired."""
        if part.nodes not in self._signs:
            places = {name: place for place, name in enumerate(part.nodes)}
            outside: dict[tuple[str, int], int] = {}
            wires = []
            for name in part.nodes:
                for edge in self.graph.nodes[name].inputs:
                    inner = places.get(edge.node)
                    number = outside.setdefault((edge.node, edge.index), len(outside)) if inner is None else inner
                    wires.append(f"{'o' if inner is None else 'i'}{number}:{edge.index}")
            layers = ";".join(self._texts[name] for name in part.nodes)
            self._signs[part.nodes] = (layers, " ".join(wires))
        return self._signs[part.nodes]


def _entries(signature: tuple[str, str]) -> int:
    """How many tensors come from outside."""
    return len(set(re.findall(r"o\d+:\d+", signature[1])))


def _repeat(signs: list[str], place: int) -> tuple[int, int]:
    """The period that covers most from here on, and how often it comes."""
    best = (1, 1)
    for period in range(2, min(LONGEST_PERIOD, (len(signs) - place) // 2) + 1):
        times = 1
        sample = signs[place : place + period]
        while signs[place + times * period : place + (times + 1) * period] == sample:
            times += 1
        if times > 1 and times * period > best[0] * best[1]:
            best = (period, times)
    return best


def _stem(path: str) -> str:
    return re.sub(r"_?\d+$", "", path.rsplit(".", 1)[-1])
