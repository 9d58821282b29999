"""archspec diff"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import failure, is_saved_model, open_saved_model, open_spec, print_json, spec_options

if TYPE_CHECKING:
    from archspec.graph.ir import Graph

# Not 1, which says that a spec has errors: a script must tell the two apart.
DIFFERENT = 4


@click.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.argument("changes", nargs=-1, metavar="[PATH=VALUE]...")
@spec_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit with 4 where the networks differ.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Draw the second network with the change coloured; the extension gives the format.",
)  # fmt: skip
def command(
    before: str, after: str, changes: tuple[str, ...], limits: tuple[str, ...], allow: tuple[Path, ...], as_json: bool,
    exit_code: bool, output: Path | None,
) -> int:  # fmt: skip
    """Print what changed from one network to another.

    Layers that were added (+), removed (-) or changed (~), scope by scope, with the arguments, shapes, parameters and
    MACs that changed; above them what that comes to in all. Each side is a spec, a variant of one, or a model that
    Keras saved as .keras. Changes behind them are made to the second one.

    \b
        archspec diff resnet.yaml@resnet50 resnet.yaml@resnet101
        archspec diff net.yaml net.yaml params.classes=10 -o change.svg
        archspec diff old.keras new.yaml
        archspec diff old.yaml new.yaml --json --exit-code

    The picture shows the second network with what it lost beside it: what was added is green with a + before it, what
    was removed red with a -, what changed yellow with a ~.

    The exit code is 0 whether the networks differ or not, 1 if one of them has errors or the picture cannot be made,
    2 if the command was used wrongly. With --exit-code it is 4 where they differ.
    """
    from archspec.analysis.diff import diff

    found = diff(_graph(before, (), limits, allow), _graph(after, changes, limits, allow))
    if output:
        from archspec.draw import DrawError
        from archspec.draw.change import draw_change

        try:
            draw_change(found, output)
        except DrawError as error:
            raise failure(str(error)) from None
        click.echo(f"{output} drawn", err=True)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(found.to_text(), nl=False)
    return DIFFERENT if exit_code and not found.same else 0


def _graph(reference: str, changes: Sequence[str], limits: Sequence[str], allow: Sequence[Path]) -> Graph:
    if not is_saved_model(reference):
        return open_spec(reference, changes, limits, allow).graph
    if changes:
        raise click.UsageError(f"a saved model has no values to change, but {changes[0]!r} is given")
    return open_saved_model(reference, limits)
