"""Two networks shown to be the same on numbers: outputs for random inputs and, for training, gradients and states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from archspec.export.formats.keras import keras_run
from archspec.export.logits import with_logits
from archspec.export.samples import noises, random_inputs, stilled
from archspec.graph.ir import Graph
from archspec.graph.prune import pruned
from archspec.layers.base import Layer
from archspec.layers.own import Sampling
from archspec.layers.pooling import AveragePooling3D, MaxPooling3D
from archspec.optimize.network import Array, Change, Network, Weights
from archspec.optimize.rewrite import changed

# The largest relative error that is put down to rounding, by the least precise dtype that a network computes in.
TOLERANCES = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1, "float64": 1e-9}
ROUNDINGS = 4.0  # of the original's own: more is no rounding
FAR_OFF = 0.1  # of an output's spread: what is further off is no result, however the network rounds
NEGLIGIBLE = 0.1  # of the largest gradient: errors of smaller ones, as before a normalisation, count as parts of that


@dataclass(frozen=True)
class Proof:
    """The largest errors found, each relative to the spread of what it is an error of.

    * `outputs`: by the outputs' names; of one that ends with a softmax or the like also before that, which hides
      errors.
    * `gradients`, `states`: of the level `training` only: by weight, as `conv/kernel`; states are weights that a step
      changes without a gradient.
    * `noise`: what the two draw at random differently, for people; empty where nothing.
    * `rounding`: where the outputs' errors are over the tolerance, but not in float64: how far the original itself is
      from what it gives in float64. Networks with many normalisations, or a softmax of large values, can be far off.
    """

    tolerance: float
    outputs: Mapping[str, float]
    gradients: Mapping[str, float] = field(default_factory=dict)
    states: Mapping[str, float] = field(default_factory=dict)
    noise: str = ""
    rounding: float = 0.0

    @property
    def error(self) -> float:
        return max((*self.outputs.values(), *self.gradients.values(), *self.states.values()), default=0.0)

    @property
    def holds(self) -> bool:
        return self.error <= max(self.tolerance, ROUNDINGS * self.rounding) and not self.noise

    def __str__(self) -> str:
        if self.noise:
            return self.noise
        groups = {"output": self.outputs, "gradient of": self.gradients, "state": self.states}
        worst = max(((e, f"{k} {n}") for k, g in groups.items() for n, e in g.items()), default=(0.0, "nothing"))
        known = f"; float32 itself is off by {self.rounding:.1e}" if self.rounding else ""
        return f"largest error {worst[0]:.1e} ({worst[1]}), tolerance {self.tolerance:.0e}{known}"


def prove(
    original: Network,
    optimized: Network,
    seed: int = 0,
    tolerance: float | None = None,
    *,
    redo: Change | None = None,
    undo: Change | None = None,
) -> Proof:
    """Builds both networks, which need weights, and compares what they give for the same random inputs; where both
    have the same softmax, sigmoid or tanh at the end of an output, also what is before it.

    Errors over the usual tolerance are compared in float64, to tell rounding from a mistake; a tolerance that is given
    is taken at its word. `redo` gives the optimised weights from the original's: with it, they are rewritten in
    float64, so that the rounding of these counts as such, too.

    With `undo`, which gives weights of the original from those of the optimised one, a step of training is compared
    too: with dropout and noise held still, the gradients of a random sum of the outputs and of the losses that layers
    add, and the moving statistics after it. Named tensors, which losses may be taken of, are outputs then.
    """
    if undo is not None:
        original, optimized = _with_tensors(original, optimized)
    inputs = random_inputs(original.graph, seed=seed)
    strict = tolerance is not None
    tolerance = default_tolerance(original.graph) if tolerance is None else tolerance
    shown = with_logits([replace(each, graph=stilled(each.graph)) for each in (original, optimized)])
    given, found = (_run(network, inputs) for network in shown)
    outputs = _errors(given, found)
    within = max(outputs.values(), default=0.0) <= tolerance
    rounding = 0.0 if within or strict else _rounding(_widened(shown[0], shown[1], redo), inputs, given, tolerance)
    noise = _not_finite(given) or _noise_differs(original.graph, optimized.graph, trained=undo is not None)
    if noise or undo is None:
        return Proof(tolerance, outputs, noise=noise, rounding=rounding)
    with _double():
        expected, stepped = _step(original, inputs, seed), _step(optimized, inputs, seed)
    names = {f"{node}/{spec.name}": (node, i) for node, i, spec in _specs(pruned(original.graph))}
    gradients = _changes(names, expected.gradients, undo(stepped.gradients))
    states = _changes(names, expected.weights, undo(stepped.weights))
    losses = relative_error(np.asarray(expected.losses), np.asarray(stepped.losses))
    return Proof(tolerance, outputs, gradients, states | {"the layers' losses": losses}, rounding=rounding)


def _with_tensors(*networks: Network) -> list[Network]:
    """The networks with a further output for each named tensor that all of them have, and that is none yet."""
    first, *others = [network.graph for network in networks]
    names = [name for name, edge in first.tensors.items() if edge not in first.outputs.values()]
    names = [name for name in names if all(name in graph.tensors for graph in others)]
    more = [{f"tensor {name}": network.graph.tensors[name] for name in names} for network in networks]
    return [
        replace(network, graph=replace(network.graph, outputs={**network.graph.outputs, **outputs}))
        for network, outputs in zip(networks, more, strict=True)
    ]


def default_tolerance(graph: Graph) -> float:
    """By the least precise dtype in the graph, or that Keras's policy gives to layers that say none."""
    import keras

    dtypes = {t.dtype for node in graph.nodes.values() for t in node.outputs} | {
        keras.config.dtype_policy().compute_dtype
    }
    return max(TOLERANCES[dtype] for dtype in dtypes if dtype in TOLERANCES)


def tolerated(network: Network, inputs: Sequence[Array], given: Mapping[str, Array]) -> float:
    """The error that is put down to rounding, where `given` is what Keras gives in the network's own dtypes.

    That is the usual tolerance or, where `given` is further from what Keras gives in float64, some times that: deep
    networks, and a softmax of large values, can be far off.
    """
    usual = default_tolerance(network.graph)
    with _double() as exact:
        own = max(_errors(_run(network, inputs), given).values(), default=0.0) if exact else 0.0
    return max(usual, min(ROUNDINGS * own, FAR_OFF))


def _run(network: Network, inputs: Sequence[Array]) -> Mapping[str, Array]:
    return keras_run(_built(network), network.graph)(inputs)


def _built(network: Network) -> Any:
    """The Keras model. In float64 volumes are pooled in float32 all the same: TensorFlow has no kernel of float64."""
    import keras

    from archspec.build.weights import built

    graph = network.graph
    if keras.config.dtype_policy().name == "float64":
        pools = [n for n in graph.nodes.values() if isinstance(n.layer, AveragePooling3D | MaxPooling3D)]
        single = {n.name: replace(n, layer=changed(n.layer, dtype="float32")) for n in pools if n.layer.dtype is None}
        graph = replace(graph, nodes={**graph.nodes, **single})
    return built(replace(network, graph=graph))


def _rounding(
    networks: Iterable[Network], inputs: Sequence[Array], given: Mapping[str, Array], tolerance: float
) -> float:
    """How far the original's results are from those in float64, where the two networks agree in that; else 0."""
    with _double() as exact:
        if not exact:
            return 0.0
        expected, found = (_run(network, inputs) for network in networks)
    agree = max(_errors(expected, found).values()) <= tolerance
    return max(_errors(expected, given).values()) if agree else 0.0


def _widened(original: Network, optimized: Network, redo: Change | None) -> tuple[Network, Network]:
    """Both in float64 as far as the original is in float32; without `redo` the optimised weights stay rounded."""
    if redo is None or original.weights is None:
        return original, optimized
    wide = {
        name: tuple(value.astype(np.float64) if value.dtype == np.float32 else value for value in values)
        for name, values in original.weights.items()
    }
    return replace(original, weights=wide), replace(optimized, weights=redo(wide))


def _errors(expected: Mapping[str, Array], found: Mapping[str, Array]) -> dict[str, float]:
    assert expected.keys() == found.keys(), f"outputs are {list(expected)} and {list(found)}"
    return {name: _halves_error(value, found[name]) for name, value in expected.items()}


def _halves_error(expected: Array, found: Array) -> float:
    """The error of the ordinary examples, or of the large ones, whichever is more: neither hides behind the other."""
    if expected.shape != found.shape:
        return float("inf")
    return max(relative_error(expected[k::2], found[k::2]) for k in range(min(2, len(expected))))


def relative_error(expected: Array, found: Array, least: float = 0.0) -> float:
    """The largest difference, relative to the standard deviation of what is expected, or `least` where that is more.

    Integers and truth values must be equal: then it is the share of those that are not. NaN is equal to NaN.
    """
    if expected.shape != found.shape:
        return float("inf")
    if expected.dtype.kind in "biuOSU":
        return float(np.mean(expected != found)) if expected.size else 0.0
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = expected.astype(wide), found.astype(wide)
    differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not differ.any():
        return 0.0
    known = a[np.isfinite(a)]
    spread = (
        max(float(np.std(known)) if known.size > 1 else 0.0, least) or float(np.max(np.abs(known), initial=0)) or 1.0
    )
    error = float(np.max(np.abs(a - b)[differ])) / spread
    return error if np.isfinite(error) else float("inf")


def _specs(graph: Graph) -> list[tuple[str, int, Any]]:
    return [(name, i, spec) for name, node in graph.nodes.items() for i, spec in enumerate(graph.weights(node))]


def _changes(names: Mapping[str, tuple[str, int]], expected: Weights, found: Weights) -> dict[str, float]:
    """The errors by weight. What is next to nothing beside the others, as behind a normalisation, is no yardstick."""
    largest = max((float(np.std(expected[n][i].astype(np.float64))) for n, i in names.values()), default=0.0)
    return {
        label: relative_error(expected[n][i], found[n][i], least=NEGLIGIBLE * largest)
        for label, (n, i) in names.items()
    }


def _not_finite(outputs: Mapping[str, Array]) -> str:
    blank = [name for name, value in outputs.items() if value.dtype.kind == "f" and not np.isfinite(value).any()]
    return f"{blank[0]} is NaN or infinite throughout, for ordinary inputs" if blank else ""


def _noise_differs(original: Graph, optimized: Graph, trained: bool) -> str:
    """Where the two draw different things at random, which no comparison of numbers would show."""
    before, after = (_noise(pruned(graph), trained) for graph in (original, optimized))
    if before == after:
        return ""
    told = [f"{kind} {dict(arguments)}" for kind, arguments in ((before - after) + (after - before))]
    return f"the two differ in what they draw at random: {', '.join(sorted(told))}"


def _noise(graph: Graph, trained: bool) -> Counter[tuple[str, tuple[tuple[str, float], ...]]]:
    """How often what is drawn: by `Sampling` always, by dropout and noise in training."""
    return Counter(
        (type(layer).__name__, arguments)
        for node in graph.nodes.values()
        for layer in _with_nested(node.layer)
        if (arguments := tuple(noises(layer)) if trained else ()) or isinstance(layer, Sampling)
    )


def _with_nested(layer: Layer) -> list[Layer]:
    nested = [getattr(layer, name) for name in type(layer).model_fields]
    return [layer, *(inner for value in nested if isinstance(value, Layer) for inner in _with_nested(value))]


@dataclass(frozen=True)
class _Step:
    """One pass forwards and backwards: the gradient of each weight, 0 where there is none; the weights after it; and
    the sum of the losses that layers add.
    """

    gradients: Weights
    weights: Weights
    losses: float


@contextmanager
def _double() -> Iterator[bool]:
    """Within the context, layers that say no dtype compute in float64; gives False where the policy is another.

    A gradient jumps where rounding takes a value of relu's to the other side of 0, which among a million values happens
    often in float32, and behind many normalisations is no small thing. On JAX, Keras's batch normalisation computes in
    float32 all the same.
    """
    import keras

    policy = keras.config.dtype_policy()
    exact = policy.name == "float32"
    if exact:
        keras.config.set_dtype_policy("float64")
    try:
        with _jax_double() if exact and keras.backend.backend() == "jax" else nullcontext():
            yield exact
    finally:
        keras.config.set_dtype_policy(policy)


def _jax_double() -> AbstractContextManager[None]:
    """JAX takes float32 for float64 unless it is told not to."""
    import jax

    if not hasattr(jax, "enable_x64"):  # before JAX 0.8
        from jax.experimental import enable_x64

        before: AbstractContextManager[None] = enable_x64()
        return before
    context: AbstractContextManager[None] = jax.enable_x64(True)
    return context


def _step(network: Network, inputs: list[Array], seed: int) -> _Step:
    import keras

    from archspec.build.weights import read_weights

    graph = stilled(network.graph)
    model = _built(Network(graph, network.weights))
    differentiate = _jax_gradients if keras.backend.backend() == "jax" else _tensorflow_gradients
    gradients, losses = differentiate(model, inputs, seed)
    after, slopes = read_weights(model, graph), {}
    for name in after:
        weights = model.get_layer(name).weights
        found = [gradients.get(w.path) for w in weights]
        zeros = [np.zeros(tuple(w.shape), np.float32) for w in weights]
        slopes[name] = tuple(z if g is None else np.asarray(g) for g, z in zip(found, zeros, strict=True))
    return _Step(slopes, after, losses)


def _total(outputs: Any, seed: int) -> Any:
    """A random sum of all float outputs."""
    import keras
    from keras import ops, tree

    rng = np.random.default_rng([seed, 4])
    total = _wide(0.0)
    for output in tree.flatten(outputs):
        factors = rng.standard_normal(tuple(output.shape))
        if "float" in keras.backend.standardize_dtype(output.dtype):
            total = total + ops.sum(_wide(output) * _wide(factors))
    return total


def _wide(value: Any) -> Any:
    """In the widest dtype in use: an output may have another one than the next."""
    import keras

    double = keras.config.dtype_policy().name == "float64"
    return keras.ops.cast(keras.ops.convert_to_tensor(value), "float64" if double else "float32")


def _tensorflow_gradients(model: Any, inputs: list[Array], seed: int) -> tuple[dict[str, Any], float]:
    import keras
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = model(inputs if len(inputs) > 1 else inputs[0], training=True)
        losses = sum(map(_wide, model.losses), _wide(0.0))
        total = tf.convert_to_tensor(_total(outputs, seed) + losses)
    found = tape.gradient(total, [w.value for w in model.trainable_weights])
    dense = [None if g is None else keras.ops.convert_to_numpy(tf.convert_to_tensor(g)) for g in found]
    return {w.path: g for w, g in zip(model.trainable_weights, dense, strict=True)}, float(losses)


def _jax_gradients(model: Any, inputs: list[Array], seed: int) -> tuple[dict[str, Any], float]:
    import jax

    given = inputs if len(inputs) > 1 else inputs[0]
    states = [w.value for w in model.non_trainable_variables]

    def loss(weights: Any) -> Any:
        outputs, after, losses = model.stateless_call(weights, states, given, training=True, return_losses=True)
        added = sum(map(_wide, losses), _wide(0.0))
        return _total(outputs, seed) + added, (after, added)

    (_, (after, losses)), found = jax.value_and_grad(loss, has_aux=True)([w.value for w in model.trainable_variables])
    for variable, value in zip(model.non_trainable_variables, after, strict=True):
        variable.assign(value)
    return {w.path: np.asarray(g) for w, g in zip(model.trainable_variables, found, strict=True)}, float(losses)
