"""Cases of the pass `common-subexpressions`."""

from archspec.graph.ir import Edge, Graph
from archspec.optimize.passes.common_subexpressions import CommonSubexpressions
from archspec.optimize.rewrite import Rewrite
from tests.graphs import GraphBuilder, LayerLike
from tests.passes import Breakage, Case, Refusal, mutant


def twins(first: LayerLike, second: LayerLike, behind: LayerLike = "ReLU") -> Graph:
    """Two layers on one tensor, subtracted after something was done to one of them."""
    builder = GraphBuilder("twins")
    x = builder.input("x", (4, 6))
    a, b = builder.apply(first, x), builder.apply(second, x)
    return builder.graph(builder.apply("Subtract", builder.apply(behind, a), builder.apply({"Dense": 6}, b)))


def swapped() -> Graph:
    builder = GraphBuilder("swapped")
    x, y = builder.input("x", (6,)), builder.input("y", (6,))
    return builder.graph(builder.apply("Subtract", x, y), builder.apply("Subtract", y, x))


def with_itself() -> Graph:
    """A whole branch twice: each layer is found behind the one before."""
    builder = GraphBuilder("branches")
    x = builder.input("x", (6, 6, 3))
    ends = [builder.chain(x, {"MaxPooling2D": 2}, "ReLU", {"Permute": [2, 1, 3]}) for _ in range(2)]
    return builder.graph(builder.apply("Concatenate", *ends))


def _to(kind: str) -> object:
    """Takes the first other reader of the kind for the twin."""

    def change(draft, node, answer):
        twin = next(
            (o for e in node.inputs for o in draft.readers(e.node) if type(o.layer).__name__ == kind and o is not node),
            None,
        )
        if twin is None or type(node.layer).__name__ != kind or not draft.earlier(twin.name, node.name):
            return None
        return Rewrite((node.name,), (), {Edge(node.name): Edge(twin.name)})

    return change


TANH = {"Activation": "tanh"}
CASES = (
    Case("two activations", twins(TANH, TANH), 1),
    Case("whole branches", with_itself(), 3),
    Case("in training", twins(TANH, TANH), 1, "training"),
    Case("dropout is no chance after the training", twins(TANH, TANH, {"Dropout": 0.5}), 1),
)
REFUSALS = (
    Refusal("other arguments", twins({"ReLU": {"max_value": 6.0}}, "ReLU")),
    Refusal("layers with weights", twins({"Dense": 6}, {"Dense": 6})),
    Refusal("chance", twins({"Dropout": 0.5}, {"Dropout": 0.5}), level="training"),
    Refusal("the inputs in another order", swapped()),
    Refusal("a loss each", twins({"ActivityRegularization": {"l2": 0.1}}, {"ActivityRegularization": {"l2": 0.1}})),
)
BREAKAGES = (
    Breakage("the order of inputs forgotten", mutant(CommonSubexpressions(), _to("Subtract")), swapped()),
    Breakage(
        "arguments forgotten",
        mutant(CommonSubexpressions(), _to("ReLU")),
        twins({"ReLU": {"max_value": 0.5}}, "ReLU", TANH),
    ),
    Breakage(
        "weights forgotten",
        mutant(CommonSubexpressions(), _to("Dense")),
        twins({"Dense": 6}, {"Dense": 6}),
        "inference",
    ),
    Breakage(
        "chance forgotten",
        mutant(CommonSubexpressions(), _to("Dropout")),
        twins({"Dropout": 0.5}, {"Dropout": 0.5}),
        "training",
    ),
)
