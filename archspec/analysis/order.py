"""The order in which Keras runs a network's layers, and one in which they take less memory.

What is counted is what is alive of tensors while one example runs forward, as in `analysis.training`: a reshaped tensor
is its input's memory. A weight that stands as a tensor of its own is counted from its first reader on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archspec.analysis.schedule import Problem, Tensor, peak_of, schedule
from archspec.analysis.training import roots, tensor_bytes
from archspec.graph.ir import Edge, Graph, Node
from archspec.layers.base import tensor_parameters


@dataclass(frozen=True)
class Order:
    """Nodes as they run, inputs first, and the most bytes alive at once for one example.

    `exact`: no order has a lower peak. Nodes that no output needs do not run.
    """

    names: tuple[str, ...]
    peak_bytes: int
    exact: bool


@dataclass(frozen=True)
class Orders:
    """Keras's order, and the best that was found; the same where that is no better."""

    keras: Order
    best: Order


def orders(graph: Graph, precision: str = "float32") -> Orders:
    """Both orders. `precision` is `run.precision`, which says what a number takes."""
    names = keras_order(graph)
    tasks = _Tasks(graph, names, precision)
    found = schedule(tasks.problem)
    own = peak_of(tasks.problem, range(tasks.problem.tasks))
    keras = Order(names, own, found.exact and found.peak == own)
    if found.peak == own:
        return Orders(keras, keras)
    return Orders(keras, Order(tuple(tasks.names(found.order)), found.peak, found.exact))


def keras_order(graph: Graph) -> tuple[str, ...]:
    """The order in which a functional model of Keras 3.15 runs its layers (`keras.src.ops.function.map_graph`).

    By the longest way to an output, the longest first: so branches run abreast, each layer of one before the next layer
    of another. Layers at one distance stand as a search from the outputs backward meets them.
    """
    parents = {name: _parents(graph, node) for name, node in graph.nodes.items()}
    distance: dict[str, int] = {}
    of_layer: dict[str, int] = {}
    owners = _owners(graph)
    for name in reversed(_backward(graph, parents)):
        depth = max(distance.setdefault(name, 0), of_layer.get(owners[name], 0))
        distance[name] = of_layer[owners[name]] = depth  # a layer used twice has the larger one
        for parent in parents[name]:
            distance[parent] = max(depth + 1, distance.get(parent, 0))
    ran = sorted((name for name in distance if name not in graph.inputs), key=lambda name: -distance[name])
    return (*graph.inputs, *ran)


def _owners(graph: Graph) -> Mapping[str, str]:
    owners: dict[str, str] = {}
    for name, node in graph.nodes.items():
        owners[name] = owners[node.shares] if node.shares else name
    return owners


def _parents(graph: Graph, node: Node) -> Sequence[str]:
    """The nodes read, in the order of the call: the first parameter, then the others by name. A weight is called on
    the first input, for the batch."""
    if not node.inputs:
        return () if node.name in graph.inputs else graph.inputs[:1]
    first = next((p.name for p in tensor_parameters(type(node.layer))), "")
    given = sorted(zip(node.parameters, node.inputs, strict=True), key=lambda pair: (pair[0] != first, pair[0]))
    return [edge.node for _, edge in given]


def _backward(graph: Graph, parents: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes behind the outputs, each after those it reads, depth first; Keras sorts several outputs by name."""
    found: list[str] = []
    seen: set[str] = set()
    for _, edge in sorted(graph.outputs.items()):
        stack: list[tuple[str, Iterator[str]]] = []
        _enter(edge.node, stack, seen, parents)
        while stack:
            name, rest = stack[-1]
            parent = next(rest, None)
            if parent is None:
                found.append(name)
                stack.pop()
            else:
                _enter(parent, stack, seen, parents)
    return found


def _enter(
    name: str, stack: list[tuple[str, Iterator[str]]], seen: set[str], parents: Mapping[str, Sequence[str]]
) -> None:
    if name not in seen:
        seen.add(name)
        stack.append((name, iter(parents[name])))


class _Tasks:
    """A graph as a problem: a task is a node with memory of its own and something to read.

    Nodes that only give memory another name follow what they read, and weights come before their first reader.
    """

    def __init__(self, graph: Graph, names: Sequence[str], precision: str) -> None:
        self.graph = graph
        self.root = roots(graph)
        self.runs = names
        own = [name for name in names if name not in graph.inputs and not self._follows(name)]
        readers: dict[Edge, list[str]] = {}
        for name in own:
            for edge in dict.fromkeys(self.root[e] for e in graph.nodes[name].inputs):
                readers.setdefault(edge, []).append(name)
        self.late = {n for n in own if not graph.nodes[n].inputs and any(readers.get(e) for e in self._made(n))}
        self.tasks = [name for name in own if name not in self.late]
        place = {name: i for i, name in enumerate(self.tasks)}
        results = {self.root[edge] for edge in graph.outputs.values()}
        tensors = []
        for name in (*graph.inputs, *own):
            node = graph.nodes[name]
            for edge in self._made(name):
                size = tensor_bytes(graph.type(edge), node, precision)
                read = tuple(place[reader] for reader in readers.get(edge, ()))
                tensors.append(Tensor(size, place.get(name), read, edge in results, name in self.late))
        self.problem = Problem(len(self.tasks), tensors)

    def names(self, order: Iterable[int]) -> Iterator[str]:
        """All nodes that run, in the order of the tasks."""
        followers: dict[str, list[str]] = {}
        for name in self.runs:
            if self._follows(name):
                followers.setdefault(self.root[self.graph.nodes[name].inputs[0]].node, []).append(name)
        for name in self.graph.inputs:
            yield name
        for name in self.graph.inputs:
            yield from followers.get(name, ())
        waiting = dict.fromkeys(self.late)
        for task in order:
            name = self.tasks[task]
            for maker in dict.fromkeys(self.root[edge].node for edge in self.graph.nodes[name].inputs):
                if maker in waiting:
                    del waiting[maker]
                    yield from (maker, *followers.get(maker, ()))
            yield from (name, *followers.get(name, ()))

    def _made(self, name: str) -> list[Edge]:
        return [Edge(name, index) for index in range(len(self.graph.nodes[name].outputs))]

    def _follows(self, name: str) -> bool:
        return self.root[Edge(name)] != Edge(name)
