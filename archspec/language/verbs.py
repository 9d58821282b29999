"""What each verb of a step does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.graph.ir import Use
from archspec.language import formulas
from archspec.language.document import MERGES, VERBS, Block, Document, Param, Step
from archspec.language.expressions import ExpressionError, show
from archspec.language.scope import POISON, UNSET, Body, Failed, Frame, Maker, Site, Turn, Value, Where
from archspec.language.source import Mark
from archspec.language.validation import custom, diagnose
from archspec.layers import REFUSED, catalogue
from archspec.layers.base import Layer, call_fields, first_argument, tensor_parameters
from archspec.layers.formula import Formula, FormulaError, call_text
from archspec.layers.objects import snake_case
from archspec.layers.ops import functions

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
        return Use(kind, self.name or name, span, *numbers, shown)

    @property
    def where(self) -> Where:
        return self.site.where


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
    if verb in MERGES:
        return merge(e, action)
    if verb in _VERBS:
        return _VERBS[verb](e, action)
    if verb.startswith("ops."):
        return operation(e, action, verb[4:])
    if verb in document.blocks:
        return block(e, action, document.blocks[verb], action.site.frame)
    if verb in document.uses:
        return spec(e, action, verb, document.uses[verb])
    library, _, inner = verb.partition(".")
    if inner and library in document.uses and inner in document.uses[library].blocks:
        used = document.uses[library]
        return block(e, action, used.blocks[inner], e.library(used))
    if verb in catalogue():
        return layer(e, action, catalogue()[verb])
    if verb in REFUSED:
        diagnostic = Diagnostic("E206", f"the layer {verb} is refused: {REFUSED[verb]}", _span(step))
        return _fail(e, diagnostic, action)
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
    return _fail(e, Diagnostic("E204", message, _span(action.step), help=help or "archspec layers lists all"), action)


def _span(step: Step) -> Any:
    return step.mark.keys.get(step.verb, step.mark.span)


def _fail(e: Elaborator, diagnostic: Diagnostic, action: Action) -> Value:
    e.report(diagnostic, action.where)
    raise Failed


# --- what a step takes ---------------------------------------------------------------------------


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
        _fail(e, Diagnostic("E305", message, action.step.mark.at("from").span, help="from: NAME"), action)
    assert isinstance(given, Value)
    return replace(action.site, x=given)


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
                _fail(e, Diagnostic("E305", message, mark.key(name), help=help), action)
            pairs += [(name, v) for v in (value if isinstance(value, list) else [value])]
    elif isinstance(given, list) and names and parameters[0].several and names[0] == "inputs":
        pairs = [("inputs", value) for value in given]
    else:
        values = given if isinstance(given, list) else [given]
        if len(values) > len(names):
            message = f"{cls.__name__} takes {len(names)} tensor(s), got {len(values)}"
            _fail(e, Diagnostic("E305", message, mark.span), action)
        pairs = list(zip(names, values, strict=False))
    missing = [p.name for p in parameters if p.required and p.name not in dict(pairs)]
    if missing:
        help = "for self-attention: from: [x, x]" if "value" in missing else f"from: {{{missing[0]}: NAME}}"
        message = f"{cls.__name__} needs the tensor {missing[0]!r} beside {', '.join(dict(pairs)) or 'the others'}"
        _fail(e, Diagnostic("E305", message, _span(action.step), help=help), action)
    for _, value in pairs:
        if value is UNSET:
            e.tensor("x", action.step.mark, action.site)
    return tuple(name for name, _ in pairs), [value for _, value in pairs]


# --- layers --------------------------------------------------------------------------------------


def layer(e: Elaborator, action: Action, cls: type[Layer]) -> Value:
    made, arguments = make_layer(e, action, cls)
    parameters, values = bound(e, action, cls)
    return e.apply(made, parameters, values, action, snake_case(cls.__name__), arguments)


def make_layer(e: Elaborator, action: Action, cls: type[Layer]) -> tuple[Layer, Mapping[str, Any]]:
    """The layer of a step, its arguments evaluated and validated."""
    step = action.step
    known = e.constants.get(id(step))
    if known:
        return known[1], known[2]
    arguments = named_arguments(step.value, first_argument(cls))
    place = step.value_mark if isinstance(step.value, dict) else _wrapped(first_argument(cls), step.value_mark)
    values = e.value(arguments, place, action.site)
    made = validated(e, cls, values, place, action)
    if not _has_expression(arguments):
        e.constants[id(step)] = (step, made, values)
    return made, values


def named_arguments(value: Any, first: str | None) -> dict[str, Any]:
    """A verb's value as arguments by name: a bare value is the first one."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else {first or "value": value}


def _wrapped(first: str | None, mark: Mark) -> Mark:
    return Mark(mark.span, items={first or "value": mark})


def _has_expression(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("=")
    if isinstance(value, dict):
        return any(map(_has_expression, value.values()))
    return isinstance(value, list) and any(map(_has_expression, value))


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
            e.report(replace(diagnostic, span=_span(action.step)) if at_verb else diagnostic, action.where)
        raise Failed from None
    except PydanticCustomError as error:
        return _fail(e, custom(error, place), action)  # type: ignore[return-value]
    e.layers[key] = made
    return made


def _key(value: Any) -> Any:
    """A hashable stand-in: 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return tuple((k, _key(v)) for k, v in value.items())
    return tuple(map(_key, value)) if isinstance(value, tuple) else (type(value), value)


def weight(e: Elaborator, action: Action) -> Value:
    return layer(e, action, catalogue()["Weight"])


# --- merges, formulas, functions -----------------------------------------------------------------


def merge(e: Elaborator, action: Action) -> Value:
    step = action.step
    cls = catalogue()[MERGES[step.verb]]
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
            values.append(e.run(path.steps or (), replace(site, where=site.where.inside(scope, use))))
        if any(value is UNSET for value in values):
            e.tensor("x", step.mark, site)
    else:
        given = sources(e, action)
        values = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list) else [given]
        labels = [str(source) for source in step.source or ()]
    if len(values) < 2:
        help = f"{step.verb}: {{skip: x, f: [Dense: 8]}}"
        _fail(e, Diagnostic("E305", f"{step.verb} needs at least two paths", _span(step), help=help), action)
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
        _fail(e, Diagnostic("E305", f"expr takes a formula, got {show(step.value)}", step.value_mark.span), action)
    site = current(e, action)

    def lookup(name: str) -> Any:
        value = site.frame.lookup(name, site.x)
        if value is POISON:
            raise Failed
        if value is UNSET:
            e.tensor("x", step.mark, site)
        return value

    try:
        text, arguments = formulas.translate(step.value, lookup, e.document.limits)
        made = validated(e, Formula, {"expression": text, "arguments": tuple(arguments)}, step.value_mark, action)
        return _formula(e, action, made, list(arguments.values()), "expr")
    except ExpressionError as error:
        from archspec.language.elaborate import narrowed

        end = None if error.end is None else error.end
        span = narrowed(step.value_mark, error.start, end)
        return _fail(e, Diagnostic("E303", error.message, span, help=error.help), action)


def operation(e: Elaborator, action: Action, name: str) -> Value:
    """A function of keras.ops."""
    step = action.step
    if name not in functions() or name.endswith("_macs"):
        help = did_you_mean(name, (f for f in functions() if not f.endswith("_macs")))
        return _fail(e, Diagnostic("E204", f"there is no function ops.{name}", _span(step), help=help), action)
    given = sources(e, action)
    values = [given] if isinstance(given, Value) else list(given.values()) if isinstance(given, dict) else given
    if any(value is UNSET for value in values):
        e.tensor("x", step.mark, action.site)
    flat: list[Value] = values
    inputs = [f"x{i + 1}" for i in range(len(flat))] if len(flat) > 1 else ["x"]
    arguments = e.value(named_arguments(step.value, _second_parameter(name)), step.value_mark, action.site)
    if isinstance(given, dict):
        pairs = [f"{parameter}={i}" for parameter, i in zip(given, inputs, strict=True)]
        text = f"{name}({', '.join([*pairs, *(f'{k}={v!r}' for k, v in arguments.items())])})"
    else:
        text = call_text(name, arguments, inputs)
    made = validated(e, Formula, {"expression": text, "arguments": tuple(inputs)}, step.value_mark, action)
    return _formula(e, action, made, flat, name)


def _second_parameter(name: str) -> str | None:
    """What a bare value of `ops.NAME: value` is: the parameter after the tensor."""
    import inspect

    return next(iter(list(inspect.signature(functions()[name]).parameters)[1:]), None)


def _formula(e: Elaborator, action: Action, made: Layer, values: list[Value], name: str) -> Value:
    try:
        return e.apply(made, ("inputs",) * len(values), values, action, name, {})
    except FormulaError as error:
        span = action.step.value_mark.span
        return _fail(e, Diagnostic("E307", str(error), span, help=error.help), action)


# --- blocks and specs ----------------------------------------------------------------------------


def block(e: Elaborator, action: Action, used: Block, around: Frame) -> Value:
    """A block of this spec or of a library: `around` is a frame of the spec that it belongs to."""
    site, step = action.site, action.step
    if used.name in around.active and around.document is site.frame.document:
        links = " → ".join((*around.active[around.active.index(used.name) :], used.name))
        diagnostic = Diagnostic("E210", f"a block cannot use itself: {links}", _span(step))
        return _fail(e, diagnostic, action)
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
    own = {k: frame.variables[k] for k in used.declared.params}
    use = action.use("block", used.name, own)
    use = replace(use, name=used.name) if action.name is None else use
    start = len(e.order)
    inside = Site(x, frame, where.inside(scope, use))
    result = e.run(used.steps, inside)
    if used.declared.outputs:
        mark = used.mark.at("outputs")
        values = [e.tensor(n, mark.at(i), replace(inside, x=result)) for i, n in enumerate(used.declared.outputs)]
        result = Value(tuple(v.edge for v in values), tuple(v.type for v in values))
    if result is POISON:
        return POISON
    maker = Maker(None, {}, used, frame, start, len(e.order))
    return Value(result.edges, result.types, frame, maker)


def block_arguments(e: Elaborator, action: Action, name: str, params: Mapping[str, Param]) -> dict[str, Any]:
    """The arguments of a block's use, evaluated; steps become bodies."""
    step, site = action.step, action.site
    raw = named_arguments(step.value, next(iter(params), None)) if params or step.value is not None else {}
    place = step.value_mark if isinstance(step.value, dict) else _wrapped(next(iter(params), None), step.value_mark)
    given: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in params:
            help = did_you_mean(key, params) or (f"{name} takes {', '.join(params)}" if params else f"{name} takes nothing")
            e.report(Diagnostic("E201", f"{name} has no param {key!r}", place.key(key), help=help), action.where)
            continue
        if params[key].type == "layers" and isinstance(value, list):
            given[key] = Body(e.body(value, place.at(key)), site.frame)
        else:
            given[key] = e.value(value, place.at(key), site)
    missing = [key for key, param in params.items() if param.required and key not in raw]
    if missing:
        help = f"{name}: {{{', '.join(f'{m}: …' for m in missing)}}}"
        e.report(Diagnostic("E202", f"{name} needs {' and '.join(missing)}", _span(step), help=help), action.where)
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
        return _fail(e, Diagnostic("E305", message, mark.span, help="blocks name several: inputs: [a, b]"), action)
    if isinstance(given, dict):
        pairs = {key: value for key, value in given.items() if isinstance(value, Value)}
        wrong = [key for key in given if key not in declared]
    else:
        values = given if isinstance(given, list) else [given]
        pairs, wrong = dict(zip(declared, values, strict=False)), [""] * (len(values) - len(declared))
    if wrong or len(pairs) < len(declared):
        help = f"from: {{{', '.join(f'{n}: …' for n in declared)}}}"
        message = f"{name} takes {len(declared)} tensors ({', '.join(declared)}), got {', '.join(pairs) or 'none'}"
        _fail(e, Diagnostic("E305", message, mark.span if action.step.source else _span(action.step), help=help), action)
    if any(value is POISON for value in pairs.values()):
        raise Failed
    frame.names.update(pairs)
    first = pairs[declared[0]]
    if first is UNSET:
        e.tensor("x", action.step.mark, action.site)
    return first


def spec(e: Elaborator, action: Action, name: str, used: Document) -> Value:
    """Another spec as a block; its named tensors are reached as `name.tensor`."""
    if used.spec.layers is None:
        help = f"use one of its blocks: {name}.{next(iter(used.blocks), '…')}"
        return _fail(e, Diagnostic("E204", f"{name} is a library without layers", _span(action.step), help=help), action)
    given = block_arguments(e, action, name, used.spec.params)
    frame = e.frame(used, given, action.step.value_mark, (), action.where)
    x = _block_inputs(e, action, name, list(used.spec.inputs), frame)
    frame.inputs = {n: frame.names[n] for n in used.spec.inputs}
    for n, value in frame.inputs.items():
        declared = used.spec.inputs[n].shape
        if isinstance(declared, list) and len(declared) != value.type.rank:
            message = f"{name} takes {n} of rank {len(declared)}, got {value.type}"
            _fail(e, Diagnostic("E301", message, _span(action.step)), action)
    scope = e.unique(action.where.prefix + action.label(name))
    start = len(e.order)
    inside = Site(x, frame, action.where.inside(scope, action.use("spec", name, {})))
    result = e.run(used.steps, inside)
    outputs = used.spec.outputs
    names = list(outputs.values()) if isinstance(outputs, dict) else outputs
    if names:
        values = [e.tensor(n, used.mark.at("outputs"), replace(inside, x=result)) for n in names]
        result = Value(tuple(v.edge for v in values), tuple(v.type for v in values))
    if result is POISON:
        return POISON
    as_block = Block(name, _as_declared(used), used.steps, used.mark)
    value = Value(result.edges, result.types, frame, Maker(None, {}, as_block, frame, start, len(e.order)))
    if action.name is None:
        action.site.frame.names[name] = value
    return value


def _as_declared(used: Document) -> Any:
    from archspec.language.document import BlockDecl

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
            _fail(e, Diagnostic("E205", message, step.value_mark.span, help="a param of type layers: layers: =body"), action)
        steps, frame = body.steps, body.frame
    where = site.where
    if action.name or action.turn:
        scope = e.unique(where.prefix + action.label("layers"))
        where = where.inside(scope, action.use("group", "layers", {}))
    return e.run(steps, Site(site.x, frame, where))


def let(e: Elaborator, action: Action) -> Value:
    """Names tensors anew, all at once."""
    step = action.step
    if not isinstance(step.value, dict):
        help = "let: {prev: cur, cur: x}"
        _fail(e, Diagnostic("E305", f"let maps names to tensors, got {show(step.value)}", _span(step), help=help), action)
    new = {name: e.tensor(path, step.value_mark.at(name), action.site) for name, path in step.value.items()}
    for name in new:
        if name == "x" or not name.isidentifier():
            message = f"{name!r} cannot be a name"
            _fail(e, Diagnostic("E203", message, step.value_mark.key(name), help="continue from it: from: NAME"), action)
    action.site.frame.names.update(new)
    return action.site.x


def reuse(e: Elaborator, action: Action) -> Value:
    """An earlier layer or block again, with the same weights."""
    step, site = action.step, action.site
    path, changes = step.value, {}
    if isinstance(path, dict) and len(path) == 1:
        ((path, changes),) = path.items()
    mark = step.value_mark
    if not isinstance(path, str) or not isinstance(changes, dict):
        help = "reuse: encoder, or with arguments of the call: reuse: {tokens: {reverse: true}}"
        return _fail(e, Diagnostic("E305", f"reuse takes a name, got {show(path)}", mark.span, help=help), action)
    maker = e.tensor(path, mark, site).maker
    if maker is None:
        help = "name the layer or block itself: name: …"
        return _fail(e, Diagnostic("E305", f"{path} was not made by one layer or block", mark.span, help=help), action)
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
                return _fail(e, Diagnostic("E201", message, mark.at(path).key(wrong[0]), help=help), action)
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


_VERBS = {"expr": expr, "weight": weight, "reuse": reuse, "let": let, "layers": group}
