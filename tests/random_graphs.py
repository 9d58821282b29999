"""Graphs drawn at random, of the layers that passes look for."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from archspec.graph.ir import Edge, Graph
from archspec.tensor import ShapeError
from tests.graphs import GraphBuilder

SIZES = st.sampled_from([1, 2, 3])
ACTIVATIONS = st.sampled_from(["relu", "relu6", "tanh", "gelu", "linear", "sigmoid"])


@st.composite
def layers(draw: st.DrawFn) -> dict[str, Any]:
    """A layer that takes one image."""
    kernel = {"kernel_size": draw(SIZES), "strides": draw(st.sampled_from([1, 1, 2])),
              "padding": draw(st.sampled_from(["same", "valid"])), "use_bias": draw(st.booleans())}  # fmt: skip
    window = {"pool_size": draw(SIZES), "strides": draw(st.sampled_from([1, 2])), "padding": kernel["padding"]}
    sides = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=2))
    widths = [list(pair) for pair in sides]
    return draw(
        st.sampled_from(
            [
                {"Conv2D": {"filters": 4, **kernel}},
                {"Conv2D": {"filters": 4, **kernel, "kernel_size": 1}},
                {"Conv2D": {"filters": 4, **kernel, "activation": draw(ACTIVATIONS)}},
                {"DepthwiseConv2D": kernel},
                {"SeparableConv2D": {"filters": 4, **kernel}},
                {"Dense": {"units": 4, "use_bias": kernel["use_bias"]}},
                {"BatchNormalization": {"scale": draw(st.booleans())}},
                {"LayerNormalization": {}},
                {"Activation": {"activation": draw(ACTIVATIONS)}},
                {"ReLU": {}},
                {"LeakyReLU": {"negative_slope": draw(st.sampled_from([0.1, 0.2]))}},
                {"MaxPooling2D": window},
                {"AveragePooling2D": window},
                {"ZeroPadding2D": {"padding": widths}},
                {"Cropping2D": {"cropping": [[min(w, 1) for w in pair] for pair in widths]}},
                {"UpSampling2D": {"size": draw(st.sampled_from([1, 2]))}},
                {"Permute": {"dims": draw(st.permutations([1, 2]))[:2] + [3]}},
                {"Dropout": {"rate": draw(st.sampled_from([0.0, 0.4]))}},
                {"Identity": {}},
            ]
        )
    )


@st.composite
def motifs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Layers one behind the other that some pass looks for."""
    kernel, bias, channels = draw(SIZES), draw(st.booleans()), 4
    conv = {"Conv2D": {"filters": channels, "kernel_size": kernel, "use_bias": bias,
                       "padding": draw(st.sampled_from(["same", "valid"]))}}  # fmt: skip
    one = {"Conv2D": {"filters": channels, "kernel_size": 1, "use_bias": bias}}
    skip = {"Conv2D": {"filters": channels, "kernel_size": 1, "strides": 2}}
    act = {"Activation": {"activation": draw(ACTIVATIONS)}}
    pad = {"ZeroPadding2D": {"padding": draw(st.sampled_from([1, [[0, 1], [0, 1]], [[1, 0], [0, 1]]]))}}
    strided = {"Conv2D": {"filters": channels, "kernel_size": 3, "strides": draw(st.sampled_from([1, 2]))}}
    pool = {"MaxPooling2D": {"pool_size": 3, "strides": 2, "padding": draw(st.sampled_from(["same", "valid"]))}}
    mean = {"AveragePooling2D": {"pool_size": 2, "padding": draw(st.sampled_from(["same", "valid"]))}}
    norm: dict[str, Any] = {"BatchNormalization": {}}
    return draw(
        st.sampled_from(
            [[conv, norm, act], [conv, act, skip], [conv, norm, act, skip], [act, pool], [norm, act, pool], [pad, strided],
             [act, pad, pool], [one, mean], [norm, act, one, mean], [pad, pad], [one, norm, skip], [skip, norm, act]]
        )
    )  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """One image through layers, of which some are joined and some are read twice; one or two results."""
    builder = GraphBuilder("random")
    size = draw(st.sampled_from([5, 6, 8]))
    tensors = [builder.input("x", (size, size, 4))]
    for _ in range(draw(st.integers(2, 9))):
        start = draw(st.sampled_from(tensors[-3:]))
        for layer in draw(st.one_of(layers().map(lambda layer: [layer]), motifs())):
            made = _applied(builder, layer, [start])
            if made is None:
                break
            tensors.append(start := made)
        if draw(st.integers(0, 3)) == 0:
            kind = draw(st.sampled_from(["Add", "Multiply", "Maximum", "Concatenate", "Subtract"]))
            made = _applied(builder, kind, [tensors[-1], draw(st.sampled_from(tensors))])
            tensors += [made] if made else []
    end = builder.apply("GlobalAveragePooling2D", tensors[-1])
    again = draw(st.booleans())
    results = [
        builder.apply({"Dense": 3}, end),
        *([draw(st.sampled_from(tensors[1:]))] if draw(st.booleans()) and len(tensors) > 1 else []),
    ]
    return builder.graph(*results)


def _applied(builder: GraphBuilder, layer: Any, edges: list[Edge]) -> Edge | None:
    """The layer's result; None where it does not fit, or the image would become large."""
    try:
        made = builder.apply(layer, *edges)
    except ShapeError:
        return None
    return made if builder.nodes[made.node].outputs[0].size < 4000 else None
