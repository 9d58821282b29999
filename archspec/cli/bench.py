"""archspec bench"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.cli.common import (
    Above0,
    check_replaced,
    export_errors,
    failure,
    load_backend,
    print_json,
    subject_argument,
    written,
)

if TYPE_CHECKING:
    from archspec.bench.base import Runtime
    from archspec.bench.measure import Cell, Measured
    from archspec.cli.subject import Subject


@click.command("bench")
@subject_argument
@click.option("--batch", "batches", default="1,8", show_default=True, metavar="N,N", help="Batch sizes.")
@click.option("--runtimes", "names", metavar="NAME,NAME", help="Default: all that are installed.")
@click.option("--optimize/--no-optimize", "optimise", default=True, help="Measure the optimised network as well.")
@click.option("--forms", is_flag=True, help="And with each pass that pays under some runtimes only.")
@click.option("--seconds", default=1.0, show_default=True, type=Above0(), help="For each.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.csv")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    subject: str, changes: tuple[str, ...], batches: str, names: str | None, optimise: bool, forms: bool,
    seconds: float, output: Path | None, force: bool, as_json: bool, limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Measure a network under every runtime that is installed, and say which to use.

    \b
        predict predict_on_batch        Keras
        function frozen xla             TensorFlow
        jax onnx openvino litert        other runtimes, which extras of archspec's bring

    \b
        archspec bench runs/digits_cnn-001
        archspec bench mobilenet.yaml@v2 --batch 1,8,32 --runtimes function,litert -o latency.csv
        archspec bench mobilenet.yaml@v2 --batch 1 --forms

    The runtimes take turns, so that what else the machine does meets all alike; the table gives each one's median and
    the middle half of its calls. One that gives something else than Keras is not measured.
    """
    from archspec.cli.subject import open_subject

    if forms and not optimise:
        raise click.UsageError("--forms are further forms of the optimised network, which --no-optimize leaves out")
    sizes = _sizes(batches)
    if output is not None and output.suffix != ".csv":  # and not the model that is measured
        raise click.UsageError(f"the table is written into .csv files, got {output}")
    check_replaced(output, force)
    with export_errors():
        picked, missing = _picked(names)
        opened = open_subject(subject, changes, limits, allow)
        load_backend("tensorflow")
        found = _measured(opened, picked, sizes, seconds, optimise, forms)
    if output is not None:
        with written(output) as draft:
            draft.write_text(_csv(found), "utf-8")
    uses = _uses(found, sizes, picked, _reference(subject, changes, limits, allow))
    if as_json:
        cells = [cell.to_json() for cell in found.cells]
        print_json({"network": opened.name, "cells": cells, "use": uses, "missing": missing})
    else:
        lines = [*_text(found, opened, sizes, uses), *(["", *missing.values()] if missing else [])]
        click.echo("\n".join(lines))


def _sizes(batches: str) -> list[int]:
    try:
        sizes = list(dict.fromkeys(int(text) for text in batches.split(",")))
    except ValueError:
        raise click.BadParameter(f"{batches!r} is not N,N", param_hint="--batch") from None
    if min(sizes) < 1:
        raise click.BadParameter("a batch has at least one example", param_hint="--batch")
    return sizes


def _picked(names: str | None) -> tuple[list[Runtime], dict[str, str]]:
    """The runtimes that are named, which must be there, or all that are; and why others are not, by their names."""
    from archspec.bench.base import chosen, runtimes
    from archspec.export.base import ExportFailed, need

    if names is not None:
        picked = chosen([name.strip() for name in names.split(",")])
        for runtime in picked:
            need(runtime.NEEDS, runtime.NAME)
        return picked, {}
    missing = {}
    for runtime in runtimes().values():
        try:
            need(runtime.NEEDS, runtime.NAME)
        except ExportFailed as error:
            missing[runtime.NAME] = f"{error.message}: {error.help}"
    return [runtime for name, runtime in runtimes().items() if name not in missing], missing


def _measured(
    opened: Subject, picked: Sequence[Runtime], sizes: Sequence[int], seconds: float, optimise: bool, forms: bool
) -> Measured:
    from archspec.bench import variants
    from archspec.bench.measure import measure
    from archspec.export.samples import filled

    made = variants.sources(variants.forms(filled(opened.network()), optimise, forms))
    found = measure(made, picked, sizes, seconds, lambda text: click.echo(text, err=True))
    if not any(cell.seconds for cell in found.cells):
        raise failure("\n".join(["no runtime can run the network", *_reasons(found.cells)]))
    return found


def _reference(subject: str, changes: Sequence[str], limits: Sequence[str], allow: Sequence[Path]) -> list[str]:
    """The arguments by which another command finds the same network."""
    options = [text for limit in limits for text in ("--limit", limit)]
    return [subject, *changes, *options, *(text for folder in allow for text in ("--allow", str(folder)))]


def _uses(
    found: Measured, sizes: Sequence[int], picked: Sequence[Runtime], subject: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """By the batch size, what is recommended, and how one does it."""
    from archspec.bench.variants import how_to

    named = {runtime.NAME: runtime for runtime in picked}
    best = {str(size): cell for size in sizes if (cell := found.best(size))}
    return {
        size: cell.to_json() | {"how": how_to(named[cell.runtime], cell.variant, subject)}
        for size, cell in best.items()
    }


def _text(
    found: Measured, opened: Subject, sizes: Sequence[int], uses: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    from archspec.analysis.table import table_text
    from archspec.bench.variants import described

    yield opened.name + ("" if opened.has_weights else ", with random weights")
    for size in sizes:
        cells = found.at(size)
        there = [cell for cell in cells if cell.seconds]
        plain = next((cell.median for cell in there if cell.runtime == "predict_on_batch"), None)
        rows = [[*_row(cell), *([f"{cell.median / plain:.2f}"] if plain else [])] for cell in there]
        titles = [f"batch {size}", "network", "median ms", "middle half", "examples/s"]
        titles += ["of predict_on_batch"] if plain else []
        yield ""
        yield table_text(titles, rows, len(titles) - 2)
        yield from _reasons(cells)
        if use := uses.get(str(size)):
            yield f"use {use['runtime']} with {described(use['variant'])}: {use['how']}"


def _reasons(cells: Sequence[Cell]) -> list[str]:
    """Why some were not measured, each said once."""
    said = [f"{c.runtime}, {c.variant}: not measured, {c.reason}" for c in cells if not c.seconds]
    return list(dict.fromkeys(said))


def _row(cell: Cell) -> list[str]:
    low, high = cell.spread
    return [cell.runtime, cell.variant, _ms(cell.median), f"{_ms(low)} – {_ms(high)}", f"{cell.throughput:,.0f}"]


def _ms(seconds: float) -> str:
    """Of small networks, in thousandths: some runtimes take twenty microseconds and others ten."""
    return f"{1e3 * seconds:.2f}" if seconds >= 1e-3 else f"{1e3 * seconds:.3f}"


def _csv(found: Measured) -> str:
    names = ["runtime", "variant", "batch", "median_ms", "low_ms", "high_ms", "calls", "examples_per_second", "error"]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(cell.to_json() for cell in found.cells)
    return text.getvalue()
