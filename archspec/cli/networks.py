"""What RUN, model.keras or SPEC names on the command line: a network, with its weights where it has some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import failure, is_saved_model, open_spec, read_limits, run_errors

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.graph.ir import Graph
    from archspec.language import Document
    from archspec.optimize.network import Network


@dataclass(frozen=True)
class Opened:
    """A network's graph, and where its weights are: a run's folder, a `.keras` file whose weights are read, nowhere.

    `architecture` is there for a run and a spec, which have data.
    """

    name: str
    graph: Graph
    about: str
    architecture: Architecture | None = None
    run: Path | None = None
    read: Network | None = None

    @property
    def has_weights(self) -> bool:
        return self.run is not None or self.read is not None

    @property
    def descriptions(self) -> dict[str, str]:
        """What the spec says of its blocks, and of those that it uses from other files."""
        if self.architecture is None:
            return {}
        document = self.architecture.document
        used = {f"{name}.{block}": text for name, each in document.uses.items() for block, text in _told(each).items()}
        # Within their own file, blocks of another are called without its name.
        return {name.rpartition(".")[2]: text for name, text in used.items()} | used | _told(document)

    def network(self, seed: int = 0) -> Network:
        """The network with its weights; random ones where it has none. Keras's backend must have been chosen.

        Raises RunFailed.
        """
        from archspec.build import build
        from archspec.build.weights import read_weights
        from archspec.export.samples import random_network
        from archspec.optimize.network import Network

        if self.read is not None:
            return self.read
        if self.run is None:
            return random_network(self.graph, seed)
        from archspec.train.runs import read_run, trained_model
        from archspec.train.saved import load_weights

        model = build(self.graph)
        load_weights(model, trained_model(read_run(self.run)))
        return Network(self.graph, read_weights(model, self.graph))


def _told(document: Document) -> dict[str, str]:
    return {name: block.declared.description for name, block in document.blocks.items() if block.declared.description}


def open_network(reference: str, changes: Sequence[str], limits: Sequence[str], allow: Sequence[Path]) -> Opened:
    """Opens what the command names; nothing in a `.keras` file is run, and no framework is loaded. Raises SpecError."""
    from archspec.train.runs import is_run, open_run

    if is_saved_model(reference):
        if changes:
            raise click.UsageError("a saved model takes no changes")
        return _saved(reference, limits)
    if Path(reference).is_dir():
        if not is_run(Path(reference)):
            raise failure(f"{reference} is no run: archspec runs lists those in ./runs")
        with run_errors():
            _, made = open_run(Path(reference), changes)
        about = f"{made.name}, trained in {Path(reference).name}"
        return Opened(made.name, made.graph, about, made, run=Path(reference))
    made = open_spec(reference, changes, limits, allow)
    if made.document.spec.layers is None:
        raise failure(f"{reference} is a library of blocks without layers")
    told = made.document.spec.description
    about = f"{made.name}: {told}" if told else made.name
    if made.document.spec.source:
        about += f"\n\n{made.document.spec.source}"
    return Opened(made.name, made.graph, about, made)


def _saved(path: str, limits: Sequence[str]) -> Opened:
    from archspec.importing import ImportFailed, read_network
    from archspec.optimize.network import Network

    try:
        graph, weights = read_network(path, read_limits(limits))
    except ImportFailed as error:
        raise failure(str(error)) from None
    return Opened(graph.name, graph, f"{graph.name}, read from {Path(path).name}", read=Network(graph, weights))
