"""archspec show"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import open_spec, spec_argument

STAGES = ("source", "document", "graph")


@click.command("show")
@spec_argument
@click.option("--stage", type=click.Choice(STAGES), default="source", show_default=True, help="Which form to print.")
def command(spec: str, changes: tuple[str, ...], stage: str, limits: tuple[str, ...], allow: tuple[Path, ...]) -> None:
    """Print a spec with the shape that each step gives.

    The text of the spec comes back as it is, with the shape of each step's output (without the batch) behind its line.
    Where a step is applied several times, in a loop or in a block, stand its first and last shape, and how often it
    is applied.

    \b
        source     the text with shapes
        document   the spec as it is read: with what it extends, the variant's params and the changes in place
        graph      every layer with its arguments, inputs and outputs, as the commands see the network

    \b
        archspec show resnet.yaml@resnet50
        archspec show resnet.yaml@resnet18 params.classes=10 --stage document
    """
    network = open_spec(spec, changes, limits, allow)
    if stage == "source":
        from archspec.annotate import annotated

        text = annotated(network.document, network.graph)
    elif stage == "document":
        from archspec.language.dump import to_yaml

        text = to_yaml(network.document.raw)
    else:
        from archspec.graph.text import to_text

        text = to_text(network.graph)
    click.echo(text, nl=False)
