"""archspec diff"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import failure, open_spec, print_json, spec_options


@click.command("diff")
@click.argument("before", metavar="SPEC[@VARIANT]")
@click.argument("after", metavar="SPEC[@VARIANT]")
@click.argument("changes", nargs=-1, metavar="[PATH=VALUE]...")
@spec_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where the networks differ.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Draw the second network with the change coloured; the extension gives the format.",
)  # fmt: skip
def command(
    before: str, after: str, changes: tuple[str, ...], limits: tuple[str, ...], allow: tuple[Path, ...], as_json: bool,
    exit_code: bool, output: Path | None,
) -> int:  # fmt: skip
    """Print what changed from one network to another.

    Layers that were added, removed or changed, by scope, with their shapes, parameters and MACs; then what that comes
    to in all. Changes behind the specs are made to the second one.

    \b
        archspec diff resnet.yaml@resnet50 resnet.yaml@resnet101
        archspec diff net.yaml net.yaml params.classes=10 -o change.svg
        archspec diff old.yaml new.yaml --json --exit-code

    Exits with 0 whether the networks differ or not, unless --exit-code is given.
    """
    from archspec.analysis.diff import diff
    from archspec.draw.engine import DrawError

    found = diff(open_spec(before, (), limits, allow).graph, open_spec(after, changes, limits, allow).graph)
    if output:
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
    return 1 if exit_code and not found.same else 0
