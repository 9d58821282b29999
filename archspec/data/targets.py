"""Whether a target fits the output that it is compared with, by the rules of the output's loss."""

from __future__ import annotations

from archspec.diagnostics import Diagnostic
from archspec.graph.ir import Graph, Node
from archspec.layers.objects import Loss
from archspec.tensor import TensorType, show_shape

_INDICES = "SparseCategoricalCrossentropy"
_ONE_HOT = ("CategoricalCrossentropy", "CategoricalHinge", "CategoricalFocalCrossentropy")
_SHARES = ("BinaryCrossentropy", "BinaryFocalCrossentropy")
_PASSING = frozenset({"Activation", "Softmax", "ReLU", "Dropout", "LeakyReLU", "ELU"})  # keep the shape, decide nothing


def check_target(
    graph: Graph,
    output: str,
    field: str,
    target: TensorType,
    classes: tuple[str, ...] | None,
    loss: Loss | str | None,
    around: tuple[float, float] | None = None,
) -> Diagnostic | None:
    """What is wrong with the target of an output, or None. `around` is the target's smallest and largest value.

    A formula (`loss` None) is judged by its own rules.
    """
    node, made = _maker(graph, output)
    name = loss if isinstance(loss, str) else "formula" if loss is None else type(loss).__name__
    problem = _problem(field, target, classes, loss, around, type(node.layer).__name__, made)
    if problem is None:
        return None
    message, advice = problem
    label = f"gives {made}" if made.shape else ""
    return Diagnostic("E502", message, node.origin.span, label, notes=(f"output {output!r}, loss {name}",), help=advice)


def _problem(
    field: str, target: TensorType, classes: tuple[str, ...] | None, loss: Loss | str | None,
    around: tuple[float, float] | None, layer: str, made: TensorType,
) -> tuple[str, str | None] | None:  # fmt: skip
    """What is wrong, and how to mend it. The layer `layer` gives the output, `made`."""
    name = loss if isinstance(loss, str) else type(loss).__name__
    if target.dtype == "string":
        return f"the target {field} is text", "read it as a class: types: {COLUMN: class}, or choose another target"
    if loss is None:
        return None
    if name == _INDICES or (isinstance(loss, str) and classes is not None and made.shape[-1:] != (1,)):
        ignored = getattr(loss, "ignore_class", None)
        return _check_indices(field, target, classes, layer, made, around) or (
            _check_labels(field, around, layer, made, ignored) if around else None
        )
    if name in _ONE_HOT and classes is not None and target.shape == ():
        return f"{name} takes one-hot targets, but {field} is a class label", f"loss: {_INDICES}"
    if name in _ONE_HOT and classes is not None and target.rank == 1 and _lacks(made, len(classes)):
        return f"the data has {len(classes)} classes, {layer} gives {made.shape[-1]}", f"{layer}: {len(classes)}"
    if classes is not None and target.shape == () and made.shape == (1,) and len(classes) > 2:
        help = f"Dense: {len(classes)}, loss: {_INDICES}"
        return f"the data has {len(classes)} classes, {layer} gives 1 value", help
    if name in _SHARES and around is not None and not 0 <= around[0] <= around[1] <= 1:
        help = "scale it under data.preprocess, or choose another loss"
        return f"{name} takes targets from 0 to 1, {field} reaches from {around[0]:g} to {around[1]:g}", help
    if not isinstance(loss, str) and not _same(target, made):
        return f"the target {field} is {target}, {layer} gives {made}", None
    return None


def _lacks(made: TensorType, classes: int) -> bool:
    return bool(made.shape) and made.shape[-1] is not None and made.shape[-1] < classes


def _check_labels(
    field: str, around: tuple[float, float], layer: str, made: TensorType, ignored: int | None
) -> tuple[str, str | None] | None:
    """Labels from `ignore_class` aside, which stands at one end or the other, each must have its output."""
    low, high = (int(value) for value in around)
    if low < 0 and low != ignored:
        help = f"number the classes from 0, or leave these out: ignore_class: {low}"
        return f"{field} reaches from {low} to {high}: a class label is no less than 0", help
    if high != ignored and _lacks(made, high + 1):
        return f"{field} reaches from {low} to {high}, {layer} gives {made.shape[-1]} classes", f"{layer}: {high + 1}"
    return None


def _check_indices(
    field: str, target: TensorType, classes: tuple[str, ...] | None, layer: str, made: TensorType,
    around: tuple[float, float] | None,
) -> tuple[str, str | None] | None:  # fmt: skip
    if not made.shape:
        return f"{layer} gives one number, the target {field} a class", "Dense: with one unit for each class"
    if classes is not None and _lacks(made, len(classes)):
        width = made.shape[-1]
        from_one = around is not None and around == (1, width)
        help = f"its labels count from 1: make them count from 0, or {layer}: {len(classes)}" if from_one else None
        return f"the data has {len(classes)} classes, {layer} gives {width}", help or f"{layer}: {len(classes)}"
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
