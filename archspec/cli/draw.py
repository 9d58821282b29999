"""archspec draw"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.cli.common import (
    failure,
    is_saved_model,
    open_network,
    open_saved_model,
    print_json,
    run_errors,
    subject_argument,
)

if TYPE_CHECKING:
    from archspec.draw.rewritten import Marks
    from archspec.graph.ir import Graph
    from archspec.optimize.rewrite import Level

FORMATS = ("svg", "pdf", "png", "dot", "tikz", "mermaid", "html", "json", "table-md", "table-tex")
LEVELS = ("inference", "training")


def _option(name: str, help: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that says nothing unless given, so that the spec's `draw:` holds."""
    return click.option(name, default=None, help=help, **settings)


class _Draw(click.Command):
    """`--optimized` takes the next word only where that is a level, so that the spec may stand behind it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for i, word in enumerate(args):
            if word == "--optimized" and args[i + 1 : i + 2] not in ([level] for level in LEVELS):
                args[i] = f"{word}={LEVELS[0]}"
        return super().parse_args(ctx, args)


@click.command("draw", cls=_Draw)
@subject_argument
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
@click.option(
    "--optimized", type=click.Choice(LEVELS), metavar="[LEVEL]",
    help="As `archspec optimize` makes it for inference (the default) or training, what it rewrote outlined.",
)  # fmt: skip
@click.option("--report", is_flag=True, help="Print nodes, size, smallest text, overlaps instead of drawing.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def command(
    subject: str, changes: tuple[str, ...], output: Path | None, format: str | None,
    optimized: Level | None, report: bool, as_json: bool,
    limits: tuple[str, ...], allow: tuple[Path, ...], **given: Any,
) -> None:  # fmt: skip
    """Draw a network: its stages with repeats folded, each block beside them once.

    \b
        archspec draw resnet.yaml@resnet50 -o resnet50.pdf      for a paper's column
        archspec draw resnet.yaml --level overview --width 7in  for a slide
        archspec draw resnet.yaml --level block:bottleneck      one block
        archspec draw unet.yaml --report                        what the figure measures
        archspec draw model.keras -o model.html                 a Keras model, its repeats found
        archspec draw runs/resnet-001                           what a run trained
        archspec draw resnet.yaml --optimized                   what `archspec optimize` makes of it

    Formats: pdf, svg and png (300 dots an inch); tikz (.tex, compiles alone); dot; mermaid (.mmd, for READMEs); html
    (one page to zoom, search and open blocks in); json (the figure as data); table-md and table-tex (stages, outputs,
    blocks, parameters, MACs). PDF, SVG, PNG and TikZ need Graphviz; without it .dot and .mmd are written instead
    (`archspec doctor` says whether it is there).

    The options may also stand under `draw:` in the spec; those given here win. Of a .keras or .h5 file only the
    description of its layers is read: no code in it is run, and classes that Keras does not know are drawn by name.

    A file appears whole or not at all. The exit code is 0 if the picture was written, 1 if not, and 2 if the command
    was used wrongly.
    """
    from archspec.draw import DrawError, draw, measure
    from archspec.draw.formats import EXTENSIONS
    from archspec.draw.report import to_json

    drawn = _opened(subject, changes, limits, allow)
    if optimized is not None:
        drawn = _optimized(drawn, optimized)
    chosen = {key: value for key, value in given.items() if value not in (None, ())}
    if "=" in chosen.get("palette", ""):
        chosen["palette"] = _palette(chosen["palette"])
    path = output or Path(f"{_file_name(drawn.name)}.{EXTENSIONS[format or 'svg']}")
    try:
        if report or as_json:
            found = measure(drawn.graph, rewritten=drawn.marks, **{**drawn.options, **chosen})
            print_json(to_json(found)) if as_json else click.echo(str(found))
            return
        known = format or (None if path.suffix else "svg")
        draw(drawn.graph, path, format=known, spec=drawn.options, rewritten=drawn.marks, **chosen)
    except DrawError as error:
        raise failure(str(error)) from None
    click.echo(f"{path} drawn", err=True)


@dataclass(frozen=True)
class _Drawn:
    """A network, what its spec says of its picture, and what was rewritten in it."""

    name: str
    graph: Graph
    options: Mapping[str, Any] = field(default_factory=dict)
    marks: Marks = field(default_factory=dict)


def _opened(subject: str, changes: tuple[str, ...], limits: tuple[str, ...], allow: tuple[Path, ...]) -> _Drawn:
    """What a spec, a run or a saved model describes. Raises SpecError."""
    from archspec.cli.subject import check_use

    check_use(subject, changes, limits, allow)
    if Path(subject).is_dir():
        from archspec.train.runs import open_run

        with run_errors():
            _, network = open_run(Path(subject), changes)
        return _Drawn(network.name, network.graph, network.drawing)
    if not is_saved_model(subject):
        network = open_network(subject, changes, limits, allow)
        return _Drawn(network.name, network.graph, network.drawing)
    from archspec.importing import unknown

    graph = open_saved_model(subject, limits)
    if classes := unknown(graph):
        click.echo(f"drawn by name alone, weights and MACs not known: {', '.join(classes)}", err=True)
    return _Drawn(Path(subject).stem, graph)


def _optimized(drawn: _Drawn, level: Level) -> _Drawn:
    from archspec.optimize.marks import marked

    graph, marks = marked(drawn.graph, level)
    if graph is drawn.graph:
        click.echo(f"nothing to rewrite for {level}: drawn as it is", err=True)
    return replace(drawn, name=f"{drawn.name}-optimized", graph=graph, marks=marks)


def _palette(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    for role, sign, colour in pairs:
        if not (role and sign and colour):
            raise click.BadParameter(f"{text!r} is not role=#RRGGBB,…", param_hint="--palette")
    return {role.strip(): colour.strip() for role, _, colour in pairs}


def _file_name(name: str) -> str:
    """A network's name as that of a file in this folder, whatever stands in it."""
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".")[:100] or "network"
