"""archspec new"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from archspec.cli.common import failure

KINDS = ("mlp", "cnn", "transformer")


@click.command("new")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there.")
def command(kind: str, output: Path | None) -> None:
    """Print a commented starter spec, or write it to a file.

    \b
        mlp          Flatten, hidden layers, softmax: params, variants, a block, repeat
        cnn          a residual network: paths that merge, when, for, augmentation
        transformer  self-attention over tokens: blocks that wrap steps, weights, a formula

    Each checks, and trains in under a minute on the handwritten digits that scikit-learn ships:

    \b
        archspec new cnn -o my.yaml
        archspec check my.yaml
        archspec train my.yaml

    An existing file is never overwritten.
    """
    text = files("archspec").joinpath("templates", f"{kind}.yaml").read_text("utf-8")
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise failure(f"{output} is there already, and is not overwritten") from None
    except OSError as error:
        raise failure(f"cannot write {output}: {error.strerror or error}") from None
    click.echo(f"{output} written; next: archspec check {output}", err=True)
