"""Cases of the pass `average-pool-first`."""

from dataclasses import replace
from typing import Any

from archspec.graph.ir import Edge
from archspec.optimize.passes.average_pool_first import AveragePoolFirst
from archspec.optimize.rewrite import Rewrite
from tests.passes import Breakage, Case, Refusal, chain, mutant, rewriting, two_readers, with_layers

IMAGE = (7, 6, 4)


def conv(kernel: Any = 1, **arguments: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": 6, "kernel_size": kernel, **arguments}}


def pool(size: int = 2, **arguments: Any) -> dict[str, Any]:
    return {"AveragePooling2D": {"pool_size": size, **arguments}}


CASES = (
    Case("DenseNet's transition", chain(IMAGE, "BatchNormalization", "ReLU", conv(use_bias=False), pool()), 1),
    Case("a bias", chain(IMAGE, conv(), pool()), 1),
    Case("same padding and a bias", chain(IMAGE, conv(), pool(3, strides=2, padding="same")), 1),
    Case("groups", chain(IMAGE, conv(groups=2), pool()), 1),
    Case("dense of steps", chain((6, 4), {"Dense": 3}, {"AveragePooling1D": 2}), 1),
    Case("global after dense", chain((6, 4), {"Dense": 3}, "GlobalAveragePooling1D"), 1),
    Case("global after a convolution", chain(IMAGE, conv(), "GlobalAveragePooling2D", {"Dense": 2}), 1),
    Case("global, kept", chain(IMAGE, conv(), {"GlobalAveragePooling2D": {"keepdims": True}}), 1),
    Case("unknown size", chain((None, None, 4), conv(), pool()), 1),
    Case("in training", chain(IMAGE, "BatchNormalization", conv(), pool()), 1, "training"),
)
REFUSALS = (
    Refusal("an activation", chain(IMAGE, conv(activation="relu"), pool()), "has an activation"),
    Refusal("two readers", two_readers(IMAGE, [conv()], pool()), "is read"),
    Refusal("strides", chain(IMAGE, conv(strides=2), pool()), "skips pixels"),
    Refusal("nothing gets smaller", chain(IMAGE, conv(), pool(3, strides=1)), "as many"),
    Refusal("a loss", chain(IMAGE, conv(activity_regularizer="L2"), pool()), "loss"),
    Refusal("whole numbers", chain((6, 4), {"Dense": 3}, {"AveragePooling1D": 2}, dtype="int32"), "another dtype"),
    Refusal("a larger window", chain(IMAGE, conv(3), pool())),
    Refusal("a maximum", chain(IMAGE, conv(), "MaxPooling2D")),
)


def _always(draft, node, answer):
    """Believes that every layer before a pooling is a linear map of channels."""
    if "pooling" not in node.name:
        return None
    linear = draft.producer(node)
    if not linear.inputs or "pooling" in linear.name or node.name in [e.node for e in linear.inputs]:
        return None
    before = draft.input_types(linear)[0]
    pooled = replace(
        node, inputs=linear.inputs, outputs=(before.with_shape(*node.outputs[0].shape[:-1], before.shape[-1]),)
    )
    new = replace(linear, inputs=(Edge(node.name),), outputs=node.outputs)
    return Rewrite((linear.name, node.name), (pooled, new), {Edge(node.name): Edge(new.name)})


BREAKAGES = (
    Breakage("an activation", mutant(AveragePoolFirst(), _always), chain(IMAGE, conv(activation="relu"), pool())),
    Breakage("a maximum", mutant(AveragePoolFirst(), _always), chain(IMAGE, conv(), "MaxPooling2D")),
    Breakage(
        "a larger window", mutant(AveragePoolFirst(), _always), chain((8, 8, 4), conv(3, padding="same"), pool())
    ),
    Breakage(
        "the bias lost",
        rewriting(AveragePoolFirst(), lambda r: with_layers(r, use_bias=False)),
        chain(IMAGE, conv(), pool()),
    ),
    Breakage(
        "a loss in training", mutant(AveragePoolFirst(), _always),
        chain(IMAGE, conv(activity_regularizer="L2"), pool()), "training",
    ),
)  # fmt: skip
