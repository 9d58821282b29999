"""Graphs made by hand, for tests of what comes after the language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from archspec.graph.ir import Edge, Graph, Node, as_tuple
from archspec.layers import parse_layer
from archspec.layers.base import Example, Layer, group_inputs, tensor_parameters
from archspec.layers.objects import snake_case
from archspec.tensor import Shape, TensorType

LayerLike = Layer | str | Mapping[str, Any]


class GraphBuilder:
    """Nodes in the order in which they are added; shapes are inferred as it goes."""

    def __init__(self, name: str = "test") -> None:
        self.name = name
        self.nodes: dict[str, Node] = {}
        self.inputs: list[str] = []
        self._names: Counter[str] = Counter()

    def input(self, name: str, shape: Shape, dtype: str = "float32") -> Edge:
        layer = parse_layer({"InputLayer": {"shape": shape, "dtype": dtype}})
        self.nodes[name] = Node(name, layer, (), (), (TensorType(shape, dtype),))
        self.inputs.append(name)
        return Edge(name)

    def apply(
        self,
        layer: LayerLike,
        *edges: Edge,
        name: str | None = None,
        shares: str | None = None,
        trainable: bool = True,
        **named: Edge | Sequence[Edge],
    ) -> Edge:
        """The first output of the layer on tensors given by position or by the name of the call's parameter."""
        if not isinstance(layer, Layer):
            layer = parse_layer(layer)
        if name is None:
            word = snake_case(type(layer).__name__)
            self._names[word] += 1
            name = f"{word}{self._names[word]}"
        inputs, parameters = _assign(layer, edges, named)
        types = tuple(self.nodes[edge.node].outputs[edge.index] for edge in inputs)
        positional, by_name = group_inputs(type(layer), parameters, types)
        outputs = as_tuple(layer.infer(*positional, **by_name))
        assert name not in self.nodes
        self.nodes[name] = Node(name, layer, inputs, parameters, outputs, shares, trainable)
        return Edge(name)

    def chain(self, edge: Edge, *layers: LayerLike, scope: str | None = None) -> Edge:
        """Layers one after the other, named below the scope."""
        for layer in layers:
            made = layer if isinstance(layer, Layer) else parse_layer(layer)
            name = f"{scope}.{snake_case(type(made).__name__)}" if scope else None
            edge = self.apply(made, edge, name=name)
        return edge

    def graph(self, *results: Edge, **outputs: Edge) -> Graph:
        for edge in results:
            outputs["output" if not outputs else f"output{len(outputs) + 1}"] = edge
        return Graph(self.name, dict(self.nodes), tuple(self.inputs), outputs)


def example_graph(name: str, example: Example) -> Graph:
    """A layer's example on inputs of its own, as `scope.layer`."""
    builder = GraphBuilder(name)

    def given(value: Any) -> Edge | list[Edge]:
        """Inputs of the types; a tuple of types gives several tensors."""
        if isinstance(value, tuple) and any(isinstance(v, tuple | TensorType) for v in value):
            return [edge for v in value for edge in [given(v)] if isinstance(edge, Edge)]
        tensor = value if isinstance(value, TensorType) else TensorType(value)
        return builder.input(f"input{len(builder.inputs)}", tensor.shape, tensor.dtype)

    named = {key: given(value) for key, value in example.named.items()}
    builder.apply({name: example.arguments}, *map(given, example.inputs), name="scope.layer", **named)
    count = len(builder.nodes["scope.layer"].outputs)
    return builder.graph(**{f"output{i}": Edge("scope.layer", i) for i in range(count)})


def _assign(
    layer: Layer, edges: Sequence[Edge], named: Mapping[str, Edge | Sequence[Edge]]
) -> tuple[tuple[Edge, ...], tuple[str, ...]]:
    takes = tensor_parameters(type(layer))
    several = bool(takes) and takes[0].several
    pairs = [(edge, takes[0 if several else i].name) for i, edge in enumerate(edges)]
    for name, value in named.items():
        pairs += [(edge, name) for edge in ([value] if isinstance(value, Edge) else value)]
    return tuple(edge for edge, _ in pairs), tuple(name for _, name in pairs)


def resnet50(classes: int = 1000) -> Graph:
    """He et al. 2015, table 1: 25,610,152 parameters with 1000 classes."""
    builder = GraphBuilder("resnet50")
    x = conv_bn(builder, builder.input("image", (224, 224, 3)), "stem", 64, 7, 2)
    x = builder.chain(x, "ReLU", {"MaxPooling2D": {"pool_size": 3, "strides": 2, "padding": "same"}}, scope="stem")
    for stage, depth in enumerate([3, 4, 6, 3]):
        for index in range(depth):
            stride = 2 if stage and not index else 1
            x = bottleneck(builder, x, f"stage{stage + 1}.bottleneck{index + 1}", 64 * 2**stage, stride, index == 0)
    x = builder.chain(x, "GlobalAveragePooling2D", {"Dense": {"units": classes, "activation": "softmax"}}, scope="head")
    return builder.graph(x)


def conv_bn(builder: GraphBuilder, x: Edge, scope: str, filters: int, kernel: int = 1, stride: int = 1) -> Edge:
    convolution = {"filters": filters, "kernel_size": kernel, "strides": stride, "padding": "same", "use_bias": False}
    return builder.chain(x, {"Conv2D": convolution}, "BatchNormalization", scope=scope)


def bottleneck(builder: GraphBuilder, x: Edge, scope: str, filters: int, stride: int, projected: bool) -> Edge:
    shortcut = conv_bn(builder, x, f"{scope}.shortcut", 4 * filters, 1, stride) if projected else x
    x = builder.chain(conv_bn(builder, x, f"{scope}.conv_bn1", filters), "ReLU", scope=f"{scope}.relu1")
    x = builder.chain(conv_bn(builder, x, f"{scope}.conv_bn2", filters, 3, stride), "ReLU", scope=f"{scope}.relu2")
    x = conv_bn(builder, x, f"{scope}.conv_bn3", 4 * filters)
    return builder.chain(builder.apply("Add", x, shortcut, name=f"{scope}.add"), "ReLU", scope=scope)


def perceptron() -> Graph:
    """Names with dots, a layer of each common kind, no layers of archspec's own."""
    builder = GraphBuilder("perceptron")
    x = builder.input("image", (8, 8, 3))
    x = builder.chain(conv_bn(builder, x, "stem", 4, 3), {"Activation": "gelu"}, "Flatten", scope="body")
    return builder.graph(builder.chain(x, {"Dropout": 0.5}, {"Dense": 5}, scope="head"))


def siamese() -> Graph:
    """Three towers with the same weights: each shares those of the one before."""
    builder = GraphBuilder("siamese")
    inputs = {name: builder.input(name, (6,)) for name in ("left", "middle", "right")}
    shared: dict[int, str] = {}
    towers = []
    for side, x in inputs.items():
        for i, units in enumerate((8, 4)):
            name = f"{side}.tower.dense{i}"
            dense = {"Dense": {"units": units, "activation": "tanh"}}
            x = builder.apply(dense, x, name=name, shares=shared.get(i))
            shared[i] = name  # each use shares the one before
        towers.append(x)
    return builder.graph(builder.apply("Subtract", towers[0], towers[2]), towers[1])


def many_to_many() -> Graph:
    """Two inputs, two outputs whose names sort otherwise than they are given."""
    builder = GraphBuilder("many")
    left, right = builder.input("left", (6,)), builder.input("right", (3,))
    x = builder.apply("Concatenate", left, right)
    return builder.graph(
        score=builder.apply({"Dense": 1}, x, name="score"),
        label=builder.apply({"Dense": {"units": 4, "activation": "softmax"}}, x, name="classes"),
    )


def masked_lstm() -> Graph:
    """Padding is masked from the embedding through both LSTMs; the second starts where the first ended."""
    builder = GraphBuilder("masked")
    tokens = builder.input("tokens", (7,), "int32")
    x = builder.apply({"Embedding": {"input_dim": 10, "output_dim": 4, "mask_zero": True}}, tokens, name="embedding")
    builder.apply({"LSTM": {"units": 5, "return_sequences": True, "return_state": True}}, x, name="encoder")
    states = [Edge("encoder", 1), Edge("encoder", 2)]
    x = builder.apply({"LSTM": {"units": 5}}, Edge("encoder"), initial_state=states, name="decoder")
    return builder.graph(builder.chain(x, {"Dense": 2}))


def attention() -> Graph:
    """Attention over a masked memory, and a causal one with scores as a second output."""
    builder = GraphBuilder("attention")
    tokens, memory = builder.input("tokens", (5,), "int32"), builder.input("memory", (6, 8))
    x = builder.apply({"Embedding": {"input_dim": 9, "output_dim": 8, "mask_zero": True}}, tokens, name="embedding")
    heads = {"num_heads": 2, "key_dim": 3}
    x = builder.apply({"MultiHeadAttention": heads}, query=memory, value=x, name="cross")
    causal = {**heads, "use_causal_mask": True, "return_attention_scores": True}
    y = builder.apply({"MultiHeadAttention": causal}, query=x, value=x, name="causal")
    return builder.graph(result=y, scores=Edge("causal", 1))


def vision_transformer_stem() -> Graph:
    """A class token for each example, a position table that broadcasts, a formula of two tensors."""
    builder = GraphBuilder("stem")
    image = builder.input("image", (4, 6))
    token = builder.apply({"Weight": {"shape": (1, 6)}}, name="token")
    table = builder.apply({"Weight": {"shape": (5, 6), "initializer": "ones"}}, name="table")
    x = builder.apply("Add", builder.apply({"Concatenate": {"axis": 1}}, token, image), table)
    formula = {"Formula": {"expression": "softmax(x @ swapaxes(x, -1, -2)) @ y", "arguments": ("x", "y")}}
    return builder.graph(builder.apply(formula, x, builder.apply({"Dense": 3}, x), name="formula"))
