"""Cases of the pass `fold-scale`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from archspec.graph.ir import Graph
from archspec.optimize.passes.fold_scale import FoldScale
from archspec.optimize.rewrite import Pass, Rewrite
from tests.graphs import GraphBuilder, LayerLike
from tests.passes import Breakage, Case, Refusal, chain, rewriting, two_readers

IMAGE = (6, 5, 4)
MULTIPLY = "Multiply"


def formula(expression: str, *arguments: str) -> dict[str, Any]:
    return {"Formula": {"expression": expression, "arguments": list(arguments)}}


def scaled(
    layer: LayerLike, shape: Sequence[int], by: LayerLike = MULTIPLY, first: bool = False, both: bool = False
) -> Graph:
    """A layer on an image, times a weight of that shape; `first`: the weight stands before it."""
    b = GraphBuilder("scaled")
    y = b.apply(layer, b.input("image", IMAGE))
    gamma = b.apply({"Weight": {"shape": shape}}, name="gamma")
    z = b.apply(by, *((gamma, y) if first else (y, gamma)))
    return b.graph(z, b.apply("Add", y, gamma)) if both else b.graph(z)


def residual(expression: str, layer: LayerLike) -> Graph:
    b = GraphBuilder("residual")
    x = b.input("image", IMAGE)
    return b.graph(b.apply(formula(expression, "start", "up"), x, b.apply(layer, x)))


def widened() -> Graph:
    b = GraphBuilder("widened")
    x = b.input("image", IMAGE)
    mean = b.apply({"GlobalAveragePooling2D": {"keepdims": True}}, x)
    return b.graph(b.apply(formula("start + 2 * up", "start", "up"), mean, b.apply({"Dense": 4}, x)))


DENSE = {"Dense": 7}
CONV = {"Conv2D": {"filters": 6, "kernel_size": 3, "padding": "same", "groups": 2, "use_bias": False}}
CASES = (
    Case("LayerScale", scaled(DENSE, (7,)), 1),
    Case("before it", scaled(DENSE, (1, 7), first=True), 1),
    Case("of a convolution", scaled(CONV, (1, 1, 6)), 1),
    Case("in a formula", scaled(CONV, (1, 1, 6), formula("x * gamma", "x", "gamma")), 1),
    Case("in another", scaled(DENSE, (1, 1, 7), formula("x * y", "x", "y"), first=True), 1),
    Case("one number for all", scaled({"Conv2DTranspose": {"filters": 3, "kernel_size": 2}}, (1,)), 1),
    Case("transposed", scaled({"Conv2DTranspose": {"filters": 3, "kernel_size": 2}}, (3,)), 1),
    Case("depthwise", scaled({"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2}}, (8,)), 1),
    Case("separable", scaled({"SeparableConv2D": {"filters": 5, "kernel_size": 3, "use_bias": False}}, (5,)), 1),
    Case("a rescaling", chain(IMAGE, DENSE, {"Rescaling": {"scale": -0.5}}, "ReLU"), 1),
    Case("with an offset", chain(IMAGE, CONV, {"Rescaling": {"scale": 0.5, "offset": [1, 2, 3, 4, 5, 6]}}), 1),
    Case("of each channel", chain(IMAGE, {"Dense": 2}, {"Rescaling": {"scale": [2.0, -3.0]}}), 1),
    Case("by a number", chain(IMAGE, DENSE, formula("x / sqrt(7)", "x")), 1),
    Case("a residual", residual("start + 0.17 * up", {"Dense": 4}), 1),
    Case("a residual behind", residual("up * -2 + start", {"Dense": 4}), 1),
)
REFUSALS = (
    Refusal("an activation", scaled({"Dense": {"units": 7, "activation": "tanh"}}, (7,)), "has an activation, tanh"),
    Refusal("read elsewhere", two_readers(IMAGE, [DENSE], {"Rescaling": 0.5}), "is read 3 times"),
    Refusal("a weight read elsewhere", scaled(DENSE, (7,), both=True), "is read 2 times"),
    Refusal("more channels", scaled({"Dense": 1}, (7,)), "makes (6, 5, 7) of it"),
    Refusal("a weight of places", scaled(DENSE, (5, 7))),
    Refusal("behind a relu", chain(IMAGE, DENSE, "ReLU", {"Rescaling": 0.5})),
    Refusal("a sum that repeats", residual("start[:, :1] + 2 * up", {"Dense": 4})),
    Refusal("a sum that repeats", widened(), "repeats one"),
    Refusal("a sum", residual("start + up", {"Dense": 4})),
    Refusal("the square", chain(IMAGE, DENSE, formula("x * x", "x"))),
)


def affine(change: Any) -> Pass:
    """The pass with the layer's new weights changed, by what they were."""

    def folded(rewrite: Rewrite) -> Rewrite:
        right = rewrite.weights
        assert right
        return replace(rewrite, weights=lambda w: {name: change(new, w[name]) for name, new in right(w).items()})

    return rewriting(FoldScale(), folded)


BREAKAGES = (
    Breakage("nothing scaled", affine(lambda new, old: old), scaled(DENSE, (7,))),
    Breakage("the bias not scaled", affine(lambda new, old: (new[0], old[1])), scaled(DENSE, (7,))),
    Breakage("the kernel not scaled", affine(lambda new, old: (old[0], new[1])), scaled(DENSE, (7,))),
    Breakage(
        "the channels turned",
        affine(lambda new, old: (old[0] * np.flip(new[0] / old[0], -1),)),
        scaled(CONV, (6,)),
    ),
    Breakage(
        "scaled twice",
        affine(lambda new, old: (new[0] * new[0] / old[0], new[1])),
        residual("start + 2 * up", {"Dense": 4}),
    ),
)
