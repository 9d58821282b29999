"""The summary of a network: a table by layer or by scope, and the totals; as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archspec.analysis.cost import Cost, Row, rows, total_cost
from archspec.analysis.memory import peak_bytes
from archspec.analysis.table import table_text
from archspec.graph.ir import Graph
from archspec.graph.text import types_text
from archspec.tensor import TensorType

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Summary:
    """What `summary` reports. Activations and the peak are for one example; `peak_bytes` leaves the weights out."""

    name: str
    rows: tuple[Row, ...]
    total: Cost
    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    activation_bytes: int
    peak_bytes: int

    def to_text(self, width: int | None = None) -> str:
        """The table and the totals as plain text; `width` in characters, as wide as it needs where left out."""
        titles = ("Layer", "Type", "Output shape", "Parameters", "MACs")
        table = table_text(titles, [_cells(row) for row in self.rows], numbers=2, width=width)
        return f"{self.name}\n\n{table}\n\n{self.totals_text()}\n"

    def totals_text(self) -> str:
        """The totals in words."""
        lines = [
            f"Parameters: {self.total.parameters_total:,} in all,"
            f" {self.total.trainable:,} trainable, {self.total.non_trainable:,} non-trainable",
            f"MACs: {self.total.macs:,} for one example",
            f"Weights: {_bytes_text(self.total.weight_bytes)}",
            f"Activations: {_bytes_text(self.activation_bytes)} for one example,"
            f" at most {_bytes_text(self.peak_bytes)} at once in inference",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`. Shapes leave the batch out, an unknown length is null."""
        return {
            "name": self.name,
            "parameters": _parameters_json(self.total),
            "macs": self.total.macs,
            "weights_bytes": self.total.weight_bytes,
            "activation_bytes": self.activation_bytes,
            "peak_bytes": self.peak_bytes,
            "inputs": {name: _type_json(t) for name, t in self.inputs.items()},
            "outputs": {name: _type_json(t) for name, t in self.outputs.items()},
            "layers": [_row_json(row) for row in self.rows],
        }


def summary(graph: Graph, depth: int | None = None) -> Summary:
    """The summary by layer, or by scopes cut at `depth` names (see `cost.rows`)."""
    parts = rows(graph, depth)
    total = total_cost([row.cost for row in parts])
    return Summary(
        graph.name,
        parts,
        total,
        {name: graph.nodes[name].outputs[0] for name in graph.inputs},
        {name: graph.type(edge) for name, edge in graph.outputs.items()},
        total.output_bytes,
        peak_bytes(graph),
    )


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    macs = f"{row.cost.macs:,}" if row.cost.macs else ""
    return row.name, _kind(row), types_text(row.outputs), _parameters(row), macs


def _kind(row: Row) -> str:
    if row.layers > 1:
        return f"{row.kind}, {row.layers:,} layers"
    return f"{row.kind}, frozen" if row.frozen else row.kind


def _parameters(row: Row) -> str:
    if row.shares:
        return f"of {row.shares}"
    return f"{row.cost.parameters_total:,}" if row.cost.parameters_total else ""


def _bytes_text(size: int) -> str:
    return f"{size / MIB:,.2f} MiB" if size >= MIB / 10 else f"{size / 1024:,.2f} KiB"


def _parameters_json(cost: Cost) -> dict[str, int]:
    return {"total": cost.parameters_total, "trainable": cost.trainable, "non_trainable": cost.non_trainable}


def _type_json(tensor: TensorType) -> dict[str, object]:
    return {"shape": list(tensor.shape), "dtype": tensor.dtype}


def _row_json(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "type": row.kind,
        "layers": row.layers,
        "outputs": [_type_json(t) for t in row.outputs],
        "parameters": _parameters_json(row.cost),
        "macs": row.cost.macs,
        "output_bytes": row.cost.output_bytes,
        "weight_bytes": row.cost.weight_bytes,
        "shares": row.shares,
        "frozen": row.frozen,
    }
