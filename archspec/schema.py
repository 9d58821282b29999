"""The JSON Schemas of what is read and written: a spec with all its sections, a figure as data."""

from __future__ import annotations

import json
from typing import Any


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of a spec's file."""
    from archspec.data.base import Source, sources
    from archspec.data.settings import Data
    from archspec.language.schema import document_schema
    from archspec.train.settings import Run, Train

    return document_schema({"data": Data, "train": Train, "run": Run}, {Source: sources()})


def figure_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of what `archspec draw --format json` writes."""
    from pydantic import TypeAdapter

    from archspec.draw.model import Figure
    from archspec.draw.written import JSON_FORM

    made = TypeAdapter(Figure).json_schema(mode="serialization")
    form = {"const": JSON_FORM, "description": "Raised where a reader of the file would have to change"}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "archspec figure"}
    return head | made | {"properties": {"form": form, **made["properties"]}, "required": ["form", *made["required"]]}


def schema_text(whole: dict[str, Any] | None = None) -> str:
    """A schema, a spec's unless given, as its file in `docs` holds it: a definition a line, so that changes show."""
    whole = schema() if whole is None else dict(whole)
    definitions = [f"  {_line(name)}: {_line(value)}" for name, value in whole.pop("$defs").items()]
    lines = [f" {_line(name)}: {_line(value)}," for name, value in whole.items()]
    return "\n".join(["{", *lines, ' "$defs": {', ",\n".join(definitions), " }", "}", ""])


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
