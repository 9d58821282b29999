"""archspec draw"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import failure, open_spec, spec_argument

FORMATS = ("svg", "pdf", "png", "dot")


@click.command("draw")
@spec_argument
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: NAME.svg"
)
@click.option("--format", "format", type=click.Choice(FORMATS), help="Default: by the file's extension, else svg.")
@click.option(
    "--direction", type=click.Choice(["TB", "LR"]), default="TB", show_default=True,
    help="From top to bottom, or from left to right.",
)  # fmt: skip
def command(
    spec: str, changes: tuple[str, ...], output: Path | None, format: str | None, direction: str,
    limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Draw a network: its layers with their shapes, its blocks as frames around them.

    \b
        archspec draw resnet.yaml@resnet18                 into resnet18.svg
        archspec draw resnet.yaml@resnet18 -o figure.pdf   for a paper
        archspec draw unet.yaml -o unet.dot                to lay out and edit with Graphviz

    SVG, PDF and PNG need Graphviz (`archspec doctor` says whether it is there); DOT needs nothing. An existing
    picture is replaced once the new one is complete.
    """
    from archspec.draw import DrawError

    network = open_spec(spec, changes, limits, allow)
    path = output or Path(f"{network.name}.{format or 'svg'}")
    try:
        network.draw(path, format=format or (None if path.suffix else "svg"), direction=direction)
    except DrawError as error:
        raise failure(str(error)) from None
    click.echo(f"{path} drawn", err=True)
