"""Whether a target fits the output that it is compared with, by the rules of the output's loss."""

from __future__ import annotations

from archspec.diagnostics import Diagnostic
from archspec.graph.ir import Graph, Node
from archspec.layers.objects import Loss
from archspec.tensor import TensorType, show_shape

_INDICES = "SparseCategoricalCrossentropy"
_ONE_HOT = ("CategoricalCrossentropy", "CategoricalHinge", "CategoricalFocalCrossentropy")
_PASSING = frozenset({"Activation", "Softmax", "ReLU", "Dropout", "LeakyReLU", "ELU"})  # keep the shape, decide nothing


def check_target(
    graph: Graph,
    output: str,
    field: str,
    target: TensorType,
    classes: tuple[str, ...] | None,
    loss: Loss | str | None,
) -> Diagnostic | None:
    """What is wrong with the target of an output, or None. A formula (`loss` None) is judged by its own rules."""
    node, made = _maker(graph, output)
    layer = type(node.layer).__name__
    problem: tuple[str, str | None] | None = None
    name = loss if isinstance(loss, str) else "formula" if loss is None else type(loss).__name__
    if target.dtype == "string":
        problem = f"the target {field} is text", "read it as a class: types: {COLUMN: class}, or choose another target"
    elif loss is None:
        return None
    elif name == _INDICES or (isinstance(loss, str) and classes is not None and made.shape[-1:] != (1,)):
        problem = _check_indices(field, target, classes, layer, made)
    elif name in _ONE_HOT and classes is not None and target.shape == ():
        problem = f"{name} takes one-hot targets, but {field} is a class label", f"loss: {_INDICES}"
    elif classes is not None and target.shape == () and made.shape == (1,) and len(classes) > 2:
        help = f"Dense: {len(classes)}, loss: {_INDICES}"
        problem = f"the data has {len(classes)} classes, {layer} gives 1 value", help
    elif not isinstance(loss, str) and not _same(target, made):
        problem = f"the target {field} is {target}, {layer} gives {made}", None
    if problem is None:
        return None
    message, advice = problem
    label = f"gives {made}" if made.shape else ""
    return Diagnostic("E502", message, node.origin.span, label, notes=(f"output {output!r}, loss {name}",), help=advice)


def _check_indices(
    field: str, target: TensorType, classes: tuple[str, ...] | None, layer: str, made: TensorType
) -> tuple[str, str | None] | None:
    if not made.shape:
        return f"{layer} gives one number, the target {field} a class", "Dense: with one unit for each class"
    width = made.shape[-1]
    if classes is not None and width is not None and width < len(classes):
        return f"the data has {len(classes)} classes, {layer} gives {width}", f"{layer}: {len(classes)}"
    if "float" in target.dtype:
        return f"{_INDICES} takes class labels, but {field} is {target.dtype}", "for amounts: loss: MeanSquaredError"
    if target.shape not in (made.shape[:-1], (*made.shape[:-1], 1)):
        return f"the target {field} is {target}, {layer} gives {made}, one value for each class", (
            f"{_INDICES} takes targets {show_shape(made.shape[:-1])}"
        )
    return None


def _same(target: TensorType, made: TensorType) -> bool:
    """Equal shapes, unknown lengths aside; Keras adds or drops a last axis of one."""
    shapes = [tensor.shape[:-1] if tensor.shape[-1:] == (1,) else tensor.shape for tensor in (target, made)]
    a, b = shapes
    return len(a) == len(b) and all(x is None or y is None or x == y for x, y in zip(a, b, strict=True))


def _maker(graph: Graph, output: str) -> tuple[Node, TensorType]:
    """The layer that decides the output's shape, and the output's type."""
    edge = graph.outputs[output]
    made = graph.type(edge)
    node = graph.nodes[edge.node]
    while type(node.layer).__name__ in _PASSING and len(node.inputs) == 1:
        node = graph.nodes[node.inputs[0].node]
    return node, made
