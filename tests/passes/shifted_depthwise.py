"""Cases of the pass `shifted-depthwise`."""

from typing import Any

from archspec.optimize.passes.shifted_depthwise import ShiftedDepthwise
from tests.passes import Breakage, Case, Refusal, chain, rewriting, with_layers


def depthwise(**arguments: Any) -> dict[str, Any]:
    return {"DepthwiseConv2D": {"kernel_size": 3, **arguments}}


CASES = (
    Case("valid", chain((7, 6, 4), depthwise()), 1),
    Case("same", chain((7, 6, 4), depthwise(padding="same", activation="relu")), 1),
    Case("strides", chain((8, 7, 4), depthwise(strides=2, padding="same")), 1),
    Case("a wide window", chain((8, 9, 3), depthwise(kernel_size=[2, 5], padding="same", use_bias=False)), 1),
    Case("dilation", chain((9, 9, 3), depthwise(dilation_rate=2, padding="same")), 1),
    Case("unknown size", chain((None, None, 3), depthwise(strides=2, padding="same")), 1),
    Case("in training", chain((7, 6, 4), depthwise(padding="same"), "BatchNormalization", "ReLU"), 1, "training"),
)
REFUSALS = (
    Refusal("several channels of one", chain((7, 6, 4), depthwise(depth_multiplier=2)), "several channels"),
    Refusal("a large window", chain((12, 12, 4), depthwise(kernel_size=9)), "more than 49"),
    Refusal("a convolution", chain((7, 6, 4), {"Conv2D": {"filters": 4, "kernel_size": 3, "groups": 4}})),
)
BREAKAGES = (
    Breakage(
        "the bias lost",
        rewriting(ShiftedDepthwise(), lambda r: with_layers(r, use_bias=False)),
        chain((7, 6, 4), depthwise()),
    ),
    Breakage(
        "the activation lost",
        rewriting(ShiftedDepthwise(), lambda r: with_layers(r, activation=None)),
        chain((7, 6, 4), depthwise(activation="relu")),
    ),
    Breakage(
        "dilation lost",
        rewriting(ShiftedDepthwise(), lambda r: with_layers(r, dilation_rate=1)),
        chain((9, 9, 3), depthwise(dilation_rate=2, padding="same")),
    ),
    Breakage(
        "the window turned",
        rewriting(ShiftedDepthwise(), lambda r: with_layers(r, kernel_size=(5, 3))),
        chain((9, 9, 3), depthwise(kernel_size=[3, 5], padding="same")),
    ),
)
