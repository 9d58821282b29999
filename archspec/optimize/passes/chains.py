"""Layers that only move values about, one behind the other, as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from archspec.graph.ir import Edge, Node
from archspec.layers.base import Layer
from archspec.layers.formula import Formula
from archspec.layers.merging import Concatenate
from archspec.layers.reshaping import Flatten, Permute, Reshape
from archspec.layers.shapes import axis_index, per_axis
from archspec.optimize.draft import Draft
from archspec.optimize.facts import CROPPINGS, ENLARGING, PADDINGS, sides, spatial_rank
from archspec.optimize.formulas import cast_to, holds, permutation
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed

Sides = tuple[tuple[int, int], ...]
Merge = Callable[[Any, Any], Layer | None]


@dataclass(frozen=True)
class Chains(Pass):
    """Makes one layer of two that move values about.

    Reshapes: the second alone. Permutations, pads, crops, enlargings by repetition: their composition. A crop behind a
    pad: what is left of either. Joins along the same axis: one join of all. Transpositions and casts there and back:
    nothing.

    Precondition: both move values of the same dtype, and a join that is joined again has no other reader, for whom it
    would have to be copied twice.
    """

    name = "chains"
    mark = "chain in one"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if isinstance(node.layer, Concatenate):
            return _joined(draft, node)
        if isinstance(node.layer, Formula) or (isinstance(node.layer, Permute) and _is_formula(draft, node)):
            return _turned(draft, node) or _cast_back(draft, node)
        merge = _MERGES.get((type(node.layer), type(draft.producer(node).layer))) if len(node.inputs) == 1 else None
        if merge is None:
            return None
        before = draft.producer(node)
        if before.outputs[0].dtype != draft.input_types(before)[0].dtype or before.layer.dtype != node.layer.dtype:
            return Skip(node.name, f"{before.name} changes the dtype")
        layer = merge(before.layer, node.layer)
        if layer is None:
            return Skip(node.name, f"{before.name} and {node.name} do not make one layer")
        new = replace(node, layer=layer, inputs=before.inputs)
        if draft.infer(new) != node.outputs:  # where lengths are unknown, the first may have made one known
            return Skip(node.name, f"without {before.name} the shape is not known")
        takes = draft.with_sole(before, node)
        return Rewrite(takes, (new,), note=f"one layer of {before.name} and {node.name}")


def _is_formula(draft: Draft, node: Node) -> bool:
    return isinstance(draft.producer(node).layer, Formula)


def _turned(draft: Draft, node: Node) -> Answer:
    """Two transpositions, of which a formula is one: what is left of them, or nothing."""
    if len(node.inputs) != 1 or not draft.producer(node).inputs:
        return None
    before, rank = draft.producer(node), node.outputs[0].rank
    first, second = permutation(before.layer, rank), permutation(node.layer, rank)
    if first is None or second is None:
        return None
    if draft.input_types(before)[0].dtype != node.outputs[0].dtype:
        return Skip(node.name, f"{before.name} changes the dtype")
    dims = tuple(first[axis - 1] for axis in second)
    takes = draft.with_sole(before, node)
    if dims == tuple(sorted(dims)):
        return Rewrite(takes, (), {Edge(node.name): before.inputs[0]}, note=f"{before.name} and back")
    new = replace(node, layer=Permute(dims=dims, dtype=node.layer.dtype), inputs=before.inputs, parameters=("inputs",))
    return Rewrite(takes, (new,), note=f"one transposition of {before.name} and {node.name}")


def _cast_back(draft: Draft, node: Node) -> Answer:
    """A cast to a dtype that holds all values, and back."""
    if cast_to(node.layer) is None or cast_to(draft.producer(node).layer) is None:
        return None
    before = draft.producer(node)
    given, between, found = draft.input_types(before)[0], before.outputs[0], node.outputs[0]
    if given != found:
        return None
    if not holds(between.dtype, given.dtype):
        return Skip(node.name, f"{between.dtype} does not hold all of {given.dtype}")
    takes = draft.with_sole(before, node)
    return Rewrite(takes, (), {Edge(node.name): before.inputs[0]}, note=f"{before.name} and back")


def _joined(draft: Draft, node: Node) -> Answer:
    """A join with the tensors of those joins that it reads, where they go along the same axis."""
    inner = [draft.nodes[edge.node] for edge in dict.fromkeys(node.inputs) if _is_join(draft, node, edge)]
    if not inner:
        return None
    alone = {join.name: join for join in inner if not draft.open(join.name) and join.layer.dtype == node.layer.dtype}
    if not alone:
        return Skip(node.name, draft.open(inner[0].name) or f"{inner[0].name} computes in another dtype")
    inputs: list[Edge] = []
    for edge in node.inputs:
        inputs += alone[edge.node].inputs if edge.node in alone else (edge,)
    new = replace(node, inputs=tuple(inputs), parameters=(node.parameters[0],) * len(inputs))
    return Rewrite((*alone, node.name), (new,), note=f"one join of {', '.join((*alone, node.name))}")


def _is_join(draft: Draft, node: Node, edge: Edge) -> bool:
    join = draft.nodes[edge.node]
    return isinstance(join.layer, Concatenate) and _axis(join) == _axis(node)


def _axis(join: Node) -> int:
    assert isinstance(join.layer, Concatenate)
    return axis_index("concat", join.outputs[0], join.layer.axis)


def _argument(widths: Sides) -> Any:
    """Widths as the layer takes them: of one axis without the tuple around it."""
    return widths if len(widths) > 1 else widths[0]


def _second(first: Layer, second: Layer) -> Layer:
    return second


def _permuted(first: Permute, second: Permute) -> Layer:
    return changed(second, dims=tuple(first.dims[axis - 1] for axis in second.dims))


def _padded(first: Any, second: Any) -> Layer:
    rank = spatial_rank(second)
    return changed(second, padding=_argument(_sum(sides(first.padding, rank), sides(second.padding, rank), 1)))


def _cropped(first: Any, second: Any) -> Layer:
    rank = spatial_rank(second)
    return changed(second, cropping=_argument(_sum(sides(first.cropping, rank), sides(second.cropping, rank), 1)))


def _cropped_pad(first: Any, second: Any) -> Layer | None:
    """A pad that is cropped: the rest of the pad, or of the crop; None where it is a pad here and a crop there."""
    rank = spatial_rank(second)
    rest = _sum(sides(first.padding, rank), sides(second.cropping, rank), -1)
    if all(width >= 0 for pair in rest for width in pair):
        return changed(first, padding=_argument(rest))
    if all(width <= 0 for pair in rest for width in pair):
        return changed(second, cropping=_argument(tuple((-a, -b) for a, b in rest)))
    return None


def _sum(first: Sides, second: Sides, sign: int) -> Sides:
    return tuple((a + sign * c, b + sign * d) for (a, b), (c, d) in zip(first, second, strict=True))


def _enlarged(first: Any, second: Any) -> Layer | None:
    """Repetitions of repetitions; interpolations do not compose."""
    if {getattr(layer, "interpolation", "nearest") for layer in (first, second)} != {"nearest"}:
        return None
    rank = spatial_rank(second)
    sizes = tuple(a * b for a, b in zip(per_axis(first.size, rank), per_axis(second.size, rank), strict=True))
    return changed(second, size=sizes if rank > 1 else sizes[0])


# The layer that two make, by the classes of the second and the first.
_MERGES: dict[tuple[type[Layer], type[Layer]], Merge] = {
    **{(second, first): _second for second in (Reshape, Flatten) for first in (Reshape, Flatten)},
    (Permute, Permute): _permuted,
    **{(cls, cls): _padded for cls in PADDINGS},
    **{(cls, cls): _cropped for cls in CROPPINGS},
    **{(cls, cls): _enlarged for cls in ENLARGING},
    **dict.fromkeys(zip(CROPPINGS, PADDINGS, strict=True), _cropped_pad),
}
