"""A graph that is being rewritten: who reads whom, kept up to date by each rewrite at the cost of its size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from archspec.graph.ir import Edge, Graph, Node, owner
from archspec.layers.base import Layer, WeightSpec
from archspec.layers.core import InputLayer, Masking
from archspec.optimize.rewrite import Level, Rewrite
from archspec.tensor import TensorType

_Named = tuple[str, str]  # "output" or "tensor", and its name
_Places = dict[str, list[int]]  # where each reader of a node reads it: places among the reader's inputs


class Draft:
    """What a pass sees of the graph. Passes read it; only the driver calls `apply`.

    `nodes` holds the nodes by name; their order means nothing. `level` is the level of the optimisation. `keep` are the
    named tensors that must be there, as losses are taken of them: all of them while training, none afterwards, unless
    it is said. The others keep their names where they survive.
    """

    def __init__(self, graph: Graph, level: Level, keep: Collection[str] | None = None) -> None:
        self.level = level
        kept = (graph.tensors if level == "training" else ()) if keep is None else keep
        self._nodes = {
            n.name: replace(n, shares=owner(graph.nodes, n).name) if n.shares else n for n in graph.nodes.values()
        }
        self._outputs, self._tensors = dict(graph.outputs), dict(graph.tensors)
        self._graph = replace(graph, nodes=self._nodes)
        self._position: dict[str, float] = {name: i for i, name in enumerate(graph.nodes)}
        self._readers: dict[str, _Places] = {name: {} for name in graph.nodes}
        self._reads = dict.fromkeys(graph.nodes, 0)
        self._alike: dict[object, dict[str, None]] = {}
        self._sharers: dict[str, set[str]] = {}
        self._named: dict[str, set[_Named]] = {}
        self._loose: dict[str, set[_Named]] = {}
        self._masked: set[str] = set()
        for node in self._nodes.values():
            self._enter(node)
        for name, edge in graph.outputs.items():
            self._named.setdefault(edge.node, set()).add(("output", name))
        for name, edge in graph.tensors.items():
            named = self._named if name in kept else self._loose
            named.setdefault(edge.node, set()).add(("tensor", name))

    @property
    def nodes(self) -> Mapping[str, Node]:
        return self._nodes

    @property
    def inputs(self) -> tuple[str, ...]:
        return self._graph.inputs

    def type(self, edge: Edge) -> TensorType:
        return self._graph.type(edge)

    def input_types(self, node: Node) -> tuple[TensorType, ...]:
        return self._graph.input_types(node)

    def infer(self, node: Node) -> tuple[TensorType, ...]:
        """The node's outputs by its layer's rule; its inputs must be in the draft. Raises ShapeError."""
        return self._graph.infer(node)

    def weights(self, node: Node) -> tuple[WeightSpec, ...]:
        """The weights that the node makes; none where it shares another's."""
        return self._graph.weights(node)

    def macs(self, node: Node) -> int:
        return self._graph.macs(node)

    def producer(self, node: Node, index: int = 0) -> Node:
        """The node that makes an input."""
        return self._nodes[node.inputs[index].node]

    def readers(self, name: str) -> list[Node]:
        """The nodes that read any output of a node, each once."""
        return [self._nodes[reader] for reader in self._readers[name]]

    def reads(self, name: str) -> int:
        """How often the node's outputs are read by nodes; one that reads twice counts twice."""
        return self._reads[name]

    def alike(self, node: Node) -> Iterator[Node]:
        """The other nodes that may have the same layer and read the same tensors; those that do are among them."""
        return (self._nodes[name] for name in self._alike[_likeness(node)] if name != node.name)

    def sole_reader(self, name: str) -> Node | None:
        """The only reader, which reads once; None where there are others, or where the result must stay."""
        return None if self.open(name) else self.readers(name)[0]

    def with_sole(self, before: Node, node: Node) -> tuple[str, ...]:
        """The names of a node and of one that it reads; without the latter where others need that, too."""
        return (before.name, node.name) if self.sole_reader(before.name) else (node.name,)

    def kept(self, name: str) -> bool:
        """Whether a result of the node is an output or a tensor with a name of its own, so that it must be there."""
        return bool(self._named.get(name))

    def open(self, name: str) -> str | None:
        """Why the results of a node cannot be changed for one reader alone, for people; None where they can."""
        for kind, label in sorted(self._named.get(name, ())):
            return f"{name} is the output {label}" if kind == "output" else f"{name} is the named tensor {label}"
        reads = self.reads(name)
        return None if reads == 1 else f"{name} is read {reads} times"

    def sharers(self, name: str) -> frozenset[str]:
        """The other nodes that use the weights of a node, whether it makes them or not."""
        made_by = self._nodes[name].shares or name
        group = self._sharers.get(made_by)
        return frozenset((group | {made_by}) - {name}) if group else frozenset()

    def masked(self, name: str) -> bool:
        """Whether the node may read or make a tensor with an implicit mask of Keras's."""
        return name in self._masked or any(edge.node in self._masked for edge in self._nodes[name].inputs)

    def earlier(self, name: str, other: str) -> bool:
        """Whether one node stands before another in the graph's order."""
        return self._position[name] < self._position[other]

    def fresh(self, name: str, beside: Collection[str] = ()) -> str:
        """The name, with a number behind it where it is taken, in the graph or by one of those beside it."""
        number, found = 1, name
        while found in self._nodes or found in beside:
            number += 1
            found = f"{name}_{number}"
        return found

    def apply(self, rewrite: Rewrite) -> None:
        """Makes the change. Asserts that nothing is left that reads a tensor that went."""
        taken = {name: self._nodes[name] for name in rewrite.takes}
        position = max(self._position[name] for name in taken)
        outside = {r for name in taken for r in self._readers[name] if r not in taken}
        types = {edge: self.type(edge) for edge in rewrite.same}
        for node in taken.values():
            assert not isinstance(node.layer, InputLayer), f"{node.name} is an input of the network"
            self._leave(node)
        for index, node in enumerate(rewrite.puts):
            assert node.name not in self._nodes, f"{node.name} is there already"
            self._nodes[node.name] = node
            self._position[node.name] = self._position.get(node.name, position + index / (1 + len(rewrite.puts)))
            self._enter(node)
        for edge, stands in rewrite.same.items():
            assert self.type(stands) == types[edge], f"{edge} is {types[edge]}, {stands} is {self.type(stands)}"
        for name in outside:
            self._redirect(name, taken, rewrite.same)
        for name in rewrite.alters:
            self._rename(name, {})
        for name in taken:
            self._rename(name, rewrite.same)
            if name not in self._nodes:
                assert not self._readers.pop(name, None), f"{name} went, but is still read"
                self._position.pop(name)

    def order(self) -> list[str]:
        """The nodes in topological order: each where it stood, a new one where those were that it replaces."""
        ordered = dict.fromkeys(self.inputs)
        for name in sorted(self._nodes, key=self._position.__getitem__):
            waiting = [name]
            while waiting:
                missing = [n for n in dict.fromkeys(_needs(self._nodes[waiting[-1]])) if n not in ordered]
                if missing:
                    assert len(waiting) <= 8 * len(self._nodes), f"a rewrite made a circle through {name}"
                    waiting += reversed(missing)
                else:
                    ordered.setdefault(waiting.pop())
        return list(ordered)

    def frozen(self) -> Graph:
        """The graph as it is now."""
        nodes = {name: self._nodes[name] for name in self.order()}
        outputs, tensors = dict(self._outputs), dict(self._tensors)
        return replace(self._graph, nodes=nodes, outputs=outputs, tensors=tensors)

    def _enter(self, node: Node) -> None:
        self._readers.setdefault(node.name, {})
        self._reads.setdefault(node.name, 0)
        for place, edge in enumerate(node.inputs):
            self._read(node.name, place, edge)
        self._alike.setdefault(_likeness(node), {})[node.name] = None
        if node.shares:
            self._sharers.setdefault(node.shares, set()).add(node.name)
        if makes_mask(node.layer):
            self._masked.add(node.name)

    def _read(self, name: str, place: int, edge: Edge) -> None:
        self._readers.setdefault(edge.node, {}).setdefault(name, []).append(place)
        self._reads[edge.node] = self._reads.get(edge.node, 0) + 1
        if edge.node in self._masked:
            self._masked.add(name)

    def _forget(self, name: str, read: str) -> list[int]:
        """Where the node read another, which it does no longer."""
        places = self._readers[read].pop(name, [])
        self._reads[read] -= len(places)
        return places

    def _leave(self, node: Node) -> None:
        for edge in node.inputs:
            self._forget(node.name, edge.node)
        del self._alike[_likeness(node)][node.name]
        if node.shares:
            self._sharers[node.shares].discard(node.name)
        self._masked.discard(node.name)
        del self._nodes[node.name]

    def _redirect(self, name: str, taken: Iterable[str], same: Mapping[Edge, Edge]) -> None:
        """Lets a node read what stands for the tensors that it read of those that were taken."""
        node = self._nodes[name]
        inputs = list(node.inputs)
        for place in [place for gone in taken for place in self._forget(name, gone)]:
            edge = inputs[place] = same.get(inputs[place], inputs[place])
            assert edge.node in self._nodes, f"{name} reads {edge}, which went"
            self._read(name, place, edge)
        del self._alike[_likeness(node)][name]
        node = self._nodes[name] = replace(node, inputs=tuple(inputs))
        self._alike.setdefault(_likeness(node), {})[name] = None

    def _rename(self, name: str, same: Mapping[Edge, Edge]) -> None:
        """Lets outputs and named tensors of a node that went be those that stand for them."""
        for kind, label in self._named.pop(name, set()):
            edges = self._outputs if kind == "output" else self._tensors
            edge = edges[label] = same.get(edges[label], edges[label])
            assert edge.node in self._nodes, f"the {kind} {label} is {edge}, which went"
            self._named.setdefault(edge.node, set()).add((kind, label))
        for kind, label in self._loose.pop(name, set()):
            edge = self._tensors.pop(label)
            if edge in same:  # else nothing is left that has just these values
                self._tensors[label] = same[edge]
                self._loose.setdefault(same[edge].node, set()).add((kind, label))


def _likeness(node: Node) -> object:
    """What two nodes have in common that have the same layer and read the same tensors, found in constant time."""
    return type(node.layer), hash(node.layer), len(node.inputs), node.inputs[:1], node.inputs[-1:]


def makes_mask(layer: Layer) -> bool:
    """Whether the layer hands a mask on beside its tensor."""
    if isinstance(layer, Masking) or getattr(layer, "mask_zero", False):
        return True
    nested = getattr(layer, "layer", None)  # a wrapper's
    return isinstance(nested, Layer) and makes_mask(nested)


def _needs(node: Node) -> Iterator[str]:
    yield from (edge.node for edge in node.inputs)
    if node.shares:
        yield node.shares
