"""Figures as text that needs no Graphviz: Mermaid for READMEs, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from archspec.draw.model import Box, Edge, Figure, Group, Panel
from archspec.draw.palette import Colours

SHAPES = {
    "input": ("([", "])"),
    "output": ("([", "])"),
    "symbol": ("((", "))"),
    "point": ("((", "))"),
    "bar": ("[/", "/]"),
}
# `$$` would begin a formula, a backtick Markdown, `%%` a comment.
ENTITIES = {
    "#": "#35;", "&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "#quot;", "`": "#96;", "%": "#37;", "\\": "#92;",
    "$": "#36;",
}  # fmt: skip
JSON_FORM = 1  # raised where a reader of the file would have to change


def legal(content: str) -> str:
    """Text that can stand in a file: what no encoding or markup knows becomes the replacement character."""
    found = content.encode("utf-8", "replace").decode() if not content.isprintable() else content
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in _paired(found, content))


def _paired(found: str, content: str) -> str:
    """`replace` writes `?` for a lone surrogate; the replacement character says more."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in content) if found != content else content


def to_json(figure: Figure) -> str:
    """The diagram model as it is; the same figure gives the same bytes."""
    return json.dumps(_legal({"form": JSON_FORM, **asdict(figure)}), indent=1, ensure_ascii=False) + "\n"


def _legal(value: Any) -> Any:
    if isinstance(value, str):
        return legal(value)
    if isinstance(value, dict):
        return {key: _legal(one) for key, one in value.items()}
    return [_legal(one) for one in value] if isinstance(value, list | tuple) else value


def words(box: Box) -> list[str]:
    """A box's lines of text: the name that the author gave, what it is, what is fused into it, its shape."""
    times = f" ×{box.times}" if box.times > 1 else ""
    lines = [box.name, f"{box.label}{times}", box.detail, " · ".join(strip.text for strip in box.strips), box.shape]
    note = "" if box.kind in ("symbol", "bar") else box.note
    return [line for line in (*lines, box.where, "frozen" if box.frozen else "", note) if line]


def heading(panel: Panel) -> str:
    """`bottleneck (c, s) ×16`."""
    formals = f" ({', '.join(panel.formals)})" if panel.formals else ""
    return f"{panel.title}{formals}" + (f" ×{panel.times}" if panel.times > 1 else "")


# --- Mermaid -------------------------------------------------------------------------------------


def to_mermaid(figure: Figure, colours: Colours, direction: str = "TB") -> str:
    """A flowchart of Mermaid's; each block's panel is a subgraph of its own."""
    theme = colours.theme
    lines = [f"flowchart {direction}"]
    ids: dict[str, str] = {}
    for panel in figure.panels:
        titled = bool(panel.title)
        if titled:
            lines += [
                f'  subgraph {_id(ids, f"panel {panel.id}")}["{_text(heading(panel))}"]',
                f"  direction {direction}",
            ]
        lines += _items(panel.items, ids, "    " if titled else "  ")
        lines += [_edge(edge, ids, "    " if titled else "  ") for edge in panel.edges]
        lines += ["  end"] if titled else []
    roles = sorted({box_role(box) for panel in figure.panels for box in _boxes(panel.items)})
    for role in roles:
        fill = colours.fill(role)
        lines.append(f"  classDef {role} fill:{fill},stroke:{theme.line},color:{theme.ink}")
    rewritten = [_id(ids, box.id) for panel in figure.panels for box in _boxes(panel.items) if box.note]
    if rewritten:
        lines.append(f"  classDef rewritten stroke:{theme.accent},stroke-width:2px")
        lines.append(f"  class {','.join(rewritten)} rewritten")
    return "\n".join(lines) + "\n"


def box_role(box: Box) -> str:
    """A role as a name for classes and styles."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in box.role) or "other"


def _boxes(items: tuple[Box | Group, ...]) -> Iterator[Box]:
    for item in items:
        if isinstance(item, Group):
            yield from _boxes(item.items)
        else:
            yield item


def _id(ids: dict[str, str], key: str) -> str:
    """Short and plain: Mermaid trips over `end`, dots and much else in ids."""
    return ids.setdefault(key, f"n{len(ids)}")


def _items(items: tuple[Box | Group, ...], ids: dict[str, str], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Group):
            times = f" ×{item.times}" if item.times > 1 else ""
            label = " ".join(word for word in (item.label + times, item.detail) if word)
            yield f'{indent}subgraph {_id(ids, f"group {item.id}")}["{_text(label) or " "}"]'
            yield from _items(item.items, ids, f"{indent}  ")
            yield f"{indent}end"
        else:
            start, end = SHAPES.get(item.kind, ("[", "]"))
            label = "<br/>".join(map(_text, words(item))) or " "
            yield f'{indent}{_id(ids, item.id)}{start}"{label}"{end}:::{box_role(item)}'


def _edge(edge: Edge, ids: dict[str, str], indent: str) -> str:
    arrow = "-.->" if edge.partial or edge.kind == "skip" else "-->"
    label = f'|"{_text(edge.label)}"|' if edge.label else ""
    return f"{indent}{_id(ids, edge.tail)} {arrow}{label} {_id(ids, edge.head)}"


def _text(content: str) -> str:
    return "".join(ENTITIES.get(c, " " if c in "\n\t" else c) for c in legal(content))
