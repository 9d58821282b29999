"""Linear layers that read the same tensor, as one whose result is split along the channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from archspec.graph.ir import Edge, Node
from archspec.layers.core import Dense
from archspec.layers.formula import Formula
from archspec.layers.objects.regularizers import L1, L1L2, L2
from archspec.layers.shapes import per_axis
from archspec.optimize import algebra, linear
from archspec.optimize.draft import Draft
from archspec.optimize.facts import POINTWISE, is_linear
from archspec.optimize.network import Array, Weights
from archspec.optimize.rewrite import Answer, Rewrite, Skip, changed

SUMS = (L1, L2, L1L2)  # regularisers of a merged kernel that are the sum of those of its parts
Kernel = linear.Conv | Dense
Offset = tuple[int, ...]


def match_parallel(draft: Draft, node: Node, candidate: Callable[[Node], bool], slack: float = 0.0) -> Answer:
    """The rewrite of the first layers that read the node's output and go together. Cost: the node's readers.

    `slack` is the share of multiply-accumulates that larger windows may add.
    """
    if len(node.outputs) != 1:
        return None
    found = [n for n in draft.readers(node.name) if candidate(n) and not draft.sharers(n.name)]
    skip: Answer = None
    for group in _alike(draft, found):
        reasons = {n.name: reason for n in group if (reason := _against(draft, n))}
        allowed = [n for n in group if n.name not in reasons]
        for together, offsets in _windows(draft, allowed, slack):
            return merged(draft, together, offsets)
        skip = skip or next((Skip(*each) for each in reasons.items()), None)
    return skip


def _against(draft: Draft, node: Node) -> str | None:
    layer = node.layer
    assert isinstance(layer, Kernel)
    if not is_linear(layer) and layer.activation not in POINTWISE:
        return f"its activation, {layer.activation}, sees all its channels"
    if draft.level == "training" and _constrained(node):
        return "a constraint or a penalty sees its weights or results as a whole"
    return None


def _alike(draft: Draft, nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Those that differ in no more than their filters, biases and windows."""
    groups: dict[object, list[Node]] = {}
    for node in nodes:
        groups.setdefault(_key(draft, node), []).append(node)
    yield from (group for group in groups.values() if len(group) > 1)


def _key(draft: Draft, node: Node) -> tuple[object, ...]:
    layer = node.layer
    assert isinstance(layer, Kernel)
    key = (type(layer), layer.activation, layer.dtype, node.trainable, node.outputs[0].shape[:-1])
    if isinstance(layer, linear.Conv):
        key += (*(per_axis(w, layer.RANK) for w in (layer.strides, layer.dilation_rate)), layer.padding)  # type: ignore
    if draft.level == "training":
        size = None if isinstance(layer, Dense) else per_axis(layer.kernel_size, layer.RANK)
        key += (size, layer.use_bias, layer.kernel_regularizer, layer.bias_regularizer)  # type: ignore[assignment]
    return key


def _constrained(node: Node) -> bool:
    layer = node.layer
    assert isinstance(layer, Kernel)
    regularizers = (layer.kernel_regularizer, layer.bias_regularizer)
    return bool(
        layer.kernel_constraint
        or layer.bias_constraint
        or layer.activity_regularizer
        or any(r is not None and not isinstance(r, SUMS) for r in regularizers)
    )


def _windows(draft: Draft, nodes: Sequence[Node], slack: float) -> Iterator[tuple[list[Node], list[Offset]]]:
    """Those with equal windows, or with such as fit into the largest at little cost, and where they lie in it."""
    if len(nodes) < 2:
        return
    whole = max(nodes, key=lambda n: (draft.macs(n) / _filters(n), -nodes.index(n)))
    fits = [(n, _offset(draft, n, whole)) for n in nodes]
    inside = [(n, offset) for n, offset in fits if offset is not None]
    needed = sum(draft.macs(n) for n, _ in inside)
    each = draft.macs(whole) / _filters(whole)
    if len(inside) > 1 and each * sum(_filters(n) for n, _ in inside) <= (1 + slack) * needed:
        yield [n for n, _ in inside], [offset for _, offset in inside]
    sizes: dict[tuple[int, ...], list[Node]] = {}
    for n in nodes:
        sizes.setdefault(_size(n), []).append(n)
    for size, equal in sizes.items():
        if len(equal) > 1:
            yield equal, [(0,) * len(size)] * len(equal)


def _offset(draft: Draft, node: Node, whole: Node) -> Offset | None:
    """Where the node's window lies in the larger one, in taps; None where it does not."""
    if isinstance(node.layer, Dense):
        return ()
    assert isinstance(node.layer, linear.Conv)
    assert isinstance(whole.layer, linear.Conv)
    given = draft.input_types(node)[0]
    small, large = linear.pads(node.layer, given), linear.pads(whole.layer, given)
    if small is None or large is None:
        return (0,) * len(_size(node)) if _size(node) == _size(whole) else None
    rates = per_axis(whole.layer.dilation_rate, whole.layer.RANK)
    steps = [b[0] - a[0] for a, b in zip(small, large, strict=True)]
    return linear.offset(steps, rates, _size(node), _size(whole))


def _size(node: Node) -> tuple[int, ...]:
    assert isinstance(node.layer, Kernel)
    return linear.window(node.layer)


def _filters(node: Node) -> int:
    return node.outputs[0].shape[-1] or 0


def merged(draft: Draft, nodes: Sequence[Node], offsets: Sequence[Offset]) -> Rewrite:
    """One layer with the filters of all, and the split of its result."""
    first = nodes[0]
    window = max((_size(n) for n in nodes), key=lambda size: (sum(size), size))
    counts = [_filters(n) for n in nodes]
    use_bias = any(n.layer.use_bias for n in nodes)  # type: ignore[attr-defined]
    arguments = {"units" if isinstance(first.layer, Dense) else "filters": sum(counts), "use_bias": use_bias}
    if window:
        arguments["kernel_size"] = window  # type: ignore[assignment]
    output = first.outputs[0].with_shape(*first.outputs[0].shape[:-1], sum(counts))
    name = draft.fresh(f"{first.name}_merged")
    one = replace(first, name=name, layer=changed(first.layer, **arguments), outputs=(output,))
    split = replace(_split(one, counts), name=draft.fresh(f"{first.name}_split"))
    return Rewrite(
        tuple(n.name for n in nodes),
        (one, split),
        {Edge(n.name): Edge(split.name, i) for i, n in enumerate(nodes)},
        lambda weights: {name: _joined(nodes, weights, window, offsets, use_bias)},
        lambda weights: _parted(nodes, weights[name]),
        note=f"{', '.join(n.name for n in nodes)} in one",
    )


def _split(node: Node, counts: Sequence[int]) -> Node:
    """A step that parts the channels of a node's result."""
    (output,) = node.outputs
    cuts = list(accumulate(counts))[:-1]
    dtype = None if node.layer.dtype is None else output.dtype
    layer = Formula(expression=f"split(x, {cuts}, axis=-1)", arguments=("x",), dtype=dtype)  # type: ignore[arg-type]
    types = tuple(output.with_shape(*output.shape[:-1], count) for count in counts)
    return Node(node.name, layer, (Edge(node.name),), ("inputs",), types, None, node.trainable, node.origin)


def _joined(
    nodes: Sequence[Node], weights: Weights, window: tuple[int, ...], offsets: Sequence[Offset], use_bias: bool
) -> tuple[Array, ...]:
    parts = [linear.parts(n.layer, weights[n.name]) for n in nodes]  # type: ignore[arg-type]
    kernel = algebra.side_by_side(
        [algebra.embed(kernels[0], window, offset) for (kernels, _), offset in zip(parts, offsets, strict=True)]
    )
    bias = algebra.biases_side_by_side([bias for _, bias in parts], [_filters(n) for n in nodes])
    return linear.cast([kernel, bias] if use_bias else [kernel], weights[nodes[0].name][0])


def _parted(nodes: Sequence[Node], values: Sequence[Array]) -> dict[str, tuple[Array, ...]]:
    """The way back: each layer's filters. At the level `training` all have the same windows and biases."""
    cuts = list(accumulate(_filters(n) for n in nodes))[:-1]
    columns = [np.split(value, cuts, axis=-1) for value in values]
    return {n.name: tuple(column[i] for column in columns) for i, n in enumerate(nodes)}
