"""archspec draw"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.cli.common import failure, open_spec, read_limits, spec_argument

if TYPE_CHECKING:
    from archspec.graph.ir import Graph

FORMATS = ("svg", "pdf", "png", "dot", "tikz", "mermaid", "html", "json", "table-md", "table-tex")


def _option(name: str, help: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that says nothing unless given, so that the spec's `draw:` holds."""
    return click.option(name, default=None, help=help, **settings)


@click.command("draw")
@spec_argument
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: NAME.svg"
)
@click.option("--format", "format", type=click.Choice(FORMATS), help="Default: by the file's extension, else svg.")
@_option("--level", "overview, blocks (the default), layers, raw, or block:NAME.", metavar="LEVEL")
@_option("--direction", "Down, to the right, as a U, or what suits.", type=click.Choice(["auto", "TB", "LR", "U"]))
@_option("--width", "Inches; text keeps its size. 3.3in is a column of a paper.", metavar="INCHES")
@_option("--font-size", "Points, from 8.", type=int)
@_option("--palette", "tol-light, okabe-ito, grey, or role=#RRGGBB,…", metavar="COLOURS")
@_option("--theme", "Colours and size of text.", type=click.Choice(["paper", "slide", "dark", "grey"]))
@_option("--shapes", "Where tensors' shapes stand.", type=click.Choice(["node", "edge", "none"]))
@_option("--legend/--no-legend", "What the colours mean.")
@_option("--title", "A line above the figure.")
@_option(
    "--order", "Inputs above, or below as papers on transformers have them.", type=click.Choice(["downward", "upward"])
)
@_option("--trainable/--no-trainable", "Mark what is frozen.")
@click.option("--expand", multiple=True, metavar="GLOB", help="Scopes to open.")
@click.option("--collapse", multiple=True, metavar="GLOB", help="Scopes to keep as one row.")
@_option("--only", "Draw one scope.", metavar="SCOPE")
@click.option("--report", is_flag=True, help="Print nodes, size, smallest text, overlaps instead of drawing.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def command(
    spec: str, changes: tuple[str, ...], output: Path | None, format: str | None, report: bool, as_json: bool,
    limits: tuple[str, ...], allow: tuple[Path, ...], **given: Any,
) -> None:  # fmt: skip
    """Draw a network: its stages with repeats folded, each block beside them once.

    \b
        archspec draw resnet.yaml@resnet50 -o resnet50.pdf      for a paper's column
        archspec draw resnet.yaml --level overview --width 7in  for a slide
        archspec draw resnet.yaml --level block:bottleneck      one block
        archspec draw unet.yaml --report                        what the figure measures
        archspec draw model.keras -o model.html                 a Keras model, its repeats found

    The options may also stand under `draw:` in the spec; those given here win. SVG, PDF and PNG need Graphviz
    (`archspec doctor` says whether it is there). An existing picture is replaced once the new one is complete.
    """
    from archspec.draw import DrawError, draw, measure
    from archspec.draw.formats import EXTENSIONS
    from archspec.draw.report import to_json

    if spec.endswith(".keras"):
        graph = _model(spec, changes, limits)
        from_spec: Mapping[str, Any] = {}
    else:
        network = open_spec(spec, changes, limits, allow)
        graph, from_spec = network.graph, network.document.draw or {}
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    path = output or Path(f"{graph.name}.{EXTENSIONS[format or 'svg']}")
    try:
        if "=" in chosen.get("palette", ""):
            chosen["palette"] = dict(pair.split("=", 1) for pair in chosen["palette"].split(",") if "=" in pair)
        if report or as_json:
            found = measure(graph, **{**from_spec, **chosen})
            click.echo(json.dumps(to_json(found)) if as_json else str(found))
            return
        draw(graph, path, format=format or (None if path.suffix else "svg"), spec=from_spec, **chosen)
    except DrawError as error:
        raise failure(str(error)) from None
    click.echo(f"{path} drawn", err=True)


def _model(path: str, changes: tuple[str, ...], limits: tuple[str, ...]) -> Graph:
    """The graph of a saved model; none of its code is run."""
    from archspec.importing import ImportFailed, load_keras

    if changes:
        raise click.UsageError(f"a saved model has no values to change, but {changes[0]!r} is given")
    try:
        return load_keras(path, read_limits(limits))
    except ImportFailed as error:
        raise failure(str(error)) from None
