"""Explicit borders of zeros as the `same` padding of the layer behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from archspec.graph.ir import Node
from archspec.layers.activation import ReLU
from archspec.layers.base import Layer
from archspec.layers.conv import Conv1D
from archspec.layers.core import Activation
from archspec.optimize.draft import Draft
from archspec.optimize.facts import (
    AVERAGE_POOLINGS,
    CONVOLUTIONS,
    DEPTHWISE,
    MAX_POOLINGS,
    PADDINGS,
    SEPARABLE,
    sides,
    spans,
    spatial_rank,
    strides,
    takes_activation,
    zeros_of_same,
)
from archspec.optimize.rewrite import Answer, Pass, Rewrite, Skip, changed

POSITIVE = frozenset({"relu", "relu6", "sigmoid", "hard_sigmoid", "softplus", "exponential", "softmax"})


@dataclass(frozen=True)
class Paddings(Pass):
    """Lets a convolution or a pooling pad by itself what was padded with zeros before it.

    With `same`, ⌈n / stride⌉ windows of the span k take max(0, (⌈n / stride⌉ - 1) · stride + k - n) zeros in all, of
    which the smaller half stands before. The rewrite is exact where the border before is that half, and the windows are
    as many; what is padded behind the last window does not matter. `causal` stands for k - 1 zeros before a sequence.

    Precondition: the layer pads nothing itself. The maximum never sees the zeros of `same`, so what is pooled must not
    be negative; a mean counts only what is there, so it is left alone.
    """

    name = "paddings"
    mark = "+padding"
    level = "training"

    def match(self, draft: Draft, node: Node) -> Answer:
        kinds = (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *MAX_POOLINGS, *AVERAGE_POOLINGS)
        if not isinstance(node.layer, kinds) or node.layer.padding != "valid":
            return None
        pad = draft.producer(node)
        if not isinstance(pad.layer, PADDINGS):
            return None
        padding, reason = _padding(draft, pad, node)
        if reason:
            return Skip(node.name, reason)
        new = replace(node, layer=changed(node.layer, padding=padding), inputs=pad.inputs)
        return Rewrite(draft.with_sole(pad, node), (new,), note=f"{pad.name} is the padding {padding} of {node.name}")


def _padding(draft: Draft, pad: Node, node: Node) -> tuple[str, str | None]:
    """The padding that says the same, or why there is none."""
    layer: Any = node.layer
    zeros: Any = pad.layer
    if pad.layer.dtype != layer.dtype and draft.type(pad.inputs[0]).dtype != pad.outputs[0].dtype:
        return "", f"{pad.name} changes the dtype"
    if isinstance(layer, AVERAGE_POOLINGS):
        return "", f"the mean counts the zeros of {pad.name}, and not those of its own padding"
    if isinstance(layer, MAX_POOLINGS) and not _not_negative(draft.producer(pad).layer):
        return "", f"the maximum sees the zeros of {pad.name}, and what is padded may be negative"
    widths = sides(zeros.padding, spatial_rank(zeros))
    lengths = draft.type(pad.inputs[0]).shape[: len(widths)]
    wanted = list(_same(layer, lengths, widths))
    if None not in wanted and all(w and w[0] == given[0] for w, given in zip(wanted, widths, strict=True)):
        return "same", None
    if isinstance(layer, Conv1D) and _is_causal(layer, lengths[0], widths[0]):
        return "causal", None
    return "", f"{pad.name} pads {_shown(widths)}, `same` would pad {_shown(wanted)}"


def _shown(widths: Any) -> str:
    return " × ".join(f"{w[0]}+{w[1]}" if w else "another number of windows" for w in widths)


def _same(layer: Any, lengths: Any, widths: Any) -> Iterator[tuple[int, int] | None]:
    """What `same` pads of each axis; None where its windows would be more or fewer, or nothing is known of it."""
    for n, span, stride, given in zip(lengths, spans(layer), strides(layer), widths, strict=True):
        if n is None:
            full = stride == 1 and sum(given) == span - 1
            yield ((span - 1) // 2, span // 2) if full else None
            continue
        total = zeros_of_same(n, span, stride)
        fits = (n + sum(given) - span) // stride + 1 == -(-n // stride)
        yield (total // 2, total - total // 2) if fits else None


def _is_causal(layer: Conv1D, n: int | None, given: tuple[int, int]) -> bool:
    (span,), (stride,) = spans(layer), strides(layer)
    if given[0] != span - 1:
        return False
    return given[1] == 0 if n is None else (n - 1 + given[1]) // stride == (n - 1) // stride


def _not_negative(layer: Layer) -> bool:
    if isinstance(layer, ReLU):
        return not layer.negative_slope
    if isinstance(layer, Activation) or takes_activation(layer):
        return getattr(layer, "activation", None) in POSITIVE
    return False  # a recurrent layer multiplies what its activation gives
