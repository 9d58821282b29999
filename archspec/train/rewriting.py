"""The network as it is trained: rewritten where that computes the same, and put back when it is saved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archspec.graph.ir import Edge, Graph
from archspec.graph.prune import pruned
from archspec.graph.text import to_text
from archspec.optimize.driver import Optimized, chosen, run
from archspec.optimize.explain import report
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Pass
from archspec.start import set_seed
from archspec.train.environment import dtype_policy
from archspec.train.folder import RunFailed, write_json
from archspec.train.objective.aims import Aim, Term
from archspec.train.sections import Sections
from archspec.train.settings import Rewrites, Run, sees_single_weights

if TYPE_CHECKING:
    import keras

FILE = "optimize.json"
Given = Literal["none", "training"] | Rewrites


@dataclass(frozen=True)
class Rewritten:
    """A network, and what is trained in its place.

    `forms` are passes that a measurement chose, with the share of the time that their layers take in the new form.
    `read` says of tensors of the original which ones stand for them.
    """

    original: Graph
    optimized: Optimized
    forms: dict[str, float]
    read: Mapping[Edge, Edge] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        return self.optimized.network.graph

    @property
    def keeps_weights(self) -> bool:
        """Whether each weight of the original is one of the network that is trained, of the same name and shape."""
        found = {p.name: p for p in chosen("training", [each.pass_name for each in self.optimized.applied])}
        return all(p.keeps_weights for p in found.values())

    def aim(self, aim: Aim) -> Aim:
        """An aim at the original network as one at that which is trained."""

        def moved(term: Term) -> Term:
            arguments = {name: self.read.get(edge, edge) for name, edge in term.reading.arguments.items()}
            return replace(term, reading=replace(term.reading, arguments=arguments))

        trains = None if aim.trains is None else aim.trains.intersection(self.graph.nodes)
        return replace(aim, terms=tuple(map(moved, aim.terms)), trains=trains)

    def plain(self, network: keras.Model, settings: Run) -> keras.Model:
        """The original network with the weights that the seed draws for it; `network` itself where it is that one."""
        return network if self.graph is self.original else self._built(settings)

    def hand_over(self, plain: keras.Model, network: keras.Model) -> None:
        """Gives the network that is trained the weights of the original one, and lets it draw the same at random."""
        from archspec.build.weights import read_weights, write_weights

        if plain is network:
            return
        write_weights(network, pruned(self.graph), self.optimized.redo(read_weights(plain, self.original)))
        drawing = {layer.name: _seeds(layer) for layer in plain.layers}
        for layer in network.layers:
            for state, value in zip(_seeds(layer), drawing.get(layer.name, ()), strict=False):
                state.assign(value)

    def restored(self, network: keras.Model, settings: Run) -> keras.Model:
        """The original network with the weights of the one that was trained; `network` itself where it is that one."""
        from archspec.build.weights import read_weights, write_weights

        if self.graph is self.original:
            return network
        assert self.optimized.undo is not None, "the level training has a way back"
        plain = self._built(settings)
        write_weights(plain, pruned(self.original), self.optimized.undo(read_weights(network, self.graph)))
        return plain

    def _built(self, settings: Run) -> keras.Model:
        from archspec.build import build

        set_seed(settings.seed)
        with dtype_policy(settings.precision):
            return build(self.original)

    def write(self, folder: Path) -> None:
        """All rewrites with their places in the spec, and what they save."""
        found = report(self.original, self.optimized, "training").to_json()
        write_json(folder / FILE, {**found, "forms": self.forms})

    def to_json(self) -> dict[str, Any] | None:
        """In short, for the results; None where the network is trained as it is."""
        if self.graph is self.original:
            return None
        found = report(self.original, self.optimized, "training")
        passes = Counter(each.pass_name for each in self.optimized.applied)
        return {"passes": dict(passes), "forms": self.forms, "before": vars(found.before), "after": vars(found.after)}


def _seeds(layer: keras.Layer) -> list[Any]:
    return [variable for variable in layer.variables if variable.name == "seed_generator_state"]


def rewriting_passes(given: Given, forms: Sequence[str] = ()) -> tuple[Pass, ...]:
    """The passes that `run.optimize` asks for, and those that were found to pay here."""
    if given == "none":
        return ()
    wanted = Rewrites() if given == "training" else given
    return chosen("training", wanted.passes, wanted.skip, (*wanted.also, *forms))


def rewritten(
    graph: Graph, given: Given, forms: dict[str, float] | None = None, read: Collection[Edge] = ()
) -> Rewritten:
    """The graph as `run.optimize` has it. Tensors that it names are there still, and those that losses `read`."""
    passes = rewriting_passes(given, tuple(forms or ()))
    named = replace(graph, tensors={**graph.tensors, **{str(edge): edge for edge in sorted(read, key=str)}})
    found = run(Network(named), "training", passes)
    if not found.applied:
        found = replace(found, network=Network(graph))
    tensors = found.network.graph.tensors
    return Rewritten(graph, found, forms or {}, {edge: tensors.get(str(edge), edge) for edge in read})


def rewritten_for_training(
    graph: Graph, settings: Sections, read: Collection[Edge], examples: int, earlier: Path | None
) -> Rewritten:
    """The graph as it is trained, with the forms that pay here where the spec leaves them open.

    They are those of an `earlier` run's folder, else those that are measured. Keras must be loaded. Raises RunFailed.
    """
    given = settings.run.optimize
    if given != "training":
        return rewritten(graph, given, None, read)
    if earlier is not None and (earlier / FILE).is_file():
        return rewritten(graph, given, _earlier_forms(earlier / FILE, settings), read)
    return rewritten(graph, given, _measured(graph, settings, examples), read)


def rewritten_as(folder: Path, graph: Graph, settings: Sections, read: Collection[Edge]) -> Rewritten:
    """The graph as it was trained in a run's folder. Raises RunFailed."""
    given, file = settings.run.optimize, folder / FILE
    if not file.is_file():  # of a time when nothing was rewritten
        return rewritten(graph, "none")
    return rewritten(graph, given, _earlier_forms(file, settings) if given == "training" else None, read)


def _measured(graph: Graph, settings: Sections, examples: int) -> dict[str, float]:
    from archspec.train.cache import key
    from archspec.train.forms import is_worth_it, kept_forms, measured_forms

    size, precision = settings.data.batch_size, settings.run.precision
    if not is_worth_it(graph, size, -(-examples // size) * settings.train.epochs):
        return {}
    passes = rewriting_passes("training")
    keeping = sees_single_weights(settings.train, settings.run) is not None
    name = key(to_text(graph), size, precision, keeping)
    return kept_forms(name, lambda: measured_forms(graph, passes, size, precision, keeping))


def _earlier_forms(file: Path, settings: Sections) -> dict[str, float]:
    """The forms that a run has written down. Raises RunFailed where they cannot be read, or taken."""
    from archspec.train.forms import forms_of

    try:
        found = forms_of(json.loads(file.read_text("utf-8"))["forms"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFailed(f"{str(file)!r} cannot be read: {type(error).__name__}: {error}") from error
    why = sees_single_weights(settings.train, settings.run)
    changing = [each.name for each in chosen("training", [*found]) if not each.keeps_weights]
    if why and changing:
        raise RunFailed(f"the run gives weights another form ({', '.join(changing)}), but {why}")
    return found
