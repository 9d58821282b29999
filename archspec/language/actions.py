"""A step about to be applied: what it is called, where it goes, what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError

from archspec.diagnostics import Diagnostic, Span, did_you_mean
from archspec.graph.ir import Use
from archspec.language.document import Step
from archspec.language.scope import UNSET, Failed, Site, Turn, Value, Where
from archspec.language.source import Mark
from archspec.language.validation import BARE, diagnose
from archspec.layers.base import Layer, tensor_parameters

if TYPE_CHECKING:
    from archspec.language.elaborate import Elaborator


@dataclass(frozen=True, slots=True)
class Action:
    """A step to be applied once: where, under which name (None: its verb's), in which turn of its loops."""

    step: Step
    site: Site
    name: str | None
    turn: Turn | None

    def label(self, default: str) -> str:
        return (self.name or default) + (self.turn.suffix if self.turn else "")

    def use(self, kind: str, name: str, variables: Mapping[str, Any]) -> Use:
        turn = self.turn
        shown = turn.variables if turn and turn.variables else tuple(variables.items())
        shown = tuple((k, v) for k, v in shown if isinstance(v, int | float | str | tuple))
        numbers = (turn.iteration, turn.iterations) if turn else (0, 0)
        span = self.step.mark.keys.get(self.step.verb, self.step.mark.span)
        return Use(kind, name, span, *numbers, shown)

    @property
    def where(self) -> Where:
        return self.site.where


def verb_span(step: Step) -> Span:
    """The place of a step's verb."""
    return step.mark.keys.get(step.verb, step.mark.span)


def fail(e: Elaborator, diagnostic: Diagnostic, action: Action) -> NoReturn:
    e.report(diagnostic, action.where)
    raise Failed


def sources(e: Elaborator, action: Action, site: Site | None = None) -> Value | list[Value] | dict[str, Any]:
    """What `from` gives: one tensor (x by default), a list, or tensors by the names of arguments."""
    site = site or action.site
    given, mark = action.step.source, action.step.mark.at("from")
    if given is None:
        return site.x
    if isinstance(given, list):
        return [e.tensor(path, mark.at(i), site) for i, path in enumerate(given)]
    if isinstance(given, dict):
        return {
            name: [e.tensor(p, mark.at(name, i), site) for i, p in enumerate(path)]
            if isinstance(path, list)
            else e.tensor(path, mark.at(name), site)
            for name, path in given.items()
        }
    return e.tensor(given, mark, site)


def current(e: Elaborator, action: Action) -> Site:
    """The site with `from` as its current tensor, for verbs that take one."""
    given = sources(e, action)
    if not isinstance(given, Value):
        message = f"{action.step.verb} takes one tensor from here"
        fail(e, Diagnostic("E305", message, action.step.mark.at("from").span, help="from: NAME"), action)
    assert isinstance(given, Value)
    return action.site.at(given)


def bound(e: Elaborator, action: Action, cls: type[Layer]) -> tuple[tuple[str, ...], list[Value]]:
    """The parameters of a layer's call and the tensors that go to them."""
    parameters = tensor_parameters(cls)
    if not parameters and action.step.source is None:
        return (), []
    given = sources(e, action)
    names = [p.name for p in parameters]
    mark = action.step.mark.at("from")
    pairs: list[tuple[str, Value]] = []
    if isinstance(given, dict):
        for name, value in given.items():
            if name not in names:
                help = did_you_mean(name, names) or f"{cls.__name__} is called with {', '.join(names) or 'no tensor'}"
                message = f"{cls.__name__} is called with no {name!r}"
                fail(e, Diagnostic("E305", message, mark.key(name), help=help), action)
            pairs += [(name, v) for v in (value if isinstance(value, list) else [value])]
    elif isinstance(given, list) and names and parameters[0].several and names[0] == "inputs":
        pairs = [("inputs", value) for value in given]
    else:
        values = given if isinstance(given, list) else [given]
        if len(values) > len(names):
            message = f"{cls.__name__} takes {len(names)} tensor(s), got {len(values)}"
            fail(e, Diagnostic("E305", message, mark.span), action)
        pairs = list(zip(names, values, strict=False))
    missing = [p.name for p in parameters if p.required and p.name not in dict(pairs)]
    if missing:
        help = "for self-attention: from: [x, x]" if "value" in missing else f"from: {{{missing[0]}: NAME}}"
        message = f"{cls.__name__} needs the tensor {missing[0]!r} beside {', '.join(dict(pairs)) or 'the others'}"
        fail(e, Diagnostic("E305", message, verb_span(action.step), help=help), action)
    for _, value in pairs:
        if value is UNSET:
            e.tensor("x", action.step.mark, action.site)
    return tuple(name for name, _ in pairs), [value for _, value in pairs]


def named_arguments(value: Any, first: str | None) -> dict[str, Any]:
    """A verb's value as arguments by name: a bare value is the first one."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else {first or BARE: value}


def wrapped(first: str | None, mark: Mark) -> Mark:
    return Mark(mark.span, items={first or BARE: mark})


def validated(e: Elaborator, cls: type[Layer], values: Mapping[str, Any], place: Mark, action: Action) -> Layer:
    key = (cls, _key(values))
    made = e.layers.get(key)
    if made is not None:
        return made
    try:
        made = cls.model_validate(values)
    except ValidationError as error:
        for diagnostic in diagnose(error, cls.__name__, cls, values, place):
            at_verb = diagnostic.code == "E202" and diagnostic.span == place.span
            e.report(replace(diagnostic, span=verb_span(action.step)) if at_verb else diagnostic, action.where)
        raise Failed from None
    e.layers[key] = made
    return made


def _key(value: Any) -> Any:
    """A hashable stand-in: 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return tuple((k, _key(v)) for k, v in value.items())
    return tuple(map(_key, value)) if isinstance(value, tuple) else (type(value), value)
