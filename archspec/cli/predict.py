"""archspec predict"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import check_replaced, complete_run, note_unfinished, print_json, run_errors, written

if TYPE_CHECKING:
    from archspec.train.predict import Answer, Prediction

_NAME = 48  # characters of an example's name
_NUMBERS = 6  # amounts that the table shows
_WRITTEN = (".csv", ".json", ".npz")


@click.command("predict")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path), shell_complete=complete_run)
@click.argument("inputs", metavar="INPUTS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, metavar="K",
              help="How many of the likeliest classes to tell.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a .csv, .json or .npz file; .npz holds the network's raw outputs.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    run: Path, inputs: tuple[Path, ...], top: int, output: Path | None, force: bool, as_json: bool
) -> None:  # fmt: skip
    """Say what a run's network makes of new inputs.

    Inputs go through the preprocessing that the run has saved, so they are given as the training data were:

    \b
        archspec predict runs/cats-001 a.jpg b.png photos/         images, and folders of them
        archspec predict runs/digits_cnn-001 new.npz               arrays, named as the inputs, examples on axis 0
        archspec predict runs/iris-001 flowers.csv -o made.csv     a table with the training's columns
        archspec predict runs/reviews-001 reviews.txt --top 2      an example a line

    Images are brought into the size of the training data, and into the range of their values where it is not 0 to
    255. The run's data are not needed, and nothing is written into its folder.
    """
    if output is not None and output.suffix not in _WRITTEN:
        raise click.UsageError(f"predictions are written as {', '.join(_WRITTEN)}, not as {output.suffix or output}")
    check_replaced(output, force)
    from archspec.train.predict import predictor, write_predictions

    with run_errors():
        opened = predictor(run)
        note_unfinished(run)
        found = list(opened.predict(inputs, top))
        if output is not None:
            with written(output) as draft:
                write_predictions(draft, found)
            click.echo(f"{output} written: {len(found):,} predictions", err=True)
    if as_json:
        print_json([each.to_json() for each in found])
    elif output is None:
        click.echo(_table(found))


def _table(found: Sequence[Prediction]) -> str:
    from archspec.analysis.table import table_text
    from archspec.train.report.text import shortened

    outputs = list(found[0].answers)
    titles = ["input"]
    for output in outputs:
        several = len(outputs) > 1
        first = found[0].answers[output]
        names = ["class", "probability", "next"] if first.kind == "class" else [_TITLES[first.kind]]
        titles += [f"{output}: {name}" if several else name for name in names]
    rows = [[_end(each.name), *(cell for o in outputs for cell in _cells(each.answers[o]))] for each in found]
    return table_text([shortened(t, _NAME) for t in titles], rows, 0)


_TITLES = {"labels": "labels", "places": "share of places", "amounts": "value"}


def _end(name: str) -> str:
    """A long name's end, which tells files apart."""
    line = " ".join(name.split())
    return line if len(line) <= _NAME else f"…{line[-_NAME + 1 :]}"


def _cells(answer: Answer) -> list[str]:
    if answer.kind == "amounts":
        if answer.values is None:
            return [f"{answer.raw.shape}: write an .npz"]
        more = ", …" if len(answer.values) > _NUMBERS else ""
        return [", ".join(f"{value:.4g}" for value in answer.values[:_NUMBERS]) + more]
    shown = [f"{name} {share:.1%}" for name, share in answer.likely]
    if answer.kind == "class":
        name, share = answer.likely[0]
        return [name, f"{share:.1%}", ", ".join(shown[1:])]
    if answer.kind == "labels":
        return [", ".join(s for s, (_, share) in zip(shown, answer.likely, strict=True) if share > 0.5) or "none"]
    return [", ".join(shown[:5])]
