"""The losses of a spec, resolved against its network: what each phase trains, by what, with which optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archspec.diagnostics import Diagnostic, SpecError, in_order
from archspec.graph.ir import Edge, Graph
from archspec.language import Document, Reading, read_formulas
from archspec.language.readings import Asked
from archspec.layers.objects import Loss, Optimizer
from archspec.layers.ops.promotion import FLOATS
from archspec.tensor import BATCH, ShapeError, TensorType, show_shape
from archspec.train.objective.scopes import Path, check_scopes, learns, matched
from archspec.train.settings import AnyLoss, FormulaLoss, Phase, Train, by_output, reads_target

TARGET = "target"
Targets = Mapping[str, TensorType]


@dataclass(frozen=True)
class Term:
    """A formula among the losses. `target` is the output whose target it reads, if it does."""

    name: str
    reading: Reading
    weight: float
    target: str | None

    @property
    def tensors(self) -> dict[str, Edge]:
        """The network's tensors that it reads, by the names of its arguments."""
        return {name: edge for name, edge in self.reading.arguments.items() if edge != target_edge(self.target)}


@dataclass(frozen=True)
class Aim:
    """One phase, or the whole training (`name` None): Keras's losses by output with their weights, and formulas.

    `trains` holds the nodes whose weights it changes; None means all.
    """

    name: str | None
    losses: Mapping[str, Loss | str]
    weights: Mapping[str, float]
    terms: tuple[Term, ...]
    optimizer: Optimizer
    trains: frozenset[str] | None

    @property
    def plain(self) -> bool:
        """Whether Keras's own `compile` can say all of it."""
        return self.name is None and not self.terms


def read_edges(aims: Iterable[Aim]) -> frozenset[Edge]:
    """The network's tensors that the formulas read."""
    return frozenset(edge for aim in aims for term in aim.terms for edge in term.tensors.values())


def target_edge(output: str | None) -> Edge:
    """What stands for an output's target among a formula's arguments."""
    return Edge(f"target of {output}")


def aims(document: Document, graph: Graph, train: Train, targets: Targets | None = None) -> tuple[Aim, ...]:
    """All aims of a training, in their order; none where the spec names no loss.

    `targets` are the types of the outputs' targets; until the data are opened, shapes are not judged that depend on
    them. Raises SpecError with every mistake that was found.
    """
    found = _check_names(document, graph, train)
    if found:
        raise SpecError(in_order(found), document.texts)
    wanted = [(group, *one) for group in _groups(train) for one in _formulas(group, graph)]
    asked = [_asked(graph, group, name, loss, targets) for group, name, loss in wanted]
    terms: dict[str | None, list[Term]] = {}
    readings = read_formulas(document, graph, asked)
    for (group, name, loss), one, reading in zip(wanted, asked, readings, strict=True):
        output = output_of(name, graph)
        read = target_edge(output) in reading.arguments.values()
        terms.setdefault(group.name, []).append(Term(name, reading, loss.weight, output if read else None))
        if targets is not None or not read:
            found += _check_result(document, one, reading)
    if found:
        raise SpecError(in_order(found), document.texts)
    return tuple(_aim(graph, train, group, tuple(terms.get(group.name, ()))) for group in _groups(train))


@dataclass(frozen=True)
class _Group:
    """A loss as it stands in the spec: of a phase, or of the whole training."""

    name: str | None
    given: Any  # a loss, or losses by name
    weights: Mapping[str, float]
    phase: Phase | None

    @property
    def path(self) -> Path:
        return ("train",) if self.name is None else ("train", "phases", self.name)

    def place(self, name: str) -> Path:
        """Where the formula of a name stands."""
        alone = isinstance(self.given, FormulaLoss)
        return (*self.path, "loss", "expr") if alone else (*self.path, "loss", name, "expr")


def _groups(train: Train) -> list[_Group]:
    if train.phases:
        return [_Group(name, phase.loss, phase.loss_weights or {}, phase) for name, phase in train.phases.items()]
    return [] if train.loss is None else [_Group(None, train.loss, train.loss_weights or {}, None)]


def losses_by_name(given: Any, graph: Graph) -> dict[str, AnyLoss]:
    """Losses by the outputs that they are for; formulas may have names of their own."""
    if isinstance(given, FormulaLoss):
        return {next(iter(graph.outputs)) if len(graph.outputs) == 1 else "formula": given}
    return by_output(given, tuple(graph.outputs))


def _formulas(group: _Group, graph: Graph) -> Iterator[tuple[str, FormulaLoss]]:
    for name, loss in losses_by_name(group.given, graph).items():
        if isinstance(loss, FormulaLoss):
            yield name, loss


def output_of(name: str, graph: Graph) -> str | None:
    """The output whose target a formula of the name reads."""
    if name in graph.outputs:
        return name
    return next(iter(graph.outputs)) if len(graph.outputs) == 1 else None


def _asked(graph: Graph, group: _Group, name: str, loss: FormulaLoss, targets: Targets | None) -> Asked:
    output = output_of(name, graph)
    given = {}
    if output is not None and TARGET not in graph.tensors:
        made = graph.type(graph.outputs[output])
        given[TARGET] = (target_edge(output), as_output((targets or {}).get(output, made), made))
    return Asked(group.place(name), loss.expr, given)


def as_output(target: TensorType, made: TensorType) -> TensorType:
    """A target as formulas see it: one number an example gets the last axis that an output of one number has."""
    one = made.rank == target.rank + 1 and made.shape[-1] == 1
    return target.with_shape(*target.shape, 1) if one else target


def _check_result(document: Document, asked: Asked, reading: Reading) -> list[Diagnostic]:
    span = document.mark.at(*asked.path).span
    types = ", ".join(f"{name} is {kind}" for name, kind in zip(reading.arguments, reading.types, strict=True))
    try:
        made = reading.result()
    except ShapeError as error:
        return [Diagnostic("E301", error.message, span, types, help=error.help)]
    if made.dtype not in FLOATS:
        return [Diagnostic("E504", f"a loss is a floating-point number, the formula gives {made.dtype}", span, types)]
    shape = made.shape
    if shape == () or (shape[0] is BATCH and all(length == 1 for length in shape[1:])):
        return []
    message = f"a loss is one number, or one for each example, the formula gives {show_shape(shape)}"
    help = "mean(…) takes the mean of everything, sum(…, axis=-1) adds up along the last axis"
    return [Diagnostic("E504", message, span, types, help=help)]


def _check_names(document: Document, graph: Graph, train: Train) -> list[Diagnostic]:
    found = check_scopes(document, graph, "frozen", train.frozen, ("train", "frozen"))
    if isinstance(train.initial_weights, Mapping):
        for scope in train.initial_weights:
            wrong = check_scopes(document, graph, "initial_weights", (scope,), ("train", "initial_weights", scope))
            found += wrong
    for group in _groups(train):
        found += _check_group(document, graph, group)
    return found


def _check_group(document: Document, graph: Graph, group: _Group) -> list[Diagnostic]:
    found = []
    for name, loss in _formulas(group, graph):
        if reads_target(loss) and TARGET not in graph.tensors and output_of(name, graph) is None:
            span = document.mark.at(*group.place(name)).span
            message, help = "target of which output?", f"name the formula after one: {', '.join(graph.outputs)}"
            found.append(Diagnostic("E504", message, span, help=help))
    special = group.phase is not None or any(_formulas(group, graph))
    if special and any(isinstance(loss, str) for loss in losses_by_name(group.given, graph).values()):
        help = "BinaryCrossentropy, or SparseCategoricalCrossentropy for class labels"
        span = document.mark.at(*group.path, "loss").span
        message = "beside formulas and in phases a loss is named itself, not crossentropy"
        found.append(Diagnostic("E504", message, span, help=help))
    if group.phase is None:
        return found
    path = (*group.path, "trains")
    wrong = check_scopes(document, graph, "trains", group.phase.trains, path)
    if not wrong and not learns(graph, _trained(graph, group.phase)):
        wrong = [Diagnostic("E504", "trains: nothing there has weights to train", document.mark.at(*path).span)]
    return found + wrong


def _trained(graph: Graph, phase: Phase) -> frozenset[str]:
    return frozenset(name for pattern in phase.trains for name in matched(graph, pattern))


def _aim(graph: Graph, train: Train, group: _Group, terms: tuple[Term, ...]) -> Aim:
    losses = {n: x for n, x in losses_by_name(group.given, graph).items() if not isinstance(x, FormulaLoss)}
    weights = dict.fromkeys(losses, 1.0) | dict(group.weights)
    if group.phase is None:
        return Aim(None, losses, weights, terms, train.optimizer, None)
    optimizer = group.phase.optimizer or train.optimizer
    return Aim(group.name, losses, weights, terms, optimizer, _trained(graph, group.phase))
