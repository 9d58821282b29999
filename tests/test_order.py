"""The order of layers that takes least memory: against all orders of small problems, and Keras's own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec import load
from archspec.analysis import schedule as searching
from archspec.analysis.order import Order, keras_order, orders
from archspec.analysis.schedule import Problem, Tensor, peak_of, schedule
from archspec.analysis.training import roots
from archspec.graph.ir import Edge, Graph
from archspec.graph.verify import verify
from tests import random_graphs
from tests.graphs import GraphBuilder

SPECS = Path(__file__).parent.parent / "specs"


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    return random_problem(Random(draw(st.integers(0, 2**32))), draw(st.integers(1, 7)))


def random_problem(random: Random, tasks: int) -> Problem:
    """Some tensors from the start, some that come with their first reader, one or two of each task."""

    def readers(after: int) -> tuple[int, ...]:
        return tuple(i for i in range(after, tasks) if random.random() < 2 / tasks)

    def size() -> int:
        return random.choice([0, 1, 2, 3, 5, 8, 13, 20])

    tensors = [Tensor(size(), None, readers(0), random.random() < 0.1)]
    tensors += [Tensor(size(), None, r, False, True) for _ in range(random.randint(0, 2)) if (r := readers(0))]
    for task in range(tasks):
        for _ in range(random.choice([1, 1, 2])):
            tensors.append(Tensor(size(), task, readers(task + 1), random.random() < 0.15))
    return Problem(tasks, tensors)


def possible(problem: Problem) -> Iterator[tuple[int, ...]]:
    """All orders."""
    makers: list[set[int]] = [set() for _ in range(problem.tasks)]
    for tensor in problem.tensors:
        for reader in tensor.readers if tensor.maker is not None else ():
            makers[reader].add(tensor.maker)  # type: ignore[arg-type]

    def rest(done: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(done) == problem.tasks:
            yield done
        for task in range(problem.tasks):
            if task not in done and makers[task] <= {*done}:
                yield from rest((*done, task))

    return rest(())


def lowest(problem: Problem) -> int:
    return min(peak_of(problem, order) for order in possible(problem))


@settings(max_examples=250, deadline=None)
@given(problems())
def test_no_order_of_a_small_problem_is_better(problem: Problem) -> None:
    found = schedule(problem)
    assert found.order in possible(problem)
    assert found.peak == peak_of(problem, found.order)
    assert found.exact and found.peak == lowest(problem)


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(0, 30), st.integers(1, 4))
def test_a_search_that_ends_early_gives_an_order_no_worse_than_the_given(
    problem: Problem, budget: int, window: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"FLOOD": budget, "BUDGET": budget, "EACH": 0, "WINDOW": window}.items():
            patch.setattr(searching, name, value)
        found = schedule(problem)
    assert found.order in possible(problem)
    assert found.peak == peak_of(problem, found.order) <= peak_of(problem, range(problem.tasks))
    assert not found.exact or found.peak == lowest(problem)


def wrong_bound(problem: Problem) -> int:
    """Without what a task reads: then its level is too low, and what is given seems not to be the best."""
    return 10**6


def first_step(self: searching._Search, start: searching._State) -> searching._State:
    return self._step(start, next(searching._bits(start.ready)))


def step(self: searching._Search, state: searching._State, task: int) -> searching._State:
    """Frees what a task reads though others still wait for it."""
    found = STEP(self, state, task)
    memory = found.memory - sum(r.size for r in self.part.reads[task] if r.goes and r.readers & ~found.done)
    return searching._State(found.level, found.done, found.size, memory, found.ready, task, state)


def every_place(problem: Problem) -> Iterator[int]:
    yield from range(1, problem.tasks + 1)


STEP = searching._Search._step


@pytest.mark.parametrize(
    ("place", "broken"),
    [("_least", wrong_bound), ("_Search._flood", first_step), ("_Search._step", step), ("_cuts", every_place)],
)
def test_a_broken_search_is_noticed(place: str, broken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"archspec.analysis.schedule.{place}", broken)
    random = Random(5)
    problems = [random_problem(random, 7) for _ in range(60)]
    assert any(schedule(problem).peak > lowest(problem) for problem in problems)


# --- graphs ---------------------------------------------------------------------------------------


def checked(graph: Graph, order: Order) -> None:
    """The order is one of the graph, and its peak is what comes of going through it."""
    root = roots(graph)
    needed = {edge.node for edge in graph.outputs.values()}
    for name in reversed(list(graph.nodes)):
        needed |= {edge.node for edge in graph.nodes[name].inputs} if name in needed else set()
    assert set(order.names) == needed | {*graph.inputs} and len(order.names) == len(needed | {*graph.inputs})
    assert order.names[: len(graph.inputs)] == graph.inputs
    readers: dict[Edge, set[str]] = {}
    for name in order.names:
        for edge in graph.nodes[name].inputs if root[Edge(name)].node == name else ():
            readers.setdefault(root[edge], set()).add(name)

    def weighs(name: str) -> bool:
        return not graph.nodes[name].inputs and name not in graph.inputs

    kept = {root[edge] for edge in graph.outputs.values()}
    alive: set[Edge] = set()
    done: set[str] = set()
    peak = 0
    for name in order.names:
        node = graph.nodes[name]
        assert all(edge.node in done for edge in node.inputs), name
        done.add(name)
        if weighs(name) and readers.get(Edge(name)):
            continue  # it counts from its first reader on
        alive |= {root[Edge(name, index)] for index in range(len(node.outputs))}
        alive |= {root[edge] for edge in node.inputs if weighs(root[edge].node)}
        if name in graph.inputs[:-1]:
            continue  # all inputs are there before anything runs
        peak = max(peak, sum(graph.type(edge).bytes for edge in alive))
        alive = {edge for edge in alive if edge in kept or readers.get(edge, set()) - done}
    assert order.peak_bytes == peak


@settings(max_examples=60, deadline=None)
@given(random_graphs.graphs())
def test_orders_of_random_graphs(graph: Graph) -> None:
    found = orders(graph)
    checked(graph, found.keras)
    checked(graph, found.best)
    assert found.best.peak_bytes <= found.keras.peak_bytes and found.best.exact


@pytest.mark.parametrize("spec", ["nasnet", "clip", "vit", "swin", "gan_training", "t5", "seq2seq", "siamese"])
def test_orders_of_networks(spec: str) -> None:
    graph = load(SPECS / f"{spec}.yaml").graph
    found = orders(graph)
    checked(graph, found.best)
    assert found.best.peak_bytes <= found.keras.peak_bytes
    assert found.keras.names == keras_order(graph)


def test_one_branch_after_the_other() -> None:
    """Four branches that make much of little: Keras runs them abreast, one after another takes less."""
    builder = GraphBuilder()
    x = builder.input("x", (8, 8, 4))
    ends = []
    for _ in range(4):
        wide = builder.apply({"Conv2D": {"filters": 64, "kernel_size": 1}}, x)
        ends.append(builder.apply({"Conv2D": {"filters": 4, "kernel_size": 1}}, wide))
    graph = builder.graph(builder.apply("Concatenate", *ends))
    found, small = orders(graph), 4 * 8 * 8 * 4
    assert found.keras.peak_bytes == 4 * 16 * small + small
    assert found.best.peak_bytes == small + 3 * small + 16 * small
    assert (found.keras.exact, found.best.exact) == (False, True)
    half = orders(graph, "mixed_float16")
    assert half.best.peak_bytes == small + 19 * small // 2  # the input comes as it is


def test_what_only_has_another_name_takes_nothing() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (4, 4))
    y = builder.chain(x, {"Reshape": [16]}, {"Dense": 8}, {"Reshape": [2, 4]}, {"Dropout": 0.0})
    found = orders(builder.graph(y))
    assert found.keras.peak_bytes == found.best.peak_bytes == 4 * (16 + 8)
    assert found.best.exact and len(found.best.names) == 5


def test_a_weight_comes_when_it_is_read() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (10,))
    token = builder.apply({"Weight": [100]})
    y = builder.chain(x, {"Dense": 400}, {"Dense": 100})
    graph = builder.graph(builder.apply("Add", y, token))
    found = orders(graph)
    checked(graph, found.best)
    assert found.best.names[-2:] == (token.node, "add1") and found.best.peak_bytes == 4 * 500


def test_a_layer_that_no_output_needs_does_not_run() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (10,))
    builder.apply({"Dense": 1000}, x)
    graph = builder.graph(builder.apply({"Dense": 20}, x, name="y"))
    assert orders(graph).keras == Order(("x", "y"), 4 * 30, True)


@pytest.mark.parametrize(
    "spec", ["resnet.yaml@resnet152", "densenet.yaml@densenet201", "nasnet.yaml", "inception.yaml"]
)
def test_it_is_found_in_well_below_a_second(spec: str) -> None:
    graph = load(SPECS / spec).graph
    began = time.process_time()
    orders(graph)
    assert time.process_time() - began < 2


def test_time_is_near_linear() -> None:
    """Chains, those whose layers all read the input too, blocks of branches, and one layer that a thousand read."""

    def seconds(graph: Graph) -> float:
        began = time.process_time()
        orders(graph)
        return time.process_time() - began

    for shape in ("chain", "shared", "blocks", "fan"):
        small, large = seconds(many(shape, 300)), seconds(many(shape, 3_000))
        assert large < 30 * max(small, 0.1), (shape, small, large)


def many(shape: str, layers: int) -> Graph:
    builder = GraphBuilder()
    x = y = builder.input("x", (4,))
    ends = []
    for i in range(layers // 4):
        if shape == "chain":
            y = builder.chain(y, "ReLU", {"Dense": 8}, "ReLU", {"Dense": 4})
        elif shape == "shared":
            y = builder.apply("Add", builder.chain(y, {"Dense": 8}, "ReLU", {"Dense": 4}), x)
        elif shape == "blocks":
            wide = [builder.chain(y, {"Dense": 4 + (i + j) % 5}, {"Dense": 4}) for j in range(2)]
            y = builder.apply("Add", *wide)
        else:
            ends.append(builder.chain(x, {"Dense": 8 + i % 7}, "ReLU", {"Dense": 4}, {"Dense": 4 + i % 3}))
    return builder.graph(builder.apply("Concatenate", *ends) if ends else y)


# --- Keras ----------------------------------------------------------------------------------------


def kerass_own(graph: Graph) -> Sequence[str]:
    """The layers in the order in which Keras's functional model calls them."""
    from archspec.build.lower import build

    by_depth = build(graph)._nodes_by_depth
    return [n.operation.name for depth in sorted(by_depth, reverse=True) for n in by_depth[depth] if not n.is_input]


def layers_of(graph: Graph, names: Sequence[str]) -> list[str]:
    return [graph.nodes[name].shares or name for name in names if name not in graph.inputs]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(random_graphs.graphs())
def test_keras_runs_random_graphs_in_that_order(graph: Graph) -> None:
    assert layers_of(graph, keras_order(graph)) == kerass_own(graph)


def test_keras_runs_shared_layers_weights_and_several_results_in_that_order() -> None:
    builder = GraphBuilder()
    left, right = builder.input("left", (4, 8)), builder.input("right", (4, 8))
    table = builder.apply({"Weight": [4, 8]}, name="table")
    one = builder.apply({"Dense": 8}, left, name="tower")
    placed = builder.apply("Add", builder.apply("ReLU", right), table)
    two = builder.apply({"Dense": 8}, placed, name="tower2", shares="tower")
    mixed = builder.apply(
        {"MultiHeadAttention": {"num_heads": 2, "key_dim": 4}}, query=one, value=two, key=placed, name="mixed"
    )
    late = builder.chain(mixed, {"Dense": 3}, "ReLU", {"Dense": 2})
    graph = builder.graph(zebra=late, ant=two, mid=builder.apply("ReLU", one))
    verify(graph)
    assert layers_of(graph, keras_order(graph)) == kerass_own(graph)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["nasnet.yaml", "clip.yaml", "t5.yaml", "inception.yaml", "unet.yaml", "siamese.yaml"])
def test_keras_runs_networks_in_that_order(spec: str) -> None:
    graph = load(SPECS / spec).graph
    assert layers_of(graph, keras_order(graph)) == kerass_own(graph)
