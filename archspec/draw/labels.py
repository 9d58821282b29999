"""A layer in a few words, as papers write it: `Conv2D 3×3, 64, /2`. Within Latin-1, which every font has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from archspec.graph.text import value_text
from archspec.layers.base import Layer, default_name
from archspec.layers.formula import Formula
from archspec.tensor import Shape, TensorType

LONGEST = 32  # characters of a label; arguments that lead further are left out
LONGEST_FORMULA = 30
LONGEST_DETAIL = 28
MINOR = {"normalization", "activation", "regularization", "reshape", "other", "merge", "input"}

NAMES = {
    "Dense": "dense", "EinsumDense": "dense", "Embedding": "embedding", "MultiHeadAttention": "attention",
    "GroupedQueryAttention": "attention", "ReversibleEmbedding": "embedding", "UpSampling": "upsample",
    "ConvTranspose": "up conv", "SeparableConv": "sep. conv", "DepthwiseConv": "dw. conv", "Conv": "conv",
    "MaxPooling": "max pool", "AveragePooling": "avg. pool", "GlobalAveragePooling": "global avg. pool",
    "GlobalMaxPooling": "global max pool", "BatchNormalization": "BN", "LayerNormalization": "LayerNorm",
    "RMSNormalization": "RMSNorm", "GroupNormalization": "GroupNorm", "Dropout": "dropout", "Flatten": "flatten",
    "Reshape": "reshape", "ZeroPadding": "pad", "Cropping": "crop", "Rescaling": "rescale", "Bidirectional": "bidir.",
    "SpatialDropout": "dropout", "Identity": "identity", "Permute": "permute", "LocalResponseNormalization": "LRN",
    "MaxPoolingWithArgmax": "max pool + places", "MaxUnpooling": "max unpool", "Weight": "weight", "Dot": "dot product",
}  # fmt: skip
FORMALS = {"kernel": "k", "filters": "c", "width": "c", "stride": "s", "strides": "s", "channels": "c", "units": "c"}


def shape_text(shape: Shape) -> str:
    """`28×28×512`, an unknown length as `?`."""
    return "×".join("?" if length is None else str(length) for length in shape) or "scalar"


def types_text(types: tuple[TensorType, ...]) -> str:
    return ", ".join(shape_text(t.shape) for t in types)


def op_name(layer: Layer) -> str:
    """What papers call the layer: `conv` for Conv2D."""
    name = type(layer).__name__
    return NAMES.get(re.sub(r"[123]D", "", name), name)


def op_words(layer: Layer, raw: bool = False) -> dict[str, str]:
    """The layer's name and what matters most of its arguments, by field; a formula stands for itself."""
    if isinstance(layer, Formula):
        return {"expression": formula_text(layer.expression)}
    kind = type(layer).__name__
    inner = getattr(layer, "layer", None)
    name = kind if raw else op_name(layer)
    if kind == "Activation" and not raw:
        return {"": _value(layer.activation)}  # type: ignore[attr-defined]
    if isinstance(inner, Layer) and not raw:
        return {"": f"{name} {op_words(inner)['']}", **{k: v for k, v in op_words(inner).items() if k}}
    words = {name: word for name in _ORDER if (word := _word(layer, name))}
    if words.get("input_dim") and words.get("output_dim"):
        words["input_dim"] = f"{words['input_dim']} to {words.pop('output_dim')}"
    if words.get("num_heads") or words.get("num_query_heads"):
        words.pop("key_dim", None)  # what a head is wide follows from the model's width
        words.pop("head_dim", None)
    first = "" if words or (layer.role == "merge" and not raw) else _first_argument(layer)
    return {"": name, **words, **({"first": first} if first else {})}


def formula_text(expression: str) -> str:
    """A formula for people: numbers of four digits; a long one by its function or up to an operator."""
    text = re.sub(r"\d+\.\d{4,}(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", " ".join(expression.split()))
    if len(text) <= LONGEST_FORMULA:
        return text
    called = re.match(r"[a-z_]\w*(?=\()", text)
    if called and _closes(text, called.end()) == len(text) - 1:
        return called[0]
    ends = [match.start() for match in re.finditer(r" [-+*/@] ", text) if match.start() < LONGEST_FORMULA - 6]
    ends = [end for end in ends if text[:end].count("(") == text[:end].count(")")]
    return f"{text[: ends[-1] + 2]} ..." if ends else called[0] if called else "formula"


def _closes(text: str, start: int) -> int:
    """Where the bracket that opens at a place is closed."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place
    return -1


def is_given(path: str, layer: Layer) -> bool:
    """Whether the author named it: a layer that has no name of its own is called after its class."""
    own = re.sub(r"_?\d+$", "", path.rsplit(".", 1)[-1])
    return own not in ("expr", default_name(type(layer)).rstrip("0123456789"))


def plain_text(path: str, layer: Layer) -> str:
    """A step without weights by the name that the author gave it, else what it computes."""
    return re.sub(r"_\d+$", "", path.rsplit(".", 1)[-1]) if is_given(path, layer) else layer_text(layer)


def joined(words: dict[str, str]) -> str:
    """`conv 3×3, 64, /2`."""
    parts = [word for field, word in words.items() if field and word]
    while len(parts) > 1 and len(", ".join(parts)) > LONGEST:
        parts.pop()
    if parts and len(parts[0]) > 2 * LONGEST:
        parts = [f"{parts[0][: 2 * LONGEST]} ..."]
    return f"{words.get('', '')} {', '.join(parts)}".strip()


def layer_text(layer: Layer) -> str:
    return joined(op_words(layer))


def common_words(
    all_words: list[dict[str, str]], environments: list[dict[str, float]], crowded: bool = False
) -> tuple[str, list[str]]:
    """One label for layers that stand for each other, and the formals that it uses.

    Numbers that differ become multiples of what differs with them in the blocks' arguments, else their range; where
    there is no room, filters that have no formal are left out.
    """
    fields = list(dict.fromkeys(field for words in all_words for field in words))
    used: list[str] = []
    found: dict[str, str] = {}
    for field in fields:
        values = [words.get(field, "/1" if field == "strides" else "") for words in all_words]
        before = len(used)
        found[field] = values[0] if len(set(values)) == 1 else _symbolic(values, environments, used)
        if crowded and field == "filters" and len(set(values)) > 1 and len(used) == before and "-" in found[field]:
            found[field] = ""
    return joined(found), used


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _symbolic(values: list[str], environments: list[dict[str, float]], used: list[str]) -> str:
    patterns = {_NUMBER.sub("#", value) for value in values}
    if len(patterns) > 1:
        words = " or ".join(dict.fromkeys(filter(None, values)))
        return f"({words})" if "" in values else words
    columns = zip(*(map(float, _NUMBER.findall(value)) for value in values), strict=True)
    texts = [_number_text(list(column), environments, used) for column in columns]
    return re.sub("#", lambda _: texts.pop(0), patterns.pop())


def _number_text(numbers: list[float], environments: list[dict[str, float]], used: list[str]) -> str:
    if len(set(numbers)) == 1:
        return f"{numbers[0]:g}"
    for name in environments[0] if environments else ():
        ratios = {
            number / env[name] if name in env else None for number, env in zip(numbers, environments, strict=True)
        }
        ratio = ratios.pop()
        if ratios or ratio is None or not (ratio == 1 or (name in FORMALS and _whole(ratio))):
            continue
        if name not in used:
            used.append(name)
        short = formal_name(name)
        return short if ratio == 1 else f"{int(ratio)}{short}" if ratio > 1 else f"{short}/{int(1 / ratio)}"
    return range_text(numbers)


def _whole(ratio: float) -> bool:
    return ratio == int(ratio) or (ratio != 0 and 1 / ratio == int(1 / ratio))


def range_text(numbers: Sequence[float]) -> str:
    """`16-320`, `0.073-0.164`, a single number as it is."""
    low, high = min(numbers), max(numbers)
    return f"{low:g}" if low == high else f"{_rounded(low)}-{_rounded(high)}"


def _rounded(number: float) -> str:
    """With three places, or two digits where that would leave little."""
    return f"{round(number, 3):g}" if number == int(number) or abs(number) >= 0.01 else f"{number:.2g}"


def formal_name(name: str) -> str:
    """`c` for filters, `s` for stride."""
    return FORMALS.get(name, name)


def strip_text(layer: Layer) -> str:
    """`BN`, `dropout 0.1`."""
    words = op_words(layer)
    if "expression" in words:
        return _activation_of(layer)
    return words.get("", "") + (f" {words['rate']}" if "rate" in words else "")


def _activation_of(layer: Layer) -> str:
    """`gelu` for `gelu(x)`."""
    text = op_words(layer)["expression"]
    return text.partition("(")[0] if re.fullmatch(r"[a-z_]+\(.*\)", text) else text


def detail_words(layers: Sequence[Layer]) -> str:
    """What a row without a panel holds: a few ops with their arguments, of more ops only how many."""
    ops = [layer for layer in layers if layer.role not in MINOR] or list(layers)
    words = [joined(op_words(layer)) for layer in ops]
    short = [word.removeprefix("conv ") for word in words]
    if len(" · ".join(short)) <= LONGEST_DETAIL:
        return " · ".join(short)
    counts = Counter(op_words(layer).get("", "") or "formula" for layer in ops)
    for kept in range(len(counts), 0, -1):
        names = [name for name, _ in counts.most_common(kept)]
        text = ", ".join(f"{name} ×{times}" if times > 1 else name for name, times in counts.items() if name in names)
        if len(text) <= LONGEST_DETAIL or kept == 1:
            return text
    return ""


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


def _number(_: Layer, value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else _plain(_, value)


def _flag(text: str) -> Callable[[Layer, object], str]:
    return lambda _, value: text if value is True else ""


def _value(value: object) -> str:
    if isinstance(value, Layer):
        return layer_text(value)
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        return shape_text(value)
    if isinstance(value, float):
        return f"{value:.4g}"
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
    "rate": _number,
    "stddev": _number,
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
