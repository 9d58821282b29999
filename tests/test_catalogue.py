"""The catalogue against the installed Keras: layers, arguments, defaults; shapes, dtypes and weights of the examples."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from archspec.build.lower import _arguments
from archspec.build.objects import call_arguments, keras_layer
from archspec.graph.ir import Node, as_tuple
from archspec.layers import REFUSED, catalogue, parse_layer
from archspec.layers.base import (
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
from archspec.tensor import TensorType

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
        assert catalogue()[name].__name__ == KERAS[name].__name__


def test_every_name_is_one_of_keras() -> None:
    assert {name for name, cls in catalogue().items() if not cls.OWN} | set(REFUSED) == set(KERAS)


@pytest.mark.parametrize("cls", OURS.values(), ids=OURS)
def test_arguments(cls: type[Layer]) -> None:
    expected = set(keras_arguments(cls))
    ours = set(cls.model_fields) - {"dtype"} - call_fields(cls)
    # Keras's base class takes an activity_regularizer; the examples show that the layer passes it on.
    assert ours - {"activity_regularizer"} == expected - {"activity_regularizer"}
    assert "activity_regularizer" not in expected - ours
    if expected and first_argument(cls) != next(iter(keras_arguments(cls))):
        pytest.fail(f"a bare value is {first_argument(cls)} here and {next(iter(keras_arguments(cls)))} in Keras")


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
    positional, named = _arguments(made, node, [value for _, value in pairs])
    return made, keras.tree.flatten(made(*positional, **named, **call_arguments(layer)))


def type_of(tensor: Any) -> TensorType:
    assert tensor.shape[0] is None
    return TensorType(tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype))


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_shapes_and_weights(cls: type[Layer], example: Example) -> None:
    keras.utils.clear_session()  # so that inner layers get the names that they have in a network of their own
    layer, pairs = parse_layer({cls.__name__: dict(example.arguments)}), flat(cls, example)
    made, outputs = applied(layer, [(name, keras.Input(t.shape, dtype=t.dtype)) for name, t in pairs])
    positional, named = group_inputs(cls, tuple(name for name, _ in pairs), tuple(t for _, t in pairs))
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
