"""Document → Graph: steps are applied one after another, and every shape is known as it goes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archspec.diagnostics import Diagnostic, Span
from archspec.graph.ir import Edge, Graph, Node, Origin, as_tuple
from archspec.graph.prune import pruned
from archspec.language import unused, verbs
from archspec.language.actions import Action, verb_span
from archspec.language.document import Document, Step
from archspec.language.evaluation import Evaluation
from archspec.language.expressions import show
from archspec.language.scope import POISON, UNSET, Failed, Frame, Maker, Site, Turn, Value, Where
from archspec.language.size import check_size
from archspec.language.source import Mark
from archspec.language.steps import parse_steps
from archspec.layers.base import Layer, group_inputs
from archspec.layers.core import InputLayer
from archspec.tensor import ShapeError, TensorType


def elaborate(document: Document) -> Graph:
    """The graph that a document describes. Raises SpecError with every mistake that was found."""
    return Elaborator(document).whole()


def elaborate_steps(document: Document, path: tuple[str | int, ...], inputs: Mapping[str, TensorType]) -> Graph:
    """The graph of the list of steps that stands at `path`, on the inputs given. Raises SpecError."""
    data: Any = document.raw
    for part in path:
        data = data[part]
    return Elaborator(document).part(data, document.mark.at(*path), inputs)


class Elaborator(Evaluation):
    """The state of one elaboration: the nodes made so far, the names taken, the mistakes found."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        # A level of nesting takes up to ten calls; Python 3.11 keeps their frames on the heap.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 12 * document.limits.nesting))
        self.nodes: dict[str, Node] = {}
        self.order: list[str] = []
        self.taken: dict[str, int] = {}
        self.visited: set[int] = set()
        self.constants: dict[int, tuple[Step, Layer, Mapping[str, Any]]] = {}  # of steps without expressions
        self.layers: dict[Any, Layer] = {}  # by class and arguments
        self.sharing: Iterator[str] | None = None  # the nodes whose weights the next ones use
        self.top: Frame | None = None  # the names of the top level, once it is elaborated

    # --- the whole -------------------------------------------------------------------------------

    def whole(self) -> Graph:
        document, outputs, frame = self.document, {}, None
        try:
            frame = self.frame(document, {}, Mark(document.mark.span), ())
            check_size(document, frame.params)
            inputs = {name: self.input(name, frame) for name in document.spec.inputs}
            frame.names.update(inputs)
            frame.inputs = inputs
            x = next(iter(inputs.values())) if len(inputs) == 1 else UNSET
            if document.mistakes and not inputs:
                x = POISON  # what was reported may have been the inputs
            x = self.run(document.steps, Site(x, frame))
            outputs = self.results(x, frame)
        except Failed:
            pass
        unused.check(self, document)
        self.raise_found()
        assert frame is not None
        self.top = frame
        tensors = {name: value.edge for name, value in frame.names.items() if value.edges}
        return pruned(Graph(document.name, self.nodes, tuple(document.spec.inputs), outputs, tensors))

    def part(self, steps: Any, mark: Mark, inputs: Mapping[str, TensorType]) -> Graph:
        found: list[Diagnostic] = []
        parsed = parse_steps(steps, mark, found)
        for diagnostic in found:
            self.report(diagnostic)
        outputs = {}
        try:
            frame = self.frame(self.document, {}, mark, ())
            made = {name: self.add_input(name, tensor, Origin(mark.span)) for name, tensor in inputs.items()}
            frame.names.update(made)
            x = next(iter(made.values())) if len(made) == 1 else UNSET
            x = self.run(parsed, Site(x, frame))
            outputs = {"output": x.edge} if x.edges else {}
        except Failed:
            pass
        self.raise_found()
        return Graph(self.document.spec.name, self.nodes, tuple(inputs), outputs, {})

    def results(self, x: Value, frame: Frame) -> dict[str, Edge]:
        declared = self.document.spec.outputs
        mark = self.document.mark.at("outputs")
        if not declared:
            if x is UNSET:
                if self.document.steps:
                    self.fail(Diagnostic("E305", "the spec has no output", mark.span, help="outputs: [NAME]"))
                return {}
            return {"output": x.edge} if x.edges else {}
        if isinstance(declared, list):
            return {name: self.tensor(name, mark.at(i), Site(x, frame)).edge for i, name in enumerate(declared)}
        return {name: self.tensor(path, mark.at(name), Site(x, frame)).edge for name, path in declared.items()}

    # --- inputs and nodes ------------------------------------------------------------------------

    def input(self, name: str, frame: Frame) -> Value:
        declared = self.document.spec.inputs[name]
        mark = self.document.mark.at("inputs", name)
        given = mark.items.get("shape", mark)
        try:
            shape = self.value(declared.shape, given, Site(UNSET, frame))
            good = isinstance(shape, tuple) and all(
                d is None or (isinstance(d, int) and not isinstance(d, bool) and d > 0) for d in shape
            )
            if not good:
                help = f"{name}: [224, 224, 3]; null is a length not known; the batch is left out"
                message = f"an input's shape is a list of lengths, got {show(shape)}"
                self.fail(Diagnostic("E203", message, given.span, help=help))
            if name == "x" or not name.isidentifier():
                why = ": it is the current tensor" if name == "x" else ""
                rule = None if why else "names are letters, digits and _"
                place = self.document.mark.key("inputs", name)
                self.fail(Diagnostic("E207", f"{name!r} cannot be an input's name{why}", place, help=rule))
            return self.add_input(name, TensorType(shape, declared.dtype), Origin(mark.span))
        except Failed:
            return POISON

    def add_input(self, name: str, tensor: TensorType, origin: Origin) -> Value:
        layer = InputLayer.model_validate({"shape": tensor.shape, "dtype": tensor.dtype})
        self.taken[name] = 1
        return Value(self.add(Node(name, layer, (), (), (tensor,), origin=origin)), (tensor,))

    def add(self, node: Node) -> tuple[Edge, ...]:
        if len(self.order) >= self.document.limits.nodes:
            self.stop("nodes", self.document.limits.nodes, "the number of layers", node.origin.span)
        self.nodes[node.name] = node
        self.order.append(node.name)
        return tuple(Edge(node.name, i) for i in range(len(node.outputs)))

    def unique(self, name: str) -> str:
        """The name, with a number behind it if it is taken."""
        count = self.taken.get(name, 0) + 1
        self.taken[name] = count
        return name if count == 1 else self.unique(f"{name}_{count}")

    def apply(
        self,
        layer: Layer,
        parameters: tuple[str, ...],
        values: Sequence[Value],
        action: Action,
        name: str,
        arguments: Mapping[str, Any],
        clash: Callable[[Diagnostic], Diagnostic] = lambda d: d,
    ) -> Value:
        """A node for a layer on tensors, and the value of its outputs. `clash` may add to a shape error."""
        if any(value is POISON for value in values):
            raise Failed
        where, span = action.where, verb_span(action.step)
        positional, named = group_inputs(type(layer), parameters, tuple(value.type for value in values))
        try:
            outputs = as_tuple(layer.infer(*positional, **named))
        except ShapeError as error:
            self.fail(clash(Diagnostic("E301", error.message, span, help=error.help)), where)
        shares = self.shared(layer, span, where)
        full = self.unique(where.prefix + action.label(name))
        origin = Origin(span, where.uses)
        node = Node(full, layer, tuple(v.edge for v in values), parameters, outputs, shares, where.trainable, origin)
        if shares:
            self.check_shared(node, positional, named, where)
        edges = self.add(node)
        last = len(self.order)
        return Value(edges, outputs, None, Maker(layer, arguments, None, None, last - 1, last))

    def shared(self, layer: Layer, span: Span, where: Where) -> str | None:
        """The node whose weights the next one uses, while something is being reused."""
        if self.sharing is None:
            return None
        name = next(self.sharing, None)
        same = name is not None and type(self.nodes[name].layer) is type(layer)
        if not same:
            message = "what is reused would be made of other layers here, so it cannot share weights"
            self.fail(Diagnostic("E306", message, span, help="give it an input of the same shape"), where)
        assert name is not None
        return self.nodes[name].shares or name

    def check_shared(self, node: Node, positional: Any, named: Any, where: Where) -> None:
        assert node.shares
        first = self.nodes[node.shares]
        graph = Graph("", self.nodes, (), {})
        before, now = graph.weights(first), node.layer.weights(*positional, **named)
        if [w.shape for w in before] != [w.shape for w in now]:
            mine = ", ".join(f"{w.name} {w.shape}" for w in now)
            theirs = ", ".join(f"{w.name} {w.shape}" for w in before)
            message = f"{first.name} has weights {theirs}; reused here it would need {mine}"
            self.fail(Diagnostic("E306", message, node.origin.span, help="give it an input of the same shape"), where)

    # --- steps -----------------------------------------------------------------------------------

    def run(self, steps: Sequence[Step], site: Site) -> Value:
        x = site.x
        for step in steps:
            x = self.step(step, site.at(x))
        return x

    def step(self, step: Step, site: Site) -> Value:
        """A step with its loops; what it cannot make is poison, and said once."""
        self.visited.add(id(step))
        if site.where.depth > self.document.limits.nesting:
            self.stop("nesting", self.document.limits.nesting, "the nesting of blocks and groups", step.mark.span)
        try:
            if step.loop is not None:
                return self.looped(step, step.loop, site)
            return self.repeated(step, site, None)
        except Failed:
            for name in names_of(step):
                site.frame.names[name] = POISON
            return POISON

    def looped(self, step: Step, loop: Mapping[str, Any], site: Site) -> Value:
        columns = self.columns(step, loop, site)
        count = len(next(iter(columns.values())))
        variables = site.frame.variables
        hidden = {name: variables[name] for name in columns if name in variables}
        x = site.x
        try:
            for i in range(count):
                row = tuple((name, column[i]) for name, column in columns.items())
                variables.update(row)
                x = self.repeated(step, site.at(x), Turn(i + 1, count, str(i + 1), row))
        finally:
            for name in columns:
                variables.pop(name, None)
            variables.update(hidden)
        return x

    def columns(self, step: Step, loop: Mapping[str, Any], site: Site) -> dict[str, tuple[Any, ...]]:
        """The lists that a loop runs over, of equal length."""
        place = step.mark.at("for")
        columns: dict[str, tuple[Any, ...]] = {}
        for name, raw in loop.items():
            column = self.value(raw, place.at(name), site)
            if not isinstance(column, tuple):
                message = f"for {name} should run over a list, got {show(column)}"
                help = "to count, use a range: =range(n)"
                self.fail(Diagnostic("E203", message, place.at(name).span, help=help), site.where)
            columns[name] = column
        if len({len(column) for column in columns.values()}) > 1:
            shown = ", ".join(f"{name} has {len(column)}" for name, column in columns.items())
            self.fail(Diagnostic("E203", f"the lists of for differ in length: {shown}", place.span), site.where)
        return columns

    def repeated(self, step: Step, site: Site, turn: Turn | None) -> Value:
        if step.repeat is None:
            return self.once(step, site, turn)
        count = self.whole_number(step.repeat, step.mark.at("repeat"), site, "repeat")
        if count > self.document.limits.nodes:
            self.stop("nodes", self.document.limits.nodes, f"repeat: {count:,}", step.mark.at("repeat").span)
        x, first, outer = site.x, len(self.order), self.sharing
        made: list[str] = []
        for i in range(count):
            if step.share and i and outer is None:
                self.sharing = iter(made)
            try:
                x = self.once(step, site.at(x), Turn(i + 1, count, str(i + 1), ()).within(turn))
            finally:
                self.sharing = outer
            if i == 0:
                made = self.order[first:]
        return x

    def once(self, step: Step, site: Site, turn: Turn | None) -> Value:
        """The step itself, once."""
        if step.when is not True and not self.value(step.when, step.mark.at("when"), site):
            return site.x
        if step.trainable is not True:
            trainable = self.value(step.trainable, step.mark.at("trainable"), site)
            if not isinstance(trainable, bool):
                message = f"trainable should be true or false, got {show(trainable)}"
                self.fail(Diagnostic("E203", message, step.mark.at("trainable").span), site.where)
            site = replace(site, where=replace(site.where, trainable=site.where.trainable and trainable))
        names = [self.inserted(name, step.mark.at("name"), site) for name in names_of(step)]
        if turn and any("$" in name for name in names_of(step)):
            turn = replace(turn, suffix="")
        try:
            value = verbs.apply_verb(self, Action(step, site, names[0] if names else None, turn))
        except Failed:
            value = POISON
        self.bind(step, names, turn.suffix if turn else "", value, site)
        return value

    def bind(self, step: Step, names: list[str], suffix: str, value: Value, site: Site) -> None:
        """Gives the step's outputs their names; in a loop also with the number of the iteration."""
        if isinstance(step.name, list):
            if value is not POISON and len(names) > len(value.edges):
                message = f"{len(names)} names for {len(value.edges)} output(s)"
                help = "a recurrent layer gives its states with return_state: true"
                self.fail(Diagnostic("E305", message, step.mark.at("name").span, help=help), site.where)
            for i, name in enumerate(names):
                site.frame.names[name] = POISON if value is POISON else value.part(i)
        elif names:
            site.frame.names[names[0]] = value
            if suffix:
                site.frame.names[names[0] + suffix] = value


def names_of(step: Step) -> list[str]:
    return step.name if isinstance(step.name, list) else [step.name] if step.name else []
