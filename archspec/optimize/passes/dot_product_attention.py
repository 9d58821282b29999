"""Attention that is written out, as the one function that Keras has for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from archspec.graph.ir import Edge, Node
from archspec.layers.formula import Formula
from archspec.layers.multi_head_attention import GroupQueryAttention, MultiHeadAttention
from archspec.optimize.draft import Draft
from archspec.optimize.facts import activation_of
from archspec.optimize.formulas import Scores, logits, permutation, scores, values
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed
from archspec.tensor import TensorType

HEADS_FIRST = (2, 1, 3)  # (positions, heads, features) ↔ (heads, positions, features), as `Permute` counts the axes
FEATURES_SECOND = (3, 1, 2)  # (heads, features, positions) → (positions, heads, features)


@dataclass(frozen=True)
class DotProductAttention(Pass):
    """softmax(c · q · kᵀ + b) · v as keras.ops.dot_product_attention, which takes the heads behind the positions.

    So the tensors need not be turned to have the heads in front, and a backend that has one kernel for all of it uses
    that. Keras's attention layers use the function themselves, unless they have a dropout: at the level `inference`
    that goes.

    Precondition: formulas with four axes, (batch, heads, positions, features); the scores have no other reader; all
    compute in one dtype.
    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """

    name = "dot-product-attention"
    mark = "attention in one"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        if isinstance(node.layer, MultiHeadAttention | GroupQueryAttention):
            return _without_dropout(draft, node)
        if not isinstance(node.layer, Formula):
            return None
        read = values(node.layer.expression)
        if read is None:
            return None
        reads = dict(zip(node.layer.arguments, node.inputs, strict=True))
        softmax = draft.nodes[reads[read.scores].node]
        part = _softmax_of(draft, softmax)
        if part is None:
            return None
        reason = _against(draft, node, part, reads[read.values])
        if reason:
            return Skip(node.name, reason)
        turn = {"q": HEADS_FIRST, "k": HEADS_FIRST if part.read.turned else FEATURES_SECOND, "v": HEADS_FIRST}
        tensors = {"q": part.query, "k": part.key, "v": reads[read.values]}
        return _rewrite(draft, part, node, {n: (tensors[n], turn[n]) for n in tensors}, read.turned)


@dataclass(frozen=True)
class _Softmax:
    """The nodes that make the scores, the softmax first, and what they read."""

    nodes: tuple[Node, ...]
    read: Scores
    query: Edge
    key: Edge
    bias: Edge | None


def _softmax_of(draft: Draft, node: Node) -> _Softmax | None:
    """The scores, of one formula or of a softmax behind one; None where it is something else."""
    apart = activation_of(node.layer) == "softmax" and len(node.inputs) == 1  # a softmax may take a mask
    nodes = (node, draft.producer(node)) if apart else (node,)
    layer = nodes[-1].layer
    if not isinstance(layer, Formula):
        return None
    read = logits(layer.expression) if apart else scores(layer.expression)
    if read is None:
        return None
    reads = dict(zip(layer.arguments, nodes[-1].inputs, strict=True))
    return _Softmax(nodes, read, reads[read.query], reads[read.key], reads[read.bias] if read.bias else None)


def _rewrite(
    draft: Draft, part: _Softmax, node: Node, tensors: Mapping[str, tuple[Edge, tuple[int, ...]]], turned: bool
) -> Rewrite:
    """The function on the tensors as they were before they were turned, where they were."""
    takes, edges, texts = [*(n.name for n in part.nodes), node.name], [], []
    for name, (edge, order) in tensors.items():
        source = draft.nodes[edge.node]
        if _undoes(permutation(source.layer, 3), order) and source.layer.dtype == node.layer.dtype:
            takes += [source.name] if draft.sole_reader(source.name) else []
            edges.append(source.inputs[0])
            texts.append(name)
        else:
            edges.append(edge)
            texts.append(f"transpose({name}, {(0, *order)})")
    if part.bias:
        edges.append(part.bias)
        texts.append("bias=b")
    text = f"dot_product_attention({', '.join(texts)}, scale={part.read.scale!r})"
    arguments = ("q", "k", "v", "b")[: len(edges)]
    layer = changed(node.layer, expression=text if turned else f"swapaxes({text}, 1, 2)", arguments=arguments)
    new = replace(node, layer=layer, inputs=tuple(edges), parameters=(node.parameters[0],) * len(edges))
    return Rewrite(tuple(dict.fromkeys(takes)), (new,), note="dot_product_attention")


def _undoes(first: tuple[int, ...] | None, second: tuple[int, ...]) -> bool:
    return first is not None and tuple(first[axis - 1] for axis in second) == (1, 2, 3)


def _against(draft: Draft, node: Node, part: _Softmax, read: Edge) -> str | None:
    query, key, value = (draft.type(edge) for edge in (part.query, part.key, read))
    dtypes = {t.dtype for t in (query, key, value, node.outputs[0], *(n.outputs[0] for n in part.nodes))}
    for each in part.nodes:
        if draft.open(each.name):
            return draft.open(each.name)
    if {query.rank, key.rank, value.rank} != {3}:
        return f"dot_product_attention takes heads, positions and features, got {query}"
    if len(dtypes) > 1 or {n.layer.dtype for n in part.nodes} != {node.layer.dtype}:
        return "not all of it computes in one dtype"
    if query.shape[0] is None or {key.shape[0], value.shape[0]} != {query.shape[0]}:
        return "the number of heads is not known, or not that of the values"
    if query.shape[2] != value.shape[2]:
        return f"queries have {query.shape[2]} features, values {value.shape[2]}"
    scores = (*query.shape[:2], key.shape[1 if part.read.turned else 2])
    if part.bias and not _fits(draft.type(part.bias), query.with_shape(*scores)):
        return f"the bias is {draft.type(part.bias)}, the scores are {scores}"
    return None


def _fits(bias: TensorType, scores: TensorType) -> bool:
    """Whether a bias has each axis of the scores, or 1 there."""
    pairs = zip(bias.shape, scores.shape, strict=False)
    return bias.rank == 3 and bias.dtype == scores.dtype and all(n is not None and n in (1, m) for n, m in pairs)


def _without_dropout(draft: Draft, node: Node) -> Answer:
    layer = node.layer
    assert isinstance(layer, MultiHeadAttention | GroupQueryAttention)
    if not layer.dropout:
        return None
    if draft.level == "training":
        return Skip(node.name, "its dropout needs the scores while training")
    if layer.return_attention_scores:
        return Skip(node.name, "its scores are a result")
    if draft.input_types(node)[0].rank != 2:
        return Skip(node.name, "it attends over several axes, which Keras does not do by dot_product_attention")
    new = replace(node, layer=changed(layer, dropout=0.0))
    return Rewrite((node.name,), (new,), note="dot_product_attention in place of dropout", keeps_masks=True)
