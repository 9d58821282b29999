"""What a drawing shows, apart from how it is written: boxes in nested groups, and lines between them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from archspec.draw.labels import SYMBOLS, layer_text, types_text
from archspec.graph.ir import Edge, Graph, Node, Use
from archspec.graph.text import arguments_text, value_text
from archspec.layers.base import default_name


@dataclass(frozen=True, slots=True)
class Box:
    """A layer, an input, a result, or the point where a tensor forks.

    `label` is its main line; `name` stands above it where the author gave one.
    """

    id: str
    kind: Literal["layer", "symbol", "bar", "input", "output", "point"]
    label: str
    role: str
    name: str = ""
    shape: str = ""
    note: str = ""
    path: str = ""
    settings: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A scope: a block's use, a path, a named group. `block` is the block's name, where the title does not say it."""

    id: str
    path: str
    title: str
    block: str
    settings: str
    items: tuple[Box | Group, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A tensor's way from one box to another. `main` ones are the longest ways through forks, drawn straight."""

    tail: str
    head: str
    main: bool
    label: str = ""


@dataclass(frozen=True, slots=True)
class Diagram:
    name: str
    items: tuple[Box | Group, ...]
    lines: tuple[Line, ...]


@dataclass(slots=True)
class _Scope:
    """A group in the making."""

    path: tuple[str, ...]
    use: Use | None = None
    items: list[Box | _Scope] = field(default_factory=list)
    scopes: dict[str, _Scope] = field(default_factory=dict)


def diagram(graph: Graph) -> Diagram:
    """Every layer a box, every scope a group, in the graph's order."""
    ids = {name: _id(name, number) for number, name in enumerate(graph.nodes)}
    root = _Scope(())
    for node in graph.nodes.values():
        _scope_of(root, node).items.append(_box(node, ids[node.name]))
    results = [
        Box(f"#output{number}", "output", name, "output", shape=types_text((graph.type(edge),)), path=name)
        for number, (name, edge) in enumerate(graph.outputs.items())
    ]
    lines = _lines(graph, ids, _forks(graph, root))
    for box, edge in zip(results, graph.outputs.values(), strict=True):
        lines.append(Line(ids[edge.node], box.id, not graph.readers[edge.node], _index_text(edge)))
    return Diagram(graph.name, (*_finished(root, itertools.count()), *results), tuple(lines))


def _id(name: str, number: int) -> str:
    """The name where DOT takes it as it is, else a number; `#` keeps it apart from all names."""
    return name if re.fullmatch(r"[A-Za-z0-9_.]+", name) else f"#{number}"


def _scope_of(root: _Scope, node: Node) -> _Scope:
    scope = root
    for depth, part in enumerate(node.scope):
        if part not in scope.scopes:
            use = node.origin.uses[depth] if depth < len(node.origin.uses) else None
            scope.scopes[part] = _Scope((*scope.path, part), use)
            scope.items.append(scope.scopes[part])
        scope = scope.scopes[part]
    return scope


def _finished(scope: _Scope, numbers: Iterator[int]) -> tuple[Box | Group, ...]:
    return tuple(
        Group(
            _id(".".join(item.path), next(numbers)),
            ".".join(item.path),
            item.path[-1],
            _block(item.path[-1], item.use),
            _settings(item.use),
            _finished(item, numbers),
        )
        if isinstance(item, _Scope)
        else item
        for item in scope.items
    )


def _block(title: str, use: Use | None) -> str:
    """The block's name, where the title does not say it."""
    known = (title, title.rstrip("0123456789").rstrip("_"))
    return use.name if use and use.kind == "block" and use.name not in known else ""


def _settings(use: Use | None) -> str:
    """What opened the scope: its name, and the block's arguments or the loop's variables as they were."""
    if use is None:
        return ""
    values = [f"{name}={value_text(value)}" for name, value in use.variables if isinstance(value, str | int | float)]
    iteration = f", {use.iteration} of {use.iterations}" if use.iterations else ""
    return f"{use.kind} {use.name}({', '.join(values)}){iteration}"


def _box(node: Node, id: str) -> Box:
    kind = type(node.layer).__name__
    own = node.name.rsplit(".", 1)[-1]
    given = own if own.rstrip("0123456789").rstrip("_") != default_name(type(node.layer)).rstrip("0123456789") else ""
    shape = types_text(node.outputs)
    settings = f"{kind}({arguments_text(node.layer)})"
    if kind == "InputLayer":
        return Box(id, "input", own, "input", shape=shape, path=node.name, settings=settings)
    if kind in SYMBOLS:
        return Box(id, "symbol", SYMBOLS[kind], "merge", path=node.name, settings=f"{settings} {shape}")
    if kind == "Concatenate":
        return Box(id, "bar", "concat", "merge", shape=shape, path=node.name, settings=settings)
    note = ", ".join(([f"weights of {node.shares}"] if node.shares else []) + ([] if node.trainable else ["frozen"]))
    return Box(id, "layer", layer_text(node.layer), node.layer.role, given, shape, note, node.name, settings)


def _forks(graph: Graph, root: _Scope) -> dict[Edge, str]:
    """The points where tensors fork, by tensor: one inside each scope that alone reads a tensor from outside, twice.

    One line then enters the scope, and the way around its layers stays inside it.
    """
    readers: dict[Edge, list[Node]] = {}
    for node in graph.nodes.values():
        for edge in dict.fromkeys(node.inputs):
            readers.setdefault(edge, []).append(node)
    results = set(graph.outputs.values())
    forks: dict[Edge, str] = {}
    for edge, nodes in readers.items():
        home = common([node.scope for node in nodes])
        if len(nodes) > 1 and edge not in results and home != graph.nodes[edge.node].scope[: len(home)]:
            forks[edge] = f"#fork{len(forks)}"
            scope = root
            for part in home:
                scope = scope.scopes[part]
            scope.items.insert(0, Box(forks[edge], "point", "", "fork"))
    return forks


def common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """What paths begin with alike."""
    shared = 0
    while all(len(path) > shared and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    return paths[0][:shared]


def _lines(graph: Graph, ids: dict[str, str], forks: dict[Edge, str]) -> list[Line]:
    depths, heights = _depths(graph), _heights(graph)
    lines = [Line(ids[edge.node], fork, True, _index_text(edge)) for edge, fork in forks.items()]
    longest = {name: max(readers, key=heights.__getitem__) for name, readers in graph.readers.items() if readers}
    for node in graph.nodes.values():
        deepest = max((edge.node for edge in node.inputs), key=depths.__getitem__, default="")
        for edge in node.inputs:
            main = edge.node == deepest and longest[edge.node] == node.name
            tail, label = (forks[edge], "") if edge in forks else (ids[edge.node], _index_text(edge))
            lines.append(Line(tail, ids[node.name], main, label))
    return lines


def _depths(graph: Graph) -> dict[str, int]:
    """The layers on the longest way from an input to each node."""
    depths: dict[str, int] = {}
    for node in graph.nodes.values():
        depths[node.name] = 1 + max((depths[edge.node] for edge in node.inputs), default=0)
    return depths


def _heights(graph: Graph) -> dict[str, int]:
    """The layers on the longest way from each node to a result."""
    heights: dict[str, int] = {}
    for name in reversed(tuple(graph.nodes)):
        heights[name] = 1 + max((heights[reader] for reader in graph.readers[name]), default=0)
    return heights


def _index_text(edge: Edge) -> str:
    """Which of several outputs, where it is not the first."""
    return str(edge.index) if edge.index else ""
