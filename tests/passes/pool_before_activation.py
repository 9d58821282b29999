"""Cases of the pass `pool-before-activation`."""

from dataclasses import replace

from archspec.graph.ir import Edge
from archspec.optimize.passes.pool_before_activation import PoolBeforeActivation
from archspec.optimize.rewrite import Rewrite
from tests.passes import Breakage, Case, Refusal, chain, mutant, rewriting, two_readers, with_layers

IMAGE = (6, 6, 3)
POOL = {"MaxPooling2D": {"pool_size": 3, "strides": 2, "padding": "same"}}

CASES = (
    Case("relu", chain(IMAGE, "BatchNormalization", "ReLU", POOL), 1),
    Case("relu6", chain(IMAGE, {"ReLU": {"max_value": 0.7}}, POOL), 1),
    Case("leaky", chain(IMAGE, {"LeakyReLU": 0.1}, "MaxPooling2D"), 1),
    Case("tanh of steps", chain((8, 3), {"Activation": "tanh"}, {"MaxPooling1D": 2}), 1),
    Case(
        "after an activation of its own", chain(IMAGE, {"Dense": {"units": 3, "activation": "gelu"}}, "ReLU", POOL), 1
    ),
    Case("in training", chain(IMAGE, {"Dense": 4}, "BatchNormalization", "ReLU", POOL), 1, "training"),
)
REFUSALS = (
    Refusal(
        "the layer before takes it", chain(IMAGE, {"Conv2D": {"filters": 4, "kernel_size": 3}}, "ReLU", POOL), "own"
    ),
    Refusal("two readers", two_readers(IMAGE, ["ReLU"], POOL), "is read"),
    Refusal("nothing gets smaller", chain(IMAGE, "ReLU", {"MaxPooling2D": {"pool_size": 3, "strides": 1}}), "as many"),
    Refusal(
        "another dtype behind",
        chain(IMAGE, {"Identity": {"dtype": "float16"}}, {"ReLU": {"dtype": "float16"}}, POOL),
        "changes the dtype",
    ),
    Refusal("an activation that turns", chain(IMAGE, {"Activation": "gelu"}, POOL)),
    Refusal("a mean", chain(IMAGE, "ReLU", {"AveragePooling2D": 2})),
)


def _always(draft, node, answer):
    """Believes that every activation rises, and that pooling is always of the maximum."""
    if "pooling" not in node.name or not node.inputs:
        return None
    activation = draft.producer(node)
    if not activation.inputs or "pooling" in activation.name:
        return None
    pool = replace(node, inputs=activation.inputs)
    new = replace(activation, inputs=(Edge(node.name),), outputs=node.outputs)
    return Rewrite((activation.name, node.name), (pool, new), {Edge(node.name): Edge(activation.name)})


BREAKAGES = (
    Breakage(
        "gelu", mutant(PoolBeforeActivation(), _always), chain(IMAGE, {"Activation": "gelu"}, {"MaxPooling2D": [1, 2]})
    ),
    Breakage("a mean", mutant(PoolBeforeActivation(), _always), chain(IMAGE, "ReLU", {"AveragePooling2D": 2})),
    Breakage("softmax", mutant(PoolBeforeActivation(), _always), chain(IMAGE, "Softmax", POOL)),
    Breakage(
        "the padding lost",
        rewriting(PoolBeforeActivation(), lambda r: with_layers(r, padding="valid")),
        chain((7, 7, 3), "ReLU", {"MaxPooling2D": {"pool_size": 2, "strides": 3, "padding": "same"}}),
    ),
    Breakage(
        "the bound lost",
        rewriting(PoolBeforeActivation(), lambda r: with_layers(r, max_value=None)),
        chain(IMAGE, {"ReLU": {"max_value": 0.7}}, POOL),
    ),
)
