"""Cases of the pass `separable-split`."""

from typing import Any

from archspec.optimize.passes.separable_split import SeparableSplit
from tests.passes import Breakage, Case, Refusal, chain, reweighing, rewriting, with_layers

IMAGE = (8, 7, 4)


def separable(**arguments: Any) -> dict[str, Any]:
    return {"SeparableConv2D": {"filters": 5, "kernel_size": 3, **arguments}}


STRIDED = separable(strides=2, padding="same", depth_multiplier=2, activation="relu")
ONE_AXIS = {"SeparableConv1D": {"filters": 4, "kernel_size": 3, "pointwise_regularizer": "L1"}}
GRAPHS = {
    "before a relu": chain(IMAGE, separable(), "ReLU"),
    "strides": chain(IMAGE, STRIDED),
    "dilation": chain(IMAGE, separable(dilation_rate=2, use_bias=False, depthwise_regularizer="L2")),
    "a sequence": chain((9, 3), ONE_AXIS),
}
CASES = tuple(
    Case(f"{name}, {level}", graph, 1, level) for name, graph in GRAPHS.items() for level in ("training", "inference")
)
REFUSALS = (Refusal("a loss", chain(IMAGE, separable(activity_regularizer="L2")), "adds a loss", "training"),)
PASS = SeparableSplit()
BREAKAGES = (
    Breakage("windows turned", reweighing(PASS, lambda v: v[::-1] if v.ndim == 4 else v), chain(IMAGE, separable())),
    Breakage("no activation", rewriting(PASS, lambda r: with_layers(r, activation=None)), chain(IMAGE, STRIDED)),
    Breakage(
        "no loss",
        rewriting(PASS, lambda r: with_layers(r, depthwise_regularizer=None)),
        chain(IMAGE, separable(depthwise_regularizer="L2")),
    ),
    Breakage("a wrong way back", reweighing(PASS, lambda v: 2 * v, "undo"), chain(IMAGE, separable())),
)
