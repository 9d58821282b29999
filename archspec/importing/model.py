"""A model's config → graph: functional and Sequential models, models inside models, shared layers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archspec.graph.ir import Edge, Graph, Node, Origin, Use, as_tuple
from archspec.importing.archive import ImportFailed, parse_config
from archspec.importing.calls import Call, calls_of, drop_computed_masks, flat, is_model, options, tensors, text
from archspec.importing.exact import Unknown
from archspec.importing.layers import Tensor, catalogued, foreign, operation, writable
from archspec.importing.legacy import model_config
from archspec.importing.repeats import Place, scopes
from archspec.language.limits import Limits, over
from archspec.layers.base import Layer, group_inputs, tensor_parameters
from archspec.layers.nesting import fits
from archspec.tensor import ShapeError, TensorType

UNKNOWN = TensorType((None,))  # of a result that nothing in the file tells the shape of

Structure = Any  # edges in lists and mappings, as a model's inputs and outputs are given
Bound = tuple[Layer, tuple[str, ...], tuple[TensorType, ...]]


def load_keras(path: str | Path, limits: Limits = Limits()) -> Graph:
    """The graph of a `.keras` or `.h5` file. Raises ImportFailed."""
    return imported(model_config(path), limits)


def from_model(model: Any, limits: Limits = Limits()) -> Graph:
    """The graph of a `keras.Model`, by way of its config. Raises ImportFailed."""
    try:
        config = model.to_json()
    except NotImplementedError as error:
        raise ImportFailed(f"the model cannot be written as a config: {error}") from None
    return imported(parse_config(config, str(model.name)), limits)


def imported(config: Mapping[str, Any], limits: Limits = Limits()) -> Graph:
    """The graph of a functional or Sequential model's config. Layers are named as in Keras; repeats are found,

    and stand in scopes as if a spec had used a block. Raises ImportFailed.
    """
    return Reader(limits).read(config)


def need_model(config: Mapping[str, Any]) -> None:
    """Raises ImportFailed for what only its own code can connect."""
    if not is_model(config):
        raise ImportFailed(
            f"{text(config.get('class_name')) or 'this'} is neither a functional nor a Sequential model:"
            " only its code says how its layers are connected, and no code is run; make a keras.Model(inputs, outputs)"
        )


def _named(outputs: Structure) -> dict[str, Edge]:
    if isinstance(outputs, Mapping) and all(isinstance(value, Edge) for value in outputs.values()):
        return {str(name): edge for name, edge in outputs.items()}
    edges = list(flat(outputs))
    return {"output" if i == 0 else f"output{i + 1}": edge for i, edge in enumerate(edges)}


class Reader:
    """The nodes and the inputs made so far."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.nodes: dict[str, Node] = {}
        self.inputs: list[str] = []

    def read(self, config: Mapping[str, Any]) -> Graph:
        """The graph of a whole model's config. Raises ImportFailed."""
        need_model(config)
        try:
            self.begin(config["config"])
            outputs = self.model(config["config"], None, (), (), True, None)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ImportFailed(f"the config is not as Keras writes it: {type(error).__name__} {error}") from None
        except RecursionError:
            raise ImportFailed("the models are nested too deeply") from None
        nodes = {name: self.nodes[name] for name in self.inputs} | self.nodes
        return Graph(
            writable(text(config["config"].get("name"))) or "model", nodes, tuple(self.inputs), _named(outputs)
        )

    def begin(self, config: Mapping[str, Any]) -> None:
        """What there is to do before a model's layers are made."""

    def ordered_inputs(self, listed: Sequence[str]) -> list[str]:
        """The inputs, of which a file may list too few, or others."""
        inputs = [name for name, node in self.nodes.items() if type(node.layer).__name__ == "InputLayer"]
        return [*dict.fromkeys(name for name in listed if name in inputs), *(n for n in inputs if n not in listed)]

    def calls(self, config: Mapping[str, Any]) -> tuple[list[Call], Any, Any]:
        return calls_of(config, drop_computed_masks)

    def places(self, calls: Sequence[Call]) -> Mapping[Call, Place]:
        return scopes(calls)

    def is_nested(self, call: Call) -> bool:
        """Whether a call is one of a model whose layers are made here."""
        return is_model(call.data)

    def model(
        self,
        config: Mapping[str, Any],
        given: Structure,
        scope: tuple[str, ...],
        uses: tuple[Use, ...],
        trainable: bool,
        owner: tuple[str, ...] | None,
    ) -> Structure:
        """Makes a model's nodes in a scope and returns the edges of its outputs; `owner` is its first call's scope."""
        trainable = trainable and config.get("trainable") is not False
        calls, ends, results = self.calls(config)
        fed = _fed(ends, given)
        places = self.places(calls)
        made: dict[tuple[str, int], list[Edge]] = {}
        first: dict[str, str] = {}  # layer → its first call's node, or scope
        for call, (inner, more, name) in places.items():
            path, chain = (*scope, *inner), (*uses, *more)
            key = (call.layer, call.index)
            if call.kind == "InputLayer" and given is not None:
                made[key] = [fed[call.layer]]
            elif self.is_nested(call):
                own = self._unused((*path, name))
                nested_uses = (*chain, Use("group", name, None))
                twin = (*owner, *inner, name) if owner else None
                nested_owner = tuple(first[call.layer].split(".")) if call.layer in first else twin
                arguments = argument_edges(call, made)
                inputs = arguments[0] if len(arguments) == 1 else list(arguments)
                result = self.model(call.data["config"], inputs, own, nested_uses, trainable, nested_owner)
                first.setdefault(call.layer, ".".join(own))
                made[key] = list(flat(result))
            else:
                shares = first.get(call.layer) or self._twin(owner, inner, name)
                node = self._node(call, made, (*path, name), chain, trainable, shares)
                first.setdefault(call.layer, node.name)
                made[key] = [Edge(node.name, i) for i in range(len(node.outputs))]
        if given is None:
            self.inputs = self.ordered_inputs([made[ref.layer, ref.index][0].node for ref in flat(ends)])
        return _resolved(results, made)

    def _twin(self, owner: tuple[str, ...] | None, inner: tuple[str, ...], name: str) -> str | None:
        """The node of a model's first call that a later call's node shares weights with."""
        twin = ".".join((*owner, *inner, name)) if owner else ""
        return twin if twin in self.nodes else None

    def _unused(self, path: tuple[str, ...]) -> tuple[str, ...]:
        number, found = 1, path
        while ".".join(found) in self.nodes or any(name.startswith(f"{'.'.join(found)}.") for name in self.nodes):
            found = (*path[:-1], f"{path[-1]}_{number}")
            number += 1
        return found

    def _node(
        self,
        call: Call,
        made: Mapping[tuple[str, int], list[Edge]],
        path: tuple[str, ...],
        uses: tuple[Use, ...],
        trainable: bool,
        shares: str | None,
    ) -> Node:
        layer, parameters, outputs = self._bound(call, made)
        name = self._free(".".join(path))
        edges = tuple(flat([*argument_edges(call, made), *named_edges(call, made).values()]))
        trains = trainable and call.config.get("trainable") is not False
        if shares and type(self.nodes[shares].layer) is not type(layer):
            shares = None
        node = Node(name, layer, edges, parameters, outputs, shares, trains, Origin(None, uses))
        self._add(node)
        return node

    def _add(self, node: Node) -> None:
        if len(self.nodes) >= self.limits.nodes:
            raise ImportFailed(over("nodes", self.limits.nodes + 1, "the number of layers"))
        self.nodes[node.name] = node

    def _free(self, name: str) -> str:
        found, number = name, 1
        while found in self.nodes:
            found, number = f"{name}_{number}", number + 1
        return found

    def _type(self, edge: Edge) -> TensorType:
        return self.nodes[edge.node].outputs[edge.index]

    def _bound(self, call: Call, made: Mapping[tuple[str, int], list[Edge]]) -> Bound:
        """The layer, where its inputs go, what it gives; foreign where the catalogue has no such layer or use of it."""
        positional, named = argument_edges(call, made), named_edges(call, made)
        types = [self._type(edge) for edge in flat([*positional, *named.values()])]
        layer = self._known(call, types)
        if layer is not None:
            parameters = bound_parameters(layer, call.first_names(), positional, named)
            with contextlib.suppress(Unknown):
                if parameters is not None and _agree(found := outputs_of(layer, parameters, types)[0], call.declared):
                    return layer, parameters, found
        outputs = tuple(call.declared[i] or UNKNOWN for i in range(len(call.declared))) or (UNKNOWN,)
        return foreign(call.kind, call.config, outputs), ("inputs",) * len(types), outputs

    def _known(self, call: Call, types: list[TensorType]) -> Layer | None:
        if call.is_operation:
            arguments = [_placed(value) for value in call.args]
            settings = {**call.config, **options(call)}
            return None if tensors(list(call.kwargs.values())) else operation(call.kind, settings, arguments, types)
        return catalogued(call.kind, call.config, options(call)) if call.is_known else None


def _placed(value: Any) -> Any:
    """An argument of a function, its tensors as places."""
    if isinstance(value, list):
        return [_placed(one) for one in value]
    return Tensor() if tensors(value) else value


def _fed(ends: Structure, given: Structure) -> dict[str, Edge]:
    """Input layers of a model inside another → what it is called with."""
    if given is None:
        return {}
    if isinstance(ends, Mapping) and isinstance(given, Mapping):
        return {ends[key].layer: given[key] for key in ends}
    return {ref.layer: edge for ref, edge in zip(flat(ends), flat(given), strict=True)}


def _resolved(value: Any, made: Mapping[tuple[str, int], list[Edge]]) -> Structure:
    """References to tensors as edges, in the same lists and mappings."""
    if isinstance(value, Mapping):
        return {key: _resolved(one, made) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(one, made) for one in value]
    return made[value.layer, value.index][value.output]


def argument_edges(call: Call, made: Mapping[tuple[str, int], list[Edge]]) -> list[Structure]:
    """The positional arguments that are tensors."""
    return [_resolved(tensors(value, keep=True), made) for value in call.args if tensors(value)]


def named_edges(call: Call, made: Mapping[tuple[str, int], list[Edge]]) -> dict[str, Structure]:
    return {key: _resolved(tensors(value, keep=True), made) for key, value in call.kwargs.items() if tensors(value)}


def bound_parameters(
    layer: Layer, places: Sequence[int], positional: Sequence[Structure], named: Mapping[str, Structure]
) -> tuple[str, ...] | None:
    """The parameter that each input goes to; None where the layer of the catalogue has none for it."""
    takes = tensor_parameters(type(layer))
    if any(place >= len(takes) and not (takes and takes[0].several) for place in places):
        return None
    names: list[str] = []
    for place, value in zip(places, positional, strict=True):
        parameter = takes[0] if takes[0].several and takes[0].name == "inputs" else takes[place]
        names += [parameter.name] * len(list(flat(value)))
    known = {parameter.name for parameter in takes}
    for name, value in named.items():
        if name not in known:
            return None
        names += [name] * len(list(flat(value)))
    several = {parameter.name for parameter in takes if parameter.several}
    required = {parameter.name for parameter in takes if parameter.required}
    fine = required <= set(names) and all(names.count(name) == 1 or name in several for name in names)
    return tuple(names) if fine else None


def outputs_of(
    layer: Layer, parameters: tuple[str, ...], types: Sequence[TensorType]
) -> tuple[tuple[TensorType, ...], bool]:
    """What the layer gives, and whether it has weights. Raises Unknown."""
    positional, named = group_inputs(type(layer), parameters, tuple(types))
    try:
        outputs = as_tuple(layer.infer(*positional, **named))
        layer.macs(*positional, **named)
        return outputs, bool(layer.weights(*positional, **named))
    except (ShapeError, TypeError, ValueError, AssertionError) as error:  # a use that no spec could have written
        raise Unknown(f"the catalogue cannot use it so: {error}") from None


def _agree(outputs: tuple[TensorType, ...], declared: Sequence[TensorType | None]) -> bool:
    """Whether they have the shapes that the file declares."""
    if len(declared) > len(outputs):
        return False
    return all(d is None or fits(o.shape, d.shape) for o, d in zip(outputs, declared, strict=False))
