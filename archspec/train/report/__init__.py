"""What a run leaves for people and programs: results.json, report.md, report.html and the curves."""

from __future__ import annotations

from pathlib import Path

from archspec.files import write_whole
from archspec.train.folder import write_json
from archspec.train.report.curves import write_curves
from archspec.train.report.page import Outcome, page
from archspec.train.report.summary import summary
from archspec.train.report.text import show

__all__ = ["Outcome", "show", "write_curves", "write_report"]


def write_report(folder: Path, outcome: Outcome) -> None:
    """results.json for programs, report.md and report.html for people."""
    write_json(folder / "results.json", outcome.results)
    write_whole(folder / "report.md", summary(outcome, folder))
    spec, network = folder / "resolved.yaml", folder / "network.svg"
    drawing = network.read_text("utf-8") if network.is_file() else None
    write_whole(folder / "report.html", page(outcome, spec.read_text("utf-8"), drawing))
