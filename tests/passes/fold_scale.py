"""Cases of the pass `fold-scale`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from archspec.graph.ir import Graph, Node
from archspec.optimize.draft import Draft
from archspec.optimize.passes import fold_scale
from archspec.optimize.passes.fold_scale import FoldScale
from archspec.optimize.rewrite import Answer, Pass, Rewrite
from tests.graphs import GraphBuilder, LayerLike
from tests.passes import Breakage, Case, Refusal, chain, mutant, rewriting, two_readers

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


def half(*layers: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers, each with one number as its argument, in float16."""
    names = {"Rescaling": "scale", "Dense": "units"}
    return [{kind: {names[kind]: value, "dtype": "float16"}} for each in layers for kind, value in each.items()]


def scaled_before(layer: LayerLike) -> Graph:
    b = GraphBuilder("before")
    x = b.input("image", IMAGE)
    gamma = b.apply({"Weight": {"shape": [4]}}, name="gamma")
    return b.graph(b.apply(layer, b.apply(MULTIPLY, x, gamma)))


DENSE = {"Dense": 7}
TANH = {"Dense": {"units": 5, "activation": "tanh"}}
VALID = {"Conv2D": {"filters": 5, "kernel_size": 3, "use_bias": False}}
MOMENTS = {"Normalization": {"mean": [0.5, 2.0, -1.0, 3.0], "variance": [0.3, 2.0, 1.0, 0.0001]}}
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
    Case("as of a saved model", chain(IMAGE, DENSE, formula("true_divide(x, 7.0)", "x")), 1),
    Case("a number added", chain(IMAGE, CONV, formula("subtract(x, 0.5)", "x"), formula("-2.0 + x", "x")), 2),
    Case("both in one", chain(IMAGE, formula("x / 127.5 - 1", "x"), VALID), 1),
    Case("a residual", residual("start + 0.17 * up", {"Dense": 4}), 1),
    Case("a residual behind", residual("up * -2 + start", {"Dense": 4}), 1),
    Case("forward", chain(IMAGE, {"Rescaling": {"scale": 0.5, "offset": -1}}, VALID), 1),
    Case("forward without an offset, into what pads", chain(IMAGE, {"Rescaling": [0.5, 2.0, -1.0, 3.0]}, CONV), 1),
    Case("forward, of a formula", chain(IMAGE, formula("x / 7", "x"), {"DepthwiseConv2D": 3}), 1),
    Case("forward, a weight", scaled_before(DENSE), 1),
    Case("forward, as behind an activation", chain(IMAGE, TANH, {"Rescaling": 0.5}, DENSE), 1),
    Case("forward for each place", chain(IMAGE, MOMENTS, "Flatten", DENSE), 1),
    Case("a normalisation that was learnt", chain(IMAGE, "Normalization", {"Reshape": [5, 24]}, DENSE), 1),
    Case("one of all channels", chain(IMAGE, {"Normalization": {"axis": None, "mean": 2, "variance": 3}}, VALID), 1),
    Case("one backwards", chain(IMAGE, {"Dense": 4}, MOMENTS), 1),
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
    Refusal("into a border", chain(IMAGE, {"Rescaling": {"scale": 2, "offset": 1}}, CONV), "would see the shift"),
    Refusal("a normalisation into a border", chain(IMAGE, MOMENTS, CONV), "would see the shift"),
    Refusal("of places", chain(IMAGE, {"Normalization": {"axis": 1}}, VALID)),
    Refusal("inverted", chain(IMAGE, {"Normalization": {"invert": True}}, VALID)),
    Refusal("parted channels", chain(IMAGE, MOMENTS, {"Reshape": [10, 12]}, {"Reshape": [6, 20]}, "ReLU"), "reads it"),
    Refusal("channels of two places", chain(IMAGE, MOMENTS, {"Reshape": [20, 6]}, DENSE), "parts the channels"),
    Refusal("integers", chain(IMAGE, {"Rescaling": 0.5}, VALID, dtype="uint8"), "it makes"),
    Refusal("half precision", chain(IMAGE, *half({"Rescaling": 0.5}, DENSE), dtype="float16"), "float16"),
    Refusal("read by others, too", two_readers(IMAGE, [{"Rescaling": 0.5}], DENSE), "no linear layer"),
    Refusal("more than that", residual("start * up + 1", {"Dense": 4})),
    Refusal("a sum and a number", residual("start + 2 * up - 1", {"Dense": 4})),
    Refusal("turned", chain(IMAGE, DENSE, formula("1 - x", "x"))),
    Refusal("divided by it", chain(IMAGE, DENSE, formula("divide(2.0, x)", "x"))),
    Refusal("the square", chain(IMAGE, DENSE, formula("x * x", "x"))),
)


def affine(change: Any) -> Pass:
    """The pass with the layer's new weights changed, by what they were."""

    def folded(rewrite: Rewrite) -> Rewrite:
        right = rewrite.weights
        assert right
        return replace(rewrite, weights=lambda w: {name: change(new, w[name]) for name, new in right(w).items()})

    return rewriting(FoldScale(), folded)


def _offset_kept_out(draft: Draft, node: Node, answer: Answer) -> Answer:
    """The scale of an image into padded windows as if nothing were added."""
    found = fold_scale._scaling(draft, node)
    return fold_scale._forward(draft, node, replace(found, offset=None)) if found else None


BREAKAGES = (
    Breakage("forward, nothing scaled", affine(lambda new, old: (*old, new[-1])), chain(IMAGE, MOMENTS, VALID)),
    Breakage("forward, nothing added", affine(lambda new, old: (new[0], 0 * new[1])), chain(IMAGE, MOMENTS, VALID)),
    Breakage(
        "forward, an offset at the border",
        mutant(FoldScale(), _offset_kept_out),
        chain(IMAGE, {"Rescaling": {"scale": 2, "offset": 1}}, CONV),
    ),
    Breakage(
        "a number added with the other sign",
        affine(lambda new, old: (new[0], 2 * old[1] - new[1])),
        chain(IMAGE, DENSE, formula("x - 0.5", "x")),
    ),
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
