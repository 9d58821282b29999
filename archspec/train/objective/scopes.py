"""Layers by their names and the scopes around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.graph.ir import Graph, owner
from archspec.language import Document

Path = tuple[str | int, ...]


def matched(graph: Graph, pattern: str) -> set[str]:
    """The nodes that a pattern names by themselves or by a scope around them; of shared weights, those that own them.

    `*` and `?` stand for any text, dots included.
    """
    found = (name for name in graph.nodes if any(fnmatchcase(scope, pattern) for scope in scopes_of(name)))
    return {owner(graph.nodes, graph.nodes[name]).name for name in found} - set(graph.inputs)


def scopes_of(name: str) -> Iterator[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def learns(graph: Graph, names: Iterable[str]) -> bool:
    """Whether any of the nodes has weights that are trained."""
    nodes = [graph.nodes[name] for name in names]
    return any(node.trainable and any(w.trainable for w in graph.weights(node)) for node in nodes)


def check_scopes(document: Document, graph: Graph, key: str, patterns: Iterable[str], path: Path) -> list[Diagnostic]:
    """Patterns that name nothing. `path` leads to their list, or to the only one."""
    found = []
    for i, pattern in enumerate(patterns):
        if matched(graph, pattern):
            continue
        known = list(dict.fromkeys(scope for name in graph.nodes for scope in scopes_of(name)))
        first = list(dict.fromkeys(name.split(".")[0] for name in graph.nodes if name not in graph.inputs))
        help = did_you_mean(pattern, known) or f"the outermost are {', '.join(first[:12])}"
        message = f"{key}: no layer or scope is named {pattern!r}"
        found.append(Diagnostic("E504", message, document.mark.at(*path, i).span, help=help))
    return found


def freeze(graph: Graph, patterns: Iterable[str]) -> Graph:
    """The graph with what the patterns name not trainable; the same object where nothing changes."""
    names = {name for pattern in patterns for name in matched(graph, pattern) if graph.nodes[name].trainable}
    if not names:
        return graph
    changed = {name: replace(node, trainable=False) if name in names else node for name, node in graph.nodes.items()}
    return replace(graph, nodes=changed)
