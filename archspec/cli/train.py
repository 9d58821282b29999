"""archspec train"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import complete_spec, failure, is_change, open_spec, spec_options

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.train.folder import RunFailed

_RUN = click.Path(file_okay=False, path_type=Path)


class _Stopped(click.ClickException):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


@click.command("train")
@click.argument("spec", metavar="[SPEC[@VARIANT]]", required=False, shell_complete=complete_spec)
@click.argument("changes", nargs=-1, metavar="[PATH=VALUE]...")
@spec_options
@click.option("--run-dir", type=_RUN, metavar="FOLDER", help="The run's own folder.")
@click.option(
    "--runs", type=_RUN, default=Path("runs"), show_default=True, metavar="FOLDER",
    help="Where numbered run folders are made.",
)  # fmt: skip
@click.option("--resume", type=_RUN, metavar="RUN", help="Go on with a run that was interrupted.")
@click.option("--repeat", type=_RUN, metavar="RUN", help="Train again by a run's folder, and compare.")
@click.option("-q", "--quiet", is_flag=True, help="Print no progress.")
def command(
    spec: str | None, changes: tuple[str, ...], run_dir: Path | None, runs: Path, resume: Path | None,
    repeat: Path | None, quiet: bool, limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Train and test a network as its spec says.

    The sections `data`, `train` and `run` say on what, how, and with which framework, precision and seed.

    \b
        archspec train digits_cnn.yaml
        archspec train resnet.yaml@resnet18 params.classes=10 train.epochs=5 data.batch_size=256
        archspec train digits_cnn.yaml run.backend=jax run.seed=1
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
    if spec is not None and is_change(spec):
        changes, spec = (spec, *changes), None
    if spec is None and resume is None and repeat is None:
        raise click.UsageError("name a spec, or a run to --resume or --repeat")
    from archspec.train.folder import RunFailed

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the training takes the first Ctrl-C, the system the second
    try:
        network = _network(spec, changes, resume or repeat, limits, allow)
        run = network.train(run_dir, runs=runs, quiet=quiet, resume=resume, repeat=repeat)
    except RunFailed as error:
        raise _failed(error) from None
    if repeat is not None:
        if run.difference:
            raise failure(f"{run.path} is not the same as {repeat}: {run.difference}")
        click.echo(f"the figures and weights are those of {repeat}, to the last bit")


def _network(
    spec: str | None, changes: tuple[str, ...], run: Path | None, limits: tuple[str, ...], allow: tuple[Path, ...]
) -> Architecture:
    if spec is not None:
        return open_spec(spec, changes, limits, allow)
    from archspec.architecture import Architecture
    from archspec.train.resume import open_run

    assert run is not None
    return Architecture(*open_run(run, changes))


def _failed(error: RunFailed) -> click.ClickException:
    lines = [str(error)]
    lines += [f"help: {error.help}"] if error.help else []
    lines += [f"what there was lies in {error.folder}"] if error.folder else []
    if error.stopped_by is None:
        return failure("\n".join(lines))
    return _Stopped("\n".join(lines), 128 + error.stopped_by)  # as shells count signals
