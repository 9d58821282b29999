"""Runs passes, each to its fixed point, one after another in one visible order."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from archspec.diagnostics import did_you_mean
from archspec.graph.ir import Node
from archspec.graph.verify import made, verify
from archspec.optimize.draft import Draft
from archspec.optimize.network import Change, Network, Weights
from archspec.optimize.passes.activations import Activations
from archspec.optimize.passes.average_pool_first import AveragePoolFirst
from archspec.optimize.passes.bn_relu_threshold import BnReluThreshold
from archspec.optimize.passes.chains import Chains
from archspec.optimize.passes.collapse_linear import CollapseLinear
from archspec.optimize.passes.common_subexpressions import CommonSubexpressions
from archspec.optimize.passes.constants import Constants
from archspec.optimize.passes.dead_nodes import DeadNodes
from archspec.optimize.passes.dense_for_one_by_one import DenseForOneByOne
from archspec.optimize.passes.dot_product_attention import DotProductAttention
from archspec.optimize.passes.fold_batch_norm import FoldBatchNorm
from archspec.optimize.passes.fold_batch_norm_forward import FoldBatchNormForward
from archspec.optimize.passes.fold_layer_norm_forward import FoldLayerNormForward
from archspec.optimize.passes.fold_scale import FoldScale
from archspec.optimize.passes.identities import Identities
from archspec.optimize.passes.merge_parallel import MergeParallel
from archspec.optimize.passes.merge_parallel_dense import MergeParallelDense
from archspec.optimize.passes.norm_as_depthwise import NormAsDepthwise
from archspec.optimize.passes.paddings import Paddings
from archspec.optimize.passes.pool_before_activation import PoolBeforeActivation
from archspec.optimize.passes.rep_branches import RepBranches
from archspec.optimize.passes.separable_split import SeparableSplit
from archspec.optimize.passes.shifted_depthwise import ShiftedDepthwise
from archspec.optimize.passes.strides_first import StridesFirst
from archspec.optimize.rewrite import Answer, Applied, Level, Pass, Rewrite, Skip, Skipped

ORDER: tuple[Pass, ...] = (
    DeadNodes(),
    Identities(),
    Constants(),
    Chains(),
    CommonSubexpressions(),
    Paddings(),
    FoldBatchNorm(),
    FoldScale(),
    RepBranches(),
    CollapseLinear(),
    FoldBatchNormForward(),
    FoldLayerNormForward(),
    AveragePoolFirst(),
    StridesFirst(),
    PoolBeforeActivation(),
    BnReluThreshold(),
    Activations(),
)
# Passes that pay under some runtimes only: they are not run unless named.
OPTIONAL: tuple[Pass, ...] = (
    NormAsDepthwise(),  # DenseNet-121 .85 of a tf.function call, for .88; slow under XLA on a CPU
    MergeParallel(),  # Inception v3 .98 to 1.01 of a tf.function call
    MergeParallelDense(),  # a ViT .95 of a tf.function call, 1.10 of a frozen graph
    SeparableSplit(),  # Xception .93 of a tf.function call
    DenseForOneByOne(),  # DenseNet-121 .80 of a training step on JAX, slower elsewhere
    ShiftedDepthwise(),  # MobileNetV2 .10 under XLA on a CPU, 3 to 4 times slower elsewhere
    DotProductAttention(),  # attention .74 to .97 under TensorFlow, 1.4 to 2 times slower in ONNX Runtime
)

ROUNDS = 4  # of all passes, as what one does may let an earlier one do more; zoo networks need two
MOST = 20  # rewrites a node that one pass may make before we call it endless


class UnknownPass(ValueError):
    """A pass was named that is not there."""


@dataclass(frozen=True)
class Optimized:
    """A network after its passes, and what they did.

    `redo` gives the weights of the optimised graph from those of the original; `undo` is the way back, which the level
    `training` always has.
    """

    network: Network
    applied: tuple[Applied, ...]
    skipped: tuple[Skipped, ...]
    redo: Change
    undo: Change | None


def optimize(
    network: Network,
    level: Level = "inference",
    passes: Sequence[str] | None = None,
    skip: Sequence[str] = (),
    keep: Collection[str] | None = None,
    also: Sequence[str] = (),
) -> Optimized:
    """The network rewritten by the passes of the level, or by those that are named. Raises UnknownPass.

    `keep` says which of the graph's named tensors must be there, as `draft.Draft` does.
    """
    return run(network, level, chosen(level, passes, skip, also), keep)


def chosen(
    level: Level, passes: Sequence[str] | None = None, skip: Sequence[str] = (), also: Sequence[str] = ()
) -> tuple[Pass, ...]:
    """The passes of a level in their order, and those that `also` names; with `passes` only those that are named.

    The level `training` has those that leave every weight as it is, unless others of its are named, in `passes` or in
    `also`. Raises UnknownPass.
    """
    known = {p.name: p for p in (*ORDER, *OPTIONAL)}
    named = (*(passes or ()), *also)
    for name in (*named, *skip):
        if name not in known:
            raise UnknownPass(f"there is no pass {name!r}: {did_you_mean(name, known) or _listed(known)}")
    fits = [p for p in known.values() if level == "inference" or p.level == level]
    unfit = next((name for name in named if known[name] not in fits), None)
    if unfit:
        raise UnknownPass(f"the pass {unfit!r} is of the level {known[unfit].level}, not of {level}")
    usual = {p.name for p in ORDER if level == "inference" or p.keeps_weights} if passes is None else set(passes)
    return tuple(p for p in fits if p.name in usual.union(also) and p.name not in skip)


def _listed(names: Iterable[str]) -> str:
    return f"the passes are {', '.join(names)}"


def run(network: Network, level: Level, passes: Sequence[Pass], keep: Collection[str] | None = None) -> Optimized:
    """The network after the passes, in rounds until nothing changes. The same graph object where nothing applied."""
    draft = Draft(network.graph, level, keep)
    graph, applied, steps = network.graph, list[Applied](), list[_Step]()
    reasons: dict[str, list[Skipped]] = {}
    for _ in range(ROUNDS):
        before = len(applied)
        for each in passes:
            done, reasons[each.name] = _fixed_point(draft, each, steps)
            if done:
                applied += done
                graph = draft.frozen()
                verify(graph)
        if len(applied) == before:
            break
    redo = partial(_composed, [(step.takes, step.redo) for step in steps])
    undo = [(step.puts, step.undo) for step in reversed(steps) if step.undo]
    weights = None if network.weights is None else redo(network.weights)
    skipped = tuple(s for p in passes for s in reasons.get(p.name, ()) if s.node in graph.nodes)
    back = partial(_composed, undo) if len(undo) == len(steps) else None
    return Optimized(Network(graph, weights), tuple(applied), skipped, redo, back)


@dataclass(frozen=True)
class _Step:
    """What one rewrite does to the weights; `takes` and `puts` are the nodes with weights that it reads and makes."""

    takes: tuple[str, ...]
    puts: tuple[str, ...]
    redo: Change
    undo: Change | None


def _composed(changes: Sequence[tuple[tuple[str, ...], Change]], weights: Weights) -> Weights:
    """The weights after changes one after another, each of those of the nodes that it names."""
    found = dict(weights)
    for names, change in changes:
        found.update(change({name: found.pop(name) for name in names}))
    return found


def _fixed_point(draft: Draft, each: Pass, steps: list[_Step]) -> tuple[list[Applied], list[Skipped]]:
    """Asks the pass of every node, and again of the neighbours of what it changes."""
    applied: list[Applied] = []
    skipped: dict[str, Skip] = {}
    waiting = deque(draft.order())
    limit, queued = MOST * len(waiting), set(waiting)
    while waiting:
        name = waiting.popleft()
        queued.discard(name)
        skipped.pop(name, None)
        if name not in draft.nodes:
            continue
        node = draft.nodes[name]
        answer = _guarded(draft, each.match(draft, node))
        if isinstance(answer, Skip):
            skipped[name] = answer
        elif answer:
            assert len(applied) < limit, f"{each.name} does not come to an end at {name}"
            applied.append(Applied(each.name, name, node.origin, answer.note, answer.takes, _names(answer)))
            near = _neighbours(draft, answer)
            steps += _apply(draft, each, answer)
            near = list(dict.fromkeys([*_names(answer), *near, *_neighbours(draft, answer)]))
            again = [n for n in near if n in draft.nodes and n not in queued]
            waiting.extendleft(reversed(again))
            queued.update(again)
    found = [s for name, s in skipped.items() if name in draft.nodes and s.node in draft.nodes]
    return applied, [Skipped(each.name, s.node, draft.nodes[s.node].origin, s.reason) for s in found]


def _names(rewrite: Rewrite) -> tuple[str, ...]:
    return tuple(node.name for node in rewrite.puts)


def _neighbours(draft: Draft, rewrite: Rewrite) -> list[str]:
    """The nodes beside those of a rewrite that are there: what they read and what reads them."""
    there = [draft.nodes[name] for name in dict.fromkeys((*rewrite.takes, *_names(rewrite))) if name in draft.nodes]
    read = [edge.node for node in there for edge in node.inputs]
    return [*read, *(reader.name for node in there for reader in draft.readers(node.name))]


def _guarded(draft: Draft, answer: Answer) -> Answer:
    """The answer, or a reason that holds for every pass: implicit masks, and weights that are shared."""
    if not isinstance(answer, Rewrite):
        return answer
    if not answer.keeps_masks:
        for name in answer.takes:
            if draft.masked(name):
                return Skip(name, "Keras hands a mask on here, beside the tensor")
    puts = {node.name: node for node in answer.puts}
    for name in answer.takes:
        reason = _unshared(draft, draft.nodes[name], puts.get(name), answer)
        if reason:
            return Skip(name, reason)
    for node in answer.puts:
        maker = puts.get(node.shares or "")
        if maker and made(maker.layer) != made(node.layer):
            return Skip(node.name, f"{maker.name} uses the same weights")
    return answer


def _unshared(draft: Draft, node: Node, put: Node | None, rewrite: Rewrite) -> str | None:
    """Why a node whose weights others use cannot go or change; None where it can."""
    sharers = draft.sharers(node.name)
    others = sharers.difference(rewrite.takes) if sharers else sharers
    if not others:
        return None
    if put and put.shares == node.shares and made(put.layer) == made(node.layer) and rewrite.weights is None:
        return None
    if node.shares and not put and rewrite.weights is None:
        return None  # a use that goes takes no weights with it
    return f"{min(others)} uses the same weights"


def _apply(draft: Draft, each: Pass, rewrite: Rewrite) -> list[_Step]:
    """Makes the change, and gives what it does to the weights: nothing where none is touched."""
    before = _owned(draft, rewrite.takes)
    draft.apply(rewrite)
    after = _owned(draft, _names(rewrite))
    if rewrite.weights is None:
        dropped = tuple(name for name in before if name not in after)
        assert after == {n: w for n, w in before.items() if n in after}, (
            f"{each.name} makes weights of nothing: {after}"
        )
        assert not dropped or draft.level == "inference", f"{each.name} drops the weights of {dropped}"
        return [_Step(dropped, (), lambda weights: {}, None)] if dropped else []
    assert not each.keeps_weights, f"{each.name} keeps weights, but changes those of {list(before)}"
    assert rewrite.undo or draft.level == "inference", f"{each.name} has no way back from {list(after)}"
    return [_Step(tuple(before), tuple(after), _checked(rewrite.weights, after), rewrite.undo)]


_Owned = dict[str, list[tuple[int, ...]]]


def _owned(draft: Draft, names: Iterable[str]) -> _Owned:
    """The shapes of the weights of those of the nodes that make some."""
    specs = {name: draft.weights(draft.nodes[name]) for name in names}
    return {name: [spec.shape for spec in found] for name, found in specs.items() if found}


def _checked(change: Change, expected: _Owned) -> Change:
    """The change, with what it gives asserted to be what the graph needs."""

    def call(weights: Weights) -> Weights:
        found = change(weights)
        shapes = {name: [value.shape for value in values] for name, values in found.items()}
        assert shapes == expected, f"weights have the shapes {shapes}, the graph says {expected}"
        return found

    return call
