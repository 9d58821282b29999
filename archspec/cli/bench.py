"""archspec bench"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import check_target, export_errors, load_backend, print_json, subject_argument, written

if TYPE_CHECKING:
    from archspec.bench.measure import Cell, Measured
    from archspec.cli.subject import Subject
    from archspec.export.base import Source


@click.command("bench")
@subject_argument
@click.option("--batch", "batches", default="1,8", show_default=True, metavar="N,N", help="Batch sizes.")
@click.option("--runtimes", "names", metavar="NAME,NAME", help="Default: all that are installed.")
@click.option("--optimize/--no-optimize", "optimise", default=True, help="Measure the optimised network as well.")
@click.option("--seconds", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True), help="For each.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.csv")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    subject: str, changes: tuple[str, ...], batches: str, names: str | None, optimise: bool, seconds: float,
    output: Path | None, as_json: bool, limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Measure a network under every runtime that is installed, and say which to use.

    \b
        predict predict_on_batch        Keras
        function frozen xla             TensorFlow
        jax onnx openvino litert        other runtimes, which extras of archspec's bring

    \b
        archspec bench runs/digits_cnn-001
        archspec bench mobilenet.yaml@v2 --batch 1,8,32 --runtimes function,litert -o latency.csv

    The runtimes take turns, so that what else the machine does meets all alike; the table gives each one's median and
    the middle half of its calls. One that gives something else than Keras is not measured.
    """
    from archspec.bench.base import chosen, runtimes
    from archspec.bench.measure import measure
    from archspec.cli.subject import open_subject
    from archspec.export.base import need

    try:
        sizes = [int(text) for text in batches.split(",")]
    except ValueError:
        raise click.BadParameter(f"{batches!r} is not N,N", param_hint="--batch") from None
    if min(sizes) < 1:
        raise click.BadParameter("a batch has at least one example", param_hint="--batch")
    if output is not None:
        check_target(output)
    with export_errors():
        picked = chosen([name.strip() for name in names.split(",")]) if names else [*runtimes().values()]
        for runtime in picked if names else ():
            need(runtime.NEEDS, runtime.NAME)
        opened = open_subject(subject, changes, limits, allow)
        load_backend("tensorflow")
        found = measure(_variants(opened, optimise), picked, sizes, seconds, lambda text: click.echo(text, err=True))
    if output is not None:
        with written(output) as draft:
            draft.write_text(_csv(found), "utf-8")
    uses = {runtime.NAME: runtime.USE for runtime in picked}
    if as_json:
        best = {str(size): cell.to_json() for size in sizes if (cell := found.best(size))}
        print_json({"network": opened.name, "cells": [cell.to_json() for cell in found.cells], "use": best})
    else:
        click.echo("\n".join(_text(found, opened, uses, sizes)))


def _variants(opened: Subject, optimise: bool) -> dict[str, Source]:
    from archspec.build.weights import built
    from archspec.export.base import Source
    from archspec.export.samples import filled
    from archspec.optimize.driver import optimize

    network = filled(opened.network())
    found = {"original": Source(network, built(network))}
    if optimise:
        optimised = optimize(network, "inference").network
        if optimised.graph is not network.graph:
            found["optimised"] = Source(optimised, built(optimised))
    return found


def _text(found: Measured, opened: Subject, uses: dict[str, str], sizes: list[int]) -> Iterator[str]:
    from archspec.analysis.table import table_text

    yield opened.name + ("" if opened.has_weights else ", with random weights")
    for size in sizes:
        cells = found.at(size)
        there = [cell for cell in cells if cell.seconds]
        slowest = next((cell.median for cell in there if cell.runtime == "predict_on_batch"), None)
        rows = [[*_row(cell), f"{cell.median / slowest:.2f}" if slowest else ""] for cell in there]
        titles = ["runtime", "network", "median ms", "middle half", "examples/s", "of predict_on_batch"]
        yield ""
        yield table_text([f"batch {size}", *titles[1:]], rows, 4)
        for cell in cells:
            if not cell.seconds:
                yield f"{cell.runtime}, {cell.variant}: not measured, {cell.reason}"
        best = found.best(size)
        if best:
            yield f"use {best.runtime} with the {best.variant} network: {uses[best.runtime]}"


def _row(cell: Cell) -> list[str]:
    low, high = cell.spread
    return [
        cell.runtime,
        cell.variant,
        f"{1e3 * cell.median:.2f}",
        f"{1e3 * low:.2f} – {1e3 * high:.2f}",
        f"{cell.throughput:,.0f}",
    ]


def _csv(found: Measured) -> str:
    names = ["runtime", "variant", "batch", "median_ms", "low_ms", "high_ms", "calls", "examples_per_second", "error"]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(cell.to_json() for cell in found.cells)
    return text.getvalue()
