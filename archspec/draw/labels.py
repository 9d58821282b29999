"""A layer in a few words, as papers write it: `Conv2D 3×3, 64, /2`. Within Latin-1, which every font has."""

from __future__ import annotations

import re
from collections.abc import Callable

from archspec.graph.text import value_text
from archspec.layers.base import Layer
from archspec.layers.formula import Formula
from archspec.tensor import Shape, TensorType

LONGEST = 44  # characters of the arguments; longer ones are cut

SYMBOLS = {"Add": "+", "Multiply": "×", "Subtract": "-"}  # merges drawn as a small circle


def shape_text(shape: Shape) -> str:
    """`28×28×512`, an unknown length as `?`."""
    return "×".join("?" if length is None else str(length) for length in shape) or "scalar"


def types_text(types: tuple[TensorType, ...]) -> str:
    return ", ".join(shape_text(t.shape) for t in types)


def layer_text(layer: Layer) -> str:
    """The layer's class and what matters most of its arguments; a formula stands for itself."""
    if isinstance(layer, Formula):
        return _cut(layer.expression)
    words = ", ".join(word for name in _ORDER if (word := _word(layer, name)))
    return f"{type(layer).__name__} {_cut(words or _first_argument(layer))}".rstrip()


def _cut(words: str) -> str:
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}..."


def _word(layer: Layer, name: str) -> str:
    if name not in type(layer).model_fields:
        return ""
    value = getattr(layer, name)
    return _WORDS[name](layer, value)


def _window(layer: Layer, value: object) -> str:
    """A window's lengths: `3×3` for a single 3 in two dimensions."""
    if isinstance(value, tuple):
        return "×".join(map(_value, value))
    rank = re.search(r"([123])D", type(layer).__name__)
    return "×".join([_value(value)] * (int(rank[1]) if rank else 1))


def _strides(layer: Layer, value: object) -> str:
    """`/2`, nothing where the stride is 1; pooling steps by its window unless told otherwise."""
    if value is None:
        value = getattr(layer, "pool_size", 1)
    lengths = set(value) if isinstance(value, tuple) else {value}
    if lengths == {1}:
        return ""
    return f"/{lengths.pop()}" if len(lengths) == 1 else f"/{_window(layer, value)}"


def _activation(layer: Layer, value: object) -> str:
    """Its name, unless it is the layer's usual one or none."""
    return "" if value in (None, "linear", type(layer).model_fields["activation"].default) else _value(value)


def _unless(usual: object, text: str) -> Callable[[Layer, object], str]:
    return lambda _, value: "" if value in (usual, None) else text.format(_value(value))


def _plain(_: Layer, value: object) -> str:
    return "" if value is None else _value(value)


def _flag(text: str) -> Callable[[Layer, object], str]:
    return lambda _, value: text if value is True else ""


def _value(value: object) -> str:
    if isinstance(value, Layer):
        return layer_text(value)
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        return shape_text(value)
    return value if isinstance(value, str) else value_text(value)


_DILATION = _unless(1, "dilation {}")
_WORDS: dict[str, Callable[[Layer, object], str]] = {
    "layer": _plain,
    "kernel_size": _window,
    "pool_size": _window,
    "filters": _plain,
    "units": _plain,
    "input_dim": _plain,
    "output_dim": _plain,
    "num_heads": _unless(None, "{} heads"),
    "num_query_heads": _unless(None, "{} heads"),
    "num_key_value_heads": _unless(None, "{} for keys"),
    "key_dim": _plain,
    "head_dim": _plain,
    "strides": _strides,
    "dilation_rate": lambda layer, value: "" if value in (1, (1,), (1, 1), (1, 1, 1)) else _DILATION(layer, value),
    "depth_multiplier": _unless(1, "times {}"),
    "groups": _unless(1, "groups {}"),
    "rate": _plain,
    "stddev": _plain,
    "target_shape": _plain,
    "activation": _activation,
    "return_sequences": _flag("sequences"),
    "use_causal_mask": _flag("causal"),
}
_ORDER = tuple(_WORDS)


def _first_argument(layer: Layer) -> str:
    """For layers with none of the arguments above: their first required one."""
    for name, info in type(layer).model_fields.items():
        if info.is_required():
            return _value(getattr(layer, name))
    return ""
