"""What a command works on where it takes a spec, a run or a saved model: its graph, and its weights when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import failure, is_saved_model, note_unfinished, open_spec, read_limits, run_errors

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.graph.ir import Graph
    from archspec.language import Document
    from archspec.optimize.network import Network, Weights


@dataclass(frozen=True)
class Subject:
    """A network, and where its weights are: in `run`, in `model`, or nowhere, for a spec.

    `architecture` is there for a spec and a run, which have data. `about` is a text on where the network comes from.
    """

    name: str
    graph: Graph
    about: str
    architecture: Architecture | None = None
    run: Path | None = None
    model: Path | None = None
    weights: Weights | None = None

    @property
    def has_weights(self) -> bool:
        return self.run is not None or self.weights is not None

    @property
    def backend(self) -> str | None:
        """The one that the spec asks for. Raises SpecError."""
        from archspec.train.sections import sections

        return sections(self.architecture.document).run.backend if self.architecture else None

    @property
    def descriptions(self) -> dict[str, str]:
        """What the spec says of its blocks, and of those that it uses from other files."""
        if self.architecture is None:
            return {}
        document = self.architecture.document
        used = {f"{name}.{block}": text for name, each in document.uses.items() for block, text in _told(each).items()}
        # Within their own file, blocks of another are called without its name.
        return {name.rpartition(".")[2]: text for name, text in used.items()} | used | _told(document)

    def network(self) -> Network:
        """With its weights, where it has some. Those of a run are read by Keras, whose backend must have been chosen;
        nothing of the run's is executed.
        """
        from archspec.optimize.network import Network

        return Network(self.graph, _run_weights(self.graph, self.run) if self.run else self.weights)


def open_subject(
    reference: str,
    changes: Sequence[str],
    limits: Sequence[str],
    allow: Sequence[Path],
    *,
    weights: bool = True,
    around: bool = False,
) -> Subject:
    """The network of a spec, a run's folder, or a `.keras` file, of which nothing is executed. Raises SpecError.

    Without `weights` a run needs none. `around`: layers of a saved model that the catalogue does not know are told, and
    others stand for them in the graph; else they are a failure.
    """
    if is_saved_model(reference):
        if changes:
            raise click.UsageError(f"a saved model has no values to change, but {changes[0]!r} is given")
        if allow:
            raise click.UsageError("a saved model reads no other files: --allow is for a spec")
        return _saved(Path(reference), limits, around)
    if Path(reference).is_dir():  # which is told where it is no run
        if limits or allow:
            raise click.UsageError("a run has its limits and files already: --limit and --allow are for a spec")
        return _trained(Path(reference), changes, weights)
    made = open_spec(reference, changes, limits, allow)
    spec = made.document.spec
    if spec.layers is None:
        raise failure(f"{reference} is a library of blocks without layers")
    about = f"{made.name}: {spec.description}" if spec.description else made.name
    return Subject(made.name, made.graph, f"{about}\n\n{spec.source}" if spec.source else about, made)


def _trained(path: Path, changes: Sequence[str], weights: bool) -> Subject:
    from archspec.train.runs import open_run, trained_model

    with run_errors():
        run, made = open_run(path, changes)
        if weights:
            trained_model(run)
            note_unfinished(run.path)
    return Subject(made.name, made.graph, f"{made.name}, trained in {path.resolve().name}", made, run=run.path)


def _saved(path: Path, limits: Sequence[str], around: bool) -> Subject:
    from archspec.importing import ImportFailed, opaque, read_network

    try:
        graph, weights = read_network(path, read_limits(limits), around=around)
        for each in opaque(path, read_limits(limits)) if around else ():
            click.echo(f"left as it is: {each}", err=True)
    except ImportFailed as error:
        raise failure(str(error)) from None
    return Subject(path.stem, graph, f"{graph.name}, read from {path.name}", model=path, weights=weights)


def _run_weights(graph: Graph, run: Path) -> Weights:
    from archspec.build import build
    from archspec.build.weights import read_weights
    from archspec.train.runs import read_run, trained_model
    from archspec.train.saved import load_weights

    with run_errors():
        model = build(graph)
        load_weights(model, trained_model(read_run(run)))
    return read_weights(model, graph)


def _told(document: Document) -> dict[str, str]:
    return {name: block.declared.description for name, block in document.blocks.items() if block.declared.description}
