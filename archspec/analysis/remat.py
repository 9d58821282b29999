"""Which blocks to rematerialise: those whose recomputation frees most bytes for least MACs, until the step fits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from archspec.analysis.training import Timeline, TrainingStep
from archspec.graph.ir import Edge, Graph, Node

Blocks = Mapping[str, tuple[str, ...]]
DEEPEST = 8  # levels of scopes that are looked at


@dataclass(frozen=True)
class Choice:
    """Blocks by their scopes' names, what they leave, and the MACs for one example that they cost in the backward."""

    blocks: Blocks
    timeline: Timeline
    macs: int


def choose(step: TrainingStep, batch_size: int, memory: int) -> Choice:
    """The blocks whose tensors are computed again so that tensors and gradients take at most so many bytes.

    At each level of scopes the blocks are taken in the order of bytes freed for each MAC, as many as it takes; of the
    levels the one counts that fits at the fewest MACs, or else leaves the lowest peak. None where it fits without.
    """
    best = Choice({}, step.timeline(), 0)
    if best.timeline.peak(batch_size) <= memory:
        return best
    for depth in range(1, min(DEEPEST, _depth(step.graph)) + 1):
        found = _at(step, candidates(step.graph, depth), batch_size, memory)
        best = min(best, found, key=lambda choice: _order(choice, batch_size, memory))
    return best


def _order(choice: Choice, batch_size: int, memory: int) -> tuple[bool, int, int]:
    peak = choice.timeline.peak(batch_size)
    fits = peak <= memory
    return (not fits, choice.macs, peak) if fits else (not fits, peak, choice.macs)


def _at(step: TrainingStep, blocks: Blocks, batch_size: int, memory: int) -> Choice:
    """The fewest blocks of one level, in order, that fit; all that help where not even those do."""
    gains = {name: freed(step, nodes) for name, nodes in blocks.items()}
    macs = {name: sum(step.graph.macs(step.graph.nodes[node]) for node in nodes) for name, nodes in blocks.items()}
    order = sorted((name for name in blocks if gains[name] > 0), key=lambda name: -gains[name] / (macs[name] + 1))

    def chosen(count: int) -> Choice:
        taken = {name: blocks[name] for name in order[:count]}
        return Choice(taken, step.timeline(taken), sum(macs[name] for name in taken))

    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if chosen(middle).timeline.peak(batch_size) <= memory:
            high = middle
        else:
            low = middle + 1
    return chosen(low)


def freed(step: TrainingStep, nodes: Collection[str]) -> int:
    """Bytes for one example that need not be kept from the forward to the backward pass; what enters must be.

    Negative where more enters than is freed.
    """
    graph, inside = step.graph, set(nodes)
    size = 0
    for name in nodes:
        size += step.inside(name)
        for index in range(len(graph.nodes[name].outputs)):
            edge = step.root[Edge(name, index)]
            users = step.users[edge]
            if users and edge.node == name and inside.issuperset(users) and edge not in step.results:
                size += 0 if any(r not in inside for r in step.readers.get(edge, ())) else step.size[edge]
    entering = {step.root[e] for name in nodes for e in graph.nodes[name].inputs}
    return size - sum(step.size[e] for e in entering if e.node not in inside and not step.users[e])


def candidates(graph: Graph, depth: int, least: int = 2) -> Blocks:
    """The scopes at a depth whose nodes, at least so many, follow each other and can be computed again."""
    runs: dict[str, list[str]] = {}
    broken: set[str] = set()
    before = ""
    for name, node in graph.nodes.items():
        scope = ".".join(node.scope[:depth]) if len(node.scope) >= depth else ""
        if scope and scope != before and scope in runs:
            broken.add(scope)
        if scope:
            runs.setdefault(scope, []).append(name)
        before = scope
    return {
        scope: tuple(names)
        for scope, names in runs.items()
        if len(names) >= least and scope not in broken and all(repeatable(graph.nodes[name]) for name in names)
    }


def runs(graph: Graph, scopes: Collection[str]) -> list[tuple[str, ...]]:
    """The nodes of those scopes, as far as they follow each other: a pass may have moved one out of its block's way."""
    found: list[list[str]] = []
    before: str | None = None
    for name, node in graph.nodes.items():
        around = (".".join(node.scope[:depth]) for depth in range(1, len(node.scope) + 1))
        scope = next((each for each in around if each in scopes), None)
        if scope is not None:
            if scope != before:
                found.append([])
            found[-1].append(name)
        before = scope
    return [tuple(names) for names in found]


def repeatable(node: Node) -> bool:
    """Whether a layer may run twice: none that adds a loss of its own."""
    layer = node.layer
    return type(layer).__name__ != "ActivityRegularization" and getattr(layer, "activity_regularizer", None) is None


def implicit_masks(graph: Graph) -> str | None:
    """The first layer that hands a mask on beside its tensor, which no function of tensors passes."""
    for name, node in graph.nodes.items():
        if type(node.layer).__name__ == "Masking" or getattr(node.layer, "mask_zero", False):
            return name
    return None


def _depth(graph: Graph) -> int:
    return max((len(node.scope) for node in graph.nodes.values()), default=0)
