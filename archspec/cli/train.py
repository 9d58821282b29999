"""archspec train"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import failure, open_spec, spec_argument


@click.command("train")
@spec_argument
@click.option(
    "--run-dir", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="The run's own folder."
)
@click.option(
    "--runs", type=click.Path(file_okay=False, path_type=Path), default=Path("runs"), show_default=True,
    metavar="FOLDER", help="Where numbered run folders are made.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print no progress.")
def command(
    spec: str, changes: tuple[str, ...], run_dir: Path | None, runs: Path, quiet: bool, limits: tuple[str, ...],
    allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Train and test a network as its spec says.

    The sections `data`, `train` and `run` say on what, how, and with which framework, precision and seed.

    \b
        archspec train digits_cnn.yaml
        archspec train resnet.yaml@resnet18 params.classes=10 train.epochs=5 data.batch_size=256
        archspec train digits_cnn.yaml run.backend=jax run.seed=1

    Every run has a new folder, runs/NAME-001 and so on, and overwrites nothing. It holds the spec as written and as
    resolved, versions, seed and the data's fingerprint, the metrics of each epoch, curves, the model with the weights,
    and a report with the results on the test examples. A run that is interrupted or fails keeps what it had, and says
    so in status.json.
    """
    network = open_spec(spec, changes, limits, allow)
    from archspec.train.folder import RunFailed

    try:
        network.train(run_dir, runs=runs, quiet=quiet)
    except RunFailed as error:
        lines = [str(error)]
        lines += [f"help: {error.help}"] if error.help else []
        lines += [f"what there was lies in {error.folder}"] if error.folder else []
        raise failure("\n".join(lines)) from None
