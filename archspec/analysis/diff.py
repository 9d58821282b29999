"""What changed from one graph to another: which layers stand for each other, and how those differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from archspec.analysis.cost import graph_cost, node_cost
from archspec.analysis.difference import Change, Difference, Part
from archspec.analysis.match import match
from archspec.graph.ir import Edge, Graph, Node
from archspec.graph.text import changed_arguments, layer_text, types_text, value_text


def diff(before: Graph, after: Graph) -> Difference:
    """What changed. Layers stand for each other by what they are and where they stand, their numbers left aside:

    one more `conv2d` at the front of a block is one added layer, not a changed name of all that follow.
    """
    matched = match(before, after)
    kept = set(matched.values())
    changed = [_change(before, after, before.nodes[old], after.nodes[new], matched) for new, old in matched.items()]
    return Difference(
        before,
        after,
        _parts(after, {name for name in after.nodes if name not in matched}),
        _parts(before, {name for name in before.nodes if name not in kept}),
        tuple(change for change in changed if change.what),
        tuple(_ends(before, after, matched)),
        (graph_cost(before), graph_cost(after)),
        matched,
    )


# --- what differs --------------------------------------------------------------------------------


def _change(before: Graph, after: Graph, old: Node, new: Node, matched: Mapping[str, str]) -> Change:
    what = _arguments(old, new)
    what += [("output", types_text(old.outputs), types_text(new.outputs))] if old.outputs != new.outputs else []
    now = tuple(Edge(matched[e.node], e.index) if e.node in matched else None for e in new.inputs)
    if now != old.inputs or old.parameters != new.parameters:
        what.append(("inputs", ", ".join(map(str, old.inputs)), ", ".join(map(str, new.inputs))))
    shared = matched.get(new.shares, f"new {new.shares}") if new.shares else None
    if old.shares != shared:
        what.append(("shares", old.shares or "none", new.shares or "none"))
    if old.trainable != new.trainable:
        what.append(("trainable", value_text(old.trainable), value_text(new.trainable)))
    one, other = node_cost(before, old), node_cost(after, new)
    for aspect, a, b in (
        ("parameters", one.parameters_total, other.parameters_total),
        ("MACs", one.macs, other.macs),
    ):
        what += [(aspect, f"{a:,}", f"{b:,}")] if a != b else []
    return Change(old, new, tuple(what))


def _arguments(old: Node, new: Node) -> list[tuple[str, str, str]]:
    if type(old.layer).__name__ != type(new.layer).__name__:
        return [("layer", layer_text(old.layer), layer_text(new.layer))]
    was, now = dict(changed_arguments(old.layer)), dict(changed_arguments(new.layer))
    texts = []
    for name in dict.fromkeys([*was, *now]):
        a, b = (_argument_text(node, name) for node in (old, new))
        texts += [(name, a, b)] if a != b else []
    return texts


def _argument_text(node: Node, name: str) -> str:
    return value_text(getattr(node.layer, name))


def _ends(before: Graph, after: Graph, matched: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """The results that differ. Inputs are layers."""
    for name in dict.fromkeys([*before.outputs, *after.outputs]):
        old, new = before.outputs.get(name), after.outputs.get(name)
        same = old is not None and new is not None and before.type(old) == after.type(new)
        if not same or (new and Edge(matched.get(new.node, ""), new.index) != old):
            yield f"output {name}", _end_text(before, old), _end_text(after, new)


def _end_text(graph: Graph, edge: Edge | None) -> str:
    return "none" if edge is None else f"{edge} {graph.type(edge)}"


def _parts(graph: Graph, names: set[str]) -> tuple[Part, ...]:
    """The layers, each scope that has no others as one part; in the graph's order."""
    inside: Counter[tuple[str, ...]] = Counter()
    found: Counter[tuple[str, ...]] = Counter()
    for node in graph.nodes.values():
        for depth in range(1, len(node.scope) + 1):
            inside[node.scope[:depth]] += 1
            found[node.scope[:depth]] += node.name in names
    parts: dict[tuple[str, ...], list[Node]] = {}
    for node in graph.nodes.values():
        if node.name in names:
            scopes = (node.scope[:depth] for depth in range(1, len(node.scope) + 1))
            whole = next((scope for scope in scopes if inside[scope] == found[scope]), None)
            parts.setdefault(whole or (node.name, ""), []).append(node)
    return tuple(_part(graph, scope, nodes) for scope, nodes in parts.items())


def _part(graph: Graph, scope: tuple[str, ...], nodes: list[Node]) -> Part:
    costs = [node_cost(graph, node) for node in nodes]
    parameters, macs = sum(c.parameters_total for c in costs), sum(c.macs for c in costs)
    names = tuple(node.name for node in nodes)
    if scope[-1] == "":
        return Part(nodes[0].name, layer_text(nodes[0].layer), names, parameters, macs)
    uses = nodes[0].origin.uses[: len(scope)]
    kind = uses[-1].name if len(uses) == len(scope) and uses[-1].kind == "block" else "group"
    return Part(".".join(scope), kind, names, parameters, macs)
