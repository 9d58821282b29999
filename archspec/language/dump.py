"""Plain data → YAML that the language reads back as the same data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import yaml

from archspec.language.source import resolve_scalar

_FLOW_WIDTH = 90  # longer lists and mappings take a line for each item


def to_yaml(data: Mapping[str, Any]) -> str:
    """The data as YAML, keys in their order, short lists and mappings on one line."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """PyYAML writes YAML 1.1, where `1e-3` and `0o7` are text; the language reads YAML 1.2, so they need quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if not isinstance(resolve_scalar(text), str) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, values: Any) -> yaml.SequenceNode:
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=_is_short(values))
    for item in node.value:
        if isinstance(item, yaml.MappingNode):
            item.flow_style = False  # steps: `- Dense: 10`
    return node


def _mapping(dumper: yaml.SafeDumper, values: Any) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", values.items(), flow_style=_is_short(values))


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    """As Python writes it: 1e-05, where PyYAML would write 1.0e-05."""
    if not math.isfinite(value):
        return dumper.represent_float(value)
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value))


def _is_short(values: Any) -> bool:
    """Whether a list or mapping holds scalars, and lists of them, that fit on a line."""
    inner = values.values() if isinstance(values, Mapping) else values
    flat = all(not isinstance(v, Mapping) and (not isinstance(v, list | tuple) or _is_flat(v)) for v in inner)
    return flat and len(str(values)) <= _FLOW_WIDTH


def _is_flat(values: Any) -> bool:
    return not any(isinstance(v, Mapping | list | tuple) for v in values)


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?e[-+]?[0-9]+"), list("-+0123456789")
)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _float)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)
_Dumper.add_representer(dict, _mapping)
