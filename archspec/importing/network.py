"""A `.keras` or `.h5` file → a graph that computes what the model does after its training, and its weights.

Other than for pictures (`load_keras`), nothing may be left out: layers have the names that they have in Keras, and one
that the catalogue does not know, or knows with other arguments, is told with the reason. Batch sizes in the file are
not kept, nor are initializers, regularizers and constraints that the catalogue lacks, names of layers inside wrappers,
and `training=False` in the call of a frozen part: a graph says nothing of them, and none changes what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.graph.ir import Edge, Graph, Node, Origin, Use
from archspec.importing.archive import ImportFailed, is_hdf5, read_vocabulary
from archspec.importing.calls import Call, calls_of, flat, is_keras_model, is_model, tensors
from archspec.importing.exact import Unknown
from archspec.importing.layers import foreign, writable
from archspec.importing.legacy import legacy_config, legacy_weights, model_config
from archspec.importing.masks import drop_implicit
from archspec.importing.model import UNKNOWN, Reader, argument_edges, bound_parameters, named_edges, outputs_of
from archspec.importing.places import layer_places
from archspec.importing.readings import Reading, reading
from archspec.importing.stored import hdf5_file, read_weights, weights_file
from archspec.language.limits import Limits
from archspec.layers.base import Layer, tensor_parameters
from archspec.layers.core import InputLayer, Masking
from archspec.layers.formula import Formula
from archspec.layers.nesting import fits
from archspec.layers.weight import Weight
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Weights = Mapping[str, tuple[npt.NDArray[np.generic], ...]]

Made = Mapping[tuple[str, int], list[Edge]]
_TOLD = 3  # layers that a message names


@dataclass(frozen=True)
class Opaque:
    """A layer that the catalogue has no equal for: its node, its class, and why."""

    node: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.node} ({self.kind}): {self.reason}"


def read_network(path: str | Path, limits: Limits = Limits(), around: bool = False) -> tuple[Graph, Weights]:
    """The graph of a functional or Sequential model in a file that Keras saved, and its weights by node.

    `around`, for `.keras` files: layers that the catalogue does not know become nodes with no rule and no weights
    (`layers.Foreign`; `opaque` has the reasons). No rewrite touches them, and `around.put_back` puts them into the
    file that is written.

    Shape: those of each node in the order of `Graph.weights`; nodes without weights of their own have no entry.
    Raises ImportFailed.
    """
    graph, reader = read_exactly(path, limits)
    old = is_hdf5(path)
    if reader.opaque and (old or not around):
        shown = "; ".join(map(str, reader.opaque[:_TOLD]))
        more = f"; and {len(reader.opaque) - _TOLD} more" if len(reader.opaque) > _TOLD else ""
        raise ImportFailed(f"{path} has layers that the catalogue does not know: {shown}{more}")
    if old:
        with hdf5_file(path, str(path)) as file:
            config = legacy_config(file, path)["config"]
            return graph, legacy_weights(file, graph, reader.places_of_nodes, reader.order, config)
    with weights_file(path) as file:
        return graph, read_weights(file, graph, reader.places_of_nodes)


def opaque(path: str | Path, limits: Limits = Limits()) -> tuple[Opaque, ...]:
    """The layers of a model that the catalogue does not know, each with the reason. Raises ImportFailed."""
    return tuple(read_exactly(path, limits)[1].opaque)


def read_exactly(path: str | Path, limits: Limits = Limits()) -> tuple[Graph, ExactReader]:
    """The graph, and the reader, which knows more of it."""
    old = is_hdf5(path)
    reader = ExactReader(limits, lambda place: None if old else read_vocabulary(path, place))
    return reader.read(model_config(path)), reader


class ExactReader(Reader):
    """Reads a config exactly. `opaque`: what could not be; `places_of_nodes`: where the file keeps their weights;
    `functions`: the nodes that are a formula here and a function of keras.ops in the file; `structure`: the inputs and
    the outputs in the file's lists and mappings.

    `vocabulary` gives the tokens that the file has for a layer beside its config.
    """

    def __init__(self, limits: Limits, vocabulary: Callable[[str], list[str] | None]) -> None:
        super().__init__(limits)
        self._vocabulary = vocabulary
        self.opaque: list[Opaque] = []
        self.opaque_calls: dict[str, list[Call]] = {}
        self.functions: dict[str, tuple[Formula, Call]] = {}
        self.structure: tuple[Any, Any] = (None, None)
        self.places_of_nodes: dict[str, str] = {}
        self._places: Mapping[int, str] = {}
        self._owners: dict[str, str] = {}  # the node that makes the weights of a place in the file
        self._masked: set[Edge] = set()  # tensors that may have a mask of Keras's

    def read(self, config: Mapping[str, Any]) -> Graph:
        if is_model(config) and not is_keras_model(config):
            name = config.get("registered_name") or config.get("class_name")
            raise ImportFailed(f"the model is a {name}, whose code says what it computes, and no code is run")
        try:
            return super().read(config)
        except ImportFailed:
            raise
        except ValueError as error:
            raise ImportFailed(f"the config is not as Keras writes it: {error}") from None

    def begin(self, config: Mapping[str, Any]) -> None:
        self._places = layer_places(config)

    @property
    def order(self) -> list[str]:
        """The places of all layers, in the config's order."""
        return list(self._places.values())

    def ordered_inputs(self, listed: Sequence[str]) -> list[str]:
        found = super().ordered_inputs(listed)
        if found != list(listed):
            raise ImportFailed(f"the model lists the inputs {', '.join(listed)}, but has {', '.join(found)}")
        return found

    def calls(self, config: Mapping[str, Any]) -> tuple[list[Call], Any, Any]:
        calls, ends, results = calls_of(config, drop_implicit)
        if self.structure == (None, None):  # the outermost model's come first
            self.structure = ends, results
        return calls, ends, results

    def places(self, calls: Sequence[Call]) -> Mapping[Call, tuple[tuple[str, ...], tuple[Use, ...], str]]:
        """Keras's own names; a layer's further calls are numbered past them. A dot parts scopes, but is none of a
        model's name inside another (mobilenetv2_1.00_224)."""
        taken = {_name(call.layer) for call in calls}
        found = {}
        for call in calls:
            name, number = _name(call.layer), call.index
            while call.index and name in taken:
                name, number = f"{_name(call.layer)}_{number}", number + 1
            taken.add(name)
            *scope, last = [name.replace(".", "_")] if is_keras_model(call.data) else name.split(".")
            found[call] = tuple(scope), tuple(Use("group", part, None) for part in scope), last
        return found

    def is_nested(self, call: Call) -> bool:
        if not is_keras_model(call.data):
            return False
        given = {key: value for key, value in call.kwargs.items() if value is not None}
        if given.pop("training", False):
            raise ImportFailed(f"the model {call.layer} is called with training=True, which a graph cannot say")
        if given or any(not tensors(value) for value in call.args if value not in (None, [])):
            raise ImportFailed(
                f"the model {call.layer} is called with more than tensors: {', '.join(given) or call.args}"
            )
        return True

    def _node(
        self,
        call: Call,
        made: Made,
        path: tuple[str, ...],
        uses: tuple[Use, ...],
        trainable: bool,
        shares: str | None,
    ) -> Node:
        """The last of the nodes of a call; most have one."""
        trains = trainable and call.config.get("trainable") is not False
        edges = tuple(flat([*argument_edges(call, made), *named_edges(call, made).values()]))
        call = self._with_vocabulary(call)
        blank = Node(self._free(".".join(path)), InputLayer(shape=()), edges, (), (), None, trains, Origin(None, uses))
        try:
            found = reading(call, [self._type(edge) for edge in edges], any(edge in self._masked for edge in edges))
            return self._read(call, found, made, blank)
        except Unknown as error:
            return self._opaque(call, blank, str(error))

    def _read(self, call: Call, found: Reading, made: Made, blank: Node) -> Node:
        """The nodes of a call that is understood. Raises Unknown."""
        place = self._places.get(id(call.data), "")
        parameters = _parameters(call, found, made)
        edges = () if found.alone else blank.inputs * (2 if found.twice else 1)
        types = [self._type(edge) for edge in edges]
        if found.weight is not None:
            types.append(TensorType(found.weight.shape, found.weight.output_dtype))
        outputs, owns = outputs_of(found.layer, parameters, types)
        then = outputs_of(found.then, _first(found.then, 1), outputs)[0] if found.then else outputs
        _check_declared(call, then)
        node = replace(blank, layer=found.layer, inputs=edges, parameters=parameters, outputs=outputs)
        if found.weight is not None:
            edges = (*edges, self._weight(found.weight, node, place))
        elif found.before is not None:
            edges = (*edges[:-1], self._before(found.before, node))
        elif owns:
            node = replace(node, shares=self._owner(node, place))
        self._add(replace(node, inputs=edges))
        if call.is_operation and isinstance(found.layer, Formula):
            self.functions[node.name] = found.layer, call
        if found.then is not None:
            name = self._free(f"{node.name}_activation")
            after = replace(node, name=name, layer=found.then, inputs=(Edge(node.name),), outputs=then, shares=None)
            self._add(replace(after, parameters=_first(found.then, 1)))
            return self.nodes[name]
        return self.nodes[node.name]

    def _with_vocabulary(self, call: Call) -> Call:
        """The call of a layer that was adapted with what it learnt as its argument."""
        learnt = call.kind in ("IntegerLookup", "StringLookup", "TextVectorization")
        if not learnt or call.config.get("vocabulary") is not None:
            return call
        tokens: list[Any] | None = self._vocabulary(self._places.get(id(call.data), ""))
        if tokens is None:
            return call
        if call.kind == "IntegerLookup":
            tokens = list(map(int, tokens))
        return replace(call, data={**call.data, "config": {**call.config, "vocabulary": tokens}})

    def _owner(self, node: Node, place: str) -> str | None:
        """The node whose weights a node takes; None, and it is noted, where it makes them."""
        owner = self._owners.setdefault(place, node.name)
        if owner == node.name:
            self.places_of_nodes[node.name] = place
            return None
        return owner

    def _weight(self, layer: Weight, node: Node, place: str) -> Edge:
        """The weight that the catalogue has beside the layer that holds it in Keras."""
        name = self._free(f"{node.name}_weight")
        owner = self._owner(replace(node, name=name), place)
        if owner is None:
            output = TensorType(layer.shape, layer.output_dtype)
            self._add(replace(node, name=name, layer=layer, inputs=(), parameters=(), outputs=(output,)))
        return Edge(owner or name)

    def _before(self, layer: Layer, node: Node) -> Edge:
        """What a layer makes of the last tensor of a node, of the same type."""
        name, parameters = self._free(f"{node.name}_input"), _first(layer, 1)
        outputs = outputs_of(layer, parameters, [self._type(node.inputs[-1])])[0]
        self._add(
            replace(node, name=name, layer=layer, inputs=node.inputs[-1:], parameters=parameters, outputs=outputs)
        )
        return Edge(name)

    def _add(self, node: Node) -> None:
        super()._add(node)
        begins = isinstance(node.layer, Masking) or getattr(node.layer, "mask_zero", False)
        several = isinstance(node.layer, Formula) and len(node.inputs) > 1
        if begins or (not several and any(edge in self._masked for edge in node.inputs)):
            self._masked |= {Edge(node.name, i) for i in range(len(node.outputs))}

    def _opaque(self, call: Call, blank: Node, reason: str) -> Node:
        """A node that stands for a layer that is not understood. Each call of one layer gives the same."""
        outputs = tuple(one or UNKNOWN for one in call.declared) or (UNKNOWN,)
        shares = self._owner(blank, self._places.get(id(call.data), blank.name))
        layer = foreign(call.kind, call.config, outputs, shares or blank.name)
        if shares is None:
            self.opaque.append(Opaque(blank.name, call.kind, reason))
        elif self.nodes[shares].layer != layer:
            raise ImportFailed(f"the layer {shares} ({call.kind}) is called with different shapes, and {reason}")
        self.opaque_calls.setdefault(shares or blank.name, []).append(call)
        parameters = ("inputs",) * len(blank.inputs)
        self._add(replace(blank, layer=layer, parameters=parameters, outputs=outputs, shares=shares))
        return self.nodes[blank.name]


def _name(name: str) -> str:
    """Keras's name; Keras 3 has no slashes in names, scopes have no empty parts. Raises ImportFailed."""
    if name != writable(name):
        raise ImportFailed(f"a layer has a name that no file can hold: {name!r:.80}")
    name = name.replace("/", "_") or "layer"
    return name if all(name.split(".")) else name.replace(".", "_")


def _first(layer: Layer, count: int) -> tuple[str, ...]:
    return (tensor_parameters(type(layer))[0].name,) * count


def _parameters(call: Call, found: Reading, made: Made) -> tuple[str, ...]:
    """The parameter of the layer's call that each of its inputs goes to. Raises Unknown."""
    positional, named = argument_edges(call, made), named_edges(call, made)
    count = len(list(flat([*positional, *named.values()])))
    if found.alone or call.kind == "InputLayer":
        return ()
    if call.is_operation or found.weight is not None:
        return _first(found.layer, count * (2 if found.twice else 1) + (found.weight is not None))
    parameters = bound_parameters(found.layer, call.first_names(), positional, named)
    if parameters is None:
        given = [*("a tensor" for _ in positional), *named]
        raise Unknown(f"the catalogue has no call of it with {', '.join(given)}")
    return parameters


def _check_declared(call: Call, outputs: Sequence[TensorType]) -> None:
    """Raises Unknown where the file says that something else comes out."""
    if len(call.declared) > len(outputs):
        raise Unknown(f"it gives {len(call.declared)} tensors, the catalogue's {len(outputs)}")
    for declared, output in zip(call.declared, outputs, strict=False):
        if declared is None:
            continue
        same = declared.dtype == output.dtype or not call.has_dtypes
        if not (fits(output.shape, declared.shape) and same):
            raise Unknown(f"it gives {declared} {declared.dtype}, the catalogue's {output} {output.dtype}")
