"""A model's config as calls of layers in an order in which they can be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from archspec.graph.order import topological
from archspec.importing.archive import ImportFailed
from archspec.importing.layers import of_keras
from archspec.layers import find_layer
from archspec.layers.base import call_fields
from archspec.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Ref:
    """One output of one call of a layer."""

    layer: str
    index: int
    output: int
    type: TensorType | None = None


@dataclass(slots=True, eq=False)
class Call:
    """One call of a layer. `args` and `kwargs` have `Ref` where Keras has tensors.

    `declared` are the types of its outputs as its readers tell them, None where nobody does; `has_dtypes`: whether
    the file says their dtypes, too.
    """

    layer: str
    index: int
    data: Mapping[str, Any]
    args: list[Any]
    kwargs: dict[str, Any]
    declared: list[TensorType | None] = field(default_factory=list)
    has_dtypes: bool = False

    @property
    def kind(self) -> str:
        return text(self.data["class_name"])

    @property
    def config(self) -> Mapping[str, Any]:
        config = self.data.get("config")
        return config if isinstance(config, Mapping) else {}

    @property
    def is_operation(self) -> bool:
        """Whether it is a function of keras.ops."""
        return text(self.data.get("module")).startswith("keras.src.ops")

    @property
    def is_known(self) -> bool:
        """Whether the class is Keras's or archspec's, not another of the same name."""
        return of_keras(self.data)

    def refs(self) -> list[Ref]:
        found: list[Ref] = tensors([self.args, self.kwargs])
        return found

    def first_names(self) -> list[int]:
        """The places of the positional arguments that are tensors."""
        return [place for place, value in enumerate(self.args) if tensors(value)]


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def is_model(data: Mapping[str, Any]) -> bool:
    """Whether a layer is itself a functional or a Sequential model."""
    config = data.get("config")
    return isinstance(config, Mapping) and isinstance(config.get("layers"), list)


def is_keras_model(data: Mapping[str, Any]) -> bool:
    """Whether a layer is one of Keras's own models, which compute nothing but what their layers do."""
    return is_model(data) and of_keras(data) and data.get("class_name") in ("Functional", "Sequential", "Model")


def flat(value: Any) -> Iterator[Any]:
    """What stands in lists and mappings; Keras orders mappings by their keys."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from flat(value[key])
    elif isinstance(value, list | tuple):
        for one in value:
            yield from flat(one)
    elif value is not None:
        yield value


def tensors(value: Any, keep: bool = False) -> Any:
    """The references in a value, in a list; with `keep` in the lists and mappings where they stand."""
    if keep:
        if isinstance(value, Mapping):
            return {key: tensors(one, True) for key, one in value.items() if tensors(one)}
        return [tensors(one, True) for one in value if tensors(one)] if isinstance(value, list) else value
    return [one for one in flat(value) if isinstance(one, Ref)]


def options(call: Call) -> dict[str, Any]:
    """What a call is given that is no tensor, where the catalogue's layer has an argument for it."""
    cls = None if call.is_operation else find_layer(call.kind)
    known = call_fields(cls) if cls else frozenset(call.kwargs) if call.is_operation else frozenset[str]()
    return {key: value for key, value in call.kwargs.items() if key in known and value is not None}


def calls_of(config: Mapping[str, Any], drop_masks: Callable[[Sequence[Call]], None]) -> tuple[list[Call], Any, Any]:
    """A model's calls, each behind those that it reads; its inputs and its outputs as references.

    `drop_masks` takes away masks that Keras passed along by itself.
    """
    if "input_layers" not in config:
        return _sequential(config)
    found = [call for data in config["layers"] for call in _calls(data)]
    ends, results = _references(config["input_layers"]), _references(config["output_layers"])
    models = {call.layer: call for call in reversed(found) if is_model(call.data) and "input_layers" in call.config}
    inside = _offsets(found, models, [ref for call in found for ref in call.refs()], False)
    for call in found:
        call.args, call.kwargs = _shifted(call.args, inside), _shifted(call.kwargs, inside)
    results = _shifted(results, _offsets(found, models, tensors(results), True))
    drop_masks(found)
    ordered = _in_order(_alive(found, tensors(results)))
    _declare(ordered, tensors(results))
    return ordered, ends, results


def _sequential(config: Mapping[str, Any]) -> tuple[list[Call], Any, Any]:
    layers = list(config["layers"])
    if not layers or layers[0]["class_name"] != "InputLayer":
        shape = config.get("build_input_shape") or _first_shape(layers)
        if shape is None:
            raise ImportFailed("the Sequential model does not say its input's shape: call or build it, then save it")
        start = {"class_name": "InputLayer", "config": {"name": "input", "batch_shape": shape}}
        layers = [start, *layers]
    names = [text(data["config"].get("name")) or f"layer{i}" for i, data in enumerate(layers)]
    calls = [Call(names[0], 0, layers[0], [], {})]
    for before, name, data in zip(names, names[1:], layers[1:], strict=False):
        calls.append(Call(name, 0, data, [Ref(before, 0, 0)], {}))
    for call, after in pairwise(calls):
        shape = (after.data.get("build_config") or {}).get("input_shape")
        call.declared = [_type(shape, None)]
    return calls, Ref(names[0], 0, 0), Ref(names[-1], 0, 0)


def _first_shape(layers: Sequence[Mapping[str, Any]]) -> Any:
    found = layers[0]["config"].get("batch_input_shape") if layers else None
    return found or ((layers[0].get("build_config") or {}).get("input_shape") if layers else None)


def _type(shape: object, dtype: object) -> TensorType | None:
    """A shape with its batch as the file gives it; None where it is none."""
    if not isinstance(shape, list) or not shape or not all(n is None or isinstance(n, int) for n in shape):
        return None
    return TensorType(tuple(shape[1:]), text(dtype) or "float32")


# --- reading -------------------------------------------------------------------------------------


def _calls(data: Mapping[str, Any]) -> Iterator[Call]:
    name = text(data.get("name")) or text(data["config"].get("name"))
    inbound = data.get("inbound_nodes") or []
    if not inbound:
        yield Call(name, 0, data, [], {})
    for index, node in enumerate(inbound):
        if isinstance(node, Mapping):
            args, kwargs = _revived(node.get("args") or []), _revived(node.get("kwargs") or {})
        else:  # of Keras 2: a list of [layer, call, output, arguments]
            refs = [Ref(text(one[0]), one[1], one[2]) for one in node]
            args, kwargs = [refs[0] if len(refs) == 1 else refs], _references(dict(node[0][3]) if node else {})
        yield Call(name, index, data, list(args), dict(kwargs))


def _revived(value: Any) -> Any:
    """Arguments with their tensors as references."""
    if isinstance(value, Mapping):
        config = value.get("config")
        if value.get("class_name") == "__keras_tensor__" and isinstance(config, Mapping):
            layer, index, output = config["keras_history"]
            shape = config.get("shape")
            return Ref(text(layer), index, output, _type(shape, config.get("dtype")))
        return {key: _revived(one) for key, one in value.items()}
    return [_revived(one) for one in value] if isinstance(value, list) else value


def _references(value: Any) -> Any:
    """`[layer, call, output]` as a reference, wherever it stands."""
    if isinstance(value, list):
        if len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int):
            return Ref(value[0], value[1], value[2])
        return [_references(one) for one in value]
    return {key: _references(one) for key, one in value.items()} if isinstance(value, Mapping) else value


def _offsets(
    calls: Sequence[Call], models: Mapping[str, Call], refs: Sequence[Ref], of_results: bool
) -> dict[str, int]:
    """Where the counting of a functional model's calls begins: some lists count its own making as the first.

    Keras 3 does so for the outputs of the model around it, Keras 2 for all that reads it.
    """
    named: dict[str, set[int]] = {}
    for ref in refs:
        named.setdefault(ref.layer, set()).add(ref.index)
    counts = Counter(call.layer for call in calls)
    offsets = {}
    for layer, call in models.items():
        found = named.get(layer, {0})
        beyond = max(found) >= counts[layer]
        offsets[layer] = int(0 not in found and (of_results or beyond or "module" not in call.data))
    return offsets


def _shifted(value: Any, offsets: Mapping[str, int]) -> Any:
    if isinstance(value, Ref):
        return Ref(value.layer, value.index - offsets.get(value.layer, 0), value.output, value.type)
    if isinstance(value, Mapping):
        return {key: _shifted(one, offsets) for key, one in value.items()}
    return [_shifted(one, offsets) for one in value] if isinstance(value, list) else value


def drop_computed_masks(calls: Sequence[Call]) -> None:
    """All masks that functions computed: for pictures, where masks that Keras passed along would be in the way."""
    computed = {call.layer for call in calls if call.is_operation}
    for call in calls:
        for key in [key for key in call.kwargs if key.endswith("mask")]:
            refs = tensors(call.kwargs[key])
            if refs and all(ref.layer in computed for ref in refs):
                del call.kwargs[key]


def _alive(calls: Sequence[Call], results: Sequence[Ref]) -> list[Call]:
    """Without the functions whose results nobody reads any more."""
    by_key = {(call.layer, call.index): call for call in calls}
    if len(by_key) < len(calls):
        raise ImportFailed("two layers of the model have the same name")
    waiting = [(ref.layer, ref.index) for ref in results]
    waiting += [key for key, call in by_key.items() if not call.is_operation]
    needed = set(waiting)
    while waiting:
        key = waiting.pop()
        if key not in by_key:
            raise ImportFailed(f"the model reads {key[0]}, call {key[1]}, which it does not have")
        for ref in by_key[key].refs():
            if (ref.layer, ref.index) not in needed:
                needed.add((ref.layer, ref.index))
                waiting.append((ref.layer, ref.index))
    return [call for call in calls if (call.layer, call.index) in needed]


def _in_order(calls: Sequence[Call]) -> list[Call]:
    """Each call behind those that it reads, else in the file's order."""
    place = {(call.layer, call.index): number for number, call in enumerate(calls)}
    ordered = topological([{place[ref.layer, ref.index] for ref in call.refs()} for call in calls])
    if len(ordered) < len(calls):
        raise ImportFailed("the model's layers read each other in a circle")
    return [calls[number] for number in ordered]


def _declare(calls: Sequence[Call], results: Sequence[Ref]) -> None:
    by_key = {(call.layer, call.index): call for call in calls}
    for ref in [*results, *(ref for call in calls for ref in call.refs())]:
        declared = by_key[ref.layer, ref.index].declared
        if not 0 <= ref.output < 10_000:
            raise ImportFailed(f"the model reads output {ref.output} of {ref.layer}")
        declared += [None] * (ref.output + 1 - len(declared))
        declared[ref.output] = declared[ref.output] or ref.type
        by_key[ref.layer, ref.index].has_dtypes = True
