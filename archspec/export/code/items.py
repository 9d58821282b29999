"""What a body of code says line by line: layers, calls of functions, and loops of either."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archspec.export.code.formulas import written
from archspec.export.code.tree import Scope, in_order, layer_name, sources
from archspec.graph.ir import Edge, Graph, Node
from archspec.graph.weights import broadcasts
from archspec.layers.base import Layer, call_fields
from archspec.layers.formula import Formula
from archspec.layers.weight import Weight

if TYPE_CHECKING:
    from archspec.export.code.functions import Function

Key = str | int  # an argument's name, or the place of a number in a formula
LAST = "last"  # of a loop: the number of its last turn


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor within a body: an output of an item, or (item -1) one of the body's inputs."""

    item: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class Each:
    """An argument that has another value in each turn of a loop."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """The argument of a call for a parameter that a loop within the function goes through."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One line: `made` (a layer's class, or a function), called on tensors; what may differ between uses in `values`.

    `label` is its name below the body's. `again` is the item whose layer is called once more. In a loop, `{i}` stands
    in the label for the turn's number, which begins at `start`, and the inputs at `carried` are the turn's before.
    """

    made: type[Layer] | Function
    label: str
    inputs: tuple[tuple[str, Ref], ...]
    outputs: int
    values: Mapping[Key, Any]
    detail: Hashable = None  # what else decides what it is: a formula's text
    again: int | None = None
    shared: bool = False
    turn: int = 0  # the number of its turn where it stands in a loop of the spec's
    start: int | None = None
    carried: tuple[int, ...] = ()
    spelt: str = ""  # the label in the first of the uses, where its numbers are arguments

    @property
    def kind(self) -> Hashable:
        """What all uses of one function have in common in this line."""
        loop = (self.start, self.carried)
        return self.made, self.label, self.inputs, self.outputs, self.detail, self.again, loop, tuple(self.values)


@dataclass(eq=False)
class Body:
    """The lines of one scope. `inputs` are the tensors from outside, `outputs` what is read outside."""

    scope: Scope
    items: list[Item]
    inputs: list[Edge]
    outputs: list[Ref]
    edges: list[Edge]  # of the outputs
    function: Function | None = field(default=None)
    values: Mapping[Key, Any] = field(default_factory=dict)  # for the function's parameters

    @property
    def kind(self) -> Hashable:
        return self.scope.base, len(self.inputs), tuple(item.kind for item in self.items), tuple(self.outputs)


class Bodies:
    """Makes bodies; those of inner scopes must be there, with their functions, before those around them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made: dict[Scope, Body] = {}
        self.uses: dict[str, list[Node]] = {}  # of each Keras layer
        self.read: dict[Edge, list[str]] = {}
        for node in graph.nodes.values():
            self.uses.setdefault(layer_name(graph, node), []).append(node)
            for edge in sources(graph, node):
                self.read.setdefault(edge, []).append(node.name)
        self.results = set(graph.outputs.values())

    def body(self, scope: Scope, inputs: Sequence[Edge] = (), outputs: Sequence[Edge] | None = None) -> Body:
        """The scope's body. `inputs` come first among its inputs; `outputs` are those of the whole network."""
        children = in_order(self.graph, scope)
        assert len(children) == len(scope.children), f"{'.'.join(scope.path)} cannot be put in order"
        refs = {edge: Ref(-1, i) for i, edge in enumerate(inputs)}
        outside = list(inputs)
        items: list[Item] = []
        first: dict[str, int] = {}  # the item that makes each layer
        for child in children:
            for edge in self._needed(child):
                if edge not in refs:
                    refs[edge] = Ref(-1, len(outside))
                    outside.append(edge)
            if isinstance(child, Scope):
                items.append(self._call(child, scope, refs))
            else:
                items.append(self._layer(child, scope, refs, first))
                first.setdefault(layer_name(self.graph, child), len(items) - 1)
            for index, edge in enumerate(self._given(child)):
                refs[edge] = Ref(len(items) - 1, index)
        edges = list(outputs) if outputs is not None else self._leaving(scope)
        body = Body(scope, items, outside, [refs[edge] for edge in edges], edges)
        self.made[scope] = body
        return body

    def _needed(self, child: Node | Scope) -> Sequence[Edge]:
        return self.made[child].inputs if isinstance(child, Scope) else sources(self.graph, child)

    def _given(self, child: Node | Scope) -> Sequence[Edge]:
        if isinstance(child, Scope):
            return self.made[child].edges
        return [Edge(child.name, i) for i in range(len(child.outputs))]

    def _leaving(self, scope: Scope) -> list[Edge]:
        """What is read outside the scope."""
        inside = {node.name for node in scope.nodes()}
        edges = [Edge(node.name, i) for node in scope.nodes() for i in range(len(node.outputs))]
        return [
            edge
            for edge in edges
            if edge in self.results or any(reader not in inside for reader in self.read.get(edge, ()))
        ]

    def _call(self, child: Scope, scope: Scope, refs: Mapping[Edge, Ref]) -> Item:
        body = self.made[child]
        assert body.function is not None
        label = ".".join(child.layers[len(scope.layers) :])
        inputs = tuple(("", refs[edge]) for edge in body.inputs)
        turn = child.uses[0].iteration if child.uses else 0
        return Item(body.function, label, inputs, len(body.edges), body.values, turn=turn)

    def _layer(self, node: Node, scope: Scope, refs: Mapping[Edge, Ref], first: Mapping[str, int]) -> Item:
        layer, name = node.layer, layer_name(self.graph, node)
        values, detail = self._values(node, self.graph.nodes[name])
        inputs = tuple((p, refs[e]) for p, e in zip(_parameters(node), sources(self.graph, node), strict=True))
        uses = self.uses[name]
        here = sum(isinstance(child, Node) and child in uses for child in scope.children) if len(uses) > 1 else 1
        alone = here == len(uses)
        label = name[len(".".join(scope.layers)) :].removeprefix(".")
        again = first.get(name) if alone else None
        return Item(type(layer), label, inputs, len(node.outputs), values, detail, again, not alone)

    def _values(self, node: Node, owner: Node) -> tuple[dict[Key, Any], Hashable]:
        """The arguments, those of the call among them; a formula's numbers, and its text."""
        if isinstance(node.layer, Formula):
            text = written(node.layer, self.graph.input_types(node))
            values: dict[Key, Any] = {"dtype": node.layer.dtype, **dict(enumerate(text.numbers))}
            return values, replace(text, numbers=())
        layer = owner.layer
        own = call_fields(type(layer))
        values = {key: getattr(node.layer if key in own else layer, key) for key in type(layer).model_fields}
        values["trainable"] = owner.trainable
        if isinstance(layer, Weight):
            values["per_example"] = not all(broadcasts(self.graph, use) for use in self.uses[owner.name])
        return values, None


def _parameters(node: Node) -> tuple[str, ...]:
    return node.parameters or ("inputs",)
