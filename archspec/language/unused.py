"""Checks of steps that were never applied: the blocks that nothing uses, the paths that `when` left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.language.actions import named_arguments, verb_span, wrapped
from archspec.language.document import BROKEN, VERBS, Document, Param, Step
from archspec.language.expressions import ExpressionError, parse
from archspec.language.source import Mark, narrowed
from archspec.language.validation import diagnose
from archspec.layers import REFUSED, find_layer
from archspec.layers.base import first_argument

if TYPE_CHECKING:
    from archspec.language.elaborate import Elaborator


def check(e: Elaborator, document: Document) -> None:
    """Reports what is wrong whatever the values: names, arguments, and values that hold no expression."""
    for block in document.blocks.values():
        _steps(e, document, block.steps)
    _steps(e, document, document.steps)


def _steps(e: Elaborator, document: Document, steps: Iterable[Step]) -> None:
    for step in steps:
        if id(step) not in e.visited:
            _step(e, document, step)
        _steps(e, document, step.steps)
        for path in step.paths:
            _steps(e, document, path.steps or ())


def _step(e: Elaborator, document: Document, step: Step) -> None:
    from archspec.language import verbs

    for raw, mark in _expressions(step.value, step.value_mark):
        try:
            parse(raw[1:])
        except ExpressionError as error:
            end = None if error.end is None else error.end + 1
            span = narrowed(mark, error.start + 1, end)
            e.report(Diagnostic("E303", error.message, span, help=error.help))
    verb = step.verb
    if verb == BROKEN or verb.startswith("=") or verb in VERBS:
        return
    if verb in document.blocks or verb in document.uses:
        params = document.blocks[verb].declared.params if verb in document.blocks else document.uses[verb].spec.params
        _block_arguments(e, step, params)
    elif verb in REFUSED:
        e.report(Diagnostic("E206", f"the layer {verb} is refused: {REFUSED[verb]}", verb_span(step)))
    elif find_layer(verb):
        _layer_arguments(e, step)
    elif verb not in verbs.legal_verbs(document):
        help = did_you_mean(verb, verbs.legal_verbs(document)) or "archspec layers lists all"
        e.report(Diagnostic("E204", f"there is no layer, block or verb {verb!r}", verb_span(step), help=help))


def _block_arguments(e: Elaborator, step: Step, params: Mapping[str, Param]) -> None:
    for key in step.value if isinstance(step.value, dict) else ():
        if key not in params:
            help = did_you_mean(key, params) or f"{step.verb} takes {', '.join(params) or 'nothing'}"
            e.report(Diagnostic("E201", f"{step.verb} has no param {key!r}", step.value_mark.key(key), help=help))


def _layer_arguments(e: Elaborator, step: Step) -> None:
    cls = find_layer(step.verb)
    assert cls
    first = first_argument(cls)
    arguments = named_arguments(step.value, first)
    mark = step.value_mark if isinstance(step.value, dict) else wrapped(first, step.value_mark)
    known = {k: _frozen(v) for k, v in arguments.items() if not list(_expressions(v, mark))}
    computed = [k for k in arguments if k not in known]
    try:
        cls.model_validate(known)
    except ValidationError as error:
        if computed and any(detail["type"] == "argument_clash" for detail in error.errors(include_url=False)):
            return  # a computed argument may be the one that is missed
        for diagnostic in diagnose(error, cls.__name__, cls, known, mark):
            if not (diagnostic.code == "E202" and computed):
                e.report(diagnostic)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return {k: _frozen(v) for k, v in value.items()} if isinstance(value, dict) else value


def _expressions(value: Any, mark: Mark) -> Iterable[tuple[str, Mark]]:
    if isinstance(value, str):
        if value.startswith("="):
            yield value, mark
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _expressions(inner, mark.at(key))
