"""What values, names and params mean where they stand, and the mistakes that are found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from archspec.diagnostics import Diagnostic, Span, SpecError, did_you_mean, in_order
from archspec.language.changes import check_param
from archspec.language.document import Document, Param, Step
from archspec.language.expressions import ExpressionError, evaluate, parse, show
from archspec.language.limits import over, raise_help
from archspec.language.scope import POISON, UNSET, Body, Failed, Frame, Site, Value, Where, chain
from archspec.language.source import Mark, narrowed
from archspec.language.steps import parse_steps


class Evaluation:
    """Evaluates what a document says. A mistake is kept, once, and ends what depends on it by `Failed`."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found = {(d.code, d.span): d for d in document.mistakes}
        self.bodies: dict[int, tuple[Any, tuple[Step, ...]]] = {}
        self.libraries: dict[int, Frame] = {}  # of specs whose blocks are used, by the document's id

    def report(self, diagnostic: Diagnostic, where: Where = Where()) -> None:
        """Keeps a mistake; the same one in another iteration or use of a block is said once."""
        notes = (*diagnostic.notes, *chain(where.uses))
        self.found.setdefault((diagnostic.code, diagnostic.span), replace(diagnostic, notes=notes))

    def fail(self, diagnostic: Diagnostic, where: Where = Where()) -> Any:
        self.report(diagnostic, where)
        raise Failed

    def stop(self, limit: str, value: int, found: str, span: Span | None) -> NoReturn:
        """Ends the elaboration at a limit."""
        raise SpecError(
            [Diagnostic("E106", over(limit, value, found), span, help=raise_help(limit))], self.document.texts
        )

    # --- values ----------------------------------------------------------------------------------

    def value(self, raw: Any, mark: Mark, site: Site) -> Any:
        """A value as written, its expressions evaluated and its lists made tuples."""
        if isinstance(raw, str):
            return self.expression(raw[1:], mark, site) if raw.startswith("=") else raw
        if isinstance(raw, list):
            return tuple(self.value(v, mark.items.get(i, mark), site) for i, v in enumerate(raw))
        if isinstance(raw, dict):
            return {k: self.value(v, mark.items.get(k, mark), site) for k, v in raw.items()}
        return raw

    def expression(self, text: str, mark: Mark, site: Site) -> Any:
        parsed = False
        try:
            parse(text)
            parsed = True
            return evaluate(text, lambda name: site.frame.lookup(name, site.x), self.document.limits)
        except ExpressionError as error:
            span = narrowed(mark, error.start + 1, None if error.end is None else error.end + 1)
            return self.fail(
                Diagnostic(error.code if parsed else "E303", error.message, span, help=error.help), site.where
            )

    def whole_number(self, raw: Any, mark: Mark, site: Site, what: str) -> int:
        number = self.value(raw, mark, site)
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            self.fail(
                Diagnostic("E203", f"{what} should be a whole number ≥ 0, got {show(number)}", mark.span), site.where
            )
        return int(number)

    def tensor(self, path: Any, mark: Mark, site: Site) -> Value:
        """The tensor of a name. Fails if there is none, or if it could not be made."""
        if not isinstance(path, str):
            self.fail(Diagnostic("E305", f"expected the name of a tensor, got {show(path)}", mark.span), site.where)
        frame, x = site.frame, site.x
        path = ".".join(self.inserted(part, mark, site) if "$" in part else part for part in path.split("."))
        value = frame.tensor(path, x)
        if value is None or value is UNSET:
            first, _, rest = path.rpartition(".")
            around = frame.tensor(first, x) if first else None
            known = list(around.names.names) if around and around.names else ["x", *frame.names]
            help = did_you_mean(rest, known) or f"known here are {', '.join(known[:12])}"
            message = f"there is no tensor {path!r} here"
            if value is UNSET:
                message = "x is not set yet"
                named = " or ".join(known[1:4])
                help = f"say what the step takes: from: {named}" if named else "inputs: {image: [28, 28, 3]}"
            self.fail(Diagnostic("E302", message, mark.span, help=help), site.where)
        if value is POISON:
            raise Failed
        assert value is not None
        return value

    def frame(
        self, document: Document, given: Mapping[str, Any], mark: Mark, active: tuple[str, ...], where: Where = Where()
    ) -> Frame:
        """A spec's own frame: its params, evaluated in their order."""
        frame = Frame(document, active=active)
        place = document.mark.at("params")
        for name, param in document.spec.params.items():
            at = mark.items[name] if name in given and name in mark.items else place.at(name)
            frame.variables[name] = self.param(param, name, given, at, frame, where)
        frame.params = dict(frame.variables)
        return frame

    def library(self, document: Document) -> Frame:
        """The frame that the blocks of a used spec see."""
        if id(document) not in self.libraries:
            self.libraries[id(document)] = self.frame(document, {}, document.mark, ())
        return self.libraries[id(document)]

    def param(self, param: Param, name: str, given: Mapping[str, Any], mark: Mark, frame: Frame, where: Where) -> Any:
        try:
            if name in given:
                value = given[name]
            elif param.required:
                self.fail(
                    Diagnostic("E202", f"the param {name} needs a value", mark.span, help=f"params.{name}=…"), where
                )
            elif param.type == "layers":
                return Body(self.body(param.default, mark.at("default")), frame)
            else:
                at = mark.items.get("default", mark)
                value = self.value(param.default, at, Site(UNSET, frame, where))
            if value is POISON:
                raise Failed
            check_param(param, name, value, mark.span, f"param {name}")
            return value
        except SpecError as error:
            self.report(error.diagnostics[0], where)
        except Failed:
            pass
        return POISON

    def body(self, raw: Any, mark: Mark) -> tuple[Step, ...]:
        """Steps given as a value, parsed once."""
        if id(raw) not in self.bodies:
            found: list[Diagnostic] = []
            self.bodies[id(raw)] = (raw, parse_steps(raw, mark, found))
            for diagnostic in found:
                self.report(diagnostic)
        return self.bodies[id(raw)][1]

    def inserted(self, name: str, mark: Mark, site: Site) -> str:
        """A name with its `$param`s replaced by their values."""
        result, *parts = name.split("$")
        variables = site.frame.variables
        for part in parts:
            variable = max((v for v in variables if part.startswith(v)), key=len, default=None)
            if variable is None:
                help = did_you_mean(part, variables)
                diagnostic = Diagnostic("E302", f"${part} in a name is no param or variable", mark.span, help=help)
                return str(self.fail(diagnostic, site.where))
            value = str(variables[variable]).replace(".", "_").replace("-", "m")
            result += value + part[len(variable) :]
        if not result.isidentifier():
            self.fail(Diagnostic("E203", f"{result!r} cannot be a name", mark.span), site.where)
        return result

    def raise_found(self) -> None:
        if self.found:
            raise SpecError(in_order(self.found.values()), self.document.texts)
