"""A finished run's network measured again, on the run's own data or on other data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archspec.data.base import WHOLE, Selection
from archspec.data.plan import Plan, plan
from archspec.data.settings import Split
from archspec.data.split import count, select
from archspec.graph.ir import Graph
from archspec.train.check import check_settings, require_loss
from archspec.train.environment import choose_backend
from archspec.train.folder import RunFailed
from archspec.train.objective.aims import aims, read_edges
from archspec.train.objective.scopes import freeze
from archspec.train.outcome import evaluated, seed_draws
from archspec.train.rewriting import rewritten_as
from archspec.train.runs import RunFolder, open_run, trained_model
from archspec.train.saved import load_weights, preprocessing
from archspec.train.sections import Sections
from archspec.train.signature import read_signature

if TYPE_CHECKING:
    from archspec.train.figures import Judged
    from archspec.train.objective.trainee import Trainee

SplitName = Literal["train", "validation", "test", "all"]


@dataclass(frozen=True)
class Evaluation:
    """What a network scores on the examples of a split: Keras's metrics, and each output's figures."""

    run: Path
    split: str
    examples: int
    metrics: Mapping[str, float]
    judged: Mapping[str, Judged]

    def to_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "split": self.split,
            "examples": self.examples,
            "metrics": dict(self.metrics),
            "figures": {output: each.to_json() for output, each in self.judged.items()},
        }


def evaluate(path: Path, split: SplitName | None = None, changes: Sequence[str] = ()) -> Evaluation:
    """Measures a run's model.keras on a split (test, else validation, where left out; `all` takes every example).

    `changes` override values of the spec, `data.source` above all. What `adapt` has learnt stays as it was saved. On a
    CPU the figures are those of the run, bit for bit. Raises RunFailed, and SpecError where changes or data are wrong.
    """
    run, architecture = open_run(path, changes)
    model_file = trained_model(run)
    document = architecture.document
    settings = check_settings(document, architecture.graph)
    graph = freeze(architecture.graph, settings.train.frozen)
    require_loss(document, settings)
    if split == "all":
        data = settings.data.model_copy(update={"split": Split()})
        settings = replace(settings, data=data)
    ready = plan(document, graph, settings.data, settings.losses(graph))
    _check_classes(run, ready)
    named, selection = _selection(ready, split)
    use_backend(run, settings)
    from archspec.train.objective.trainee import objective

    read = read_edges(aims(document, graph, settings.train, ready.target_types()))
    rewritten = rewritten_as(run.path, graph, settings, read)
    trainee = objective(document, graph, settings, ready, rewritten)
    plain = rewritten.plain(trainee.network, settings.run)
    load_weights(plain, model_file)
    rewritten.hand_over(plain, trainee.network)
    return _measured(run, graph, settings, ready, named, selection, trainee)


def use_backend(run: RunFolder, settings: Sections) -> str:
    """Starts the framework that the run was trained with. Raises RunFailed where that cannot be."""
    wanted = settings.run.backend or run.environment.get("backend")
    try:
        return choose_backend(wanted)
    except RuntimeError as error:
        raise RunFailed(str(error), help="use it in a process of its own") from error


def _check_classes(run: RunFolder, ready: Plan) -> None:
    """Class numbers mean the same as in training only if the names do. Raises RunFailed."""
    for output, names in read_signature(run.path).classes.items():
        given = ready.classes.get(output)
        if given is not None and given != names[: len(given)]:
            wrong = next((n for n in given if n not in names), None)
            what = f"{wrong!r} is none of the run's classes" if wrong else "the classes come in another order"
            raise RunFailed(f"the data's classes of {output} are not those of the run: {what}")


def _selection(ready: Plan, split: SplitName | None) -> tuple[str, Selection]:
    """The examples of the split. Raises RunFailed where it has none."""
    if split == "all":
        return split, select(ready.source.sizes, WHOLE, "test")
    parts = {"train": ready.parts.train, "validation": ready.parts.validation, "test": ready.parts.test}
    named = split or ("test" if count(parts["test"]) else "validation")
    chosen = parts[named]
    if chosen is None or not count(chosen):
        have = ", ".join(f"{name} {count(part):,}" for name, part in parts.items() if count(part))
        raise RunFailed(f"the data has no examples for {named}", help=f"there are: {have}; all takes every one")
    return named, chosen


def _measured(
    run: RunFolder,
    graph: Graph,
    settings: Sections,
    ready: Plan,
    split: str,
    selection: Selection,
    trainee: Trainee,
) -> Evaluation:
    from archspec.train.feed import feed
    from archspec.train.figures import judge

    size = settings.data.batch_size
    models = {ready.inputs[name]: made for name, made in preprocessing(run, tuple(graph.inputs)).items()}
    fed = feed(ready, graph, models, ready.source.read(selection), size)
    metrics = evaluated(trainee.model, fed, size, settings.run.seed)
    seed_draws(trainee.network, settings.run.seed)
    judged = judge(trainee.network, ready, settings.losses(graph), fed, split, size)
    return Evaluation(run.path, split, fed.size, metrics, judged)
