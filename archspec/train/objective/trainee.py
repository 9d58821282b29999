"""The network, and the compiled model that trains it by what the spec says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras

from archspec.analysis.remat import runs
from archspec.build import build
from archspec.build.objects import keras_object
from archspec.build.remat import rematerialised
from archspec.data.plan import Plan
from archspec.graph.ir import Edge, Graph
from archspec.language import Document
from archspec.layers.objects import Object
from archspec.start import set_seed
from archspec.train.compose import augment_models, by_name, compose
from archspec.train.environment import dtype_policy
from archspec.train.objective.aims import Aim, Term, aims, read_edges, target_edge
from archspec.train.objective.goals import Aimed, Criterion, FormulaCriterion, Goal, KerasCriterion, Turns
from archspec.train.plan import remat_blocks
from archspec.train.sections import Sections
from archspec.train.settings import by_output

if TYPE_CHECKING:
    from archspec.train.rewriting import Rewritten

Blocks = Sequence[Sequence[str]]  # nodes to rematerialise together


@dataclass(frozen=True)
class Trainee:
    """`network` is what is saved; `model`, compiled, has the same weights and is what learns.

    `optimizers` go by the names of their phases; the only one of a training without phases is called `optimizer`.
    """

    network: keras.Model
    model: keras.Model
    optimizers: Mapping[str, keras.optimizers.Optimizer]


def objective(
    document: Document, graph: Graph, settings: Sections, plan: Plan, rewritten: Rewritten | None = None
) -> Trainee:
    """The network with fresh weights, which the seed alone decides, and the model that trains it.

    What the spec freezes is frozen in the graph already: see `archspec.train.objective.scopes.freeze`. `rewritten` is
    what is trained in the graph's place, whose names the spec does not know.

    Raises SpecError where formulas do not fit the data's targets.
    """
    found, trained = aims(document, graph, settings.train, plan.target_types()), graph
    if rewritten is not None:
        found, trained = tuple(map(rewritten.aim, found)), rewritten.graph
    run = settings.run
    blocks = runs(trained, remat_blocks(document, trained if run.remat == "auto" else graph, settings))
    augment = augment_models(plan.augment)
    with dtype_policy(run.precision):
        set_seed(run.seed)  # weights do not depend on what was built before
        if found[0].plain:
            return _plain(trained, settings, augment, found[0], tuple(plan.targets), blocks)
        return _aimed(trained, settings, augment, found, tuple(plan.targets), blocks)


def _plain(
    graph: Graph,
    settings: Sections,
    augment: Mapping[str, keras.Model],
    aim: Aim,
    targets: tuple[str, ...],
    blocks: Blocks,
) -> Trainee:
    """What Keras's own `compile` can say."""
    network = build(graph)
    trained = rematerialised(graph, network, blocks)
    inputs, made = compose(trained, graph, augment)
    if not augment and set(targets) == set(graph.outputs):
        model = trained
    else:
        outputs = {name: made[name] for name in targets}
        model = keras.Model(_only(inputs), _only(outputs), name=f"{network.name}_training")
    losses = {name: made_object(loss) for name, loss in aim.losses.items()}
    model.compile(
        optimizer=made_object(aim.optimizer),
        loss=_only(losses),  # a single output stands alone, as its target does
        loss_weights=None if len(losses) == 1 else dict(aim.weights),
        **_options(settings, targets),
    )
    return Trainee(network, model, {"optimizer": model.optimizer})


def _aimed(
    graph: Graph,
    settings: Sections,
    augment: Mapping[str, keras.Model],
    found: Sequence[Aim],
    targets: tuple[str, ...],
    blocks: Blocks,
) -> Trainee:
    """Formulas and phases: the model gives every tensor that a loss reads."""
    keys = _keys(graph, found)
    read = replace(graph, outputs={key: edge for edge, key in keys.items()} | dict(graph.outputs))
    whole = build(read)
    named = by_name(whole.output, graph)
    outputs = {name: named[name] for name in graph.outputs}
    network = keras.Model(_only(whole.inputs), _only(outputs), name=whole.name)
    inputs, made = compose(rematerialised(read, whole, blocks), graph, augment)
    model = Aimed(_only(inputs), dict(made), name=f"{network.name}_training")
    goals = [_goal(aim, keys, whole, model) for aim in found]
    model.aim(goals, targets)
    optimizer = goals[0].optimizer if goals[0].name is None else Turns(goals)
    model.compile(optimizer=optimizer, auto_scale_loss=False, **_options(settings, targets))
    return Trainee(network, model, {goal.name or "optimizer": goal.optimizer for goal in goals})


def _keys(graph: Graph, found: Sequence[Aim]) -> dict[Edge, str]:
    """The name of each tensor that a formula reads, among the training model's outputs."""
    outputs = {edge: name for name, edge in graph.outputs.items()}
    return {edge: outputs.get(edge, f"tensor {edge}") for edge in sorted(read_edges(found), key=str)}


def _goal(aim: Aim, keys: Mapping[Edge, str], whole: keras.Model, model: keras.Model) -> Goal:
    criteria: list[Criterion] = [
        KerasCriterion(name, aim.weights[name], made_object(loss)) for name, loss in aim.losses.items()
    ]
    criteria += [_formula(term, keys) for term in aim.terms]
    optimizer = made_object(aim.optimizer)
    if keras.config.dtype_policy().name == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    own = None
    if aim.trains is not None:
        own = {id(variable) for name in aim.trains for variable in whole.get_layer(name).trainable_variables}
    places = (i for i, variable in enumerate(model.trainable_variables) if own is None or id(variable) in own)
    return Goal(aim.name, tuple(criteria), optimizer, tuple(places))


def _formula(term: Term, keys: Mapping[Edge, str]) -> FormulaCriterion:
    arguments = {name: keys[edge] for name, edge in term.tensors.items()}
    target = None
    if term.target is not None:
        wanted = target_edge(term.target)
        target = next(name for name, edge in term.reading.arguments.items() if edge == wanted), term.target
    return FormulaCriterion(term.name, term.weight, term.reading.text, arguments, target)


def _options(settings: Sections, targets: tuple[str, ...]) -> dict[str, Any]:
    """What every training is compiled with."""
    given = settings.train
    metrics = {name: [*map(made_object, each)] for name, each in by_output(given.metrics, targets).items()}
    return {
        "metrics": _only(metrics) if len(targets) == 1 else metrics or None,
        "jit_compile": settings.run.jit,
        "steps_per_execution": 1 if given.steps_per_execution == "auto" else given.steps_per_execution,
    }


def _only(values: Any) -> Any:
    """The single value of a list or mapping of one."""
    return next(iter(values.values() if isinstance(values, dict) else values)) if len(values) == 1 else values


def made_object(given: Object | str) -> Any:
    """Keras's object; the few names that Keras resolves by shape stay names."""
    return given if isinstance(given, str) else keras_object(given)
