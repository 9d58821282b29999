"""What the passes did to a network, where, what it saves, and why they did no more: as text and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archspec.analysis.cost import graph_cost
from archspec.analysis.memory import peak_bytes
from archspec.analysis.table import table_text
from archspec.diagnostics import Span
from archspec.graph.ir import Graph
from archspec.optimize.driver import Optimized
from archspec.optimize.rewrite import Applied, Level, Skipped

MIB = 2**20


@dataclass(frozen=True)
class Figures:
    """What a network costs for one example.

    * `layers`: nodes, inputs not counted.
    * `traffic_bytes`: what all nodes read and write, their weights too; fused nodes pass nothing between them.
    * `peak_bytes`: the most bytes of tensors alive at once.
    """

    layers: int
    parameters: int
    macs: int
    traffic_bytes: int
    peak_bytes: int


def figures(graph: Graph) -> Figures:
    """Linear in the graph."""
    cost = graph_cost(graph)
    read = sum(graph.type(edge).bytes for node in graph.nodes.values() for edge in node.inputs)
    written = sum(t.bytes for node in graph.nodes.values() if node.inputs for t in node.outputs)
    return Figures(
        len(graph.nodes) - len(graph.inputs),
        cost.parameters_total,
        cost.macs,
        read + written + cost.weight_bytes,
        peak_bytes(graph),
    )


@dataclass(frozen=True)
class Report:
    """A network before and after its passes."""

    name: str
    level: Level
    before: Figures
    after: Figures
    applied: tuple[Applied, ...]
    skipped: tuple[Skipped, ...]

    def to_text(self) -> str:
        """Figures, the rewrites by scope, and the reasons against others, each with the place in the spec."""
        parts = [f"{self.name}, level {self.level}", _figures_text(self.before, self.after)]
        if self.applied:
            parts.append("Rewrites\n" + "\n".join(_applied_lines(self.applied)))
        else:
            parts.append("No rewrite applies.")
        if self.skipped:
            parts.append("Not applied\n" + "\n".join(_skipped_lines(self.skipped)))
        return "\n\n".join(parts) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "name": self.name,
            "level": self.level,
            "before": vars(self.before),
            "after": vars(self.after),
            "applied": [
                {**_place(a), "note": a.note, "takes": list(a.takes), "puts": list(a.puts)} for a in self.applied
            ],
            "skipped": [{**_place(s), "reason": s.reason} for s in self.skipped],
        }


def report(graph: Graph, optimized: Optimized, level: Level) -> Report:
    """What became of the graph."""
    after = optimized.network.graph
    return Report(graph.name, level, figures(graph), figures(after), optimized.applied, optimized.skipped)


def _figures_text(before: Figures, after: Figures) -> str:
    rows = [
        _row("Layers", before.layers, after.layers, "{:,}"),
        _row("Parameters", before.parameters, after.parameters, "{:,}"),
        _row("MACs", before.macs, after.macs, "{:,}"),
        _row("Memory traffic", before.traffic_bytes / MIB, after.traffic_bytes / MIB, "{:,.2f} MiB"),
        _row("Peak of tensors", before.peak_bytes / MIB, after.peak_bytes / MIB, "{:,.2f} MiB"),
    ]
    return table_text(("For one example", "Before", "After", "Ratio"), rows, numbers=3)


def _row(name: str, before: float, after: float, form: str) -> tuple[str, str, str, str]:
    return name, form.format(before), form.format(after), f"{after / before:.2f}" if before else ""


def _applied_lines(applied: Sequence[Applied]) -> Iterator[str]:
    """Rewrites by the outermost scope; the same ones at one place of the spec in one line."""
    scopes: dict[str, dict[tuple[str, Span | None], list[Applied]]] = {}
    for each in applied:
        scope = scopes.setdefault(each.scope[0] if each.scope else "", {})
        scope.setdefault((each.pass_name, each.span), []).append(each)
    for name, groups in scopes.items():
        yield f"  {name or '(top)'}"
        for (pass_name, span), group in groups.items():
            count = f" {len(group)} times" if len(group) > 1 else ""
            first = _without(name, f"{group[0].node}: {group[0].note}")
            more = f", and {len(group) - 1} more" if len(group) > 1 else ""
            yield f"    {pass_name}{count}{_at(span)}"
            yield f"      {first}{more}"


def _without(scope: str, text: str) -> str:
    """The text with names as they are within the scope that stands above it."""
    return text.replace(f"{scope}.", "") if scope else text


def _skipped_lines(skipped: Sequence[Skipped]) -> Iterator[str]:
    """Reasons by pass; those of one place in the spec together, as a block is used many times."""
    passes: dict[str, dict[tuple[Span | None, str], list[Skipped]]] = {}
    for each in skipped:
        groups = passes.setdefault(each.pass_name, {})
        key = (each.span, "" if each.span else each.node)
        groups.setdefault(key, []).append(each)
    for name, groups in passes.items():
        yield f"  {name}"
        for (span, _), group in groups.items():
            more = f" (and {len(group) - 1} more)" if len(group) > 1 else ""
            yield f"    {group[0].node}{more}{_at(span)}"
            yield f"      {group[0].reason}"


def _at(span: Span | None) -> str:
    return f"  {span.file}:{span.line}" if span else ""


def _place(each: Applied | Skipped) -> Mapping[str, Any]:
    span = each.span
    return {
        "pass": each.pass_name,
        "node": each.node,
        "scope": list(each.scope),
        "file": span.file if span else None,
        "line": span.line if span else None,
    }
