"""What a training will take, before any framework is loaded: memory by its parts, and time for each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from archspec.analysis.order import Orders, orders
from archspec.analysis.remat import Blocks, candidates, choose, implicit_masks, repeatable
from archspec.analysis.state import state_numbers
from archspec.analysis.training import COMPUTES, Timeline, TrainingStep, trainable_bytes, weight_width
from archspec.analysis.work import calls, moved_bytes, recurrent_cells
from archspec.diagnostics import Diagnostic, SpecError, did_you_mean
from archspec.graph.ir import Graph, Node
from archspec.language import Document
from archspec.layers.objects import Optimizer
from archspec.train.machine import Throughput, expected_backend, memory_bytes
from archspec.train.objective.scopes import freeze, matched
from archspec.train.sections import Sections, sections
from archspec.train.settings import Train

BACKWARD = 2  # a backward pass multiplies twice what the forward pass does: for the inputs' gradients, for the weights'
# What the framework's own program takes in main memory, compiling included: at all, for each layer, and for each cell
# of a recurrent one. Measured by benchmarks/plan.py as what is left at a batch of a few examples.
PROGRAM_BYTES = {
    "tensorflow": (10 * 2**20, 5 * 2**19, 28 * 2**20),
    "jax": (75 * 2**20, 5 * 2**19, 130 * 2**20),
}


@dataclass(frozen=True)
class Estimate:
    """What a training step takes. Bytes, and MACs for one example; `tensors` are those alive over the step.

    `convolution_macs` and `product_macs` are a forward pass, the others those that rematerialised blocks add. `moved`
    are the bytes for one example that other layers make, and `calls` the layers and steps that follow each other.
    """

    name: str
    backend: str
    batch_size: int
    precision: str
    optimizers: tuple[str, ...]
    parameters: int
    trainable: int
    weight_bytes: int
    gradient_bytes: int
    state_bytes: int
    program_bytes: int
    tensors: Timeline
    graph: Graph
    convolution_macs: int
    product_macs: int
    again_convolution_macs: int
    again_product_macs: int
    moved: int
    calls: int
    blocks: Blocks
    unknown_lengths: bool

    @property
    def resident_bytes(self) -> int:
        """What is there at all times: weights, the optimizer's state and the program."""
        return self.weight_bytes + self.state_bytes + self.program_bytes

    @property
    def training_bytes(self) -> int:
        """The most bytes at once in a training step."""
        return self.at(self.batch_size)

    @property
    def activation_bytes(self) -> int:
        """The most bytes of tensors at once, gradients of weights left out."""
        return max(self.tensors.each) * self.batch_size

    @cached_property
    def orders(self) -> Orders:
        """Those in which layers may run forward, with the bytes of tensors for one example."""
        return orders(self.graph, self.precision)

    @property
    def inference_bytes(self) -> int:
        """The most bytes at once when a batch runs forward, layers in Keras's order."""
        return self.weight_bytes + self.program_bytes + self.orders.keras.peak_bytes * self.batch_size

    @property
    def best_inference_bytes(self) -> int:
        """The same in the best order that was found."""
        return self.weight_bytes + self.program_bytes + self.orders.best.peak_bytes * self.batch_size

    def at(self, batch_size: int) -> int:
        """The most bytes at once with another batch size."""
        return self.resident_bytes + self.tensors.peak(batch_size)

    def largest_batch(self, memory: int) -> int | None:
        """The largest batch whose training step takes at most so many bytes: 0 where none does."""
        return self.tensors.largest_batch(memory - self.resident_bytes)

    def seconds(self, speed: Throughput) -> float:
        """The time of a step: of its products, of what other layers move, and of calling them all.

        A MAC is two operations. The optimizer's own are left out.
        """
        each = 1 + BACKWARD
        products = (each * self.convolution_macs + self.again_convolution_macs) / speed.convolution
        products += (each * self.product_macs + self.again_product_macs) / speed.product
        return self.batch_size * (2 * products + self.moved / speed.bytes) + self.calls * speed.call


def estimate(
    document: Document,
    graph: Graph,
    batch_size: int | None = None,
    memory: int | None = None,
    remat: bool = False,
    backend: str | None = None,
) -> Estimate:
    """The estimate for the spec's batch size and backend, or for others.

    `remat` chooses blocks to rematerialise, as few as it takes to stay within `memory` bytes; otherwise they are those
    of `run.remat`. Raises SpecError with what is wrong in the sections beside the network.
    """
    settings = sections(document)
    graph = freeze(graph, settings.train.frozen)
    size = batch_size or settings.data.batch_size
    precision, backend = settings.run.precision, backend or expected_backend(settings.run.backend)
    step = TrainingStep(graph, precision, backend)
    if remat:
        _check_masks(document, graph)
        room = (memory or memory_bytes(settings.run.devices, backend)) - _resident(graph, settings, backend)
        blocks = choose(step, size, room).blocks
    else:
        blocks = _blocks(document, graph, settings, size, backend)
    again = {name for names in blocks.values() for name in names}
    weights = [(node, w) for node in graph.nodes.values() for w in graph.weights(node)]
    return Estimate(
        document.name, backend, size, precision, _optimizers(settings.train),
        sum(w.size for _, w in weights), sum(w.size for node, w in weights if w.trainable and node.trainable),
        _weight_bytes(graph, precision), sum(trainable_bytes(graph, n, precision) for n in graph.nodes.values()),
        _state_bytes(graph, settings.train, precision), _program_bytes(graph, backend), step.timeline(blocks),
        graph,
        _macs(graph, set(graph.nodes), True), _macs(graph, set(graph.nodes), False), _macs(graph, again, True),
        _macs(graph, again, False), moved_bytes(graph, precision, backend), calls(graph), blocks,
        any(None in t.shape for n in graph.nodes.values() for t in n.outputs),
    )  # fmt: skip


def remat_blocks(document: Document, graph: Graph, settings: Sections) -> Blocks:
    """The blocks that `run.remat` names or, where it is `auto`, needs. Raises SpecError."""
    backend = expected_backend(settings.run.backend)
    return _blocks(document, freeze(graph, settings.train.frozen), settings, settings.data.batch_size, backend)


def _blocks(document: Document, graph: Graph, settings: Sections, batch_size: int, backend: str) -> Blocks:
    if not settings.run.remat:
        return {}
    _check_masks(document, graph)
    if settings.run.remat == "auto":
        step = TrainingStep(graph, settings.run.precision, backend)
        room = memory_bytes(settings.run.devices, backend) - _resident(graph, settings, backend)
        return choose(step, batch_size, room).blocks
    return _named(document, graph, settings.run.remat)


def _named(document: Document, graph: Graph, patterns: tuple[str, ...]) -> Blocks:
    """The outermost scopes that the patterns name. Raises SpecError where one names none that can be rematerialised."""
    scopes = {".".join(node.scope[:depth]) for node in graph.nodes.values() for depth in range(1, len(node.scope) + 1)}
    found: dict[str, tuple[str, ...]] = {}
    wrong = []
    possible: dict[int, Blocks] = {}
    for i, pattern in enumerate(patterns):
        named = sorted((scope for scope in scopes if fnmatchcase(scope, pattern)), key=lambda s: s.count("."))
        span = document.mark.at("run", "remat", i).span
        if not named:
            help = did_you_mean(pattern, sorted(scopes)) or "blocks and named groups have names, single layers do not"
            wrong.append(Diagnostic("E504", f"remat: no block is named {pattern!r}", span, help=help))
        for scope in named:
            if any(scope == other or scope.startswith(f"{other}.") for other in found):
                continue
            depth = scope.count(".") + 1
            blocks = possible.setdefault(depth, candidates(graph, depth, 1))
            if scope in blocks:
                found = {name: nodes for name, nodes in found.items() if not name.startswith(f"{scope}.")}
                found[scope] = blocks[scope]
            else:
                wrong.append(Diagnostic("E504", f"remat: {scope} {_why_not(graph, scope)}", span))
    if wrong:
        raise SpecError(wrong, document.texts)
    return found


def _why_not(graph: Graph, scope: str) -> str:
    for name, node in graph.nodes.items():
        if name.startswith(f"{scope}.") and not repeatable(node):
            return f"adds a loss of its own in {name}, which would count twice"
    return "is run in parts, between which other layers stand"


def _check_masks(document: Document, graph: Graph) -> None:
    name = implicit_masks(graph)
    if name is not None:
        message = f"remat: {name} hands on a mask beside its tensor, which a rematerialised block does not see"
        help = "give layers their masks as tensors: from: {query: x, value_mask: mask}"
        raise SpecError([Diagnostic("E504", message, document.mark.key("run", "remat"), help=help)], document.texts)


# --- parts ----------------------------------------------------------------------------------------


def _resident(graph: Graph, settings: Sections, backend: str) -> int:
    precision = settings.run.precision
    state = _state_bytes(graph, settings.train, precision)
    return _weight_bytes(graph, precision) + state + _program_bytes(graph, backend)


def _program_bytes(graph: Graph, backend: str) -> int:
    base, layer, cell = PROGRAM_BYTES[backend]
    layers = [node.layer for node in graph.nodes.values()]
    cells = sum(len([*recurrent_cells(each)]) for each in layers if each.role == "recurrent")
    return base + layer * (len(layers) - len(graph.inputs)) + cell * cells


def _weight_bytes(graph: Graph, precision: str) -> int:
    """Weights, and in mixed precision their copies in what layers compute in."""
    total = 0
    for node in graph.nodes.values():
        dtype = node.layer.dtype or precision
        copy = 2 if dtype in COMPUTES else 0
        total += sum(w.size * (weight_width(w.dtype, node, precision) + copy) for w in graph.weights(node))
    return total


def _state_bytes(graph: Graph, train: Train, precision: str) -> int:
    """The state of all optimizers; each phase has one for what it trains."""
    if not train.phases:
        return _state(graph, graph.nodes, train.optimizer, precision)
    total = 0
    for phase in train.phases.values():
        names = {name for pattern in phase.trains for name in matched(graph, pattern)}
        nodes = {name: node for name, node in graph.nodes.items() if name in names}
        total += _state(graph, nodes, phase.optimizer or train.optimizer, precision)
    return total


def _state(graph: Graph, nodes: Mapping[str, Node], optimizer: Optimizer, precision: str) -> int:
    return sum(
        state_numbers(optimizer, weight) * weight_width(weight.dtype, node, precision)
        for node in nodes.values()
        if node.trainable
        for weight in graph.weights(node)
        if weight.trainable
    )


def _optimizers(train: Train) -> tuple[str, ...]:
    given = [phase.optimizer or train.optimizer for phase in (train.phases or {}).values()] or [train.optimizer]
    return tuple(dict.fromkeys(type(optimizer).__name__ for optimizer in given))


def _macs(graph: Graph, names: set[str], convolutions: bool) -> int:
    nodes = (graph.nodes[name] for name in names)
    return sum(graph.macs(node) for node in nodes if (node.layer.role == "convolution") is convolutions)
