"""BatchNormalization into the linear layer before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from archspec.graph.ir import Edge, Node, owner
from archspec.layers.normalization import BatchNormalization
from archspec.optimize import linear
from archspec.optimize.draft import Draft
from archspec.optimize.network import Weights
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip

Pairs = list[tuple[Node, Node]]  # a linear layer, and the normalisation that alone reads it


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """norm(W · x + b) = (s · W) · x + (s · b + t), with s = gamma / √(variance + ε) and t = beta - mean · s.

    Into Dense, convolutions, depthwise, separable and transposed ones. Layers that share weights are folded together,
    all uses or none.

    Precondition: the linear layer has no activation; only the normalisation reads it, and it is no output and no named
    tensor; the normalisation is of the channels; both compute in the same dtype.
    Source: Jacob et al. 2017, arXiv:1712.05877, section 3.2.
    """

    name = "fold-batch-norm"
    mark = "+BN"
    level = "inference"
    keeps_weights = False

    def match(self, draft: Draft, node: Node) -> Answer:
        if not isinstance(node.layer, BatchNormalization) or node.shares:
            return None
        if not isinstance(draft.producer(node).layer, linear.Linear):
            return None
        pairs = _together(draft, node)
        if isinstance(pairs, Skip):
            return pairs
        same = {Edge(norm.name): Edge(layer.name) for layer, norm in pairs}
        news = {
            layer.name: replace(linear.with_bias(layer), inputs=tuple(same.get(edge, edge) for edge in layer.inputs))
            for layer, _ in pairs
        }
        makers = {owner(draft.nodes, layer): owner(draft.nodes, norm) for layer, norm in pairs}

        def folded(weights: Weights) -> Weights:
            found = {}
            for layer, norm in makers.items():
                assert isinstance(layer.layer, linear.Linear)
                assert isinstance(norm.layer, BatchNormalization)
                then = linear.affine(norm.layer, weights[norm.name])
                found[layer.name] = linear.after(layer.layer, weights[layer.name], then)
            return found

        return Rewrite(
            (*news, *(norm.name for _, norm in pairs)),
            _ordered(news),
            same,
            folded,
            note=" and ".join(f"{norm.name} into {layer.name}" for layer, norm in pairs),
            keeps_masks=True,
        )


def _together(draft: Draft, norm: Node) -> Pairs | Skip:
    """The pair, and those that share weights with it: a layer that is folded changes for all its uses."""
    pairs: Pairs = []
    waiting, seen = [norm.name], {norm.name}
    taken_with: dict[str, str] = {}
    while waiting:
        norm = draft.nodes[waiting.pop()]
        layer = draft.producer(norm)
        reason = _against(draft, layer, norm)
        if reason:
            return Skip(norm.name, reason)
        maker, with_norm = (owner(draft.nodes, n).name for n in (layer, norm))
        if taken_with.setdefault(maker, with_norm) != with_norm:
            return Skip(norm.name, f"{maker} is used before different normalisations")
        pairs.append((layer, norm))
        uses = [draft.sole_reader(name) for name in sorted(draft.sharers(layer.name))]
        if None in uses:
            return Skip(norm.name, f"{layer.name} shares weights with a layer that is read elsewhere")
        for name in (*sorted(draft.sharers(norm.name)), *(use.name for use in uses if use)):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    order = {node.name: index for index, node in enumerate(owner(draft.nodes, layer) for layer, _ in pairs)}
    return sorted(pairs, key=lambda pair: (order[owner(draft.nodes, pair[0]).name], bool(pair[0].shares)))


def _ordered(news: Mapping[str, Node]) -> tuple[Node, ...]:
    """Each layer behind those that it reads and the one whose weights it uses: pairs may follow each other."""
    done: dict[str, Node] = {}
    waiting = [*news.values()][::-1]
    while waiting:
        node = waiting[-1]
        before = [name for name in (node.shares, *(edge.node for edge in node.inputs)) if name in news]
        missing = [news[name] for name in before if name is not None and name not in done]
        if missing:
            waiting += missing
        else:
            done[waiting.pop().name] = node
    return tuple(done.values())


def _against(draft: Draft, layer: Node, norm: Node) -> str | None:
    """Why a normalisation cannot go into the layer before it; None where it can."""
    if not isinstance(norm.layer, BatchNormalization):
        return f"{layer.name} shares weights with a layer before another, and {norm.name} is not a normalisation"
    if not isinstance(layer.layer, linear.Linear):
        return f"{norm.name} shares its weights, and {layer.name} before it is not linear"
    if linear.activated(layer.layer):
        return f"{layer.name} has an activation, {layer.layer.activation}"
    if linear.adapted(layer.layer):
        return f"{layer.name} has a low-rank update beside its kernel"
    if not linear.on_channels(norm.layer, draft.input_types(norm)[0]):
        return f"it normalises axis {norm.layer.axis}, which is not the last"
    if layer.outputs != norm.outputs:
        return f"{layer.name} gives {layer.outputs[0]}, {norm.name} makes {norm.outputs[0]} of it"
    return draft.open(layer.name)
