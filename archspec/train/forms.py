"""Forms of layers that are faster in a training on this machine, measured on the network's own layers.

XLA on a CPU runs some convolutions many times slower than sums and products that give the same, others not. So each
pass that pays on some backends only is tried on those of its places in the network that compute most: the step of these
layers alone, forwards and backwards, as they are and as the pass makes them, in turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from archspec.build import build
from archspec.graph.ir import Edge, Graph, Node
from archspec.layers.core import InputLayer
from archspec.optimize.driver import OPTIONAL, run
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Pass
from archspec.train import cache
from archspec.train.environment import dtype_policy

KIND = "forms"  # in the cache
_LEAST = 20.0  # seconds of a training, reckoned far too short, from which on anything is measured
_RATE = 1e11  # operations a second that no step on these processors comes to
_PLACES = 3  # of a pass, of different shapes, that are measured
_GAIN = 0.9  # of the time, above which a form is not worth its change
_ROUNDS, _BURST = 3, 0.05  # turns of each form, and their seconds


@dataclass(frozen=True)
class _Place:
    """Layers that a pass would rewrite, as a network of their own, and how many like them there are."""

    graph: Graph
    count: int
    macs: int


def is_worth_it(graph: Graph, batch_size: int, steps: int) -> bool:
    """Whether a training is so long that a measurement does not count, and its backend has forms to choose from."""
    if keras.backend.backend() != "jax" or keras.distribution.distribution():
        return False
    import jax

    return jax.default_backend() == "cpu" and 6 * _macs(graph) * batch_size * steps / _RATE > _LEAST


def measured_forms(
    graph: Graph, passes: Sequence[Pass], batch_size: int, precision: str, keeping: bool = False
) -> dict[str, float]:
    """The passes that pay, beside those that are made anyway, with the share of the time that their layers then take.

    Layers of unknown sizes, and those that read anything but floats, are not measured; with `keeping`, nor are passes
    that give weights another form.
    """
    found: dict[str, float] = {}
    for each in OPTIONAL:
        if each.level != "training" or each in passes or (keeping and not each.keeps_weights):
            continue
        before, after = 0.0, 0.0
        for place in _places(graph, each):
            form = run(Network(place.graph), "training", [each]).network.graph
            one, two = _times(place.graph, form, batch_size, precision)
            before, after = before + place.count * one, after + place.count * two
        if before and after < _GAIN * before:
            found[each.name] = round(after / before, 3)
    return found


def forms_of(said: Any) -> dict[str, float]:
    """Forms with their shares of the time, as they were written down. Raises ValueError where it is anything else."""
    names = {each.name for each in OPTIONAL if each.level == "training"}
    if not isinstance(said, dict) or not said.keys() <= names or not all(type(v) is float for v in said.values()):
        raise ValueError(f"forms are passes with their shares of the time, got {said}")
    return said


def kept_forms(name: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What was measured under that name before, else what is measured now."""
    place = cache.place(KIND, name)
    try:
        return forms_of(cache.read(place))
    except ValueError:  # nothing is there, or of another version
        found = measure()
        cache.keep(place, found)
        return found


def _places(graph: Graph, each: Pass) -> Iterator[_Place]:
    """Where the pass applies: of those places that are alike one, and of all these the ones that compute most."""
    alike: dict[object, list[Graph]] = {}
    for applied in run(Network(graph), "training", [each]).applied:
        if all(name in graph.nodes for name in applied.takes):
            alone = _alone(graph, applied.takes)
            if alone is not None:
                alike.setdefault(_kind(alone), []).append(alone)
    places = [_Place(graphs[0], len(graphs), _macs(graphs[0])) for graphs in alike.values()]
    yield from sorted(places, key=lambda place: -place.count * place.macs)[:_PLACES]


def _macs(graph: Graph) -> int:
    return sum(graph.macs(node) for node in graph.nodes.values())


def _kind(graph: Graph) -> object:
    """What a network of few layers computes, whatever its layers are called."""
    position = {name: i for i, name in enumerate(graph.nodes)}
    return tuple(
        (repr(node.layer), tuple((position[edge.node], edge.index) for edge in node.inputs))
        for node in graph.nodes.values()
    )


def _alone(graph: Graph, names: Sequence[str]) -> Graph | None:
    """The nodes as a network of their own; None where they have inputs that cannot be made up, or shared weights."""
    inside = [graph.nodes[name] for name in graph.nodes if name in set(names)]
    read = dict.fromkeys(edge for node in inside for edge in node.inputs if edge.node not in names)
    types = [graph.type(edge) for edge in read]
    if any(node.shares for node in inside) or any(None in t.shape or "float" not in t.dtype for t in types):
        return None
    inputs = {edge: Edge(f"input_{i}") for i, edge in enumerate(read)}
    nodes = {}
    for edge, t in zip(inputs.values(), types, strict=True):
        layer = InputLayer.model_validate({"shape": t.shape, "dtype": t.dtype})
        nodes[edge.node] = Node(edge.node, layer, (), (), (t,))
    for node in inside:
        nodes[node.name] = replace(node, inputs=tuple(inputs.get(edge, edge) for edge in node.inputs))
    readers = [graph.nodes[reader] for node in inside for reader in graph.readers[node.name]]
    made = [
        *(edge for reader in readers if reader.name not in names for edge in reader.inputs),
        *graph.outputs.values(),
    ]
    outputs = {str(edge): edge for edge in made if edge.node in names}
    return Graph("alone", nodes, tuple(edge.node for edge in inputs.values()), outputs)


def _times(one: Graph, two: Graph, batch_size: int, precision: str) -> tuple[float, float]:
    """The medians of the seconds of a step of both networks, timed in turn."""
    steps = [_step(graph, batch_size, precision) for graph in (one, two)]
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for step, seconds in zip(steps, taken, strict=True):
            end = time.perf_counter() + _BURST
            while time.perf_counter() < end:
                began = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - began)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _step(graph: Graph, batch_size: int, precision: str) -> Callable[[], None]:
    """The gradients of the network's weights and inputs on random numbers, compiled."""
    import jax

    with dtype_policy(precision):
        model = build(graph)
    random = np.random.default_rng(0)
    types = [graph.nodes[name].outputs[0] for name in graph.inputs]
    shapes: list[Any] = [(batch_size, *t.shape) for t in types]
    inputs = [
        keras.ops.convert_to_tensor(random.standard_normal(shape), t.dtype)
        for shape, t in zip(shapes, types, strict=True)
    ]
    fixed = [v.value for v in model.non_trainable_variables]

    def loss(trainable: Any, given: Any) -> Any:
        made, _ = model.stateless_call(trainable, fixed, given if len(given) > 1 else given[0], training=True)
        return sum((each.astype("float32") ** 2).sum() for each in jax.tree.leaves(made))

    gradients = jax.jit(jax.grad(loss, (0, 1)))
    weights = [v.value for v in model.trainable_variables]
    jax.block_until_ready(gradients(weights, inputs))
    return lambda: jax.block_until_ready(gradients(weights, inputs)) and None
