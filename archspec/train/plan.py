"""What a training will take, before any framework is loaded: memory by its parts, and time for each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from archspec.analysis.remat import Blocks, candidates, choose, implicit_masks, repeatable
from archspec.analysis.state import state_numbers
from archspec.analysis.training import COMPUTES, Timeline, TrainingStep, trainable_bytes, weight_width
from archspec.diagnostics import Diagnostic, SpecError, did_you_mean
from archspec.graph.ir import Graph, Node
from archspec.language import Document
from archspec.layers.objects import Optimizer
from archspec.train.machine import Throughput, memory_bytes
from archspec.train.objective.scopes import freeze, matched
from archspec.train.sections import Sections, sections
from archspec.train.settings import Train

BACKWARD = 2  # a backward pass multiplies twice what the forward pass does: for the inputs' gradients, for the weights'
# What the framework's own program takes in main memory for each layer, compiled code and all: measured by
# benchmarks/plan.py as what is left at a batch of none, 2.9 to 3.7 MiB on TensorFlow and 3.2 to 8 on JAX.
PROGRAM_BYTES = 3 * 2**20


@dataclass(frozen=True)
class Estimate:
    """What a training step takes. Bytes, and MACs for one example; `tensors` are those alive over the step.

    `convolution_macs` and `product_macs` are a forward pass, the others those that rematerialised blocks add.
    """

    name: str
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
    forward: Timeline
    convolution_macs: int
    product_macs: int
    again_convolution_macs: int
    again_product_macs: int
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

    @property
    def inference_bytes(self) -> int:
        """The most bytes at once when a batch runs forward."""
        return self.weight_bytes + self.program_bytes + self.forward.peak(self.batch_size)

    def at(self, batch_size: int) -> int:
        """The most bytes at once with another batch size."""
        return self.resident_bytes + self.tensors.peak(batch_size)

    def largest_batch(self, memory: int) -> int | None:
        """The largest batch whose training step takes at most so many bytes: 0 where none does."""
        return self.tensors.largest_batch(memory - self.resident_bytes)

    def seconds(self, speed: Throughput) -> float:
        """The time of a step's convolutions and products; nothing else counts. A MAC is two operations."""
        each = 1 + BACKWARD
        convolution = (each * self.convolution_macs + self.again_convolution_macs) / speed.convolution
        return (
            2 * self.batch_size * (convolution + (each * self.product_macs + self.again_product_macs) / speed.product)
        )


def estimate(
    document: Document,
    graph: Graph,
    batch_size: int | None = None,
    memory: int | None = None,
    remat: bool = False,
) -> Estimate:
    """The estimate for the spec's batch size, or for another.

    `remat` chooses blocks to rematerialise, as few as it takes to stay within `memory` bytes; otherwise they are those
    of `run.remat`. Raises SpecError with what is wrong in the sections beside the network.
    """
    settings = sections(document)
    graph = freeze(graph, settings.train.frozen)
    size = batch_size or settings.data.batch_size
    precision = settings.run.precision
    step = TrainingStep(graph, precision)
    if remat:
        _check_masks(document, graph)
        room = (memory or memory_bytes(settings.run.devices)) - _resident(graph, settings)
        blocks = choose(step, size, room).blocks
    else:
        blocks = _blocks(document, graph, settings, size)
    again = {name for names in blocks.values() for name in names}
    weights = [(node, w) for node in graph.nodes.values() for w in graph.weights(node)]
    return Estimate(
        document.name, size, precision, _optimizers(settings.train),
        sum(w.size for _, w in weights), sum(w.size for node, w in weights if w.trainable and node.trainable),
        _weight_bytes(graph, precision), sum(trainable_bytes(graph, n, precision) for n in graph.nodes.values()),
        _state_bytes(graph, settings.train, precision), _program_bytes(graph), step.timeline(blocks), step.inference(),
        _macs(graph, set(graph.nodes), True), _macs(graph, set(graph.nodes), False), _macs(graph, again, True),
        _macs(graph, again, False), blocks, any(None in t.shape for n in graph.nodes.values() for t in n.outputs),
    )  # fmt: skip


def remat_blocks(document: Document, graph: Graph, settings: Sections) -> Blocks:
    """The blocks that `run.remat` names or, where it is `auto`, needs. Raises SpecError."""
    return _blocks(document, freeze(graph, settings.train.frozen), settings, settings.data.batch_size)


def _blocks(document: Document, graph: Graph, settings: Sections, batch_size: int) -> Blocks:
    if not settings.run.remat:
        return {}
    _check_masks(document, graph)
    if settings.run.remat == "auto":
        step = TrainingStep(graph, settings.run.precision)
        room = memory_bytes(settings.run.devices) - _resident(graph, settings)
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


def _resident(graph: Graph, settings: Sections) -> int:
    precision = settings.run.precision
    return _weight_bytes(graph, precision) + _state_bytes(graph, settings.train, precision) + _program_bytes(graph)


def _program_bytes(graph: Graph) -> int:
    return PROGRAM_BYTES * (len(graph.nodes) - len(graph.inputs))


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
