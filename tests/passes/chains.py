"""Cases of the pass `chains`."""

from dataclasses import replace

from archspec.graph.ir import Edge, Graph
from archspec.optimize.passes.chains import Chains
from archspec.optimize.rewrite import Rewrite
from tests.graphs import GraphBuilder
from tests.passes import Breakage, Case, Refusal, chain, mutant, rewriting, two_readers, with_layers

IMAGE = (6, 8, 3)
PAD = {"ZeroPadding2D": [[1, 2], [0, 3]]}
CROP = {"Cropping2D": [[1, 0], [2, 1]]}


def joins(axis: int = -1, inner: int = -1, again: bool = False) -> Graph:
    """A join of two tensors, joined with a third; with `again` read once more."""
    builder = GraphBuilder("joins")
    x = builder.input("x", (4, 4))
    a, b, c = (builder.apply({"Activation": name}, x) for name in ("tanh", "relu", "sigmoid"))
    joined = builder.apply({"Concatenate": {"axis": inner}}, a, b)
    whole = builder.apply({"Concatenate": {"axis": axis}}, c, joined) if axis == inner else joined
    if axis != inner:
        wide = builder.apply({"Concatenate": {"axis": inner}}, c, c)
        whole = builder.apply({"Concatenate": {"axis": axis}}, wide, joined)
    return builder.graph(whole, *([builder.apply("ReLU", joined)] if again else []))


def formula(expression: str) -> dict[str, object]:
    return {"Formula": {"expression": expression, "arguments": ["x"]}}


SWAPPED, ROUNDED = formula("swapaxes(x, 1, 2)"), (formula("cast(x, 'int32')"), formula("cast(x, 'float32')"))
TURNED = formula("transpose(x, (0, 2, 3, 1))")
CASES = (
    Case("transposed and back", chain(IMAGE, formula("swapaxes(x, 1, -1)"), formula("swapaxes(x, -1, 1)"), "ReLU"), 1),
    Case(
        "axes by name",
        chain(IMAGE, formula("moveaxis(x, destination=3, source=1)"), formula("moveaxis(x, 1, 3)"), "ReLU"),
        1,
    ),
    Case("transposed twice", chain(IMAGE, TURNED, formula("moveaxis(x, 1, 2)")), 1),
    Case(
        "a permutation undone", chain(IMAGE, {"Permute": [2, 3, 1]}, formula("transpose(x, (0, 3, 1, 2))"), "ReLU"), 1
    ),
    Case("undone by a permutation", chain(IMAGE, formula("swapaxes(x, 1, 2)"), {"Permute": [2, 1, 3]}, "ReLU"), 1),
    Case("cast and back", chain((4,), formula("cast(x, 'int64')"), formula("cast(x, 'int32')"), dtype="int32"), 1),
    Case("reshapes", chain(IMAGE, {"Reshape": [48, 3]}, {"Reshape": [3, 48]}), 1),
    Case("reshapes and flatten", chain(IMAGE, {"Reshape": [48, 3]}, "Flatten", {"Reshape": [12, 12]}), 2),
    Case("permutations", chain(IMAGE, {"Permute": [2, 3, 1]}, {"Permute": [3, 1, 2]}), 1),
    Case("pads", chain(IMAGE, PAD, {"ZeroPadding2D": 1}), 1),
    Case("crops", chain(IMAGE, CROP, {"Cropping2D": [[0, 1], [1, 0]]}), 1),
    Case("a pad partly cropped", chain(IMAGE, PAD, {"Cropping2D": [[1, 0], [0, 2]]}), 1),
    Case("more cropped than padded", chain(IMAGE, {"ZeroPadding2D": [[1, 0], [1, 1]]}, CROP, "ReLU"), 1),
    Case("one axis", chain((6, 3), {"ZeroPadding1D": [1, 2]}, {"ZeroPadding1D": 1}, {"Cropping1D": [2, 0]}), 2),
    Case("three axes", chain((4, 4, 4, 2), {"ZeroPadding3D": [1, [2, 0], 0]}, {"ZeroPadding3D": 1}), 1),
    Case("enlargings", chain((3, 4, 2), {"UpSampling2D": [2, 1]}, {"UpSampling2D": [1, 3]}), 1),
    Case("joins", joins(), 1),
    Case("joins along steps", joins(1, 1), 1),
    Case("another reader of the first", two_readers(IMAGE, [{"Permute": [2, 3, 1]}], {"Permute": [3, 1, 2]}), 1),
    Case("in training", chain(IMAGE, {"Reshape": [48, 3]}, "Flatten", {"Dense": 3}), 1, "training"),
)
REFUSALS = (
    Refusal("a cast that rounds", chain((4,), *ROUNDED), "does not hold"),
    Refusal(
        "a transposition and something more", chain(IMAGE, formula("swapaxes(x, 1, 2) + 1"), {"Permute": [2, 1, 3]})
    ),
    Refusal("a join read twice", joins(again=True), "is read 2 times"),
    Refusal("joins along other axes", joins(axis=1, inner=-1)),
    Refusal("a pad here, a crop there", chain(IMAGE, PAD, CROP), "do not make one layer"),
    Refusal(
        "interpolations",
        chain((3, 4, 2), {"UpSampling2D": {"interpolation": "bilinear"}}, "UpSampling2D"),
        "do not make one layer",
    ),
    Refusal(
        "another dtype", chain((4, 6), {"Reshape": {"target_shape": [24], "dtype": "float16"}}, "Flatten"), "dtype"
    ),
)


def _inputs_turned(rewrite):
    return replace(rewrite, puts=tuple(replace(n, inputs=n.inputs[::-1]) for n in rewrite.puts))


def _cast_gone(draft, node, answer):
    before = draft.producer(node) if node.inputs else node
    if not before.inputs:
        return None
    return Rewrite((before.name, node.name), (), {Edge(node.name): before.inputs[0]})


def _gone(draft, node, answer):
    """Takes every two transpositions for one and its undoing."""
    before = draft.producer(node) if node.inputs else node
    if before.layer != node.layer or before is node:
        return None
    return Rewrite((before.name, node.name), (), {Edge(node.name): before.inputs[0]})


BREAKAGES = (
    Breakage(
        "transpositions that are not there and back",
        mutant(Chains(), _gone),
        chain((4, 4, 4), TURNED, TURNED, {"Dense": 2}),
    ),
    Breakage("casts that round", mutant(Chains(), _cast_gone), chain((4,), *ROUNDED)),
    Breakage(
        "permutations in the wrong order",
        rewriting(Chains(), lambda r: with_layers(r, dims=(2, 1, 3))),
        chain((4, 4, 4), {"Permute": [2, 3, 1]}, {"Permute": [2, 3, 1]}, {"Dense": 2}),
    ),
    Breakage("joins in another order", rewriting(Chains(), _inputs_turned), joins()),
    Breakage(
        "a pad at the wrong end",
        rewriting(Chains(), lambda r: with_layers(r, padding=((3, 2), (1, 4)))),
        chain(IMAGE, PAD, {"ZeroPadding2D": 1}, {"Conv2D": {"filters": 2, "kernel_size": 3}}),
    ),
    Breakage(
        "a crop at the wrong end",
        rewriting(Chains(), lambda r: with_layers(r, cropping=((1, 1), (1, 3)))),
        chain(IMAGE, CROP, {"Cropping2D": [[0, 1], [1, 0]]}),
    ),
    Breakage(
        "one of two enlargings", rewriting(Chains(), lambda r: with_layers(r, size=(3, 2))),
        chain((3, 3, 2), {"UpSampling2D": [2, 1]}, {"UpSampling2D": [1, 3]}, "Flatten"),
    ),
)  # fmt: skip
