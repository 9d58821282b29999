"""Cases of the pass `dense-for-one-by-one`."""

from typing import Any

from archspec.optimize.passes.dense_for_one_by_one import DenseForOneByOne
from tests.passes import Breakage, Case, Refusal, chain, reweighing, rewriting, with_layers

IMAGE = (8, 7, 4)


def one(**arguments: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": 5, "kernel_size": 1, **arguments}}


GRAPHS = {
    "behind a normalisation": chain(IMAGE, "BatchNormalization", one(activation="relu")),
    "a regularizer": chain(IMAGE, one(use_bias=False, padding="same", kernel_regularizer="L2"), "ReLU"),
    "a sequence": chain((9, 3), {"Conv1D": {"filters": 4, "kernel_size": 1}}, "ReLU"),
}
CASES = tuple(
    Case(f"{name}, {level}", graph, 1, level) for name, graph in GRAPHS.items() for level in ("training", "inference")
)
LIMITED = one(kernel_constraint={"MaxNorm": {"max_value": 0.5, "axis": 0}})
REFUSALS = (
    Refusal("strides", chain(IMAGE, one(strides=2)), "strides", "training"),
    Refusal("groups", chain(IMAGE, one(filters=4, groups=2)), "groups", "training"),
    Refusal("a constraint", chain(IMAGE, LIMITED), "constraint", "training"),
)
PASS = DenseForOneByOne()
BREAKAGES = (
    Breakage(
        "filters before channels",
        reweighing(PASS, lambda v: v.T.reshape(v.shape) if v.ndim == 2 else v),
        chain(IMAGE, one()),
    ),
    Breakage(
        "no activation",
        rewriting(PASS, lambda r: with_layers(r, activation=None)),
        chain(IMAGE, one(activation="relu")),
    ),
    Breakage(
        "no loss",
        rewriting(PASS, lambda r: with_layers(r, kernel_regularizer=None)),
        chain(IMAGE, one(kernel_regularizer="L2")),
    ),
    Breakage("a wrong way back", reweighing(PASS, lambda v: 2 * v, "undo"), chain(IMAGE, one())),
)
