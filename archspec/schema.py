"""The JSON Schema of the whole language: the network's part and the sections beside it."""

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


def schema_text() -> str:
    """The schema as `docs/schema.json` holds it: a definition a line, so that changes can be read."""
    whole = schema()
    definitions = [f"  {_line(name)}: {_line(value)}" for name, value in whole.pop("$defs").items()]
    lines = [f" {_line(name)}: {_line(value)}," for name, value in whole.items()]
    return "\n".join(["{", *lines, ' "$defs": {', ",\n".join(definitions), " }", "}", ""])


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
