"""Data and network brought together before anything is built: which field goes where, and whether it fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archspec.data.base import DataError, Loaded
from archspec.data.checks import check_inputs, moved_targets
from archspec.data.settings import Data, Split
from archspec.data.split import BadSplit, Divided, divide
from archspec.data.split import folds as split_folds
from archspec.data.targets import check_target
from archspec.diagnostics import Diagnostic, SpecError, did_you_mean
from archspec.graph.ir import Graph
from archspec.language import Document, elaborate_steps
from archspec.layers.objects import Loss
from archspec.tensor import TensorType


@dataclass(frozen=True)
class Plan:
    """How a source's examples reach the network.

    `inputs` and `targets` name the field that each input takes and each output is compared with. `preprocess` holds
    the steps for fields, `augment` those for inputs while training; `classes` the names of an output's classes;
    `split` is what was asked for and gave the `parts`.
    """

    source: Loaded
    parts: Divided
    inputs: Mapping[str, str]
    targets: Mapping[str, str]
    preprocess: Mapping[str, Graph]
    augment: Mapping[str, Graph]
    classes: Mapping[str, tuple[str, ...]]
    split: Split

    def target_types(self) -> dict[str, TensorType]:
        """The type of each output's target, as it reaches the loss."""
        types = {name: self.source.fields[field].type for name, field in self.targets.items()}
        return {
            name: output_type(self.preprocess[field]) if field in self.preprocess else types[name]
            for name, field in self.targets.items()
        }


def plan(document: Document, graph: Graph, data: Data, losses: Mapping[str, Loss | str | None]) -> Plan:
    """Opens the source and fits it to the network. `losses` are those of the outputs with targets, None where a
    formula compares the two.

    Raises SpecError: E501 where the data cannot be had, E502 where they do not fit, E503 where they cannot be split.
    """
    try:
        source = data.source.load(document.folder or Path())
    except DataError as error:
        raise _error(document, "E501", error.message, ("data", "source"), error.help) from error
    inputs = _bind(document, source, data.inputs, "inputs", graph.inputs, source.inputs)
    targets = _bind(document, source, data.targets, "targets", tuple(losses), source.targets)
    preprocess = {
        inputs[name]: steps
        for name, steps in elaborate_all(
            document, "preprocess", {name: source.fields[field].type for name, field in inputs.items()}
        ).items()
    }
    types = {name: field.type for name, field in source.fields.items()}
    types |= {field: output_type(steps) for field, steps in preprocess.items()}
    found = check_inputs(graph, source.fields, inputs, types)
    classes: dict[str, tuple[str, ...]] = {}
    for output, field in targets.items():
        raw = source.fields[field]
        same = types[field] == raw.type and field not in preprocess
        if raw.classes is not None and same:
            classes[output] = raw.classes
        diagnostic = check_target(
            graph, output, field, types[field], classes.get(output), losses[output], raw.range if same else None
        )
        found += [diagnostic] if diagnostic else []
    if found:
        raise SpecError([_with_source(document, diagnostic) for diagnostic in found], document.texts)
    augment = check_augment(document, graph)
    _check_moved(document, graph, augment, {output: types[field] for output, field in targets.items()})
    try:
        parts = divide(source, data.split, _label(source, targets))
    except BadSplit as error:
        raise _error(document, "E503", error.message, ("data", "split", error.key), error.help) from error
    return Plan(source, parts, inputs, targets, preprocess, augment, classes, data.split)


def folds(plan: Plan, n: int) -> Iterator[Plan]:
    """The same plan n times, each time with other examples for the test: see `archspec.data.split.folds`.

    Raises BadSplit.
    """
    for parts in split_folds(plan.source, plan.split, _label(plan.source, plan.targets), n):
        yield replace(plan, parts=parts)


def _label(source: Loaded, targets: Mapping[str, str]) -> str | None:
    """The class label whose proportions the splits keep: the first there is."""
    return next((field for field in targets.values() if field in source.labels), None)


def _with_source(document: Document, diagnostic: Diagnostic) -> Diagnostic:
    """The other half of a misfit: where the spec says which data."""
    if "source" not in (document.raw.get("data") or {}):
        return diagnostic
    span = document.mark.at("data", "source").span
    return replace(diagnostic, notes=(*diagnostic.notes, f"the data: {span}"))


def _check_moved(
    document: Document, graph: Graph, augment: Mapping[str, Graph], targets: Mapping[str, TensorType]
) -> None:
    inputs = {name: graph.nodes[name].outputs[0] for name in graph.inputs}
    for name, layer, output in moved_targets(augment, inputs, targets):
        message = f"{layer} would move the images of {name}, but not what output {output!r} is compared with"
        help = "augment such images by brightness, contrast, noise or blur"
        raise _error(document, "E502", message, ("data", "augment"), help)


def check_augment(document: Document, graph: Graph) -> Mapping[str, Graph]:
    """The steps of `data.augment` for each input, which must keep its shape. Needs no data. Raises SpecError."""
    types = {name: graph.nodes[name].outputs[0] for name in graph.inputs}
    steps = elaborate_all(document, "augment", types)
    for name, graph_of_input in steps.items():
        made = output_type(graph_of_input)
        if made.shape != types[name].shape:
            message = f"augment must keep the shape of {name}, {types[name]}, but gives {made}"
            raise _error(document, "E502", message, ("data", "augment"), "change shapes under data.preprocess")
    return steps


def elaborate_all(document: Document, key: str, types: Mapping[str, TensorType]) -> dict[str, Graph]:
    """The steps under `data.KEY` as a graph for each input: a list is for the only one, a mapping goes by input."""
    raw: Any = (document.data or {}).get(key)
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        if len(types) != 1:
            message = f"{key} must say which input each list of steps is for"
            raise _error(document, "E502", message, ("data", key), f"the inputs are {', '.join(types)}")
        return {name: elaborate_steps(document, ("data", key), {name: kind}) for name, kind in types.items()}
    for name in raw:
        if name not in types:
            help = did_you_mean(str(name), types) or f"steps are a list; the inputs are {', '.join(types)}"
            raise _error(document, "E502", f"{key}: there is no input {name!r}", ("data", key, str(name)), help)
    return {name: elaborate_steps(document, ("data", key, name), {name: types[name]}) for name in raw}


def output_type(steps: Graph) -> TensorType:
    return steps.type(next(iter(steps.outputs.values())))


def _bind(
    document: Document,
    source: Loaded,
    given: str | Mapping[str, str] | None,
    key: str,
    names: tuple[str, ...],
    usual: tuple[str, ...],
) -> dict[str, str]:
    """The field for each of the network's inputs (or outputs): as the spec says, by name, or the only one there is."""
    fields = ", ".join(source.fields)
    what = key.removesuffix("s") if key == "inputs" else "output"
    if isinstance(given, str):
        if len(names) != 1:
            help = f"write a mapping: {{{names[0]}: {given}, …}}" if names else None
            raise _error(document, "E502", f"{key} must name a field for each {what}", ("data", key), help)
        given = {names[0]: given}
    bound: dict[str, str] = {}
    for name, field in (given or {}).items():
        if name not in names:
            help = did_you_mean(name, names) or f"there is {', '.join(names)}"
            raise _error(document, "E502", f"{key}: there is no {what} {name!r}", ("data", key, name), help)
        if field not in source.fields:
            help = did_you_mean(field, source.fields) or f"it has {fields}"
            raise _error(document, "E502", f"the data has no field {field!r}", ("data", key, name), help)
        bound[name] = field
    for name in names:
        if name in bound:
            continue
        if name in source.fields:
            bound[name] = name
        elif len(names) == 1 and len(usual) == 1:
            bound[name] = usual[0]
        else:
            help = f"say it: data: {{{key}: {{{name}: FIELD}}}}; the fields are {fields}"
            raise _error(document, "E502", f"no field of the data is for the {what} {name!r}", ("data", key), help)
    return {name: bound[name] for name in names}


def _error(document: Document, code: str, message: str, path: tuple[str, ...], help: str | None = None) -> SpecError:
    return SpecError([Diagnostic(code, message, document.mark.at(*path).span, help=help)], document.texts)
