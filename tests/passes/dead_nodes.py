"""Cases of the pass `dead-nodes`."""

from dataclasses import replace

from archspec.graph.ir import Edge, Graph
from archspec.optimize.passes.dead_nodes import DeadNodes
from archspec.optimize.rewrite import Rewrite
from tests.graphs import GraphBuilder
from tests.passes import Breakage, Case, Refusal, mutant


def dead(*layers: object, named: bool = False) -> Graph:
    """A branch that nothing reads, and one that is read."""
    builder = GraphBuilder("dead")
    x = builder.input("x", (4, 6))
    end = builder.chain(x, *layers)
    result = builder.apply({"Dense": 3}, builder.apply("ReLU", x), name="result")
    return replace(builder.graph(result), tensors={"end": end} if named else {})


def dead_use() -> Graph:
    """A dense layer used twice; the second use is not read, or the first where it is turned about."""
    builder = GraphBuilder("dead_use")
    x = builder.input("x", (6,))
    first = builder.apply({"Dense": 6}, x, name="first")
    builder.apply({"Dense": 6}, builder.apply("ReLU", x), name="second", shares="first")
    return builder.graph(builder.apply({"Activation": "tanh"}, first))


def dead_owner() -> Graph:
    graph = dead_use()
    nodes = {name: node for name, node in graph.nodes.items() if name != "activation1"}
    return replace(graph, nodes=nodes, outputs={"output": Edge("second")})


CASES = (
    Case("a branch", dead("ReLU", {"Reshape": [24]}), 2),
    Case("a branch with weights", dead({"Dense": 4}, "ReLU"), 2),
    Case("in training", dead("ReLU", {"Reshape": [24]}), 2, "training"),
    Case("a use of shared weights", dead_use(), 2),
    Case("a named tensor after the training", dead("ReLU", named=True), 1),
)
REFUSALS = (
    Refusal("weights in training", dead({"Dense": 4}), "saved with the others", "training"),
    Refusal("a named tensor in training", dead("ReLU", named=True), level="training"),
    Refusal("the owner of shared weights", dead_owner(), "uses the same weights"),
)


_RESULT = "result"


def _any(draft, node, answer):
    return Rewrite((node.name,)) if node.inputs else None


def _unread(draft, node, answer):
    return Rewrite((node.name,)) if node.inputs and not draft.reads(node.name) and node.name != _RESULT else None


def _around(draft, node, answer):
    """Takes a node of one input for dead though it is read."""
    return Rewrite((node.name,), (), {Edge(node.name): node.inputs[0]}) if "re_lu" in node.name else None


BREAKAGES = (
    Breakage("nodes that are read", mutant(DeadNodes(), _any), dead("ReLU"), "inference"),
    Breakage("a node that is read, gone around", mutant(DeadNodes(), _around), dead("Flatten"), "inference"),
    Breakage("a named tensor in training", mutant(DeadNodes(), _unread), dead("ReLU", named=True), "training"),
    Breakage("weights that are saved", mutant(DeadNodes(), _unread), dead({"Dense": 4}), "training"),
)
