"""archspec runs"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.cli.common import complete_run, print_json, run_errors

if TYPE_CHECKING:
    from archspec.train.runs import Comparison, RunFolder

_LONGEST = 60  # characters of a setting
_STATUS = 48  # characters of a status, which says why a run failed


@click.command("runs")
@click.argument("paths", metavar="[DIR | RUN RUN...]", nargs=-1, type=click.Path(path_type=Path),
                shell_complete=complete_run)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; what a run lacks is null.")
def command(paths: tuple[Path, ...], as_json: bool) -> None:
    """List the runs in a folder, or compare two or more of them.

    \b
        archspec runs                                 those in ./runs
        archspec runs elsewhere                       those in another folder
        archspec runs runs/mlp-001 runs/mlp-002       their settings and figures side by side

    The list has each run's status, the epochs it has completed, its figures (of the test split, else of validation;
    while it runs, those of the last epoch) and the time it took. `stopped` is a run that ended without a word, by
    kill -9 or a power cut.

    The comparison shows the settings of the resolved specs that are not the same in all runs, by their paths, what
    differs in versions, machine and data, and all figures.
    """
    from archspec.train.runs import compare, is_run, list_runs, read_run

    with run_errors():
        if len(paths) < 2:
            folder = paths[0] if paths else Path("runs")
            runs = [read_run(folder)] if is_run(folder) else list_runs(folder)
            if as_json:
                print_json([run.to_json() for run in runs])
            else:
                click.echo(_list(folder, runs) if runs else f"no runs lie in {folder}")
            return
        found = compare([read_run(path) for path in paths])
        if as_json:
            print_json(found.to_json())
        else:
            click.echo(_compared(found))


def _list(folder: Path, runs: Sequence[RunFolder]) -> str:
    from archspec.analysis.table import table_text
    from archspec.train.report.text import duration, shortened, show
    from archspec.train.runs import told

    rows = []
    for run in runs:
        split, figures = run.figures()
        listed = list((told(run.results) | dict(figures)).items())[:4]
        shown = ", ".join(f"{name} {show(name, value)}" for name, value in listed)
        time = "" if run.seconds is None else duration(run.seconds)
        status, said = shortened(run.status, _STATUS), f"{split}: {shown}" if shown else ""
        name = run.name if run.path == folder else str(run.path.relative_to(folder))
        rows.append([name, status, said, str(run.epochs), time])
    return table_text(["run", "status", "figures", "epochs", "time"], rows, 2)


def _compared(found: Comparison) -> str:
    from archspec.analysis.table import table_text
    from archspec.train.report.text import duration, show

    names = _names([run.path for run in found.runs])

    def differences(title: str, values: Any) -> str:
        rows = [[path, *map(_value, row)] for path, row in values.items()]
        return table_text([title, *names], rows, 0) if rows else f"{title}: no difference"

    facts = [
        ["status", *(run.status.partition(":")[0] for run in found.runs)],
        ["epochs", *(str(run.epochs) for run in found.runs)],
        ["time", *("" if run.seconds is None else duration(run.seconds) for run in found.runs)],
    ]
    figures = [[n, *("" if v is None else show(n, v) for v in row)] for n, row in found.figures.items()]
    parts = [
        differences("settings", found.settings),
        differences("environment", found.environment),
        table_text(["figures", *names], [*facts, *figures], len(names)),
    ]
    return "\n\n".join(parts)


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, or their whole paths where two have the same."""
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _value(value: Any) -> str:
    from archspec.train.report.text import shortened

    return "–" if value is None else shortened(str(value), _LONGEST)
