"""Cases of the pass `constants`."""

from typing import Any

import numpy as np

from archspec.graph.ir import Graph
from archspec.optimize.passes.constants import Constants
from tests.graphs import GraphBuilder
from tests.passes import Breakage, Case, Refusal, reweighing


def formula(expression: str, *arguments: str, **more: Any) -> dict[str, Any]:
    return {"Formula": {"expression": expression, "arguments": list(arguments or ("x",)), **more}}


def table(*layers: Any, shape: tuple[int, ...] = (3, 4), width: int = 4, again: bool = False) -> Graph:
    """Layers on a table of weights, added to an input of two axes; with `again` the table is read once more."""
    builder = GraphBuilder("table")
    x = builder.input("x", (None, width))
    start = builder.apply({"Weight": {"shape": shape}}, name="table")
    end = builder.chain(start, *layers)
    y = builder.apply(formula("x + y", "x", "y"), x, end)
    return builder.graph(y, *([builder.apply(formula("x @ y", "x", "y"), x, start)] if again else []))


def two_tables(layer: Any, first: tuple[int, ...] = (3, 4), second: tuple[int, ...] = (3, 4)) -> Graph:
    builder = GraphBuilder("two_tables")
    x = builder.input("x", (3, 4))
    tables = [builder.apply({"Weight": {"shape": shape}}) for shape in (first, second)]
    return builder.graph(builder.apply("Add", x, builder.apply(layer, *tables)))


def free(expression: str = "zeros_like(x[..., :1]) + arange(6)[:, None] / 5") -> Graph:
    """A formula that only looks at a shape, and one behind it."""
    builder = GraphBuilder("free")
    x = builder.input("x", (6, 4))
    mask = builder.apply(formula("where(x == swapaxes(x, -1, -2), 0.0, -100.0)"), builder.apply(formula(expression), x))
    return builder.graph(builder.apply(formula("softmax(x @ swapaxes(x, 1, 2) + y) @ x", "x", "y"), x, mask))


TAKE = formula("take(x, arange(3) * 2, axis=1)")
CASES = (
    Case("a table reshaped and picked from", table({"Reshape": [6, 2]}, TAKE, {"Reshape": [1, 6]}, width=6), 3),
    Case("transposed", table({"Permute": [2, 1]}, formula("x[:, :1]"), shape=(4, 3), width=4), 2),
    Case("a table read elsewhere too", table(formula("x[:, :1]"), shape=(4, 4), again=True), 1),
    Case(
        "numbers of numbers", table(formula("exp(x) / (1 + abs(x)) - 2 * sqrt(square(x) + 1)"), formula("x[:, :1]")), 2
    ),
    Case("no values at all", free(), 2),
    Case("ones", free("ones_like(x[..., :1]) * arange(6)[:, None]"), 2),
    Case("two tables", two_tables("Subtract"), 1),
    Case("tables that broadcast", two_tables("Multiply", (3, 4), (4,)), 1),
    Case("tables joined", two_tables({"Concatenate": {"axis": 1}}, (2, 4), (1, 4)), 1),
    Case("rearranged", table(formula("rearrange(x, 'b (h w) c -> b w (h c)', h=4)"), shape=(4, 1), width=4), 1),
)
REFUSALS = (
    Refusal("rounding to whole numbers", table(formula("cast(cast(x, 'int32'), 'float32')[:, :1]")), "cast"),
    Refusal("values of an input", free("x[..., :1]"), ""),
    Refusal("a sum over the batch", free("ones_like(x[..., :1]) * sum(ones_like(x))"), "number of examples"),
    Refusal("too large", table(formula("repeat(x, 300000, axis=2)"), shape=(1, 4), width=1_200_000), "bytes"),
    Refusal("another layer", table("Softmax", formula("x[:, :1]")), "Softmax is left"),
)


def _turned(value: Any) -> Any:
    return np.ascontiguousarray(value[..., ::-1]) if value.shape[-1] > 1 else np.ascontiguousarray(value[::-1])


PICKED = table({"Reshape": [6, 2]}, TAKE, {"Reshape": [1, 6]}, width=6)
BREAKAGES = (
    Breakage("nothing computed", reweighing(Constants(), np.zeros_like), PICKED),
    Breakage("turned about", reweighing(Constants(), _turned), table(formula("x[:, :1]"), shape=(4, 4))),
    Breakage("no mask", reweighing(Constants(), np.zeros_like), free()),
    Breakage("half precision", reweighing(Constants(), lambda v: v.astype("float16").astype("float32")),
             table(formula("exp(x)"), formula("x[:, :1]"))),
)  # fmt: skip
