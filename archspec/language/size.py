"""How many layers a spec makes at least, from its loops alone: enough to refuse one that would never end.

Elaboration counts its layers as it goes, but a spec of a few lines can ask for so many that reaching the limit takes
minutes. Blocks, repeats and loops whose numbers depend on params only can be multiplied out at once; what depends on
tensors or on a loop's variable counts as nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from archspec.diagnostics import Diagnostic, SpecError
from archspec.language.actions import named_arguments, verb_span
from archspec.language.document import BROKEN, MERGES, Document, Step
from archspec.language.expressions import ExpressionError, evaluate
from archspec.language.limits import over, raise_help
from archspec.language.scope import Body


class _Unknown(Exception):
    """The value depends on what is known only later."""


def check_size(document: Document, params: Mapping[str, Any]) -> None:
    """Raises SpecError if the spec makes more layers than its limit allows, for certain."""
    counter, total, limit = _Counter(document), 0, document.limits.nodes
    for step in document.steps:
        total += counter.step(step, dict(params), ())
        if total > limit:
            message = over("nodes", limit, f"the number of layers, at least {total:,} up to here,")
            raise SpecError([Diagnostic("E106", message, verb_span(step), help=raise_help("nodes"))], document.texts)


class _Counter:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.known: dict[Any, int] = {}
        self.depth = 0

    def steps(self, steps: Iterable[Step], variables: dict[str, Any], active: tuple[str, ...]) -> int:
        if self.depth >= self.document.limits.nesting:  # the elaboration will say so
            return 0
        self.depth += 1
        total = 0
        for step in steps:
            total += self.step(step, variables, active)
        self.depth -= 1
        return total

    def step(self, step: Step, variables: dict[str, Any], active: tuple[str, ...]) -> int:
        try:
            times = self.turns(step, variables)
            hidden = {k: v for k, v in variables.items() if k not in (step.loop or ())}
            if not times or not self.value(step.when, hidden):
                return 0
            return times * self.verb(step, hidden, active)
        except _Unknown:
            return 0

    def turns(self, step: Step, variables: Mapping[str, Any]) -> int:
        """How often a step runs."""
        turns = 1
        if step.loop:
            column = self.value(next(iter(step.loop.values())), variables)
            turns = len(column) if isinstance(column, list | tuple) else 0
        inner = {k: v for k, v in variables.items() if k not in (step.loop or ())}
        count = 1 if step.repeat is None else self.value(step.repeat, inner)
        return turns * count if isinstance(count, int) and count > 0 else 0

    def value(self, raw: Any, variables: Mapping[str, Any]) -> Any:
        """A value as written. Raises _Unknown where it cannot be known."""
        if not (isinstance(raw, str) and raw.startswith("=")):
            return raw

        def lookup(name: str) -> Any:
            if name not in variables:
                raise _Unknown
            return variables[name]

        try:
            return evaluate(raw[1:], lookup, self.document.limits)
        except ExpressionError:
            raise _Unknown from None

    def verb(self, step: Step, variables: dict[str, Any], active: tuple[str, ...]) -> int:
        verb = self.value(step.verb, variables)
        if verb in MERGES:
            return 1 + sum(self.steps(path.steps or (), variables, active) for path in step.paths)
        if verb == "layers":
            body = self.value(step.value, variables) if isinstance(step.value, str) else None
            return self.steps(body.steps if isinstance(body, Body) else step.steps, variables, active)
        if verb in ("let", "reuse", BROKEN):
            return 0
        if verb in self.document.blocks:
            return self.block(verb, step, variables, active)
        return 1

    def block(self, name: str, step: Step, variables: dict[str, Any], active: tuple[str, ...]) -> int:
        if name in active:
            return 0
        block = self.document.blocks[name]
        params = block.declared.params
        given = named_arguments(step.value, next(iter(params), None))
        own: dict[str, Any] = {k: v for k, v in variables.items() if k in self.document.spec.params}
        for key, param in params.items():
            try:
                value = self.value(given.get(key, param.default), variables if key in given else own)
            except _Unknown:
                continue
            if param.type != "layers":
                own[key] = value
        use = (name, tuple((k, repr(v)) for k, v in own.items()), active)
        if use not in self.known:
            self.known[use] = self.steps(block.steps, own, (*active, name))
        return self.known[use]
