"""Values said from outside the file: a variant's params, and changes by path from the command line or from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from archspec.diagnostics import Diagnostic, Span, SpecError, did_you_mean
from archspec.language.document import Param, SpecFile, type_of
from archspec.language.expressions import show
from archspec.language.limits import Limits
from archspec.language.source import Mark, Source, compose

_COMMAND_LINE = "<command line>"
_PYTHON = "<arguments>"


@dataclass(frozen=True, slots=True)
class Change:
    """A new value for what stands at a path, said from outside the file: in `line`, from `column` to `end`."""

    path: str
    value: Any
    line: str
    column: int
    end: int
    inner: int | None
    file: str = _COMMAND_LINE

    @property
    def key(self) -> Span:
        return Span(self.file, 1, self.column, 1, self.column + len(self.path))

    @property
    def mark(self) -> Mark:
        return Mark(Span(self.file, 1, self.column + len(self.path) + 1, 1, self.end), self.inner)


def read_changes(texts: Sequence[str], limits: Limits = Limits()) -> list[Change]:
    """`train.epochs=5` and the like, as on a command line → changes. Raises SpecError."""
    line = " ".join(texts)
    changes, column = [], 1
    for text in texts:
        path, _, value = text.partition("=")
        try:
            data, mark = compose(value, _COMMAND_LINE, "yaml", limits)
        except SpecError as error:
            start = column + len(path) + 1
            span = Span(_COMMAND_LINE, 1, start, 1, start + len(value))
            found = [replace(d, span=span) for d in error.diagnostics]
            raise SpecError(found, {_COMMAND_LINE: line}) from None
        changes.append(Change(path.strip(), data, line, column, column + len(text), mark.inner))
        column += len(text) + 1
    return changes


def python_changes(values: Mapping[str, Any]) -> list[Change]:
    """Changes given in Python, by their paths."""
    texts = [f"{path}={value!r}" for path, value in values.items()]
    line, column, changes = " ".join(texts), 1, []
    for (path, value), text in zip(values.items(), texts, strict=True):
        changes.append(Change(path, _plain(value), line, column, column + len(text), None, _PYTHON))
        column += len(text) + 1
    return changes


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def apply_variant(data: dict[str, Any], mark: Mark, variant: str, source: Source) -> None:
    variants = data.get("variants")
    variants = variants if isinstance(variants, dict) else {}
    if variant not in variants:
        known = list(variants)
        help = did_you_mean(variant, known) or (f"its variants are {', '.join(known)}" if known else None)
        message = f"{source.file} has no variant {variant!r}"
        raise SpecError([Diagnostic("E208", message, mark.key("variants"), help=help)])
    values = variants[variant]
    for name, value in (values if isinstance(values, dict) else {}).items():
        place = mark.at("variants", variant, name)
        _set_param(data, mark, name, value, place, mark.at("variants", variant).keys.get(name, place.span))


def _set_param(data: dict[str, Any], mark: Mark, name: str, value: Any, place: Mark, key: Span) -> None:
    """Gives a param another default. Raises SpecError if there is none of that name, or of another type."""
    params = data.get("params") or {}
    if not isinstance(params, dict) or name not in params:
        known = list(params) if isinstance(params, dict) else []
        help = did_you_mean(name, known) or (f"its params are {', '.join(known)}" if known else None)
        raise SpecError([Diagnostic("E209", f"the spec has no param {name!r}", key, help=help)])
    declared = params[name]
    try:
        param = SpecFile.model_validate({"archspec": 1, "name": "_", "params": {name: declared}}).params[name]
    except ValidationError:
        return  # reported with the document
    check_param(param, name, value, place.span, f"param {name}")
    around = mark.items["params"]
    if isinstance(declared, dict):
        declared["default"] = value
        around.items[name].items["default"] = place
    else:
        params[name] = value
        around.items[name] = place


def check_param(param: Param, name: str, value: Any, span: Span, what: str) -> None:
    """Raises SpecError if the value is not one that the param may take. An expression's value is judged later."""
    if isinstance(value, str) and value.startswith("="):
        return
    found = type_of(value)
    fits = {
        "int": found == "int",
        "float": found in ("int", "float"),
        "bool": found == "bool",
        "str": found == "str",
        "shape": isinstance(value, list | tuple) and all(v is None or type_of(v) in ("int", "any") for v in value),
        "layers": isinstance(value, list) or hasattr(value, "steps"),
        "any": True,
    }[param.type]
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "shape": "a shape"}
    wanted = words.get(param.type, "a list of steps")
    problem = None
    if not fits and not (value is None and param.default is None and not param.required):
        problem = f"{what} should be {wanted}, got {show(value)}"
    elif param.choices is not None and value not in param.choices:
        problem = f"{what} should be one of {', '.join(map(str, param.choices))}, got {show(value)}"
    elif param.min is not None and isinstance(value, int | float) and value < param.min:
        problem = f"{what} should be at least {param.min:g}, got {value}"
    elif param.max is not None and isinstance(value, int | float) and value > param.max:
        problem = f"{what} should be at most {param.max:g}, got {value}"
    if problem:
        help = did_you_mean(str(value), map(str, param.choices)) if param.choices else None
        raise SpecError([Diagnostic("E203", problem, span, help=help)])


def override(data: dict[str, Any], mark: Mark, path: str, value: Any, place: Mark, key: Span) -> None:
    """Sets the value at a dotted path, as if it stood in the file. Raises SpecError."""
    parts = path.split(".")
    if parts[0] == "params" and len(parts) == 2:
        return _set_param(data, mark, parts[1], value, place, key)
    if parts[0] not in SpecFile.model_fields or not all(parts):
        help = did_you_mean(parts[0], SpecFile.model_fields) or "for example params.classes=10 or train.epochs=5"
        raise SpecError([Diagnostic("E209", f"a spec has no {path!r}", key, help=help)])
    target: Any = data
    around = mark
    for i, part in enumerate(parts[:-1]):
        inner: Any
        index = _index(target, part, path, key)
        if isinstance(target, dict) and target.get(part) is None:
            target[part], around.items[part] = {}, Mark(place.span)
        inner = target[index]
        if not isinstance(inner, dict | list):
            if isinstance(inner, str) and isinstance(target, dict | list):  # `loss: mse` → a mapping of its arguments
                inner = target[index] = {}
                around.items[index] = Mark(place.span)
            else:
                message = f"{'.'.join(parts[: i + 1])} is {show(inner)}, which holds no {parts[i + 1]!r}"
                raise SpecError([Diagnostic("E209", message, key)])
        target, around = inner, around.items[index]
    last = _index(target, parts[-1], path, key)
    target[last] = value
    around.items[last] = place
    if isinstance(last, str):
        around.keys[last] = key
    return None


def _index(target: Any, part: str, path: str, key: Span) -> Any:
    if isinstance(target, dict):
        return part
    if part.isdigit() and int(part) < len(target):
        return int(part)
    message = f"{path}: {part!r} is no place in a list of {len(target)}"
    raise SpecError([Diagnostic("E209", message, key, help=f"count from 0 to {len(target) - 1}" if target else None)])
