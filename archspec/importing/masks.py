"""Masks that Keras passed along by itself: in a saved model they look like tensors that the author passed.

One is taken away where Keras will pass the same again; any other stays, as the argument that it is in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archspec.importing.calls import Call, Ref, text
from archspec.layers import find_layer
from archspec.layers.base import tensor_parameters

Meaning = Any  # what a mask is computed from, in tuples; equal where the masks are

# Layers that give their (first) input's mask to their output.
PASSING = frozenset({
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU", "PReLU",
    "ReLU", "Rescaling", "Softmax", "SpatialDropout1D", "TimeDistributed", "UnitNormalization",
})  # fmt: skip
_SEQUENCES = frozenset({"GRU", "LSTM", "RNN", "SimpleRNN"})  # which do so where they return sequences


def drop_implicit(calls: Sequence[Call]) -> None:
    """Takes those masks away from the calls' arguments."""
    meanings = _Meanings({(call.layer, call.index): call for call in calls})
    for call in calls:
        for key in [key for key in call.kwargs if key.endswith("mask")]:
            source = _source(call, key)
            if source is not None and _written(call.kwargs[key], meanings) == _implied(source, meanings):
                del call.kwargs[key]


def _source(call: Call, key: str) -> Any:
    """The argument whose mask Keras passes by this name: the first for `mask`, else the one in the name."""
    if key == "mask":
        return call.args[0] if call.args else None
    cls = find_layer(call.kind)
    name = key.removesuffix("_mask")
    if cls is None or name == key:
        return None
    if name in call.kwargs:
        return call.kwargs[name]
    place = next((i for i, p in enumerate(tensor_parameters(cls)) if p.name == name), len(call.args))
    return call.args[place] if place < len(call.args) else None


def _written(value: Any, meanings: _Meanings) -> Meaning:
    if isinstance(value, list):
        return tuple(_written(one, meanings) for one in value)
    return meanings.of(value) if isinstance(value, Ref) else None


def _implied(value: Any, meanings: _Meanings) -> Meaning:
    if isinstance(value, list):
        return tuple(_implied(one, meanings) for one in value)
    return meanings.mask(value) if isinstance(value, Ref) else None


class _Meanings:
    """What tensors and their masks are computed from. Functions are followed to the layers that they begin at."""

    def __init__(self, calls: Mapping[tuple[str, int], Call]) -> None:
        self._calls = calls
        self._masks: dict[tuple[str, int, int], Meaning] = {}

    def of(self, ref: Ref) -> Meaning:
        call = self._calls.get((ref.layer, ref.index))
        if call is None or call.kind not in ("NotEqual", "Any"):
            return ref.layer, ref.index, ref.output
        first, *others = call.args or [None]
        settings = {key: text(value) or value for key, value in {**call.config, **call.kwargs}.items() if key != "name"}
        rest = sorted((key, repr(value)) for key, value in settings.items() if value not in (None, False))
        number = [float(one) if isinstance(one, int | float) else repr(one) for one in others]
        return call.kind, self.of(first) if isinstance(first, Ref) else repr(first), *number, *rest

    def mask(self, ref: Ref) -> Meaning:
        """The mask that Keras gives the tensor; None where there is none, or none that is known here."""
        way: dict[tuple[str, int, int], None] = {}
        found: Meaning = None
        while True:
            key = (ref.layer, ref.index, ref.output)
            if key in self._masks:
                found = self._masks[key]
                break
            if key in way:  # a circle, which is told when the calls are put in order
                break
            way[key] = None
            call = self._calls.get((ref.layer, ref.index))
            source = call.args[0] if call and call.args else None
            if call is None or call.is_operation or not isinstance(source, Ref):
                break
            if "mask" in call.kwargs and _passes(call, ref.output):
                found = _written(call.kwargs["mask"], self)
                break
            if not _passes(call, ref.output):
                found = self._made(call, source)
                break
            ref = source
        self._masks.update(dict.fromkeys(way, found))
        return found

    def _made(self, call: Call, source: Ref) -> Meaning:
        if call.kind == "Embedding" and call.config.get("mask_zero"):
            return "NotEqual", self.of(source), 0.0
        if call.kind == "Masking":
            value = call.config.get("mask_value", 0.0)
            return "Any", ("NotEqual", self.of(source), float(value)), ("axis", "-1")
        return None


def _passes(call: Call, output: int) -> bool:
    if not call.is_known:
        return False
    if call.kind in _SEQUENCES:
        return bool(call.config.get("return_sequences")) and output == 0
    if call.kind == "Bidirectional":
        inner = call.config.get("layer")
        inner = inner.get("config") if isinstance(inner, Mapping) else None
        merged = call.config.get("merge_mode") is not None
        return isinstance(inner, Mapping) and bool(inner.get("return_sequences")) and merged and output == 0
    return call.kind in PASSING or (call.kind == "MultiHeadAttention" and output == 0)
