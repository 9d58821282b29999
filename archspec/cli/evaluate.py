"""archspec evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from archspec.cli.common import complete_run, is_change, note_unfinished, print_json, run_errors

if TYPE_CHECKING:
    from archspec.train.evaluate import Evaluation

SPLITS = ("train", "validation", "test", "all")
_CLASSES = 100  # rows of the table of classes


@click.command("evaluate")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path), shell_complete=complete_run)
@click.argument("changes", nargs=-1, metavar="[PATH=VALUE]...")
@click.option("--split", type=click.Choice(SPLITS), help="Default: test, or validation where there is no test split.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the confusion matrix.")
def command(
    run: Path, changes: tuple[str, ...], split: Literal["train", "validation", "test", "all"] | None, as_json: bool
) -> None:
    """Measure a run's network again, on its own data or on other data.

    Nothing but the run's folder is needed, and the data. Preprocessing stays as the training split taught it.
    Values of the spec are changed by their path as for `train`; relative paths of data start at the folder of the spec
    that was trained.

    \b
        archspec evaluate runs/digits_cnn-001                         the test split again
        archspec evaluate runs/digits_cnn-001 --split validation
        archspec evaluate runs/cats-001 --split all data.source.images.path=/data/new    all of another folder
        archspec evaluate runs/cats-001 data.batch_size=8 --json

    On a CPU the figures are those in results.json, bit for bit. Nothing is written into the run's folder.
    """
    for change in changes:
        if not is_change(change):
            raise click.UsageError(f"{change!r} is no change to the spec; write PATH=VALUE, as in data.batch_size=8")
    from archspec.train.evaluate import evaluate

    with run_errors():
        found = evaluate(run, split, changes)
        note_unfinished(run)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(_text(found))


def _text(found: Evaluation) -> str:
    from archspec.analysis.table import table_text
    from archspec.train.report.text import show, title

    parts = [f"{found.run.name} on {found.examples:,} examples ({found.split})"]
    parts.append(table_text(["Keras's metrics", ""], [[n, show(n, v)] for n, v in found.metrics.items()], 1))
    for output, judged in found.judged.items():
        name = f"predictions of {output}" if len(found.judged) > 1 else "predictions"
        parts.append(table_text([name, ""], [[title(n), show(n, v)] for n, v in judged.figures.items()], 1))
        rows = judged.by_class
        if rows:
            columns = list(dict.fromkeys(column for row in rows.values() for column in row))
            shown = [[n, *(show(c, row[c]) if c in row else "" for c in columns)] for n, row in rows.items()]
            parts.append(table_text(["class", *map(title, columns)], shown[:_CLASSES], len(columns)))
    return "\n\n".join(parts)
