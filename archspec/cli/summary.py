"""archspec summary"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import open_spec, print_json, spec_argument


@click.command("summary")
@spec_argument
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Sum blocks up below N levels of names.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, shapes as lists and an unknown length as null.")
def command(
    spec: str, changes: tuple[str, ...], depth: int | None, as_json: bool, limits: tuple[str, ...],
    allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Print a network's layers with their output shapes, parameters and MACs, and the totals.

    Shapes leave the batch out. A multiply-add counts as one MAC; MACs and the bytes of activations are for one example.
    Nothing is built: all figures follow from the spec.

    \b
        archspec summary resnet.yaml@resnet50             a row for each layer
        archspec summary resnet.yaml@resnet50 --depth 1   a row for each stage
        archspec summary resnet.yaml params.classes=10 --json
    """
    summary = open_spec(spec, changes, limits, allow).summary(depth)
    if as_json:
        print_json(summary.to_json())
    else:
        click.echo(summary.to_text(), nl=False)
