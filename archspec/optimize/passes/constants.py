"""What is computed of weights alone, or of no values at all, computed once."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from archspec.graph.ir import Node
from archspec.layers.evaluator import evaluate, parse
from archspec.layers.formula import Formula
from archspec.layers.merging import Add, Concatenate, Maximum, Minimum, Multiply, Subtract
from archspec.layers.reshaping import Flatten, Permute, Reshape
from archspec.layers.shapes import known
from archspec.layers.weight import Weight
from archspec.optimize.draft import Draft
from archspec.optimize.network import Array, Weights
from archspec.optimize.numbers import FUNCTIONS, number, of_numbers
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip

SHAPES_ONLY = frozenset({"zeros_like", "ones_like"})  # what these give does not depend on values
JOINS = {Add: np.add, Subtract: np.subtract, Multiply: np.multiply, Maximum: np.maximum, Minimum: np.minimum}


@dataclass(frozen=True)
class Constants(Pass):
    """Computes tables once that every call would compute of weights alone: positions, relative biases, masks.

    A layer that reads nothing but tensors of its own (`weight`), or a formula that takes no values from its tensors
    (`zeros_like(x) + …`), becomes such a tensor, with the values that it would have.

    Precondition: nothing is left to learn, so at the level `inference` only; float32; known lengths; functions that
    NumPy computes alike, without rounding to whole numbers; at most `most_bytes`, as what takes much room is better
    computed anew.
    """

    name = "constants"
    mark = "constant"
    level = "inference"
    keeps_weights = False

    most_bytes: int = 4 * 2**20

    def match(self, draft: Draft, node: Node) -> Answer:
        free = _is_free(node.layer)
        sources = dict.fromkeys(edge.node for edge in node.inputs)
        if not node.inputs or not (free or all(isinstance(draft.nodes[n].layer, Weight) for n in sources)):
            return None
        reason = self._reason(draft, node) or _numpy_reason(draft, node)
        if reason:
            return Skip(node.name, reason)
        owned = {} if free else {name: draft.nodes[name] for name in sources}
        if any(draft.sharers(name) for name in owned):
            return Skip(node.name, "its weights are shared")
        others = [name for name in owned if draft.kept(name) or len(draft.readers(name)) > 1]
        any_values, name = _any_values(draft, node), node.name

        def redo(weights: Weights) -> Weights:
            given = [weights[edge.node][0][None] for edge in node.inputs] if owned else any_values
            value = np.ascontiguousarray(computed(node, given)[0], np.float32)
            return {other: weights[other] for other in others} | {name: (value,)}

        layer = Weight.model_validate({"shape": node.outputs[0].shape})
        new = replace(node, layer=layer, inputs=(), parameters=(), trainable=False)
        puts = (*(owned[other] for other in others), new)
        return Rewrite((*owned, name), puts, weights=redo, note="computed once")

    def _reason(self, draft: Draft, node: Node) -> str | None:
        types = [*(draft.type(edge) for edge in node.inputs), *node.outputs]
        if len(node.outputs) != 1 or any(None in t.shape for t in types) or not node.outputs[0].shape:
            return "its lengths are not known"
        if {t.dtype for t in types} != {"float32"} or node.layer.dtype not in (None, "float32"):
            return "it is not of float32 throughout"
        if isinstance(node.layer, Formula):
            unknown = sorted(_functions(node.layer.expression) - FUNCTIONS.keys())
            if unknown:
                return f"{unknown[0]} is left to the runtime"
        elif not isinstance(node.layer, (*JOINS, Reshape, Flatten, Permute, Concatenate)):
            return f"{type(node.layer).__name__} is left to the runtime"
        if node.outputs[0].bytes > self.most_bytes:
            return f"its result takes {node.outputs[0].bytes:,} bytes"
        return None


def _any_values(draft: Draft, node: Node, batch: int = 1) -> list[Array]:
    return [np.full([batch, *map(known, draft.type(edge).shape)], 0.5, np.float32) for edge in node.inputs]


def _numpy_reason(draft: Draft, node: Node) -> str | None:
    """Tries it: NumPy may lack an argument of Keras's, or give another shape; a formula may sum over the batch."""
    try:
        value, two = (computed(node, _any_values(draft, node, batch)) for batch in (1, 2))
    except (TypeError, ValueError, IndexError) as error:
        return f"NumPy does not compute it: {error}"
    shape = (1, *node.outputs[0].shape)
    if value.shape != shape:
        return f"NumPy makes {value.shape} of it, Keras {shape}"
    alike = two.shape in (shape, (2, *shape[1:])) and np.allclose(two, value, rtol=1e-3, equal_nan=True)
    return None if alike else "it depends on the number of examples"


@cache
def _functions(expression: str) -> frozenset[str]:
    """The functions that a formula calls by name."""
    calls = (n.func for n in ast.walk(parse(expression)) if isinstance(n, ast.Call))
    return frozenset(f.id for f in calls if isinstance(f, ast.Name))


def _is_free(layer: Any) -> bool:
    return isinstance(layer, Formula) and _takes_no_values(layer.expression, layer.arguments)


@cache
def _takes_no_values(expression: str, arguments: tuple[str, ...]) -> bool:
    """Whether a formula looks at its tensors' shapes only."""

    def free(tree: ast.AST) -> bool:
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in SHAPES_ONLY:
            return True
        if isinstance(tree, ast.Name) and tree.id in arguments:
            return False
        return all(free(child) for child in ast.iter_child_nodes(tree))

    return free(parse(expression))


def computed(node: Node, given: list[Array]) -> Array:
    """The node's result for arrays of which the first axis is the batch. Raises TypeError, ValueError, IndexError."""
    with np.errstate(all="ignore"):  # Keras says nothing of 1 / 0 either
        return np.asarray(_computed(node, given))


def _computed(node: Node, given: list[Array]) -> Any:
    layer: Any = node.layer
    if isinstance(layer, Formula):
        names = dict(zip(layer.arguments, given, strict=True))
        return number(evaluate(parse(layer.expression), names, of_numbers))
    if isinstance(layer, Permute):
        return given[0].transpose(0, *layer.dims)
    if isinstance(layer, Reshape | Flatten):
        return given[0].reshape(len(given[0]), *node.outputs[0].shape)
    if isinstance(layer, Concatenate):
        return np.concatenate(given, layer.axis)
    total, *others = given
    rank = 1 + node.outputs[0].rank
    for other in others:
        total = JOINS[type(layer)](_aligned(total, rank), _aligned(other, rank))
    return total


def _aligned(value: Array, rank: int) -> Array:
    """Axes of length 1 behind the batch, as Keras's joins take tensors of fewer axes."""
    return value.reshape(value.shape[0], *(1,) * (rank - value.ndim), *value.shape[1:])
