"""What each verb of a step does: layers, merges, formulas, functions; blocks stand in blocks.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.graph.ir import Use
from archspec.language import blocks, formulas
from archspec.language.actions import (
    Action,
    bound,
    current,
    fail,
    named_arguments,
    sources,
    validated,
    verb_span,
    wrapped,
)
from archspec.language.document import BROKEN, MERGES, VERBS, Document
from archspec.language.expressions import ExpressionError, show
from archspec.language.scope import POISON, UNSET, Failed, Site, Value
from archspec.language.source import Mark, narrowed
from archspec.layers import REFUSED, catalogue, find_layer, formula
from archspec.layers.base import Layer, default_name, first_argument
from archspec.layers.formula import Formula, FormulaError, call_text
from archspec.layers.ops import functions
from archspec.layers.weight import Weight

if TYPE_CHECKING:
    from archspec.language.elaborate import Elaborator


def apply_verb(e: Elaborator, action: Action) -> Value:
    """Applies a step once and gives the new current tensor. Raises Failed where it cannot, after reporting why."""
    step = action.step
    verb = step.verb
    if verb.startswith("="):
        found = e.expression(verb[1:], Mark(step.mark.keys.get(verb, step.mark.span), 0), action.site)
        if not isinstance(found, str):
            return _unknown(e, action, show(found))
        verb = found
    document = action.site.frame.document
    if verb == BROKEN:
        raise Failed
    if verb in MERGES:
        return merge(e, action)
    if verb in _VERBS:
        return _VERBS[verb](e, action)
    if verb.startswith("ops."):
        return operation(e, action, verb[4:])
    if verb in document.blocks:
        return blocks.block(e, action, document.blocks[verb], action.site.frame)
    if verb in document.uses:
        return blocks.spec(e, action, verb, document.uses[verb])
    library, _, inner = verb.partition(".")
    if inner and library in document.uses and inner in document.uses[library].blocks:
        used = document.uses[library]
        return blocks.block(e, action, used.blocks[inner], e.library(used))
    cls = find_layer(verb)
    if cls:
        return layer(e, action, cls)
    if verb in REFUSED:
        diagnostic = Diagnostic("E206", f"the layer {verb} is refused: {REFUSED[verb]}", verb_span(step))
        return fail(e, diagnostic, action)
    return _unknown(e, action, verb)


def legal_verbs(document: Document) -> list[str]:
    inside = [f"{name}.{block}" for name, used in document.uses.items() for block in used.blocks]
    return [*catalogue(), *document.blocks, *document.uses, *inside, *VERBS, *(f"ops.{f}" for f in functions())]


def _unknown(e: Elaborator, action: Action, verb: str) -> Value:
    frame = action.site.frame
    help = did_you_mean(verb, legal_verbs(frame.document))
    if verb in frame.names:
        help = f"{verb} is a tensor; to continue from it: from: {verb}"
    elif help is None and verb in functions():
        help = f"did you mean 'ops.{verb}'?"
    message = f"there is no layer, block or verb {verb!r}"
    return fail(
        e, Diagnostic("E204", message, verb_span(action.step), help=help or "archspec layers lists all"), action
    )


# --- layers --------------------------------------------------------------------------------------


def layer(e: Elaborator, action: Action, cls: type[Layer]) -> Value:
    made, arguments = make_layer(e, action, cls)
    parameters, values = bound(e, action, cls)
    return e.apply(made, parameters, values, action, default_name(cls), arguments)


def make_layer(e: Elaborator, action: Action, cls: type[Layer]) -> tuple[Layer, Mapping[str, Any]]:
    """The layer of a step, its arguments evaluated and validated."""
    step = action.step
    known = e.constants.get(id(step))
    if known:
        return known[1], known[2]
    arguments = named_arguments(step.value, first_argument(cls))
    place = step.value_mark if isinstance(step.value, dict) else wrapped(first_argument(cls), step.value_mark)
    values = e.value(arguments, place, action.site)
    made = validated(e, cls, values, place, action)
    if not _has_expression(arguments):
        e.constants[id(step)] = (step, made, values)
    return made, values


def _has_expression(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("=")
    if isinstance(value, dict):
        return any(map(_has_expression, value.values()))
    return isinstance(value, list) and any(map(_has_expression, value))


def weight(e: Elaborator, action: Action) -> Value:
    return layer(e, action, Weight)


# --- merges, formulas, functions -----------------------------------------------------------------


def merge(e: Elaborator, action: Action) -> Value:
    step = action.step
    cls = find_layer(MERGES[step.verb])
    assert cls
    values: list[Value] = []
    labels: list[str] = []
    if step.paths:
        site = current(e, action)
        for i, path in enumerate(step.paths):
            name = path.name or f"path{i + 1}"
            labels.append(path.name or path.tensor or f"path {i + 1}")
            if path.tensor is not None:
                values.append(e.tensor(path.tensor, path.mark, site))
                continue
            use = Use("path", name, path.mark.span)
            scope = e.unique(site.where.prefix + name) if path.steps else ""
            values.append(e.run(path.steps or (), Site(site.x, site.frame, site.where.inside(scope, use))))
        if any(value is UNSET for value in values):
            e.tensor("x", step.mark, site)
    else:
        given = sources(e, action)
        values = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list) else [given]
        labels = [str(source) for source in step.source or ()]
    if len(values) < 2:
        help = f"{step.verb}: {{skip: x, f: [Dense: 8]}}"
        fail(e, Diagnostic("E305", f"{step.verb} needs at least two paths", verb_span(step), help=help), action)
    arguments = e.value(step.arguments, step.value_mark, action.site)
    made = validated(e, cls, arguments, step.value_mark, action)

    def clash(diagnostic: Diagnostic) -> Diagnostic:
        """Both operands of a shape clash, at the path that differs from the first."""
        types = [value.type for value in values]
        odd = next((i for i, t in enumerate(types) if t.shape != types[0].shape), 0)
        shown = ", ".join(f"{label} is {t}" for label, t in zip(labels, types, strict=False))
        span = step.paths[odd].mark.span if step.paths else diagnostic.span
        name = step.paths[odd].name if step.paths else None
        if name and name in step.value_mark.keys and span and span.line == step.value_mark.keys[name].line:
            key = step.value_mark.keys[name]
            span = replace(span, line=key.line, column=key.column)
        return replace(diagnostic, span=span, label=shown)

    parameters = ("inputs",) * len(values)
    return e.apply(made, parameters, values, action, step.verb, arguments, clash)


def expr(e: Elaborator, action: Action) -> Value:
    """A formula over tensors and params."""
    step = action.step
    if not isinstance(step.value, str):
        fail(e, Diagnostic("E305", f"expr takes a formula, got {show(step.value)}", step.value_mark.span), action)
    site = current(e, action)

    def lookup(name: str) -> Any:
        if name in site.frame.variables and name in site.frame.names:
            raise ExpressionError(f"{name} is both a param and a tensor here", "give one of them another name")
        value = site.frame.lookup(name, site.x)
        if value is POISON:
            raise Failed
        if value is UNSET:
            e.tensor("x", step.mark, site)
        return value

    try:
        text, arguments = formulas.translate(step.value, lookup, e.document.limits)
        made = validated(e, Formula, {"expression": text, "arguments": tuple(arguments)}, step.value_mark, action)
        return e.apply(made, ("inputs",) * len(arguments), list(arguments.values()), action, "expr", {})
    except ExpressionError as error:
        end = None if error.end is None else error.end
        span = narrowed(step.value_mark, error.start, end)
        return fail(e, Diagnostic("E303", error.message, span, help=error.help), action)


def operation(e: Elaborator, action: Action, name: str) -> Value:
    """A function of keras.ops."""
    step = action.step
    if name not in functions() or name.endswith("_macs"):
        help = did_you_mean(name, (f for f in functions() if not f.endswith("_macs")))
        return fail(e, Diagnostic("E204", f"there is no function ops.{name}", verb_span(step), help=help), action)
    given = sources(e, action)
    values = [given] if isinstance(given, Value) else list(given.values()) if isinstance(given, dict) else given
    if any(value is UNSET for value in values):
        e.tensor("x", step.mark, action.site)
    if not values or any(isinstance(value, list) for value in values):
        message = f"ops.{name} takes at least one tensor from here, and one for each argument"
        return fail(e, Diagnostic("E305", message, step.mark.at("from").span, help="from: NAME"), action)
    flat: list[Value] = values
    inputs = [f"x{i + 1}" for i in range(len(flat))] if len(flat) > 1 else ["x"]
    arguments = e.value(named_arguments(step.value, formula.first_argument(name)), step.value_mark, action.site)
    if isinstance(given, dict):
        pairs = [f"{parameter}={i}" for parameter, i in zip(given, inputs, strict=True)]
        text = f"{name}({', '.join([*pairs, *(f'{k}={v!r}' for k, v in arguments.items())])})"
    else:
        try:
            text = call_text(name, arguments, inputs)
        except FormulaError as error:
            fail(e, Diagnostic("E307", error.message, step.value_mark.span, help=error.help), action)
    made = validated(e, Formula, {"expression": text, "arguments": tuple(inputs)}, step.value_mark, action)
    return e.apply(made, ("inputs",) * len(flat), flat, action, name, {})


_VERBS: Mapping[str, Callable[[Elaborator, Action], Value]] = {
    "expr": expr, "weight": weight, "reuse": blocks.reuse, "let": blocks.let, "layers": blocks.group,
}  # fmt: skip
