"""Bytes alive over a training step, node by node forward and then backward, from the graph alone.

A tensor lives from the node that makes it to its last reader, or to the last backward pass that needs it (`kept`); its
gradient from its last reader's backward pass to its own maker's. A backward pass that computes with what was kept takes
as much again as the layer's output for the time that it runs. The gradients of weights live to the end of the step.
A rematerialised block keeps what enters it, and makes the rest again when its backward pass begins. Unknown lengths
count as one. All steps take time linear in the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from archspec.analysis.kept import Keeps, aliases, keeps
from archspec.graph.ir import Edge, Graph, Node
from archspec.layers.base import FLOATS
from archspec.tensor import TensorType, dtype_bytes

# What layers compute in and keep weights in, by `run.precision`.
COMPUTES = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
KEEPS_WEIGHTS = {"mixed_float16": "float32", "mixed_bfloat16": "float32"}

# Tensors as large as an output that its loss computes with: JAX's crossentropy takes logarithms and a one-hot target.
LOSS_COPIES = {"tensorflow": 1, "jax": 3}


@dataclass(frozen=True)
class Timeline:
    """Bytes alive at each moment: those of the whole batch, and those for each of its examples."""

    fixed: Sequence[int]
    each: Sequence[int]

    def peak(self, batch_size: int) -> int:
        return max(fixed + each * batch_size for fixed, each in zip(self.fixed, self.each, strict=True))

    def largest_batch(self, memory: int) -> int | None:
        """The largest batch that stays within so many bytes: 0 where none does, None where any does."""
        if max(self.fixed) > memory:
            return 0
        pairs = zip(self.fixed, self.each, strict=True)
        return min(((memory - fixed) // each for fixed, each in pairs if each), default=None)


class _Span(NamedTuple):
    start: int
    end: int
    bytes: int
    fixed: bool = False


class TrainingStep:
    """One graph's training step, of which timelines can be made with blocks rematerialised or not.

    `precision` is `run.precision`; it and the layers' own dtypes decide what a number takes. `backend` is tensorflow or
    jax, which differ in what they keep and copy.
    """

    def __init__(self, graph: Graph, precision: str = "float32", backend: str = "tensorflow") -> None:
        self.graph = graph
        self.precision = precision
        self.backend = backend
        self.order = {name: i for i, name in enumerate(graph.nodes)}
        self.end = 2 * len(self.order) - 1
        self.root = roots(graph)
        self.learning = _learning(graph)
        self.keeps = dict.fromkeys(graph.nodes, Keeps()) | {
            name: keeps(graph, graph.nodes[name], backend) for name in self.learning
        }
        self.readers: dict[Edge, list[str]] = {}
        for name, node in graph.nodes.items():
            for edge in node.inputs:
                self.readers.setdefault(self.root[edge], []).append(name)
        self.edges = list(dict.fromkeys(self.root.values()))
        self.size = {edge: tensor_bytes(graph.type(edge), graph.nodes[edge.node], precision) for edge in self.edges}
        self.last = {
            edge: max((self.order[name] for name in self.readers.get(edge, ())), default=self.order[edge.node])
            for edge in self.edges
        }
        self.results = {self.root[edge] for edge in graph.outputs.values()}
        self.users = self._users()
        self.gradients = self._gradients()

    def inside(self, name: str) -> int:
        """Bytes for one example that a node keeps beside its inputs and outputs."""
        kept = self.keeps[name]
        return kept.numbers * float_bytes(self.graph.nodes[name], self.precision) + kept.bytes

    def backward(self, name: str) -> int:
        """The moment of a node's backward pass."""
        return self.end - self.order[name]

    def timeline(self, blocks: Mapping[str, Collection[str]] | None = None) -> Timeline:
        """Bytes of tensors and gradients; weights and the optimizer's state are not in it. `blocks` hold names."""
        block_of = {name: block for block, names in (blocks or {}).items() for name in names}
        last = {block: max(names, key=self.order.__getitem__) for block, names in (blocks or {}).items()}
        first = {block: min(names, key=self.order.__getitem__) for block, names in (blocks or {}).items()}
        spans = self._insides(block_of, last) + self.gradients
        for edge in self.edges:
            spans += self._tensor(edge, block_of, first, last)
        return self._summed(spans)

    def _users(self) -> Mapping[Edge, Sequence[str]]:
        """The nodes whose backward pass needs each tensor."""
        users: dict[Edge, list[str]] = {edge: [] for edge in self.root.values()}
        for name, node in self.graph.nodes.items():
            kept = self.keeps[name]
            for edge in node.inputs if kept.inputs else ():
                users[self.root[edge]].append(name)
            for index in range(len(node.outputs)) if kept.outputs else ():
                users[self.root[Edge(name, index)]].append(name)
        return users

    def _tensor(
        self, edge: Edge, block_of: Mapping[str, str], first: Mapping[str, str], last: Mapping[str, str]
    ) -> list[_Span]:
        made, size, own = self.order[edge.node], self.size[edge], block_of.get(edge.node)
        end = self.last[edge]
        outside = [name for name in self.users[edge] if own is None or block_of.get(name) != own]
        entered = {block_of[name] for name in self.readers.get(edge, ()) if block_of.get(name, own) != own}
        needing = [*outside, *(first[block] for block in entered)]
        if edge in self.results:
            end = max(end, len(self.order))
        if needing:
            end = max(end, *(self.backward(name) for name in needing))
        if edge.node in self.graph.inputs:
            end = self.end  # the batch is the caller's
        spans = [_Span(made, end, size)]
        inside = [name for name in self.users[edge] if own is not None and block_of.get(name) == own]
        if inside and own is not None:
            spans.append(_Span(self.backward(last[own]), max(map(self.backward, inside)), size))
        return spans

    def _insides(self, block_of: Mapping[str, str], last: Mapping[str, str]) -> list[_Span]:
        """What nodes keep beside their inputs and outputs."""
        spans = []
        for name in self.keeps:
            if size := self.inside(name):
                start = self.backward(last[block_of[name]]) if name in block_of else self.order[name]
                spans.append(_Span(start, self.backward(name), size))
        return spans

    def _gradients(self) -> list[_Span]:
        spans = []
        for edge in self.edges:
            if edge.node in self.learning and self.graph.type(edge).dtype in FLOATS:
                start = len(self.order) if edge in self.results else self.end - self.last[edge]
                spans.append(_Span(start, self.backward(edge.node), self.size[edge]))
        turn = len(self.order)
        spans += [_Span(turn, turn, LOSS_COPIES[self.backend] * self.size[edge]) for edge in self.results]
        for name, node in self.graph.nodes.items():
            if self.keeps[name] != Keeps():
                spans.append(_Span(self.backward(name), self.backward(name), self._scratch(node)))
            size = trainable_bytes(self.graph, node, self.precision)
            if size:
                spans.append(_Span(self.backward(name), self.end, size, fixed=True))
        return spans

    def _scratch(self, node: Node) -> int:
        """Bytes that a backward pass computes with, beside what was kept and the gradients.

        XLA's CPU backend transposes a product's input and the gradient of its output, and Eigen copies both again for a
        convolution's kernel (2.0 to 2.6 times the input were measured); it makes indices of what maximum pooling takes.
        """
        given = sum(tensor_bytes(t, node, self.precision) for t in self.graph.input_types(node))
        made = sum(tensor_bytes(t, node, self.precision) for t in node.outputs)
        role = node.layer.role
        if self.backend != "jax" or role not in ("convolution", "dense", "pooling"):
            return made
        if role == "pooling":
            return made if "Average" in type(node.layer).__name__ else 2 * given + 4 * made
        return (2 if role == "convolution" else 1) * (given + made)

    def _summed(self, spans: Sequence[_Span]) -> Timeline:
        fixed, each = [0] * (self.end + 2), [0] * (self.end + 2)
        for span in spans:
            changes = fixed if span.fixed else each
            changes[span.start] += span.bytes
            changes[span.end + 1] -= span.bytes
        return Timeline([*accumulate(fixed)][:-1], [*accumulate(each)][:-1])


def roots(graph: Graph) -> dict[Edge, Edge]:
    """The tensor whose memory each tensor uses."""
    root: dict[Edge, Edge] = {}
    for name, node in graph.nodes.items():
        for index in range(len(node.outputs)):
            own = Edge(name, index)
            root[own] = root[node.inputs[0]] if aliases(node.layer) and node.inputs else own
    return root


def _learning(graph: Graph) -> set[str]:
    """The nodes that gradients reach: with weights that learn, or behind one."""
    found: set[str] = set()
    owns: dict[str, bool] = {}
    for name, node in graph.nodes.items():
        shared = owns.get(node.shares or "", False)
        owns[name] = shared or (node.trainable and any(weight.trainable for weight in graph.weights(node)))
        if owns[name] or any(edge.node in found for edge in node.inputs):
            found.add(name)
    return found


def float_bytes(node: Node, precision: str) -> int:
    """Bytes of a number that a layer computes."""
    dtype = node.layer.dtype or precision
    return dtype_bytes(COMPUTES.get(dtype, dtype))


def tensor_bytes(tensor: TensorType, node: Node, precision: str) -> int:
    """Bytes for one example of what a node makes; inputs come as they are."""
    if tensor.dtype == "float32" and type(node.layer).__name__ != "InputLayer":
        return tensor.size * float_bytes(node, precision)
    return tensor.bytes


def weight_width(dtype: str, node: Node, precision: str) -> int:
    """Bytes of one number of a weight."""
    wide = dtype == "float32" and node.layer.dtype is None
    return dtype_bytes(KEEPS_WEIGHTS.get(precision, precision) if wide else dtype)


def trainable_bytes(graph: Graph, node: Node, precision: str) -> int:
    """Bytes of the weights of a node that learn."""
    if not node.trainable:
        return 0
    return sum(w.size * weight_width(w.dtype, node, precision) for w in graph.weights(node) if w.trainable)
