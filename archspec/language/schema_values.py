"""JSON Schemas of single values: put together, bounded, named, and told in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

from annotated_types import Ge, Gt, Le, Len, Lt, MinLen

from archspec.graph.text import changed_arguments
from archspec.layers.base import Model

Schema = dict[str, Any]

EXPRESSION: Schema = {"$ref": "#/$defs/expression"}


def with_expression(schema: Schema) -> Schema:
    """The same, or an expression in its place."""
    if not schema or "$ref" in schema or EXPRESSION in schema.get("anyOf", ()):
        return schema
    return any_of([schema, EXPRESSION])


def any_of(ways: list[Schema]) -> Schema:
    """One of several, flat, each once."""
    flat: list[Schema] = []
    for way in ways:
        flat += [w for w in (way["anyOf"] if way.keys() == {"anyOf"} else [way]) if w not in flat]
    values = [way for way in flat if way.keys() == {"enum"}]
    if len(values) > 1:
        merged = {"enum": list(dict.fromkeys(v for way in values for v in way["enum"]))}
        flat = [merged, *(way for way in flat if way not in values)]
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def bounded(schema: Schema, metadata: Iterable[Any]) -> Schema:
    bounds: Schema = {}
    for bound in metadata:
        if isinstance(bound, Ge):
            bounds["minimum"] = bound.ge
        elif isinstance(bound, Gt):
            bounds["exclusiveMinimum"] = bound.gt
        elif isinstance(bound, Le):
            bounds["maximum"] = bound.le
        elif isinstance(bound, Lt):
            bounds["exclusiveMaximum"] = bound.lt
        elif isinstance(bound, MinLen | Len):
            bounds["minLength" if schema.get("type") == "string" else "minItems"] = bound.min_length
    return schema | bounds


def plain(value: Any) -> Any:
    """A value as a spec writes it, as plain data."""
    if isinstance(value, Model):
        changed = {name: plain(v) for name, v in changed_arguments(value)}
        return {type(value).__name__: changed} if changed else type(value).__name__
    if isinstance(value, Mapping):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, tuple | list) else value


# --- in words ----------------------------------------------------------------------------

_WORDS = {"integer": "int", "number": "float", "boolean": "bool", "string": "text", "object": "mapping"}


def type_text(schema: Schema) -> str:
    """A schema in words: `int > 0`, `valid | same`, `[int > 0, int > 0]`, `initializer`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(type_text(way) for way in schema["anyOf"] if way != EXPRESSION)
    if "enum" in schema:
        return " | ".join(
            "null" if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in schema["enum"]
        )
    kind = schema.get("type", "any")
    if kind == "array":
        return _list_text(schema)
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{{name: {type_text(schema['additionalProperties'])}}}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f"{_WORDS.get(kind, kind)} {', '.join(bounds)}".strip()


def _list_text(schema: Schema) -> str:
    inner = type_text(schema["items"])
    if schema.get("maxItems"):
        return f"[{', '.join([inner] * schema['maxItems'])}]"
    return f"[{inner}, …]"


def slug_of(text: str) -> str:
    """A name for `$defs` that needs no escaping in a reference."""
    for sign, word in (("≥", "min"), (">", "above"), ("≤", "max"), ("<", "below"), ("[", "list "), ("|", "or")):
        text = text.replace(sign, word if sign != "[" else f" {word}")
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_")
    return f"value.{slug if len(slug) <= 40 else slug[:31] + '_' + f'{crc32(slug.encode()):08x}'}"
