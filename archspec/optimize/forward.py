"""An affine map of the channels into the linear layers after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from archspec.graph.ir import Edge, Node
from archspec.layers.core import EinsumDense
from archspec.optimize import linear
from archspec.optimize.algebra import Affine
from archspec.optimize.draft import Draft
from archspec.optimize.facts import MEANS
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Rewrite, Skip


def read_linearly(draft: Draft, node: Node) -> bool:
    """Whether a layer reads the node that takes an affine map in, or hands it on to such a one."""
    passed = (linear.Forward, linear.Reshaped, *MEANS)
    return any(isinstance(reader.layer, passed) for reader in draft.readers(node.name))


def into_readers(
    draft: Draft,
    node: Node,
    edge: Edge,
    first: Callable[[Weights], Affine],
    *,
    shifts: bool = True,
    takes: tuple[str, ...] = (),
) -> Rewrite | Skip:
    """What the node makes of `edge`, the affine map `first`, done by all layers that read it, or why they cannot.

    `shifts`: whether it may add something, which windows at a border must not see. `takes`: what else goes.
    """
    if draft.type(edge) != node.outputs[0]:
        return Skip(node.name, f"it makes {node.outputs[0]} of {draft.type(edge)}")
    ends = linear.ends(draft, node.name, shifts)
    if isinstance(ends, Skip):
        return ends
    readers, between = ends

    def folded(weights: Weights) -> Weights:
        affine = first(weights)
        made = {n.name: linear.before(n.layer, weights[n.name], affine) for n in readers if not n.shares}  # type: ignore[arg-type]
        return {n.name: made[n.name] if shifts or _biased(n) else made[n.name][:-1] for n in readers if n.name in made}

    return Rewrite(
        (node.name, *takes, *(n.name for n in readers)),
        tuple(_reading(n, node, edge, shifts) for n in readers),
        {Edge(node.name): edge},
        folded,
        note=f"{node.name} into {', '.join(n.name for n in readers)}",
        keeps_masks=True,
        alters=between,
    )


def _biased(node: Node) -> bool:
    layer = node.layer
    return layer.bias_axes is not None if isinstance(layer, EinsumDense) else layer.use_bias  # type: ignore[attr-defined]


def _reading(reader: Node, node: Node, edge: Edge, shifts: bool) -> Node:
    """The reader, with a bias where it needs one, reading what the node read."""
    inputs = tuple(edge if each == Edge(node.name) else each for each in reader.inputs)
    return replace(linear.with_bias(reader) if shifts else reader, inputs=inputs)
