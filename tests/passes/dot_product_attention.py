"""Cases of the pass `dot-product-attention`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from archspec.graph.ir import Graph
from archspec.layers.formula import Formula
from archspec.optimize.passes.dot_product_attention import DotProductAttention
from archspec.optimize.rewrite import Rewrite, changed
from tests.graphs import GraphBuilder, LayerLike
from tests.passes import Breakage, Case, Refusal, rewriting

TURN = {"Formula": {"expression": "swapaxes(x, -2, -3)", "arguments": ["x"]}}


def attention(
    scores: str = "softmax(0.5 * q @ swapaxes(k, -1, -2))",
    values: str = "swapaxes(p @ v, -2, -3)",
    *,
    bias: Sequence[int] | None = None,
    between: Sequence[LayerLike] = (),
    keys: LayerLike = TURN,
    shared: bool = False,
    both: bool = False,
    heads: int = 3,
    features: int = 4,
) -> Graph:
    """Heads over five positions; `between` the scores and the values stand further layers."""
    b = GraphBuilder("attention")
    x = b.input("tokens", (5, 8))
    parts = [b.chain(x, {"Dense": heads * size}, {"Reshape": [5, heads, size]}) for size in (4, 4, features)]
    q, k, v = (b.apply(turn, part) for turn, part in zip((TURN, keys, TURN), parts, strict=True))
    names = ["q", "k"] + (["b"] if bias else [])
    given = [q, k] + ([b.apply({"Weight": {"shape": bias}})] if bias else [])
    p = b.apply({"Formula": {"expression": scores, "arguments": names}}, *given)
    p = b.chain(p, *between)
    y = b.apply({"Formula": {"expression": values, "arguments": ["p", "v"]}}, p, k if shared else v)
    y = b.chain(y, "Flatten", {"Dense": 8})
    return b.graph(y, p) if both else b.graph(y)


def layer(
    kind: str = "MultiHeadAttention", shape: Sequence[int] = (5, 8), masked: bool = False, **options: Any
) -> Graph:
    sizes: dict[str, Any] = {"num_heads": 2, "key_dim": 4}
    if kind == "GroupQueryAttention":
        sizes = {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}
    b = GraphBuilder("layer")
    x = b.input("tokens", tuple(shape))
    named = {"attention_mask": b.input("mask", (5, 5), "bool")} if masked else {}
    return b.graph(b.apply({kind: {**sizes, "dropout": 0.3, **options}}, x, x, **named))


def softmax_masked() -> Graph:
    """A softmax apart that takes a mask."""
    b = GraphBuilder("softmax_masked")
    x, mask = b.input("tokens", (5, 8)), b.input("mask", (1, 1, 5), "bool")
    q, k, v = (b.chain(x, {"Dense": 12}, {"Reshape": [5, 3, 4]}, TURN) for _ in range(3))
    p = b.apply({"Formula": {"expression": SOFTMAX_APART, "arguments": ["q", "k"]}}, q, k)
    p = b.apply("Softmax", p, mask=mask)
    y = b.apply({"Formula": {"expression": "swapaxes(p @ v, -2, -3)", "arguments": ["p", "v"]}}, p, v)
    return b.graph(b.chain(y, "Flatten", {"Dense": 8}))


SOFTMAX_APART = "q @ swapaxes(k, -1, -2) / sqrt(4)"
CASES = (
    Case("as in the specs", attention(), 1),
    Case("with a bias for each head", attention("softmax(q @ swapaxes(k, -1, -2) / 2 + b)", bias=(3, 5, 5)), 1),
    Case("with one for all heads", attention("softmax(b + q @ swapaxes(k, 3, 2))", bias=(1, 1, 5)), 1),
    Case("of one head", attention(heads=1), 1),
    Case("keys turned before", attention("softmax(q @ k, axis=-1)", keys={"Permute": [2, 3, 1]}), 1),
    Case("keys turned in the formula", attention("softmax(q @ k * 4 ** -0.5)", keys={"Reshape": [3, 4, 5]}), 1),
    Case("a softmax apart", attention(SOFTMAX_APART, between=["Softmax"]), 1),
    Case("values turned afterwards", attention(values="p @ v"), 1),
    Case("values that are the keys", attention(shared=True), 1),
    Case("in training", attention(SOFTMAX_APART, between=[{"Activation": "softmax"}]), 1, "training"),
    Case("the layer with dropout", layer(), 1, "inference"),
    Case("of a causal one", layer(use_causal_mask=True), 1, "inference"),
    Case("with a mask", layer(masked=True), 1, "inference"),
    Case("of groups", layer("GroupQueryAttention"), 1, "inference"),
)
REFUSALS = (
    Refusal("scores that are an output", attention(both=True), "is the output"),
    Refusal("other axes", attention("softmax(q @ swapaxes(k, -1, -2), axis=1)")),
    Refusal("an activation", attention("relu(q @ swapaxes(k, -1, -2))")),
    Refusal("a softmax with a mask", softmax_masked()),
    Refusal(
        "a bias that makes heads",
        attention("softmax(q @ swapaxes(k, -1, -2) + b)", bias=(3, 5, 5), heads=1),
        "the bias is",
    ),
    Refusal("wider values", attention(features=6), "values 6"),
    Refusal("dropout of the scores", attention(between=[{"Dropout": 0.5}]), level="training"),
    Refusal("dropout while training", layer(), "needs the scores", "training"),
    Refusal("scores that are a result", layer(return_attention_scores=True), "are a result"),
    Refusal("several axes", layer(shape=(3, 4, 8)), "several axes"),
    Refusal("no dropout", layer(dropout=0.0)),
)


def expression(change: str, to: str) -> DotProductAttention:
    """The pass with another formula."""

    def other(rewrite: Rewrite) -> Rewrite:
        (put,) = rewrite.puts
        assert isinstance(put.layer, Formula)
        assert change in put.layer.expression
        new = replace(put, layer=changed(put.layer, expression=put.layer.expression.replace(change, to)))
        return replace(rewrite, puts=(new,))

    broken = rewriting(DotProductAttention(), other)
    assert isinstance(broken, DotProductAttention)
    return broken


BREAKAGES = (
    Breakage("the scale lost", expression(", scale=0.125", ""), attention("softmax(q @ swapaxes(k, -1, -2) / 2 / 4)")),
    Breakage("another scale", expression("scale=0.5", "scale=0.25"), attention()),
    Breakage("keys and queries exchanged", expression("(q, k", "(k, q"), attention()),
    Breakage("keys for values", expression("(q, k, v", "(q, k, k"), attention()),
    Breakage(
        "the bias lost", expression(", bias=b", ""), attention("softmax(q @ swapaxes(k, -1, -2) + b)", bias=(3, 5, 5))
    ),
    Breakage("causal", expression(", scale", ", is_causal=True, scale"), attention()),
)
