"""pydantic's errors → diagnostics at the place in the file, with what is legal there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.language.expressions import show
from archspec.language.source import Mark
from archspec.layers import find_layer
from archspec.layers.objects import Object, known

BARE = "a bare value"  # the name of an argument that there is none for
_KINDS: Mapping[str, type[Object]] = {kind.__name__.lower(): kind for kind in Object.__subclasses__()}


def diagnose(error: ValidationError, what: str, model: type[BaseModel], data: Any, mark: Mark) -> list[Diagnostic]:
    """One diagnostic for each value that is wrong. `what` names the thing filled, `mark` is the place of `data`."""
    by_place: dict[tuple[str | int, ...], list[Any]] = {}
    for detail in error.errors(include_url=False):
        by_place.setdefault(_path(detail["loc"], data, detail["type"] == "missing"), []).append(detail)
    result: list[Diagnostic] = []
    missing: dict[tuple[str | int, ...], list[str]] = {}
    for path, details in by_place.items():
        if details[0]["type"] == "missing":
            missing.setdefault(path[:-1], []).append(str(path[-1]))
            continue
        if any(other != path and other[: len(path)] == path for other in by_place):
            details = [d for d in details if d["type"] == "extra_forbidden"]  # the inner place says more
        if details:
            result.append(_one(path, details, what, model, data, mark))
    meant = " ".join(d.help or "" for d in result)  # `did you mean 'filters'?` says that filters is there
    for path, names in missing.items():
        lacking = [name for name in names if f"mean {name!r}" not in meant]
        if lacking:
            owner = _owner(path, what, model, data)[0]
            help = f"{owner}: {{{', '.join(f'{name}: …' for name in names)}}}"
            message = f"{owner} needs {' and '.join(lacking)}"
            result.append(Diagnostic("E202", message, mark.at(*path).span, help=help))
    return result


def _suggest(context: Mapping[str, Any]) -> str | None:
    return did_you_mean(str(context["name"]).strip("'\""), context["known"]) if "known" in context else None


def _path(loc: tuple[str | int, ...], data: Any, missing: bool) -> tuple[str | int, ...]:
    """pydantic's location without the tags of unions, and through `{Name: arguments}` where it left the name out.

    A `missing` argument's name ends the path, though the data do not hold it.
    """
    path: list[str | int] = []
    for i, part in enumerate(loc):
        if isinstance(data, Mapping) and part not in data and len(data) == 1:
            ((name, inner),) = data.items()
            if isinstance(inner, Mapping) and (part in inner or _is_last(loc, i)) and path:
                path.append(name)
                data = inner
        if isinstance(data, Mapping) and part in data:
            path.append(part)
            data = data[str(part)]
        elif isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
        elif missing and _is_last(loc, i) and isinstance(part, str) and isinstance(data, Mapping):
            path.append(part)
    return tuple(path)


def _is_last(loc: tuple[str | int, ...], i: int) -> bool:
    return i == len(loc) - 1


def _one(
    path: tuple[str | int, ...], details: list[Any], what: str, model: type[BaseModel], data: Any, mark: Mark
) -> Diagnostic:
    detail = details[0]
    kind, context = detail["type"], detail.get("ctx", {})
    owner, legal, depth = _owner(path[:-1], what, model, data)
    name = ".".join(map(str, path[depth:])) or what
    if kind == "extra_forbidden" and path[-1] == BARE:
        message = f"{owner} has no argument that a bare value stands for"
        takes = f"it takes {', '.join(legal)}, in a mapping; its inputs are named beside it: from: [a, b]"
        return Diagnostic("E201", message, mark.at(BARE).span, help=takes)
    if kind == "extra_forbidden":
        help = did_you_mean(str(path[-1]), legal) or (f"{owner} takes {', '.join(legal)}" if legal else None)
        if _value(path, data) is None and set(str(path[-1])) & set(")]"):
            help = 'in YAML\'s flow style an expression that holds a comma must be quoted: "=max(a, b)"'
        elif path[-1] in ("name", "trainable"):
            help = f"{path[-1]} is a modifier: it stands beside {owner}, not among its arguments"
        return Diagnostic("E201", f"{owner} has no argument {path[-1]!r}", mark.key(*path), help=help)
    place = mark.at(*path)
    span = next(iter(place.keys.values())) if len(place.keys) == 1 and kind[-6:] in ("object", "_layer") else place.span
    if kind.startswith("refused"):
        return Diagnostic("E206", detail["msg"], span)
    if kind == "unknown_object":
        return Diagnostic("E211", detail["msg"], span, help=_suggest(context))
    if kind == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return Diagnostic("E203", f"{owner}: {message}" if path else f"{what}: {message}", span)
    value = _value(path, data)
    expected = " or ".join(dict.fromkeys(_expected(d) for d in details))
    help = None
    if isinstance(value, str):
        choices = [c.strip(" '") for d in details for c in str(d.get("ctx", {}).get("expected", "")).split(",")]
        help = did_you_mean(value, [c for part in choices for c in part.replace("' or '", "','").split("','") if c])
    return Diagnostic("E203", f"{name} of {owner} should be {expected}, got {show(value)}", span, help=help)


def _expected(detail: Mapping[str, Any]) -> str:
    words = str(detail["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    plain = {
        "integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false",
        "tuple": "a list", "list": "a list", "dictionary": "a mapping", "None": "null",
    }  # fmt: skip
    if detail["type"] == "literal_error" and words.count(",") > 7:
        names = words.replace(" or ", ", ").replace("'", "").split(", ")
        return f"one of {len(names)} names ({', '.join(names[:6])}, …)"
    if words in plain:
        return plain[words]
    if detail["type"] in ("too_long", "too_short"):
        context = detail["ctx"]
        return f"a list of {context.get('max_length', context.get('min_length'))}"
    if detail["type"] == "model_type" or detail["type"].startswith("is_instance"):
        return "a name, or a mapping from a name to its arguments"
    return words[:1].lower() + words[1:]


def _value(path: tuple[str | int, ...], data: Any) -> Any:
    for part in path:
        data = data[part]
    return data


def _owner(path: tuple[str | int, ...], what: str, model: type[BaseModel], data: Any) -> tuple[str, list[str], int]:
    """What the innermost arguments belong to, the arguments it takes, and how deep in the path it stands."""
    owner, legal, depth = what, list(model.model_fields), 0
    for i, part in enumerate(path):
        data = data[part]
        inner = _named(str(part))
        if inner is None and isinstance(part, str):
            field = model.model_fields.get(part)
            inner = _model_in(field.annotation) if field else None
        if inner is not None:
            owner, legal, depth, model = str(part), list(inner.model_fields), i + 1, inner
    return owner, legal, depth


def _named(name: str) -> type[BaseModel] | None:
    layer = find_layer(name)
    if layer:
        return layer
    return next((known(kind)[name] for kind in _KINDS.values() if name in known(kind)), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
