"""The catalogue against the installed Keras: layers, arguments, defaults; shapes, dtypes, weights of the examples."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from archspec.build.lower import call_tensors
from archspec.build.objects import call_arguments, keras_layer
from archspec.graph.ir import Node, as_tuple
from archspec.layers import REFUSED, catalogue, parse_layer
from archspec.layers.base import (
    FLOATS,
    Example,
    Layer,
    WeightSpec,
    call_fields,
    first_argument,
    group_inputs,
    tensor_parameters,
)
from archspec.layers.nesting import fits
from archspec.layers.objects import Object, parse_object
from archspec.tensor import ShapeError, TensorType

KERAS = {
    name: cls
    for name, cls in vars(keras.layers).items()
    if inspect.isclass(cls) and issubclass(cls, keras.Layer) and cls not in (keras.Layer, keras.layers.Wrapper)
}
OURS = {cls.__name__: cls for cls in catalogue().values() if not cls.OWN}
EXAMPLES = [
    pytest.param(cls, example, id=f"{cls.__name__}-{i}")
    for cls in OURS.values()
    for i, example in enumerate(cls.EXAMPLES)
]

# Arguments that a spec does not write, and why.
LEFT_OUT = {
    "name": "a modifier of the step",
    "trainable": "a modifier of the step",
    "dtype": "every layer has it",
    "quantization_config": "it takes quantizers, which act on trained networks",
    "gptq_unpacked_column_size": "Keras sets it when it loads a quantized network",
    "Embedding.weights": "arrays",
    "Bidirectional.weights": "arrays",
    "InputLayer.batch_size": "no shape includes the batch",
    "InputLayer.batch_shape": "no shape includes the batch",
    "InputLayer.input_tensor": "a tensor",
    "InputLayer.sparse": "the graph knows dense tensors only",
    "InputLayer.ragged": "the graph knows dense tensors only",
    "InputLayer.optional": "the inputs of a spec are always given",
}
REQUIRED_HERE = {"InputLayer.shape": "Keras takes batch_shape instead"}


def keras_arguments(cls: type[Layer]) -> Mapping[str, inspect.Parameter]:
    """The constructor's arguments that the catalogue must have."""
    parameters = list(inspect.signature(KERAS[cls.__name__].__init__).parameters.values())[1:]
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return {p.name: p for p in named if p.name not in LEFT_OUT and f"{cls.__name__}.{p.name}" not in LEFT_OUT}


@pytest.mark.parametrize("name", sorted(KERAS))
def test_every_layer_of_keras_is_known(name: str) -> None:
    if name in REFUSED:
        assert name not in catalogue()
    else:
        assert name in catalogue(), "neither in the catalogue nor refused"
        assert KERAS[catalogue()[name].__name__] is KERAS[name]


def test_every_name_is_one_of_keras() -> None:
    assert {name for name, cls in catalogue().items() if not cls.OWN} | set(REFUSED) == set(KERAS)


@pytest.mark.parametrize("cls", OURS.values(), ids=OURS)
def test_arguments(cls: type[Layer]) -> None:
    expected = set(keras_arguments(cls))
    ours = set(cls.model_fields) - {"dtype"} - call_fields(cls)
    # Keras's base class takes an activity_regularizer; the examples show that the layer passes it on.
    assert ours - {"activity_regularizer"} == expected - {"activity_regularizer"}
    assert "activity_regularizer" not in expected - ours
    if expected:
        assert first_argument(cls) == next(iter(keras_arguments(cls))), "what a bare value stands for"


@pytest.mark.parametrize("cls", OURS.values(), ids=OURS)
def test_defaults(cls: type[Layer]) -> None:
    for name, parameter in keras_arguments(cls).items():
        field = cls.model_fields[name]
        if f"{cls.__name__}.{name}" in REQUIRED_HERE:
            assert field.is_required()
        else:
            assert field.is_required() == (parameter.default is parameter.empty), name
            if not field.is_required():
                assert field.default == as_object(parameter.default, field.default), name
    for name in call_fields(cls):
        assert not cls.model_fields[name].is_required(), name


def as_object(default: Any, ours: Any) -> Any:
    """Keras's default as the catalogue has it: "zeros" → the object."""
    if isinstance(ours, Object) and isinstance(default, str):
        (kind,) = (base for base in type(ours).__mro__ if Object in base.__bases__)
        return parse_object(kind, default)
    return tuple(default) if isinstance(default, list) else default


@pytest.mark.parametrize("cls", OURS.values(), ids=OURS)
def test_call(cls: type[Layer]) -> None:
    parameters = list(inspect.signature(KERAS[cls.__name__].call).parameters.values())[1:]
    of_keras = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "training"]
    assert call_fields(cls) <= set(of_keras)
    assert [p.name for p in tensor_parameters(cls)] == [name for name in of_keras if name not in call_fields(cls)]
    for rule in (cls.infer, cls.weights, cls.macs):
        accepts_same(rule, cls)


def accepts_same(rule: Any, cls: type[Layer]) -> None:
    """Checks that `weights` and `macs` take the tensors that `infer` takes, where the class has its own."""
    if rule in (Layer.weights, Layer.macs):
        return
    parameters = inspect.signature(rule).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        assert list(parameters) == list(inspect.signature(cls.infer).parameters), rule


@pytest.mark.parametrize("cls", OURS.values(), ids=OURS)
def test_description(cls: type[Layer]) -> None:
    assert cls.EXAMPLES
    assert cls.__doc__
    for part in ("Shape:", "Weights:", "MACs:"):
        assert part in cls.__doc__


def flat(cls: type[Layer], example: Example) -> list[tuple[str, TensorType]]:
    """The example's tensors as a node of the graph has them, each with the parameter that it goes to."""
    parameters = tensor_parameters(cls)
    if parameters and parameters[0].several:
        pairs = [(parameters[0].name, value) for value in example.inputs]
    else:
        pairs = [(p.name, value) for p, value in zip(parameters, example.inputs, strict=False)]
    result = []
    for name, value in (*pairs, *example.named.items()):
        if isinstance(value, TensorType):
            result.append((name, value))
        elif all(n is None or isinstance(n, int) for n in value):
            result.append((name, TensorType(value)))
        else:
            result += [(name, v if isinstance(v, TensorType) else TensorType(v)) for v in value]
    return result


def applied(layer: Layer, pairs: list[tuple[str, Any]]) -> tuple[keras.layers.Layer, list[Any]]:
    """Keras's layer and what it makes of the tensors, called as a built network calls it."""
    made = keras_layer(layer)
    if not pairs:
        return made, [made.output]
    node = Node("node", layer, (), tuple(name for name, _ in pairs), ())
    positional, named = call_tensors(made, node, [value for _, value in pairs])
    return made, keras.tree.flatten(made(*positional, **named, **call_arguments(layer)))


def type_of(tensor: Any) -> TensorType:
    assert tensor.shape[0] is None
    return TensorType(tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype))


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_shapes_and_weights(cls: type[Layer], example: Example) -> None:
    agrees(parse_layer({cls.__name__: dict(example.arguments)}), flat(cls, example))


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_dtypes_of_layers(cls: type[Layer], example: Example, dtype: str) -> None:
    if cls.__name__ == "StackedRNNCells":
        return  # the dtype of a stack does not matter, its cells have their own
    try:
        layer = parse_layer({cls.__name__: {**example.arguments, "dtype": dtype}})
    except ValidationError:
        return  # it cannot have this one
    agrees(layer, flat(cls, example))


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_dtypes_of_inputs(cls: type[Layer], example: Example) -> None:
    pairs = [(name, replace(t, dtype="float64") if t.dtype in FLOATS else t) for name, t in flat(cls, example)]
    agrees(parse_layer({cls.__name__: dict(example.arguments)}), pairs)


def agrees(layer: Layer, pairs: list[tuple[str, TensorType]]) -> None:
    """Keras's types and weights are the catalogue's."""
    keras.utils.clear_session(
        free_memory=False
    )  # so that inner layers get the names that they have in a network of their own
    made, outputs = applied(layer, [(name, keras.Input(t.shape, dtype=t.dtype)) for name, t in pairs])
    positional, named = group_inputs(type(layer), tuple(name for name, _ in pairs), tuple(t for _, t in pairs))
    assert tuple(map(type_of, outputs)) == as_tuple(layer.infer(*positional, **named))
    weights = [
        WeightSpec(w.path.split("/", 1)[1], tuple(w.shape), w.trainable, keras.backend.standardize_dtype(w.dtype))
        for w in made.weights
    ]
    assert list(layer.weights(*positional, **named)) == weights
    assert layer.macs(*positional, **named) >= 0


def values(tensor: TensorType, bound: int) -> Any:
    shape, random = (2, *tensor.shape), np.random.default_rng(0)
    if tensor.dtype == "string":
        return np.full(shape, "a b")
    if tensor.dtype == "bool":
        return np.ones(shape, "bool")
    if "int" in tensor.dtype:
        return random.integers(0, bound, shape).astype(tensor.dtype)
    return random.random(shape).astype(tensor.dtype)


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_shapes_of_real_tensors(cls: type[Layer], example: Example) -> None:
    """Keras computes what it announced: a rule that follows a wrong announcement shows here."""
    if cls.__name__ == "InputLayer":
        return
    layer = parse_layer({cls.__name__: dict(example.arguments)})
    pairs = [(name, t.with_shape(*(6 if n is None else n for n in t.shape))) for name, t in flat(cls, example)]
    _, outputs = applied(layer, [(name, values(t, example.values)) for name, t in pairs])
    positional, named = group_inputs(cls, tuple(name for name, _ in pairs), tuple(t for _, t in pairs))
    for output, expected in zip(outputs, as_tuple(layer.infer(*positional, **named)), strict=True):
        assert fits(tuple(output.shape)[1:], expected.shape), (output.shape, expected)


# A use that Keras refuses, and what the catalogue says of it.
WRONG: list[tuple[dict[str, Any], list[Any], str]] = [
    ({"Dense": 4}, [(None,)], "known last axis"),
    ({"Dense": {"units": 0}}, [(4,)], "greater than 0"),
    ({"Dense": {"units": 2, "activation": "rleu"}}, [(4,)], "'relu'"),
    ({"Dense": {"units": 2, "lora_rank": 1, "kernel_constraint": "NonNeg"}}, [(4,)], "exclude each other"),
    ({"EinsumDense": {"equation": "ab,bc", "output_shape": 4}}, [(3,)], "must be of the form"),
    ({"EinsumDense": {"equation": "ab,bc->ad", "output_shape": 4}}, [(3,)], "makes 'd' of nothing"),
    ({"EinsumDense": {"equation": "ab,bd->ac", "output_shape": 4}}, [(3,)], "makes 'c' of nothing"),
    ({"EinsumDense": {"equation": "ab,bdc->ac", "output_shape": 4}}, [(3,)], "kernel's 'd'"),
    ({"EinsumDense": {"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "b"}}, [(3,)], "bias_axes has 'b'"),
    ({"EinsumDense": {"equation": "abc,cd->abd", "output_shape": [6, 4]}}, [(5, 3)], "of length 5 in the input"),
    ({"EinsumDense": {"equation": "abc,cd->abd", "output_shape": [6, 4]}}, [(3,)], "needs 2 axes"),
    ({"Conv2D": {"filters": 4, "kernel_size": 3}}, [(28, 28)], "needs (height, width, channels), got (28, 28)"),
    ({"Conv2D": {"filters": 4, "kernel_size": 3}}, [(28, 28, None)], "known number of channels"),
    ({"Conv2D": {"filters": 4, "kernel_size": 7}}, [(5, 9, 3)], "larger than the input (5, 9, 3)"),
    ({"Conv2D": {"filters": 4, "kernel_size": 3, "dilation_rate": 3}}, [(6, 9, 3)], "spreads over (7, 7)"),
    ({"Conv2D": {"filters": 4, "kernel_size": 3, "groups": 2}}, [(8, 8, 3)], "split 3 channels into 2 groups"),
    ({"Conv2D": {"filters": 3, "kernel_size": 3, "groups": 2}}, [(8, 8, 4)], "filters must be a multiple of groups"),
    ({"Conv2D": {"filters": 3, "kernel_size": 3, "strides": 2, "dilation_rate": 2}}, [(8, 8, 4)], "cannot both"),
    ({"Conv2D": {"filters": 3, "kernel_size": [3, 3, 3]}}, [(8, 8, 4)], "at most 2 items"),
    ({"Conv2D": {"filters": 3, "kernel_size": 3, "padding": "causal"}}, [(8, 8, 4)], "'valid' or 'same'"),
    ({"Conv1DTranspose": {"filters": 3, "kernel_size": 3, "output_padding": 1}}, [(8, 4)], "smaller than strides"),
    ({"SeparableConv1D": {"filters": 3, "kernel_size": 9}}, [(8, 4)], "larger than the input"),
    ({"MaxPooling2D": {}}, [(8, 4)], "needs (height, width, channels)"),
    ({"MaxPooling2D": {"pool_size": 3}}, [(8, 2, 4)], "larger than the input"),
    ({"GlobalAveragePooling1D": {}}, [(8, 8, 4)], "needs (steps, channels)"),
    ({"Reshape": [4, 4]}, [(5, 3)], "(4, 4) of the 15 values of (5, 3)"),
    ({"Reshape": [4, -1]}, [(5, 3)], "(4, -1) of the 15 values"),
    ({"Reshape": [-1, -1]}, [(5, 3)], "one -1 at most"),
    ({"Permute": [1, 3]}, [(5, 3)], "axes 1 to 2"),
    ({"Permute": [2, 1]}, [(5, 3, 2)], "needs 2 axes"),
    ({"RepeatVector": 2}, [(5, 3)], "needs a vector"),
    ({"Cropping1D": 2}, [(4, 3)], "leaves nothing"),
    ({"Cropping2D": {"cropping": [[1, 1], [2, 3]]}}, [(4, 5, 3)], "takes (2, 5) off"),
    ({"ZeroPadding2D": -1}, [(4, 5, 3)], "greater than or equal to 0"),
    ({"UpSampling3D": {}}, [(4, 5, 3)], "needs (depth, height, width, channels)"),
    ({"BatchNormalization": {"axis": 3}}, [(4, 5)], "axis 3, but the input (4, 5) has axes 1 to 2"),
    ({"BatchNormalization": {"axis": 0}}, [(4, 5)], "along the batch"),
    ({"BatchNormalization": {"axis": 1}}, [(None, 5)], "known length on axis 1"),
    ({"LayerNormalization": {"axis": [1, 4]}}, [(4, 5)], "axis 4"),
    ({"GroupNormalization": 3}, [(4, 64)], "split 64 channels into 3 groups"),
    ({"GroupNormalization": 0}, [(4, 64)], "greater than 0"),
    ({"SpectralNormalization": {"layer": "ReLU"}}, [(4,)], "kernel or embeddings"),
    ({"PReLU": {}}, [(None, 3)], "needs known lengths"),
    ({"LeakyReLU": -1.0}, [(3,)], "greater than or equal to 0"),
    ({"Dropout": 1.5}, [(3,)], "less than 1"),
    ({"GaussianNoise": 1.5}, [(3,)], "less than or equal to 1"),
    ({"SpatialDropout2D": 0.5}, [(4, 3)], "needs (height, width, channels)"),
    ({"Add": {}}, [(28, 28, 512), (56, 56, 256)], "add needs equal shapes, got (28, 28, 512) and (56, 56, 256)"),
    ({"Multiply": {}}, [(4, 3), (4, 3), (2, 3)], "multiply needs equal shapes, got (4, 3) and (2, 3)"),
    ({"Subtract": {}}, [(4,), (4,), (4,)], "needs two inputs"),
    ({"Concatenate": {}}, [(4, 3), (5, 3)], "axis 1 (4 and 5) differ"),
    ({"Concatenate": 1}, [(4, 6, 3), (5, 7, 2)], "axis 2 (6 and 7) and axis 3 (3 and 2) differ"),
    ({"Concatenate": {}}, [(4, 3), (3,)], "same rank"),
    ({"Dot": 1}, [(4, 3), (5, 3)], "axis 1 of the first is 4, axis 1 of the second 5"),
    ({"Dot": [1, 2]}, [(4,), (5,)], "axis 2"),
]


@pytest.mark.parametrize(
    ("use", "inputs", "message"), WRONG, ids=lambda v: next(iter(v)) if isinstance(v, dict) else ""
)
def test_what_keras_refuses_is_refused(use: dict[str, Any], inputs: list[Any], message: str) -> None:
    ((name, value),) = use.items()
    with pytest.raises((ShapeError, ValidationError)) as caught:
        parse_layer(use).infer(*map(TensorType, inputs))
    assert message in str(caught.value)

    arguments = value if isinstance(value, dict) else {first_argument(catalogue()[name]): value}
    arguments = {k: keras.layers.ReLU() if v == "ReLU" else v for k, v in arguments.items()}
    with pytest.raises(Exception):  # noqa: B017 - Keras and its backend raise what they like
        run_keras(KERAS[name], arguments, inputs)


def run_keras(cls: Any, arguments: dict[str, Any], inputs: list[Any]) -> None:
    tensors = [keras.Input(shape) for shape in inputs]
    output = cls(**arguments)(tensors if len(tensors) > 1 else tensors[0])
    keras.Model(tensors, output)([np.zeros((2, *(n or 1 for n in shape)), "float32") for shape in inputs])


def test_a_dropout_rate_of_one_is_refused() -> None:
    """Keras takes it, and TensorFlow then fails in training."""
    with pytest.raises(ValidationError, match="less than 1"):
        parse_layer({"Dropout": 1})


def test_remedies() -> None:
    with pytest.raises(ShapeError) as caught:
        parse_layer({"Conv2D": {"filters": 4, "kernel_size": 3}}).infer(TensorType((28, 28)))
    assert caught.value.help == "add an axis for the channels: Reshape: [28, 28, 1]"
    with pytest.raises(ShapeError) as caught:
        parse_layer("Add").infer(TensorType((7, 7, 64)), TensorType((7, 7, 256)))
    assert caught.value.help and "kernel_size 1" in caught.value.help


@pytest.mark.parametrize(
    ("use", "inputs", "macs"),
    [
        ({"Dense": 10}, [(5, 8)], 5 * 8 * 10),
        ({"EinsumDense": {"equation": "abc,cde->abde", "output_shape": [5, 2, 4]}}, [(5, 3)], 5 * 3 * 2 * 4),
        ({"Conv2D": {"filters": 64, "kernel_size": 7, "strides": 2, "padding": "same"}}, [(224, 224, 3)], 118013952),
        ({"Conv2D": {"filters": 8, "kernel_size": 3, "groups": 2}}, [(6, 6, 4)], 4 * 4 * 9 * 2 * 8),
        ({"Conv2DTranspose": {"filters": 8, "kernel_size": 3, "strides": 2}}, [(6, 5, 4)], 6 * 5 * 9 * 4 * 8),
        ({"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2}}, [(6, 6, 4)], 4 * 4 * 9 * 4 * 2),
        ({"SeparableConv2D": {"filters": 8, "kernel_size": 3}}, [(6, 6, 4)], 4 * 4 * (9 * 4 + 4 * 8)),
        ({"ReversibleEmbedding": {"input_dim": 9, "output_dim": 4, "reverse": True}}, [(5, 4)], 5 * 4 * 9),
        ({"Dot": [2, 1]}, [(3, 4), (4, 5)], 3 * 4 * 5),
        ({"Conv1D": {"filters": 8, "kernel_size": 3}}, [(None, 4)], 3 * 4 * 8),  # an unknown length counts as one
        ({"MaxPooling2D": {}}, [(6, 6, 4)], 0),
    ],
)
def test_macs(use: dict[str, Any], inputs: list[Any], macs: int) -> None:
    assert parse_layer(use).macs(*map(TensorType, inputs)) == macs
