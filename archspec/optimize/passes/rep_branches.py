"""A sum of linear maps of one tensor as one layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from archspec.graph.ir import Edge, Node
from archspec.layers.core import Dense
from archspec.layers.merging import Add
from archspec.layers.normalization import BatchNormalization
from archspec.layers.shapes import per_axis
from archspec.optimize import algebra, linear
from archspec.optimize.draft import Draft
from archspec.optimize.facts import PADDINGS, sides
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed

Kernel = linear.Conv | linear.Depthwise | Dense


@dataclass(frozen=True)
class Term:
    """One summand: a linear layer, a normalisation or the tensor itself, as a window over `root`.

    Of each spatial axis `before` says how many places the first window begins before the first place of `root`.
    """

    index: int
    node: Node | None
    root: Edge
    before: tuple[int, ...] | None
    reason: str = ""


@dataclass(frozen=True)
class RepBranches(Pass):
    """Σ Wᵢ · x + s · x + x = (Σ Wᵢ + diag(s) + I) · x: branches that are added, as RepVGG trains them.

    Convolutions (also with groups, and depthwise ones), Dense, normalisations of the channels and the tensor itself.
    Smaller kernels go into the largest window, at the place where they look; zero padding before a convolution counts.

    Precondition: only the sum reads a branch, it has no activation, its result is no output and no named tensor, no
    weights are shared; strides are equal, dilations too, and every window lies within the largest: no
    multiply-accumulate is added.
    Source: Ding et al. 2021, arXiv:2101.03697, section 3.3.
    """

    name = "rep-branches"
    mark = "branches in one"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        if not isinstance(node.layer, Add) or {draft.type(edge) for edge in node.inputs} != {*node.outputs}:
            return None
        skip: Answer = None
        for terms in _by_root(draft, node):
            answer = _merged(draft, node, terms)
            if isinstance(answer, Rewrite):
                return answer
            skip = skip or answer
        return skip


def _by_root(draft: Draft, node: Node) -> list[list[Term]]:
    """The summands that come from one tensor: several each, and a kernel among them."""
    groups: dict[Edge, list[Term]] = {}
    for index, edge in enumerate(node.inputs):
        term = _term(draft, index, edge)
        groups.setdefault(term.root, []).append(term)
    return [
        terms
        for terms in groups.values()
        if len(terms) > 1 and any(t.node and isinstance(t.node.layer, Kernel) for t in terms)
    ]


def _term(draft: Draft, index: int, edge: Edge) -> Term:
    node = draft.nodes[edge.node]
    rank = draft.type(edge).rank - 1
    layer = node.layer
    branch = isinstance(layer, BatchNormalization) or (isinstance(layer, Kernel) and not linear.activated(layer))
    if not branch or len(node.inputs) != 1 or draft.reads(node.name) > 1 or draft.kept(node.name):
        root, before = _unpadded(draft, edge, (0,) * rank)
        return Term(index, None, root, before)
    given = draft.input_types(node)[0]
    if isinstance(layer, linear.Conv | linear.Depthwise):
        pads = linear.pads(layer, given)
        if pads is None:
            return Term(index, node, node.inputs[0], None, f"the length that {node.name} pads by is not known")
        root, before = _unpadded(draft, node.inputs[0], tuple(first for first, _ in pads))
    else:
        root, before = _unpadded(draft, node.inputs[0], (0,) * rank)
    return Term(index, node, root, before, _against(draft, node))


def _against(draft: Draft, node: Node) -> str:
    layer = node.layer
    if isinstance(layer, BatchNormalization) and not linear.on_channels(layer, draft.input_types(node)[0]):
        return f"{node.name} normalises axis {layer.axis}, which is not the last"
    if isinstance(layer, Kernel) and linear.adapted(layer):
        return f"{node.name} has a low-rank update beside its kernel"
    if draft.sharers(node.name):
        return f"{min(draft.sharers(node.name))} uses the weights of {node.name}"
    return ""


def _unpadded(draft: Draft, edge: Edge, before: tuple[int, ...]) -> tuple[Edge, tuple[int, ...]]:
    """The tensor before zero padding, and where windows begin in it."""
    node = draft.nodes[edge.node]
    while isinstance(node.layer, PADDINGS):
        widths = sides(node.layer.padding, len(before))
        before = tuple(b + first for b, (first, _) in zip(before, widths, strict=True))
        edge = node.inputs[0]
        node = draft.nodes[edge.node]
    return edge, before


def _merged(draft: Draft, add: Node, terms: list[Term]) -> Rewrite | Skip:
    """One layer for the summands, under the name of that with the largest window."""
    largest = max((t for t in terms if _kernel_of(t)), key=lambda term: (_taps(_kernel_of(term)), -term.index))
    fitting, skip = [], None
    for term in terms:
        offset = _offset(term, largest)
        if isinstance(offset, str):
            skip = skip or Skip(term.node.name if term.node else add.name, offset)
        else:
            fitting.append((term, offset))
    return _rewrite(draft, add, largest, fitting) if len(fitting) > 1 else skip or Skip(add.name, "nothing fits")


def _rewrite(draft: Draft, add: Node, largest: Term, terms: list[tuple[Term, tuple[int, ...]]]) -> Rewrite:
    target, layer = largest.node, _kernel_of(largest)
    assert target
    assert layer
    merged = {term.index for term, _ in terms}
    others = [edge for i, edge in enumerate(add.inputs) if i not in merged]
    bias = any(_shifts(term) for term, _ in terms)
    new = replace(target, layer=changed(layer, use_bias=bias))
    puts, same = (new,), {Edge(add.name): Edge(new.name)}
    if others:
        edges = (Edge(new.name), *others)
        puts, same = (new, replace(add, inputs=edges, parameters=add.parameters[: len(edges)])), {}  # type: ignore
    shape = draft.weights(target)[0].shape
    channels = draft.input_types(target)[0].shape[-1]
    assert channels is not None

    def summed(weights: Weights) -> Weights:
        parts = [(_part(layer, term, weights, channels), offset) for term, offset in terms]
        kernel = sum(algebra.embed(part, linear.window(layer), offset) for (part, _), offset in parts)
        shift = sum((shift for (_, shift), _ in parts), np.zeros(add.outputs[0].shape[-1] or 0))
        assert isinstance(kernel, np.ndarray) and kernel.shape == shape
        return {new.name: linear.cast([kernel, shift] if bias else [kernel], weights[new.name][0])}

    names = tuple(term.node.name for term, _ in terms if term.node)
    return Rewrite((*names, add.name), puts, same, summed, note=f"{', '.join(names)} in one")


def _kernel_of(term: Term) -> Kernel | None:
    return term.node.layer if term.node and isinstance(term.node.layer, Kernel) else None


def _shifts(term: Term) -> bool:
    """Whether a summand adds a constant."""
    layer = _kernel_of(term)
    return layer.use_bias if layer else term.node is not None


def _taps(layer: Kernel | None) -> int:
    return prod(linear.window(layer)) if layer else 0


def _offset(term: Term, largest: Term) -> tuple[int, ...] | str:
    """Where the summand's window lies in the largest, in taps; or why it does not."""
    whole, layer = _kernel_of(largest), _kernel_of(term)
    assert whole
    if term.reason or largest.reason:
        return term.reason or largest.reason
    if layer and (type(layer) is not type(whole) or _group(layer) != _group(whole)):
        return f"it is a {type(layer).__name__} beside a {type(whole).__name__}, or has other groups"
    assert term.before is not None
    assert largest.before is not None
    steps = [b - a for a, b in zip(term.before, largest.before, strict=True)]
    rank, ones = len(linear.window(whole)), (1,) * len(linear.window(whole))
    if isinstance(whole, Dense):
        return "it looks at other places" if any(steps) else ()
    strides, dilation = per_axis(whole.strides, rank), per_axis(whole.dilation_rate, rank)
    size, rates = ones, dilation
    if layer:
        assert not isinstance(layer, Dense)
        size, rates = per_axis(layer.kernel_size, rank), per_axis(layer.dilation_rate, rank)
    if (per_axis(layer.strides, rank) if layer else ones) != strides:  # type: ignore[union-attr]
        return "its strides are not those of the largest window"
    if any(n > 1 and a != b for n, a, b in zip(size, rates, dilation, strict=True)):
        return "its dilation is not that of the largest window"
    offset = linear.offset(steps, dilation, size, linear.window(whole))
    return "it looks at places that the largest window does not see" if offset is None else offset


def _group(layer: Kernel) -> tuple[int, int]:
    """How the channels are parted: groups, and kernels for each channel."""
    return (getattr(layer, "groups", 1), getattr(layer, "depth_multiplier", 1))


def _part(layer: Kernel, term: Term, weights: Weights, channels: int) -> tuple[algebra.Floats, algebra.Floats]:
    """The summand's kernel in the layout of the layer, and its bias."""
    if term.node and isinstance(term.node.layer, Kernel):
        (kernel,), bias = linear.parts(term.node.layer, weights[term.node.name])
        return algebra.wide(kernel), algebra.wide(bias) if bias is not None else np.zeros(1)
    scale, shift = np.ones(channels), np.zeros(channels)
    if term.node:
        assert isinstance(term.node.layer, BatchNormalization)
        map_ = linear.affine(term.node.layer, weights[term.node.name])
        scale, shift = map_.scale, map_.shift
    rank = len(linear.window(layer))
    if isinstance(layer, linear.Depthwise):
        return scale.reshape((1,) * rank + (channels, 1)), shift
    groups = 1 if isinstance(layer, Dense) else layer.groups
    return algebra.identity(rank, scale, groups), shift
