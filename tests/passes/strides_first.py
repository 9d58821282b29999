"""Cases of the pass `strides-first`."""

from dataclasses import replace
from typing import Any

from archspec.graph.ir import Edge, Graph
from archspec.optimize.passes.strides_first import StridesFirst
from tests.graphs import GraphBuilder
from tests.passes import Breakage, Case, Refusal, chain, mutant, named, rewriting, with_layers

IMAGE = (8, 7, 4)


def conv(kernel: Any = 1, **arguments: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": 4, "kernel_size": kernel, **arguments}}


def stage_head(shape: Any = IMAGE, strides: tuple[Any, Any] = (2, 2), statistics: bool = True) -> Graph:
    """The end of a residual block, and the two convolutions that the next stage of a ResNet begins with."""
    builder = GraphBuilder("stage_head")
    x = builder.input("x", shape)
    x = builder.apply("ReLU", builder.apply({"Dense": 4}, x))
    y = builder.chain(x, conv(3, padding="same"), "ReLU", conv(), *(["BatchNormalization"] if statistics else []))
    y = builder.apply("ReLU", builder.apply("Add", y, x), name="out")
    short, long = (builder.apply(conv(strides=s), y) for s in strides)
    return builder.graph(short, builder.chain(long, "ReLU", conv(3, padding="same")))


def excited(strides: Any = 2) -> Graph:
    """Squeeze and excitation before a strided convolution: a factor for each channel."""
    builder = GraphBuilder("excited")
    x = builder.chain(builder.input("x", IMAGE), conv())
    factor = builder.chain(x, {"GlobalAveragePooling2D": {"keepdims": True}}, conv(activation="sigmoid"))
    return builder.graph(builder.chain(builder.apply("Multiply", x, factor), conv(strides=strides)))


def halves() -> Graph:
    """The larger half of the channels: two results of one layer go into the next."""
    builder = GraphBuilder("halves")
    x = builder.apply({"Conv2D": {"filters": 8, "kernel_size": 1}}, builder.input("x", IMAGE))
    parts = builder.apply({"Formula": {"expression": "split(x, 2, axis=-1)", "arguments": ["x"]}}, x, name="parts")
    return builder.graph(builder.apply(conv(strides=2), builder.apply("Maximum", parts, Edge("parts", 1))))


def used_twice() -> Graph:
    """A convolution that reads its own result."""
    builder = GraphBuilder("used_twice")
    first = builder.apply(conv(strides=2), builder.input("x", IMAGE), name="first")
    return builder.graph(builder.apply(conv(strides=2), first, name="second", shares="first"))


def frozen(graph: Graph) -> Graph:
    return replace(graph, nodes={name: replace(node, trainable=False) for name, node in graph.nodes.items()})


CASES = (
    Case("ResNet's stage head", stage_head(), 4),
    Case("steps", chain((9, 3), {"Dense": 4}, "ReLU", {"Conv1D": {"filters": 2, "kernel_size": 1, "strides": 3}}), 2),
    Case("into a 1×1", chain(IMAGE, conv(), "ReLU", conv(strides=2)), 2),
    Case("into a 3×3 without padding", chain((9, 9, 3), conv(3), conv(strides=2)), 1),
    Case("into a 3×3 of an odd size", chain((9, 7, 3), conv(3, padding="same"), conv(strides=2)), 1),
    Case("into one with strides", chain((17, 17, 3), conv(3, strides=2), "ReLU", conv(strides=[1, 3])), 2),
    Case("into a pooling", chain((9, 9, 3), {"MaxPooling2D": {"pool_size": 3, "strides": 1}}, conv(strides=2)), 1),
    Case("picked by a pooling", chain(IMAGE, conv(), "ReLU", {"AveragePooling2D": {"pool_size": 1, "strides": 2}}), 2),
    Case("a factor for each channel", excited(), 1),
    Case("two halves", halves(), 1),
    Case("layer normalisation", chain(IMAGE, "LayerNormalization", conv(strides=2)), 1),
    Case("unknown size", chain((None, None, 3), conv(), "ReLU", conv(strides=2)), 2),
    Case("in training, without statistics", stage_head(statistics=False), 3, "training"),
    Case("in training, frozen", frozen(stage_head()), 4, "training"),
)
REFUSALS = (
    Refusal("a convolution that reads its own result", used_twice(), "first uses the same weights"),
    Refusal("other strides", stage_head(strides=(2, 4)), "not all readers"),
    Refusal("a reader of all pixels", stage_head(strides=(2, 1)), "not all readers"),
    Refusal("an even size", chain((8, 8, 3), conv(3, padding="same"), conv(strides=2)), "starts elsewhere"),
    Refusal("dilation", chain((9, 9, 3), conv(3, dilation_rate=2), conv(strides=2)), "dilated"),
    Refusal("statistics", chain(IMAGE, "BatchNormalization", conv(strides=2)), "a batch's statistics", "training"),
    Refusal("no product gains", chain(IMAGE, "ReLU", conv(strides=2)), "no product", "training"),
    Refusal("an output", named(chain(IMAGE, "ReLU", conv(strides=2)), r="re_lu1"), "named tensor", "training"),
    Refusal(
        "along the image", chain(IMAGE, {"LayerNormalization": {"axis": [1, 2, 3]}}, conv(strides=2)), "along an axis"
    ),
    Refusal(
        "fused with what cannot skip",
        chain((8, 8, 3), conv(3, padding="same"), "BatchNormalization", "ReLU", conv(strides=2)),
        "parted from conv2d1",
    ),
    Refusal("a larger window", chain(IMAGE, "ReLU", conv(3, strides=2))),
)


def _without_batch_check(draft, node, answer):
    from archspec.optimize.rewrite import Skip

    if isinstance(answer, Skip) and "statistics" in answer.reason:
        level, draft.level = draft.level, "inference"
        try:
            return StridesFirst().match(draft, node)
        finally:
            draft.level = level
    return answer


def _same_anyway(draft, node, answer):
    """Believes that `same` starts at the same place under all strides."""
    from archspec.optimize.passes import strides_first

    right = strides_first.zeros_of_same
    strides_first.zeros_of_same = lambda length, span, stride: 0
    try:
        return StridesFirst().match(draft, node)
    finally:
        strides_first.zeros_of_same = right


BREAKAGES = (
    Breakage("live statistics", mutant(StridesFirst(), _without_batch_check),
             chain(IMAGE, "BatchNormalization", conv(strides=2)), "training"),
    Breakage("`same` wherever it starts", mutant(StridesFirst(), _same_anyway),
             chain((8, 8, 3), conv(3, padding="same"), conv(strides=2))),
    Breakage("strides left in their place", rewriting(StridesFirst(), lambda r: with_layers(r, strides=(2, 2))),
             stage_head(), "inference"),
    Breakage("windows of 2 for picking", rewriting(StridesFirst(), lambda r: with_layers(r, pool_size=(2, 2))),
             chain((8, 8, 4), "ReLU", conv(strides=2)), "inference"),
)  # fmt: skip
