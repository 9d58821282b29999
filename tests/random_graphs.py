"""Graphs drawn at random, of the layers that passes look for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from archspec.graph.ir import Edge, Graph
from archspec.layers.normalization import LayerNormalization
from archspec.tensor import ShapeError
from tests.graphs import GraphBuilder

SIZES = st.sampled_from([1, 2, 3])
PADDING = st.sampled_from(["same", "valid"])
ACTIVATIONS = st.sampled_from(["relu", "relu6", "tanh", "gelu", "linear", "sigmoid", "softmax"])
JOINS = ("Add", "Multiply", "Maximum", "Minimum", "Average", "Concatenate", "Subtract")
SHAPES = {1: [(9, 4), (12, 4)], 2: [(5, 5, 4), (6, 6, 4), (8, 7, 4), (None, None, 4)], 3: [(5, 4, 6, 4)]}
LARGEST = 4000  # values of a tensor

Layer = dict[str, Any]


def _seldom(draw: st.DrawFn, value: Any) -> Any:
    """The value, in one of eight draws; else None."""
    return value if draw(st.integers(0, 7)) == 0 else None


@st.composite
def convolutions(draw: st.DrawFn, rank: int, kernel_size: Any = SIZES) -> Layer:
    """Any convolution of that many spatial axes."""
    kinds = ["Conv", "Conv", "Conv", *(["DepthwiseConv", "SeparableConv"] if rank < 3 else [])]
    kind = draw(st.sampled_from(kinds))
    options = {
        "kernel_size": draw(kernel_size),
        "padding": draw(PADDING),
        "use_bias": draw(st.booleans()),
        "activation": draw(st.one_of(st.none(), st.none(), ACTIVATIONS)),
        "activity_regularizer": _seldom(draw, {"L2": 0.01}),
    }
    wide = draw(st.sampled_from([None, None, "strides", "dilation_rate"]))
    if wide:
        options[wide] = 2
    if kind == "Conv":
        options["groups"] = draw(st.sampled_from([1, 1, 1, 2]))
        options["kernel_regularizer"] = _seldom(draw, {"L2": 0.01})
        if rank == 1 and draw(st.booleans()):
            options["padding"] = "causal"
    else:
        options["depth_multiplier"] = draw(st.sampled_from([1, 1, 2]))
    if kind != "DepthwiseConv":
        options["filters"] = 4
    return {f"{kind}{rank}D": options}


def _formula(expression: str) -> Layer:
    return {"Formula": {"expression": expression, "arguments": ["x"]}}


@st.composite
def layers(draw: st.DrawFn, rank: int) -> Layer:
    """A layer that takes one image, sequence or volume."""
    bias, window = draw(st.booleans()), {"pool_size": draw(SIZES), "strides": draw(SIZES), "padding": draw(PADDING)}
    pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))
    widths = [list(pair) for pair in draw(st.lists(pairs, min_size=rank, max_size=rank))]
    cropped = [[min(width, 1) for width in pair] for pair in widths]
    norm = {"scale": draw(st.booleans()), "center": draw(st.booleans()), "axis": draw(st.sampled_from([-1, -1, -1, 1]))}
    places = draw(st.permutations(range(1, rank + 1)))
    return draw(
        st.sampled_from(
            [
                draw(convolutions(rank)),
                draw(convolutions(rank, st.just(1))),
                {f"Conv{rank}D": {"filters": 4, "kernel_size": 1, "strides": 2, "use_bias": bias}},
                {f"Conv{rank}DTranspose": {"filters": 4, "kernel_size": 2, "use_bias": bias}},
                {"Dense": {"units": 4, "use_bias": bias}},
                {"BatchNormalization": norm},
                {"LayerNormalization": {"scale": norm["scale"], "axis": norm["axis"]}},
                {"Activation": {"activation": draw(ACTIVATIONS)}},
                {
                    "ReLU": {
                        "max_value": draw(st.sampled_from([None, 0.7])),
                        "threshold": draw(st.sampled_from([0, 0.2])),
                    }
                },
                {"LeakyReLU": {"negative_slope": draw(st.sampled_from([0.1, 0.2]))}},
                {f"MaxPooling{rank}D": window},
                {f"AveragePooling{rank}D": window},
                {f"ZeroPadding{rank}D": {"padding": widths if rank > 1 else widths[0]}},
                {f"Cropping{rank}D": {"cropping": cropped if rank > 1 else cropped[0]}},
                {f"UpSampling{rank}D": {"size": draw(st.sampled_from([1, 2]))}},
                {"Permute": {"dims": [*places, rank + 1]}},
                _formula(draw(st.sampled_from(["x * 0.5", "cast(x, 'float32')", "moveaxis(x, 1, -2)", "x - 0.1 * x"]))),
                {"Rescaling": {"scale": 2.0, "offset": draw(st.sampled_from([0.0, 0.3]))}},
                {"Dropout": {"rate": draw(st.sampled_from([0.0, 0.4]))}},
                {"ActivityRegularization": {"l2": 0.01}},
                {"Identity": {"dtype": draw(st.sampled_from([None, None, None, "float64"]))}},
            ]
        )
    )


@st.composite
def motifs(draw: st.DrawFn, rank: int) -> list[Layer]:
    """Layers one behind the other that some pass looks for."""
    bias, channels = draw(st.booleans()), 4
    conv = draw(convolutions(rank))
    plain = {f"Conv{rank}D": {"filters": channels, "kernel_size": draw(SIZES), "use_bias": bias,
                              "padding": draw(PADDING)}}  # fmt: skip
    one = {f"Conv{rank}D": {"filters": channels, "kernel_size": 1, "use_bias": bias}}
    skip = {f"Conv{rank}D": {"filters": channels, "kernel_size": 1, "strides": 2}}
    act = {"Activation": {"activation": draw(ACTIVATIONS)}}
    sides = draw(st.sampled_from([[1, 1], [0, 1], [1, 0]]))
    pad = {f"ZeroPadding{rank}D": {"padding": [sides] * rank if rank > 1 else sides}}
    strided = {f"Conv{rank}D": {"filters": channels, "kernel_size": 3, "strides": draw(st.sampled_from([1, 2]))}}
    pool = {f"MaxPooling{rank}D": {"pool_size": 3, "strides": 2, "padding": draw(PADDING)}}
    mean = {f"AveragePooling{rank}D": {"pool_size": 2, "padding": draw(PADDING)}}
    norm: Layer = {"BatchNormalization": {"scale": draw(st.booleans())}}
    return draw(
        st.sampled_from(
            [[conv, norm, act], [conv, act, skip], [plain, norm, act, skip], [act, pool], [norm, act, pool],
             [pad, strided], [act, pad, pool], [one, mean], [norm, act, one, mean], [norm, act, one], [norm, plain],
             [pad, pad], [one, norm, skip], [skip, norm, act], [plain, plain], [conv, {"Rescaling": 0.5}],
             [{"LayerNormalization": {}}, {"Dense": 4}]]
        )
    )  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """One tensor through layers, of which some are joined, read twice, or used twice; one or two results."""
    rank = draw(st.sampled_from([2, 2, 2, 1, 3]))
    builder = GraphBuilder("random")
    tensors = [builder.input("x", draw(st.sampled_from(SHAPES[rank])))]
    for _ in range(draw(st.integers(2, 9))):
        start = draw(st.sampled_from(tensors[-3:]))
        for layer in draw(st.one_of(layers(rank).map(lambda layer: [layer]), motifs(rank))):
            made = _applied(builder, layer, [start], trainable=draw(st.integers(0, 7)) > 0)
            if made is None:
                break
            tensors.append(start := made)
        tensors += _more(draw, builder, tensors)
    end = builder.apply(f"GlobalAveragePooling{rank}D", tensors[-1])
    ends = [{"Dense": 3}, {"Dense": {"units": 3, "activation": "softmax"}}]
    more = [draw(st.sampled_from(tensors))] if draw(st.booleans()) else []
    heads = [builder.apply(draw(st.sampled_from(ends)), end) for _ in range(draw(st.integers(1, 2)))]
    graph = builder.graph(*heads, *more)
    return replace(graph, tensors={"kept": draw(st.sampled_from(tensors))}) if draw(st.booleans()) else graph


def _more(draw: st.DrawFn, builder: GraphBuilder, tensors: list[Edge]) -> list[Edge]:
    """A join with another tensor, a factor for each channel, halves of the channels, or a layer used again."""
    kind = draw(st.sampled_from(["nothing", "nothing", "nothing", "join", "join", "factor", "halves", "again"]))
    last = tensors[-1]
    shape = builder.nodes[last.node].outputs[last.index].shape
    channels, made = shape[-1] or 0, None
    if kind == "join" and None not in shape:  # which may differ where they are not known
        made = _applied(builder, draw(st.sampled_from(JOINS)), [last, draw(st.sampled_from(tensors))])
    elif kind == "factor":
        made = _applied(builder, "Multiply", [last, builder.apply({"Weight": {"shape": (channels,)}})])
    elif kind == "halves" and channels % 2 == 0:
        halves = _applied(builder, _formula("split(x, 2, axis=-1)"), [last])
        if halves:
            made = _applied(builder, draw(st.sampled_from(JOINS)), [halves, Edge(halves.node, 1)])
    elif kind == "again":
        made = _again(draw, builder, last)
    return [made] if made else []


def _again(draw: st.DrawFn, builder: GraphBuilder, edge: Edge) -> Edge | None:
    """Another use of a layer with weights, on a tensor of the type that it was made for."""
    given = builder.nodes[edge.node].outputs[edge.index]
    fits = [
        node
        for node in builder.nodes.values()
        if len(node.inputs) == 1
        and not node.shares
        and builder.nodes[node.inputs[0].node].outputs[node.inputs[0].index] == given
        and node.layer.weights(given)
    ]
    owner = draw(st.sampled_from(fits)) if fits else None
    return owner and _applied(builder, owner.layer, [edge], shares=owner.name, trainable=owner.trainable)


def _applied(builder: GraphBuilder, layer: Any, edges: list[Edge], **options: Any) -> Edge | None:
    """The layer's result; None where it does not fit, the tensor would become large, or nothing is left but rounding,
    as where one number is normalised by itself."""
    try:
        made = builder.apply(layer, *edges, **options)
    except ShapeError:
        return None
    node = builder.nodes[made.node]
    if isinstance(node.layer, LayerNormalization) and (None, *node.outputs[0].shape)[node.layer.axis] == 1:
        return None
    return made if sum(output.size for output in node.outputs) < LARGEST else None
