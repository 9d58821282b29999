"""Cases of the pass `paddings`."""

from typing import Any

from archspec.graph.ir import Graph
from archspec.optimize.passes.paddings import Paddings
from tests.passes import Breakage, Case, Refusal, chain, mutant, rewriting, two_readers, with_layers


def conv(kernel: Any = 3, **arguments: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": 4, "kernel_size": kernel, **arguments}}


def pad(*sides: Any) -> dict[str, Any]:
    return {"ZeroPadding2D": list(sides)}


def padded(size: int | None, sides: list[Any], layer: Any, *before: Any) -> Graph:
    return chain((size, size, 3), *before, pad(*sides), layer)


POOL = {"MaxPooling2D": {"pool_size": 3, "strides": 2}}
CASES = (
    Case("3×3", padded(6, [1, 1], conv()), 1),
    Case("3×3, unknown size", padded(None, [1, 1], conv()), 1),
    Case("stride 2, even", padded(8, [[0, 1], [0, 1]], conv(strides=2)), 1),
    Case("stride 2, odd", padded(7, [1, 1], conv(strides=2)), 1),
    Case("more than is read", padded(8, [[0, 2], [0, 2]], conv(strides=2)), 1),
    Case("1×1 and stride", padded(7, [[0, 1], [0, 1]], conv(1, strides=2)), 1),
    Case("dilated", padded(9, [2, 2], conv(dilation_rate=2)), 1),
    Case("depthwise", padded(8, [[0, 1], [0, 1]], {"DepthwiseConv2D": {"kernel_size": 3, "strides": 2}}), 1),
    Case("separable", padded(8, [1, 1], {"SeparableConv2D": {"filters": 2, "kernel_size": 3}}), 1),
    Case("max pooling of what relu gives", padded(7, [1, 1], POOL, "ReLU"), 1),
    Case("causal", chain((7, 3), {"ZeroPadding1D": [4, 0]},
                         {"Conv1D": {"filters": 2, "kernel_size": 3, "dilation_rate": 2}}), 1),
    Case("another reader of the pad", two_readers((6, 6, 3), [pad(1, 1)], conv()), 1),
    Case("in training", padded(8, [[0, 1], [0, 1]], conv(strides=2)), 1, "training"),
)  # fmt: skip
REFUSALS = (
    Refusal("symmetric at stride 2", padded(8, [1, 1], conv(strides=2)), "`same` would pad 0+1"),
    Refusal("too much", padded(8, [2, 2], conv()), "another number of windows"),
    Refusal("stride 2, unknown size", padded(None, [[0, 1], [0, 1]], conv(strides=2)), "another number"),
    Refusal("a mean", padded(8, [1, 1], {"AveragePooling2D": {"pool_size": 3, "strides": 1}}), "counts the zeros"),
    Refusal("a maximum of anything", padded(7, [1, 1], POOL), "may be negative"),
    Refusal(
        "a recurrent layer, whose gates have signs",
        chain((7, 3), {"LSTM": {"units": 2, "activation": "relu", "recurrent_activation": "tanh",
                                "return_sequences": True}},
              {"ZeroPadding1D": 1}, {"MaxPooling1D": {"pool_size": 3, "strides": 2}}),
        "may be negative",
    ),
    Refusal("padded twice", padded(8, [1, 1], conv(padding="same"))),
)  # fmt: skip


def _gone(rewrite):
    """The pad goes, the layer pads nothing."""
    return with_layers(rewrite, padding="valid")


def _believing():
    """Takes every pad for `same`."""
    from dataclasses import replace

    from archspec.optimize.rewrite import Rewrite, changed

    def change(draft, node, answer):
        if not hasattr(node.layer, "padding") or type(draft.producer(node).layer).__name__ != "ZeroPadding2D":
            return None
        before = draft.producer(node)
        new = replace(node, layer=changed(node.layer, padding="same"), inputs=before.inputs)
        return Rewrite((before.name, node.name), (new,))

    return mutant(Paddings(), lambda draft, node, answer: change(draft, node, answer) if node.inputs else None)


BREAKAGES = (
    Breakage("symmetric at stride 2", _believing(), padded(8, [1, 1], conv(strides=2))),
    Breakage("a mean that counts zeros", _believing(),
             padded(8, [1, 1], {"AveragePooling2D": {"pool_size": 3, "strides": 1}})),
    Breakage("a maximum of what is negative", _believing(), padded(7, [1, 1], POOL)),
    Breakage("no padding at all", rewriting(Paddings(), _gone), padded(6, [1, 1], conv())),
)  # fmt: skip
