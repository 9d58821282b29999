"""Cases of the pass `activations`."""

from archspec.optimize.passes.activations import Activations
from tests.passes import Breakage, Case, Refusal, chain, named, rewriting, two_readers, with_layers

CONV = {"Conv2D": {"filters": 4, "kernel_size": 3}}
DENSE = {"Dense": 5}

CASES = (
    Case("relu into conv2d", chain((6, 6, 3), CONV, "ReLU"), 1),
    Case("relu6 into depthwise", chain((6, 6, 3), {"DepthwiseConv2D": 3}, {"ReLU": {"max_value": 6.0}}), 1),
    Case("gelu into dense", chain((4, 6), DENSE, {"Activation": "gelu"}), 1),
    Case("softmax layer into dense", chain((6,), DENSE, "Softmax"), 1),
    Case("elu into separable", chain((8, 3), {"SeparableConv1D": {"filters": 4, "kernel_size": 3}}, "ELU"), 1),
    Case(
        "leaky relu of Keras's own slope into conv1d",
        chain((8, 3), {"Conv1D": {"filters": 4, "kernel_size": 3}}, {"LeakyReLU": 0.2}),
        1,
    ),
    Case("two layers", chain((6, 6, 3), CONV, "ReLU", CONV, {"Activation": "tanh"}), 2),
    Case("in training", chain((6, 6, 3), CONV, "ReLU", "Flatten", DENSE, {"Activation": "silu"}), 2, "training"),
)
REFUSALS = (
    Refusal("an activation is there", chain((6,), {"Dense": {"units": 4, "activation": "relu"}}, "ReLU"), "already"),
    Refusal("two readers", two_readers((6, 6, 3), [CONV], "ReLU"), "is read"),
    Refusal(
        "a loss is taken before it",
        chain((6,), {"Dense": {"units": 4, "activity_regularizer": "L2"}}, "ReLU"),
        "adds a loss",
    ),
    Refusal("a named tensor", named(chain((6,), DENSE, "ReLU"), logits="dense1"), "named tensor logits", "training"),
    Refusal("another slope", chain((6,), DENSE, {"LeakyReLU": 0.1})),
    Refusal("a threshold", chain((6,), DENSE, {"ReLU": {"threshold": 1.0}})),
)
BREAKAGES = (
    Breakage(
        "relu6 taken for relu",
        rewriting(Activations(), lambda r: with_layers(r, activation="relu")),
        chain((6,), DENSE, {"Activation": "relu6"}, {"Dense": 3}),
    ),
    Breakage(
        "the activation forgotten",
        rewriting(Activations(), lambda r: with_layers(r, activation=None)),
        chain((6, 6, 3), CONV, "ReLU"),
    ),
    Breakage(
        "gelu by its approximation",
        rewriting(Activations(), lambda r: with_layers(r, activation="swish")),
        chain((6,), DENSE, {"Activation": "gelu"}),
    ),
    Breakage(
        "the bias lost on the way",
        rewriting(Activations(), lambda r: with_layers(r, use_bias=False)),
        chain((6, 6, 3), CONV, "ReLU"),
    ),
)
