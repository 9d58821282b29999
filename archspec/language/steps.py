"""Steps as written → `Step`: one verb, its modifiers, and the steps inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.language.document import BROKEN, MERGES, MODIFIERS, MergePath, Step
from archspec.language.expressions import show
from archspec.language.source import Mark
from archspec.layers import find_layer


def parse_steps(value: Any, mark: Mark, found: list[Diagnostic]) -> tuple[Step, ...]:
    """The steps of a list. What is wrong goes to `found`, and a BROKEN step stands in its place."""
    if not isinstance(value, list | tuple):
        help = "begin each step with a dash" if isinstance(value, Mapping) else None
        found.append(Diagnostic("E205", f"steps are a list, got {show(value)}", mark.span, help=help))
        return ()
    return tuple(_step(item, mark.items.get(i, mark), found) for i, item in enumerate(value))


def _step(value: Any, mark: Mark, found: list[Diagnostic]) -> Step:
    if isinstance(value, str):
        return _complete(Step(value, None, mark, mark), found)
    if not isinstance(value, Mapping):
        message = f"a step is a verb's name or a mapping with one verb, got {show(value)}"
        found.append(Diagnostic("E205", message, mark.span))
        return Step(BROKEN, None, mark, mark)
    verbs = [key for key in value if key not in MODIFIERS]
    if len(verbs) != 1:
        found.append(_not_one_verb(value, verbs, mark))
        return Step(BROKEN, None, mark, mark)
    verb = verbs[0]
    modifiers = {"source" if k == "from" else "loop" if k == "for" else k: v for k, v in value.items() if k != verb}
    step = Step(verb, value[verb], mark, mark.items.get(verb, mark), **modifiers)
    problem = _modifier_problem(step)
    if problem:
        key, message, help = problem
        found.append(Diagnostic("E203", message, mark.at(key).span, help=help))
        return Step(BROKEN, None, mark, mark)
    return _complete(step, found)


def _not_one_verb(value: Mapping[str, Any], verbs: list[str], mark: Mark) -> Diagnostic:
    if not verbs:
        return Diagnostic("E205", "this step has modifiers but no verb", mark.span, help="name a layer or a block")
    # Deciding which of two keys was meant as the verb: a capital letter, or a merge, is one for sure.
    sure = [v for v in verbs if v[:1].isupper() or v in MERGES or v.startswith(("=", "ops."))]
    stray = [v for v in verbs if v not in sure] if len(sure) == 1 else verbs[1:]
    help = did_you_mean(stray[0], MODIFIERS)
    if any(value[v] is None and set(v) & set(")]") for v in verbs):
        help = f'in YAML\'s flow style a formula that holds a comma must be quoted: {verbs[0]}: "…"'
    layer = find_layer(sure[0]) if sure else None
    if help is None and layer and stray[0] in layer.model_fields:
        help = f"arguments stand inside: {sure[0]}: {{{stray[0]}: …}}"
    help = help or f"a step has one verb; the modifiers are {', '.join(MODIFIERS)}"
    message = f"a step has one verb, but this has {' and '.join(map(repr, verbs))}"
    return Diagnostic("E205", message, mark.key(stray[0]), help=help)


def _modifier_problem(step: Step) -> tuple[str, str, str | None] | None:
    if step.name == []:
        return "name", "name should be text or a list of names, got []", None
    names = step.name if isinstance(step.name, list) else [] if step.name is None else [step.name]
    for name in names:
        if not isinstance(name, str):
            return "name", f"name should be text or a list of names, got {show(name)}", None
        if not _good_name(name):
            help = "names are letters, digits and _, begin with no digit; $param inserts a value"
            return "name", f"{name!r} cannot be a name", help
        if name == "x":
            return "name", "x cannot be a name: it is the current tensor", None
    if not isinstance(step.share, bool):
        return "share", f"share should be true or false, got {show(step.share)}", None
    if step.share and step.repeat is None:
        return "share", "share stands beside repeat", "to apply an earlier layer again: reuse: NAME"
    if step.loop is not None and not (isinstance(step.loop, Mapping) and step.loop):
        return "for", f"for should map variables to lists, got {show(step.loop)}", "for: {depth: [3, 4, 6, 3]}"
    for variable in step.loop or ():
        if not _good_name(variable) or "$" in variable:
            return "for", f"{variable!r} cannot be a variable's name", None
    return None


def _good_name(name: str) -> bool:
    return name.replace("$", "").isidentifier() and not name.startswith("__")


def _complete(step: Step, found: list[Diagnostic]) -> Step:
    """The step with its inner steps parsed."""
    if step.verb == "layers" and not isinstance(step.value, str):
        return replace(step, steps=parse_steps(step.value, step.value_mark, found))
    if step.verb in MERGES:
        paths, arguments = _merge(step, found)
        return replace(step, paths=paths, arguments=arguments)
    return step


def _merge(step: Step, found: list[Diagnostic]) -> tuple[tuple[MergePath, ...], Mapping[str, Any]]:
    value, mark = step.value, step.value_mark
    layer = find_layer(MERGES[step.verb])
    assert layer
    if isinstance(value, Mapping):
        arguments = {k: v for k, v in value.items() if k in layer.model_fields and not _is_path(v)}
        items = [(k, v, mark.items.get(k, mark)) for k, v in value.items() if k not in arguments]
    elif isinstance(value, list | tuple):
        arguments = {}
        items = [(None, v, mark.items.get(i, mark)) for i, v in enumerate(value)]
    elif value is None:
        return (), {}
    else:
        help = "name the paths in a mapping or list them: add: {skip: x, f: [Dense: 8]}"
        found.append(Diagnostic("E205", f"{step.verb} merges paths, got {show(value)}", mark.span, help=help))
        return (), {}
    paths = []
    for name, path, place in items:
        if name is not None and not _good_name(name):
            found.append(Diagnostic("E203", f"{name!r} cannot be a path's name", mark.key(name)))
        elif isinstance(path, str):
            paths.append(MergePath(name, None, path, place))
        else:
            paths.append(MergePath(name, parse_steps(path, place, found), None, place))
    return tuple(paths), arguments


def _is_path(value: Any) -> bool:
    if isinstance(value, str):
        return not value.startswith("=")
    return isinstance(value, list) and not (value and all(isinstance(v, int) for v in value))
