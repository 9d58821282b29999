"""`expect`: figures that a spec claims, compared with those of its graph."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archspec.analysis.cost import Cost, Row, graph_cost, rows
from archspec.analysis.memory import training_bytes
from archspec.diagnostics import Diagnostic, Span, did_you_mean
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.language.expressions import show

CLAIMS = ("params", "trainable", "non_trainable", "macs", "output", "memory")
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_BOUND = re.compile(r"(<=?|>=?|==)\s*([0-9][0-9_,.]*(?:[eE][-+]?[0-9]+)?)\s*([a-zA-Z]*)")
_FIGURES: dict[str, tuple[str, Callable[[Cost], int]]] = {  # of which parts of a network have their share
    "params": ("parameters", lambda cost: cost.parameters_total),
    "trainable": ("trainable parameters", lambda cost: cost.trainable),
    "non_trainable": ("non-trainable parameters", lambda cost: cost.non_trainable),
    "macs": ("MACs", lambda cost: cost.macs),
}
_SHOWN = 3  # parts that a note names
_BATCH, _SLOTS = 32, 2  # Keras's default batch; Adam keeps two values a weight


@dataclass(frozen=True)
class Claim:
    """One figure that a spec claims, and the figure measured. `place` is that of the claimed value."""

    name: str
    claimed: Any
    measured: Any
    holds: bool
    place: Span

    @property
    def exact(self) -> bool:
        """Whether a measured value can stand in its place."""
        return not isinstance(self.claimed, str)


def claims(document: Document, graph: Graph) -> tuple[list[Claim], list[Diagnostic]]:
    """The claims about this graph, and what is wrong in how they are written.

    Claims at the top of `expect` are about the spec as it stands, those under a variant's name about that variant.
    Where values were changed from outside, nothing is claimed.
    """
    section, path = _about(document)
    if document.changed or not section:
        return [], []
    measured = measure(document, graph, with_memory="memory" in section)
    made: list[Claim] = []
    wrong: list[Diagnostic] = []
    for name, claimed in section.items():
        span = document.mark.at(*path, name).span
        if name not in CLAIMS:
            help = did_you_mean(name, [*CLAIMS, *document.variants]) or f"one can expect {', '.join(CLAIMS)}"
            key = document.mark.key(*path, name)
            wrong.append(Diagnostic("E201", f"expect has no key {name!r}", key, help=help))
            continue
        holds = _holds(claimed, measured[name])
        if holds is None:
            help = 'a number, a shape for output, or a bound: "< 4.2e9", "< 16 GiB"'
            wrong.append(Diagnostic("E203", f"{name} under expect cannot be {show(claimed)}", span, help=help))
        else:
            made.append(Claim(name, claimed, measured[name], holds, span))
    return made, wrong


def failed_claims(document: Document, graph: Graph) -> list[Diagnostic]:
    """A diagnostic for each claim that does not hold."""
    made, found = claims(document, graph)
    for claim in made:
        if not claim.holds:
            what = f"{document.spec.name}@{document.variant}" if document.variant else document.spec.name
            message = f"{what} should have {claim.name} {_text(claim.claimed)}, but has {_text(claim.measured)}"
            label = _difference(claim)
            help = "mend the network, or write what was measured: archspec check --update-expect"
            found.append(Diagnostic("E401", message, claim.place, label, _where(claim, graph), help))
    return found


def _about(document: Document) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The claims about the document's variant, or about the spec itself, and where they stand."""
    expect = document.spec.expect
    if document.variant is not None:
        own = expect.get(document.variant)
        return (own if isinstance(own, dict) else {}), ("expect", document.variant)
    return {name: value for name, value in expect.items() if name not in document.variants}, ("expect",)


def measure(document: Document, graph: Graph, with_memory: bool = False) -> dict[str, Any]:
    """What can be claimed, as it is. `memory` is that of training at the spec's batch size, in bytes."""
    cost = graph_cost(graph)
    shapes = {name: list(graph.type(edge).shape) for name, edge in graph.outputs.items()}
    figures = {
        "params": cost.parameters_total,
        "trainable": cost.trainable,
        "non_trainable": cost.non_trainable,
        "macs": cost.macs,
        "output": next(iter(shapes.values())) if len(shapes) == 1 else shapes,
    }
    if with_memory:
        batch = (document.data or {}).get("batch_size", _BATCH)
        figures["memory"] = training_bytes(graph, batch if isinstance(batch, int) else _BATCH, _SLOTS)
    return figures


def _holds(claimed: Any, measured: Any) -> bool | None:
    """Whether a claim is true; None if it cannot be understood."""
    if isinstance(claimed, str):
        bound = _BOUND.fullmatch(claimed.strip())
        if not bound or isinstance(measured, list | dict) or bound[3] not in _UNITS:
            return None
        limit = float(bound[2].replace(",", "").replace("_", "")) * _UNITS[bound[3]]
        return bool(_COMPARE[bound[1]](measured, limit))
    if isinstance(claimed, bool) or isinstance(claimed, list | dict) != isinstance(measured, list | dict):
        return None
    return bool(claimed == measured)


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _difference(claim: Claim) -> str:
    if isinstance(claim.claimed, int) and isinstance(claim.measured, int):
        return f"measured {claim.measured:,}, {claim.measured - claim.claimed:+,}"
    return f"measured {_text(claim.measured)}"


def _where(claim: Claim, graph: Graph) -> tuple[str, ...]:
    """Where the difference can be: the parts of the network with most of the figure, and those that have just as much
    as the difference. There is no second network to compare with, so this is a hint."""
    if claim.name not in _FIGURES or not claim.measured:
        return ()
    unit, figure = _FIGURES[claim.name]
    parts = sorted(_parts(graph, figure), key=lambda row: -figure(row.cost))
    shown = [f"{row.name} ({figure(row.cost):,})" for row in parts[:_SHOWN]]
    all_in = f"all {unit} are in {shown[0]}"
    notes = [all_in if len(parts) == 1 else f"the parts with the most {unit} are {_listed(shown)}"]
    if isinstance(claim.claimed, int):
        difference = claim.measured - claim.claimed
        if names := _with(abs(difference), graph, figure):
            each = "each of " if len(names) > 1 else ""
            shown = names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], f"{len(names) - _SHOWN + 1} more"]
            if difference > 0:
                notes.append(f"the difference is that of {each}{_listed(shown)}")
            else:
                notes.append(f"the difference is that of one more like {each}{_listed(shown)}")
    return tuple(notes)


def _parts(graph: Graph, figure: Callable[[Cost], int]) -> list[Row]:
    """The outermost scopes and layers that have some of it; what stands inside one that alone has all of it."""
    depth = 1
    while True:
        parts = [row for row in rows(graph, depth) if figure(row.cost)]
        if len(parts) != 1 or parts[0].layers == 1:
            return parts
        depth += 1


def _with(amount: int, graph: Graph, figure: Callable[[Cost], int]) -> list[str]:
    """The scopes and layers that have exactly this much; not what stands inside one of them."""
    deepest = max((len(node.scope) for node in graph.nodes.values()), default=0)
    every = [row for depth in range(1, deepest + 1) for row in rows(graph, depth)] + list(rows(graph))
    names = list(dict.fromkeys(row.name for row in every if figure(row.cost) == amount))
    return [name for name in names if not any(name.startswith(f"{outer}.") for outer in names)]


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
