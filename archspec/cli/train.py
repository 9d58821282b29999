"""archspec train"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import complete_run, complete_spec, failure, is_change, open_spec, run_errors, spec_options

if TYPE_CHECKING:
    from archspec.architecture import Architecture

_RUN = click.Path(file_okay=False, path_type=Path)


@click.command("train")
@click.argument("spec", metavar="[SPEC[@VARIANT]]", required=False, shell_complete=complete_spec)
@click.argument("changes", nargs=-1, metavar="[PATH=VALUE]...")
@spec_options
@click.option("--run-dir", type=_RUN, metavar="FOLDER", help="The run's own folder.")
@click.option(
    "--runs", type=_RUN, default=Path("runs"), show_default=True, metavar="FOLDER",
    help="Where numbered run folders are made.",
)  # fmt: skip
@click.option("--resume", type=_RUN, metavar="RUN", shell_complete=complete_run,
              help="Go on with a run that was interrupted.")  # fmt: skip
@click.option("--repeat", type=_RUN, metavar="RUN", shell_complete=complete_run,
              help="Train again by a run's folder, and compare.")  # fmt: skip
@click.option("--folds", type=click.IntRange(min=2), metavar="N", help="Cross-validate: N runs, each tested on an Nth.")
@click.option("-q", "--quiet", is_flag=True, help="Print no progress.")
def command(
    spec: str | None, changes: tuple[str, ...], run_dir: Path | None, runs: Path, resume: Path | None,
    repeat: Path | None, folds: int | None, quiet: bool, limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Train and test a network as its spec says.

    The sections `data`, `train` and `run` say on what, how, and with which framework, precision and seed.

    \b
        archspec train digits_cnn.yaml
        archspec train resnet.yaml@resnet18 params.classes=10 train.epochs=5 data.batch_size=256
        archspec train digits_cnn.yaml run.backend=jax run.seed=1
        archspec train digits_cnn.yaml --folds 5
        archspec train --resume runs/digits_cnn-001
        archspec train --resume runs/digits_cnn-001 train.epochs=90
        archspec train --repeat runs/digits_cnn-001

    Every run has a new folder, runs/NAME-001 and so on, and overwrites nothing. It holds the spec as written and as
    resolved, versions, seed and the data's fingerprint, the metrics of each epoch, curves, the model with the weights,
    checkpoints, and a report with the results on the test examples. A run that is interrupted or fails keeps what it
    had, and says so in status.json; --resume ends it as if nothing had happened. There SPEC is the run's own unless
    one is named.
    """
    if resume is not None and (repeat is not None or run_dir is not None):
        raise click.UsageError("--resume goes on in the run's own folder: neither --repeat nor --run-dir fits")
    if folds is not None and (resume is not None or repeat is not None):
        raise click.UsageError("--folds begins new runs: neither --resume nor --repeat fits")
    if spec is not None and is_change(spec):
        changes, spec = (spec, *changes), None
    if spec is None and resume is None and repeat is None:
        raise click.UsageError("name a spec, or a run to --resume or --repeat")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the training takes the first Ctrl-C, the system the second
    with run_errors():
        network = _network(spec, changes, resume or repeat, limits, allow)
        if folds is not None:
            network.train(run_dir, runs=runs, quiet=quiet, folds=folds)
            return
        run = network.train(run_dir, runs=runs, quiet=quiet, resume=resume, repeat=repeat)
    if repeat is not None:
        if run.difference:
            raise failure(f"{run.path} is not the same as {repeat}: {run.difference}")
        click.echo(f"the figures and weights are those of {repeat}, to the last bit")


def _network(
    spec: str | None, changes: tuple[str, ...], run: Path | None, limits: tuple[str, ...], allow: tuple[Path, ...]
) -> Architecture:
    if spec is not None:
        return open_spec(spec, changes, limits, allow)
    from archspec.train.runs import open_run

    assert run is not None
    return open_run(run, changes)[1]
