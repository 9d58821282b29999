"""The scopes of a graph as a tree: which of them become functions, and which are read better in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from archspec.graph.ir import Edge, Graph, Node, Use, owner
from archspec.graph.order import topological
from archspec.graph.text import changed_arguments
from archspec.layers.core import InputLayer

# A block of one layer is a function only where that saves saying the same arguments again and again.
MANY_ARGUMENTS, MANY_USES = 4, 3


@dataclass(eq=False)
class Scope:
    """A scope's nodes and inner scopes in the graph's order. `uses` opened it, the outermost first where several are

    one function. `layers` is the prefix of its layers' names, another scope's where it shares that one's weights.
    """

    path: tuple[str, ...]
    layers: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    inner: int = 0  # how many scopes within it are one with it
    children: list[Node | Scope] = field(default_factory=list)

    @property
    def base(self) -> str:
        """What its function is called: the block's name, or that of the group."""
        name = self.uses[0].name if self.uses else self.path[-1]
        if not self.uses or self.uses[0].kind == "group":  # groups are numbered by hand, or by what saved the model
            name = re.sub(r"_?\d+$", "", name)
        return name.rpartition(".")[2] or "block"

    @property
    def variables(self) -> dict[str, object]:
        """The block's arguments and the loop's variables, as they were."""
        return {name: value for use in self.uses for name, value in use.variables}

    def scopes(self) -> Iterator[Scope]:
        return (child for child in self.children if isinstance(child, Scope))

    def nodes(self) -> Iterator[Node]:
        """All nodes below it."""
        for child in self.children:
            if isinstance(child, Scope):
                yield from child.nodes()
            else:
                yield child


def sources(graph: Graph, node: Node) -> tuple[Edge, ...]:
    """The tensors that the Keras layer is called with: one that has none is called with the first input."""
    return node.inputs or (Edge(graph.inputs[0]),)


def layer_name(graph: Graph, node: Node) -> str:
    """The name of the Keras layer: that of the node whose weights this one uses."""
    return owner(graph.nodes, node).name


def scope_tree(graph: Graph) -> Scope:
    """The graph's scopes, of which those are left that are worth a function and can be one."""
    root = _nested(graph)
    _simplify(root)
    _drop_single_layers(root)
    _drop_broken(graph, root)
    return root


def _nested(graph: Graph) -> Scope:
    root = Scope(())
    known: dict[tuple[str, ...], Scope] = {(): root}
    for node in graph.nodes.values():
        if isinstance(node.layer, InputLayer):
            continue
        scope, uses = node.scope, node.origin.uses
        for depth in range(1, len(scope) + 1):
            path = scope[:depth]
            if path not in known:
                known[path] = Scope(path, path, uses[depth - 1 : depth] if len(uses) == len(scope) else ())
                known[path[:-1]].children.append(known[path])
        known[scope].children.append(node)
    return root


def _simplify(scope: Scope) -> None:
    """Paths of a merge stand in the block that merges; a scope that holds just another one is one with it."""
    children: list[Node | Scope] = []
    for child in scope.children:
        if not isinstance(child, Scope):
            children.append(child)
            continue
        _simplify(child)
        children += child.children if _is_path(child) else [child]
    if len(children) == 1 and isinstance(children[0], Scope) and scope.path:
        inner = children[0]
        scope.uses, scope.inner, children = (*scope.uses, *inner.uses), inner.inner + 1, inner.children
    scope.children = children


def _is_path(scope: Scope) -> bool:
    """Whether a scope is no block: one path of a merge, or steps that only stand together once."""
    if not scope.uses:
        return False
    use = scope.uses[0]
    return use.kind == "path" or (use.kind == "group" and use.name == "layers" and not use.iteration)


def _drop_single_layers(root: Scope) -> None:
    counts: dict[tuple[str, str], int] = {}
    for scope in _all(root):
        if len(scope.children) == 1 and isinstance(scope.children[0], Node):
            key = (scope.base, type(scope.children[0].layer).__name__)
            counts[key] = counts.get(key, 0) + 1

    def worth(scope: Scope) -> bool:
        (only,) = scope.children
        assert isinstance(only, Node)
        many = counts[scope.base, type(only.layer).__name__] >= MANY_USES
        return many and len(list(changed_arguments(only.layer))) >= MANY_ARGUMENTS

    def drop(scope: Scope) -> None:
        kept: list[Node | Scope] = []
        for child in scope.children:
            if isinstance(child, Scope):
                drop(child)
                single = len(child.children) == 1 and isinstance(child.children[0], Node)
                kept += child.children if single and not worth(child) else [child]
            else:
                kept.append(child)
        scope.children = kept

    drop(root)


def _all(scope: Scope) -> Iterator[Scope]:
    for child in scope.scopes():
        yield from _all(child)
        yield child


def _drop_broken(graph: Graph, root: Scope) -> None:
    """Scopes that cannot be calls stand in place: those that a tensor leaves and comes back into,

    and those whose layers are in part of their own, in part another's.
    """
    for scope in [*_all(root), root]:
        changed = True
        while changed:
            broken = [child for child in scope.scopes() if not _named(graph, child)] or _entangled(graph, scope)
            scope.children = [
                part
                for child in scope.children
                for part in (child.children if isinstance(child, Scope) and child in broken else [child])
            ]
            changed = bool(broken)


def _named(graph: Graph, scope: Scope) -> bool:
    """Whether all its layers are named below one prefix; that becomes the scope's."""
    prefixes = set()
    for node in scope.nodes():
        rest = node.name.split(".")[len(scope.path) :]
        name = layer_name(graph, node).split(".")
        prefixes.add(tuple(name[: len(name) - len(rest)]) if name[len(name) - len(rest) :] == rest else None)
    if len(prefixes) != 1 or None in prefixes:
        return False
    (prefix,) = prefixes
    assert prefix is not None
    scope.layers = prefix
    return bool(prefix)


def homes(scope: Scope) -> dict[str, int]:
    """The place among the scope's children of each node below it."""
    return {
        node.name: place
        for place, child in enumerate(scope.children)
        for node in (child.nodes() if isinstance(child, Scope) else [child])
    }


def in_order(graph: Graph, scope: Scope) -> list[Node | Scope]:
    """The children in an order in which each can be called, as near to the graph's as that allows."""
    return [scope.children[place] for place in topological(_needs(graph, scope))]


def _needs(graph: Graph, scope: Scope) -> list[set[int]]:
    home = homes(scope)
    needs: list[set[int]] = [set() for _ in scope.children]
    for place, child in enumerate(scope.children):
        for node in child.nodes() if isinstance(child, Scope) else [child]:
            needs[place] |= {home[edge.node] for edge in sources(graph, node) if edge.node in home} - {place}
    return needs


def _entangled(graph: Graph, scope: Scope) -> list[Scope]:
    """The inner scopes that a cycle goes through, or comes before: as calls they would wait for each other."""
    needs = _needs(graph, scope)
    done = set(topological(needs))
    return [c for place, c in enumerate(scope.children) if place not in done and isinstance(c, Scope)]
