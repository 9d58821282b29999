"""Where a `.keras` file keeps the weights of each layer, by the names that Keras makes of classes and attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archspec.importing.calls import is_keras_model, text
from archspec.layers.base import Layer, WeightSpec
from archspec.layers.multi_head_attention import GroupQueryAttention, MultiHeadAttention
from archspec.layers.normalization import SpectralNormalization
from archspec.layers.preprocessing import Pipeline
from archspec.layers.recurrent import RNN, StackedRNNCells
from archspec.layers.wrappers import Bidirectional, TimeDistributed

_CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}  # names of classes that are public under others
_PROJECTIONS = {"query": "query_dense", "key": "key_dense", "value": "value_dense", "attention_output": "output_dense"}
# A layer inside another: its name in the path of a weight, its place in the file, itself where it has layers inside.
Inside = tuple[str, str, Layer | None]


def file_name(class_name: str) -> str:
    """`Conv2D` → `conv2d`, as Keras names the entries of a list of layers."""
    name = re.sub(r"\W+", "", _CLASSES.get(class_name, class_name))
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def layer_places(config: Mapping[str, Any]) -> dict[int, str]:
    """The place of each layer's entry, by its `id`, in a model's config: `layers/functional_1/layers/dense`.

    A layer of several models stands where it is first met. Keras marks its entries with one number, but for the first
    where that one stands in a nested model; there its name, class and arguments tell.
    """
    places: dict[int, str] = {}
    marked: dict[object, str] = {}
    alike: dict[tuple[str, str], list[tuple[Any, str]]] = {}

    def walk(config: Mapping[str, Any], above: str) -> None:
        operations = (str(data.get("module") or "").startswith("keras.src.ops") for data in config["layers"])
        entries = [data for data, is_function in zip(config["layers"], operations, strict=True) if not is_function]
        for data, name in zip(entries, _unique(file_name(text(data["class_name"])) for data in entries), strict=True):
            mark, key = data.get("shared_object_id"), (text(data["class_name"]), text(data["config"].get("name")))
            place = f"{above}layers/{name}"
            if mark is not None:
                place = marked.get(mark) or next((p for c, p in alike.get(key, ()) if c == _unmarked(data["config"])), place)
                marked.setdefault(mark, place)
            alike.setdefault(key, []).append((_unmarked(data["config"]), place))
            places[id(data)] = place
            if is_keras_model(data):
                walk(data["config"], f"{place}/")

    walk(config, "")
    return places


def _unmarked(value: Any) -> Any:
    """A config without the marks of what several share."""
    if isinstance(value, Mapping):
        return {key: _unmarked(one) for key, one in value.items() if key != "shared_object_id"}
    return [_unmarked(one) for one in value] if isinstance(value, list) else value


def _unique(names: Iterator[str]) -> Iterator[str]:
    used: dict[str, int] = {}
    for name in names:
        used[name] = used.get(name, -1) + 1
        yield f"{name}_{used[name]}" if used[name] else name


def weight_places(layer: Layer, weights: Sequence[WeightSpec]) -> list[str]:
    """The place of each weight below its layer's: `vars/0`, `forward_layer/cell/vars/2`."""
    inside = _inside(layer, weights)
    # Spectral normalisation lists the kernel among its own variables, too, before the vector.
    own = 1 if isinstance(layer, SpectralNormalization) else 0
    places: dict[str, str] = {}
    for weight in weights:
        if "/" not in weight.name:
            places[weight.name] = f"vars/{own}"
            own += 1
    for name, place, inner in inside:
        below = [w for w in weights if w.name.startswith(f"{name}/")]
        short = [WeightSpec(w.name.removeprefix(f"{name}/"), w.shape) for w in below]
        found = weight_places(inner, short) if inner else [f"vars/{i}" for i in range(len(short))]
        places.update({w.name: f"{place}/{path}" for w, path in zip(below, found, strict=True)})
    return [places[weight.name] for weight in weights]


def _inside(layer: Layer, weights: Sequence[WeightSpec]) -> list[Inside]:
    names = list(dict.fromkeys(weight.name.partition("/")[0] for weight in weights if "/" in weight.name))
    match layer:
        case MultiHeadAttention():
            return [(name, _PROJECTIONS.get(name, f"_{name}_dense"), None) for name in names]
        case GroupQueryAttention():
            return [(name, f"_{_PROJECTIONS.get(name, f'{name}_dense')}", None) for name in names]
        case Bidirectional():
            layers = (layer.layer, layer.backward_layer or layer.layer)
            attributes = ("forward_layer", "backward_layer")
            return [(n, a, inner) for n, a, inner in zip(names, attributes, layers, strict=True)]
        case TimeDistributed() | SpectralNormalization():
            return [(name, "layer", layer.layer) for name in names]
        case RNN():
            return [(name, "cell", layer.cell) for name in names]
        case StackedRNNCells():
            return [(name, f"cells/{name}", None) for name in names]
        case Pipeline():
            inner = dict(zip(_unique(file_name(type(one).__name__) for one in layer.layers), layer.layers, strict=True))
            return [(name, f"layers/{name}", inner[name]) for name in names]
        case _:
            return [(name, "cell", None) for name in names]  # of LSTM and its like
