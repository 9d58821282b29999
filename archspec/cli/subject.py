"""What a command works on where it takes a spec, a run or a saved model: its graph, and its weights when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import failure, is_saved_model, note_unfinished, open_spec, read_limits, run_errors

if TYPE_CHECKING:
    from archspec.graph.ir import Graph
    from archspec.optimize.network import Network, Weights


@dataclass(frozen=True)
class Subject:
    """A network, and where its weights are: in `run`, in `model`, or nowhere, for a spec."""

    graph: Graph
    name: str
    backend: str | None = None
    run: Path | None = None
    model: Path | None = None
    weights: Weights | None = None

    def network(self) -> Network:
        """With its weights; those of a run are read by Keras, without running anything of the run's."""
        from archspec.optimize.network import Network

        return Network(self.graph, _run_weights(self.graph, self.run) if self.run else self.weights)


def open_subject(
    reference: str, changes: Sequence[str], limits: Sequence[str], allow: Sequence[Path], *, weights: bool = True
) -> Subject:
    """The network of a spec, a run's folder, or a `.keras` file; without `weights` none is read from a file."""
    from archspec.train.runs import is_run

    if is_saved_model(reference):
        if changes:
            raise click.UsageError(f"a saved model has no values to change, but {changes[0]!r} is given")
        return _saved(Path(reference), limits)
    if is_run(Path(reference)):
        from archspec.train.runs import open_run, trained_model
        from archspec.train.sections import sections

        with run_errors():
            run, opened = open_run(Path(reference), changes)
            if weights:
                trained_model(run)
                note_unfinished(run.path)
        return Subject(opened.graph, opened.name, sections(opened.document).run.backend, run=run.path)
    from archspec.train.sections import sections

    network = open_spec(reference, changes, limits, allow)
    if network.document.spec.layers is None:
        raise failure(f"{reference} is a library of blocks without layers")
    return Subject(network.graph, network.name, sections(network.document).run.backend)


def _saved(path: Path, limits: Sequence[str]) -> Subject:
    from archspec.importing import ImportFailed, opaque, read_network

    try:
        graph, weights = read_network(path, read_limits(limits), around=True)
        for each in opaque(path, read_limits(limits)):
            click.echo(f"left as it is: {each}", err=True)
    except ImportFailed as error:
        raise failure(str(error)) from None
    return Subject(graph, path.stem, model=path, weights=weights)


def _run_weights(graph: Graph, run: Path) -> Weights:
    from archspec.build import build
    from archspec.build.weights import read_weights
    from archspec.train.runs import read_run, trained_model
    from archspec.train.saved import load_weights

    with run_errors():
        model = build(graph)
        load_weights(model, trained_model(read_run(run)))
    return read_weights(model, graph)
