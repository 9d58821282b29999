"""The verbs that apply steps written elsewhere: blocks, other specs, groups, `reuse`; and `let`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archspec.diagnostics import Diagnostic, did_you_mean
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
from archspec.language.document import Block, BlockDecl, Document, Param
from archspec.language.expressions import show
from archspec.language.scope import POISON, UNSET, Body, Failed, Frame, Maker, Site, Value
from archspec.layers.base import call_fields

if TYPE_CHECKING:
    from archspec.language.elaborate import Elaborator


def block(e: Elaborator, action: Action, used: Block, around: Frame) -> Value:
    """A block of this spec or of a library: `around` is a frame of the spec that it belongs to."""
    site, step = action.site, action.step
    if used.name in around.active and around.document is site.frame.document:
        links = " → ".join((*around.active[around.active.index(used.name) :], used.name))
        diagnostic = Diagnostic("E210", f"a block cannot use itself: {links}", verb_span(step))
        return fail(e, diagnostic, action)
    own = Frame(around.document, dict(around.params), dict(around.inputs), around.inputs, around.params)
    own.active = (*around.active, used.name)
    given = block_arguments(e, action, used.name, used.declared.params)
    place = step.value_mark
    for name, param in used.declared.params.items():
        at = place.items.get(name, place) if name in given else used.mark.at("params", name)
        own.variables[name] = e.param(param, name, given, at, own, action.where)
    if any(own.variables[name] is POISON for name in used.declared.params):
        raise Failed
    x = _block_inputs(e, action, used.name, used.declared.inputs, own)
    return run_block(e, action, used, own, x, used.name)


def run_block(e: Elaborator, action: Action, used: Block, frame: Frame, x: Value, name: str) -> Value:
    where = action.where
    scope = e.unique(where.prefix + action.label(name))
    own = {k: frame.variables[k] for k in used.declared.params if k in frame.variables}  # an input may hide a param
    use = action.use("block", used.name, own)
    start = len(e.order)
    inside = Site(x, frame, where.inside(scope, use))
    result = e.run(used.steps, inside)
    if used.declared.outputs:
        mark = used.mark.at("outputs")
        values = [e.tensor(n, mark.at(i), inside.at(result)) for i, n in enumerate(used.declared.outputs)]
        result = Value(tuple(v.edge for v in values), tuple(v.type for v in values))
    if result is POISON:
        return POISON
    maker = Maker(None, {}, used, frame, start, len(e.order))
    return Value(result.edges, result.types, frame, maker)


def block_arguments(e: Elaborator, action: Action, name: str, params: Mapping[str, Param]) -> dict[str, Any]:
    """The arguments of a block's use, evaluated; steps become bodies."""
    step, site = action.step, action.site
    raw = named_arguments(step.value, next(iter(params), None)) if params or step.value is not None else {}
    place = step.value_mark if isinstance(step.value, dict) else wrapped(next(iter(params), None), step.value_mark)
    given: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in params:
            help = did_you_mean(key, params) or (
                f"{name} takes {', '.join(params)}" if params else f"{name} takes nothing"
            )
            e.report(Diagnostic("E201", f"{name} has no param {key!r}", place.key(key), help=help), action.where)
            continue
        if params[key].type == "layers" and isinstance(value, list):
            given[key] = Body(e.body(value, place.at(key)), site.frame)
        else:
            given[key] = e.value(value, place.at(key), site)
    missing = [key for key, param in params.items() if param.required and key not in raw]
    if missing:
        help = f"{name}: {{{', '.join(f'{m}: …' for m in missing)}}}"
        e.report(Diagnostic("E202", f"{name} needs {' and '.join(missing)}", verb_span(step), help=help), action.where)
    if missing or len(given) < len(raw):
        raise Failed
    return given


def _block_inputs(e: Elaborator, action: Action, name: str, declared: Sequence[str], frame: Frame) -> Value:
    """Binds the tensors that a block takes, and gives the first."""
    given = sources(e, action)
    mark = action.step.mark.at("from")
    if not declared:
        if isinstance(given, Value):
            return given
        message = f"{name} takes one tensor, got {len(given)}"
        return fail(e, Diagnostic("E305", message, mark.span, help="blocks name several: inputs: [a, b]"), action)
    if isinstance(given, dict):
        pairs = {key: value for key, value in given.items() if isinstance(value, Value)}
        wrong = [key for key in given if key not in declared]
    else:
        values = given if isinstance(given, list) else [given]
        pairs, wrong = dict(zip(declared, values, strict=False)), [""] * (len(values) - len(declared))
    if wrong or len(pairs) < len(declared):
        help = f"from: {{{', '.join(f'{n}: …' for n in declared)}}}"
        message = f"{name} takes {len(declared)} tensors ({', '.join(declared)}), got {', '.join(pairs) or 'none'}"
        fail(
            e,
            Diagnostic("E305", message, mark.span if action.step.source else verb_span(action.step), help=help),
            action,
        )
    if any(value is POISON for value in pairs.values()):
        raise Failed
    frame.names.update(pairs)
    for hidden in pairs:  # what the block names itself is nearer than the spec's params
        frame.variables.pop(hidden, None)
    first = pairs[declared[0]]
    if first is UNSET:
        e.tensor("x", action.step.mark, action.site)
    return first


def spec(e: Elaborator, action: Action, name: str, used: Document) -> Value:
    """Another spec as a block; its named tensors are reached as `name.tensor`."""
    if used.spec.layers is None:
        help = f"use one of its blocks: {name}.{next(iter(used.blocks), '…')}"
        return fail(
            e, Diagnostic("E204", f"{name} is a library without layers", verb_span(action.step), help=help), action
        )
    given = block_arguments(e, action, name, used.spec.params)
    frame = e.frame(used, given, action.step.value_mark, (), action.where)
    x = _block_inputs(e, action, name, list(used.spec.inputs), frame)
    frame.inputs = {n: frame.names[n] for n in used.spec.inputs}
    for n, value in frame.inputs.items():
        declared = used.spec.inputs[n].shape
        if isinstance(declared, list) and len(declared) != value.type.rank:
            message = f"{name} takes {n} of rank {len(declared)}, got {value.type}"
            fail(e, Diagnostic("E301", message, verb_span(action.step)), action)
    scope = e.unique(action.where.prefix + action.label(name))
    start = len(e.order)
    inside = Site(x, frame, action.where.inside(scope, action.use("spec", name, {})))
    result = e.run(used.steps, inside)
    outputs = used.spec.outputs
    names = list(outputs.values()) if isinstance(outputs, dict) else outputs
    if names:
        values = [e.tensor(n, used.mark.at("outputs"), inside.at(result)) for n in names]
        result = Value(tuple(v.edge for v in values), tuple(v.type for v in values))
    if result is POISON:
        return POISON
    as_block = Block(name, _as_declared(used), used.steps, used.mark)
    value = Value(result.edges, result.types, frame, Maker(None, {}, as_block, frame, start, len(e.order)))
    if action.name is None:
        action.site.frame.names[name] = value
    return value


def _as_declared(used: Document) -> Any:
    outputs = used.spec.outputs
    return BlockDecl(
        params=used.spec.params,
        inputs=list(used.spec.inputs),
        outputs=list(outputs.values()) if isinstance(outputs, dict) else outputs,
        layers=[],
    )


def group(e: Elaborator, action: Action) -> Value:
    """Steps under common modifiers; a name or a loop gives them a scope."""
    step = action.step
    site = current(e, action)
    steps, frame = step.steps, site.frame
    if isinstance(step.value, str):
        body = e.value(step.value, step.value_mark, site)
        if not isinstance(body, Body):
            message = f"layers takes a list of steps, got {show(body)}"
            fail(
                e,
                Diagnostic("E205", message, step.value_mark.span, help="a param of type layers: layers: =body"),
                action,
            )
        steps, frame = body.steps, body.frame
    where = site.where
    if action.name or action.turn:
        scope = e.unique(where.prefix + action.label("layers"))
        where = where.inside(scope, action.use("group", action.name or "layers", {}))
    else:
        where = where.deeper()
    return e.run(steps, Site(site.x, frame, where))


def let(e: Elaborator, action: Action) -> Value:
    """Names tensors anew, all at once."""
    step = action.step
    if not isinstance(step.value, dict):
        help = "let: {prev: cur, cur: x}"
        fail(
            e,
            Diagnostic("E305", f"let maps names to tensors, got {show(step.value)}", verb_span(step), help=help),
            action,
        )
    mark = step.value_mark
    new = {
        e.inserted(name, mark.at(name), action.site): e.tensor(path, mark.at(name), action.site)
        for name, path in step.value.items()
    }
    if "x" in new:
        help = "continue from it: from: NAME"
        fail(e, Diagnostic("E203", "x cannot be a name: it is the current tensor", mark.key("x"), help=help), action)
    action.site.frame.names.update(new)
    return action.site.x


def reuse(e: Elaborator, action: Action) -> Value:
    """An earlier layer or block again, with the same weights."""
    step, site = action.step, action.site
    path: Any = step.value
    changes: Any = {}
    if isinstance(path, dict) and len(path) == 1:
        ((path, changes),) = path.items()
    mark = step.value_mark
    if not isinstance(path, str) or not isinstance(changes, dict):
        help = "reuse: encoder, or with arguments of the call: reuse: {tokens: {reverse: true}}"
        return fail(e, Diagnostic("E305", f"reuse takes a name, got {show(path)}", mark.span, help=help), action)
    maker = e.tensor(path, mark, site).maker
    if maker is None:
        help = "name the layer or block itself: name: …"
        return fail(e, Diagnostic("E305", f"{path} was not made by one layer or block", mark.span, help=help), action)
    outer = e.sharing
    if outer is None:
        e.sharing = iter(e.order[maker.first : maker.last])
    label = path.replace(".", "_")
    try:
        if maker.layer is not None:
            cls = type(maker.layer)
            wrong = [key for key in changes if key not in call_fields(cls)]
            if wrong:
                legal = sorted(call_fields(cls))
                help = f"{cls.__name__}'s call takes {', '.join(legal)}" if legal else "its call takes no arguments"
                message = f"a reused layer cannot be given another {wrong[0]!r}"
                return fail(e, Diagnostic("E201", message, mark.at(path).key(wrong[0]), help=help), action)
            values = {**maker.arguments, **e.value(changes, mark.at(path), site)}
            made = validated(e, cls, values, mark, action)
            parameters, tensors = bound(e, action, cls)
            return e.apply(made, parameters, tensors, action, label, values)
        assert maker.block and maker.frame
        frame = Frame(maker.frame.document, dict(maker.frame.variables), dict(maker.frame.inputs))
        frame.inputs, frame.params, frame.active = maker.frame.inputs, maker.frame.params, maker.frame.active
        x = _block_inputs(e, action, path, maker.block.declared.inputs, frame)
        return run_block(e, action, maker.block, frame, x, label)
    finally:
        e.sharing = outer
