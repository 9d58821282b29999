"""The catalogue against the installed Keras: layers, arguments, defaults; shapes, dtypes and weights of the examples."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from archspec.build.objects import call_arguments, keras_layer
from archspec.layers import REFUSED, catalogue, parse_layer
from archspec.layers.base import Example, Layer, call_fields, first_argument, tensor_parameters
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
    assert list(inspect.signature(rule).parameters) == list(inspect.signature(cls.infer).parameters), rule


@pytest.mark.parametrize("cls", OURS.values(), ids=OURS)
def test_description(cls: type[Layer]) -> None:
    assert cls.EXAMPLES
    assert cls.__doc__
    for part in ("Shape:", "Weights:", "MACs:"):
        assert part in cls.__doc__


Tensors = TensorType | tuple["Tensors", ...]


def tensors(value: Any) -> Any:
    """The tensor that an example means, or a tuple of them."""
    if isinstance(value, TensorType):
        return value
    return TensorType(value) if all(n is None or isinstance(n, int) for n in value) else tuple(map(tensors, value))


def each(function: Any, value: Any) -> Any:
    return tuple(each(function, v) for v in value) if isinstance(value, tuple) else function(value)


def made(cls: type[Layer], example: Example) -> tuple[Layer, tuple[Any, ...], dict[str, Any]]:
    layer = parse_layer({cls.__name__: dict(example.arguments)})
    return layer, tuple(map(tensors, example.inputs)), {k: tensors(v) for k, v in example.named.items()}


def applied(layer: Layer, made: keras.layers.Layer, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What Keras's layer makes of tensors in the order of `infer`'s parameters."""
    if not tensor_parameters(type(layer)):
        return made.output
    if tensor_parameters(type(layer))[0].several:
        positional = (list(positional),)
    return made(*positional, **named, **call_arguments(layer))


def type_of(tensor: Any) -> TensorType:
    assert tensor.shape[0] is None
    return TensorType(tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype))


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_shapes_and_weights(cls: type[Layer], example: Example) -> None:
    keras.utils.clear_session()  # so that inner layers get the names that they have in a network of their own
    layer, positional, named = made(cls, example)
    result = keras_layer(layer)
    symbols = [each(lambda t: keras.Input(t.shape, dtype=t.dtype), p) for p in positional]
    symbols_named = {k: each(lambda t: keras.Input(t.shape, dtype=t.dtype), v) for k, v in named.items()}
    output = applied(layer, result, tuple(symbols), symbols_named)
    expected = layer.infer(*positional, **named)
    if isinstance(expected, tuple):
        assert tuple(map(type_of, keras.tree.flatten(output))) == expected
    else:
        assert type_of(output) == expected

    weights = [
        (w.path.split("/", 1)[1], tuple(w.shape), w.trainable, keras.backend.standardize_dtype(w.dtype))
        for w in result.weights
    ]
    assert [(w.name, w.shape, w.trainable, w.dtype) for w in layer.weights(*positional, **named)] == weights
    assert layer.macs(*positional, **named) >= 0


def concrete(tensor: TensorType) -> TensorType:
    """The type with a length for each that is unknown."""
    return TensorType(tuple(6 if n is None else n for n in tensor.shape), tensor.dtype)


def values(tensor: TensorType, bound: int) -> Any:
    shape, random = (2, *tensor.shape), np.random.default_rng(0)
    if tensor.dtype == "string":
        return np.full(shape, "a b")
    if tensor.dtype == "bool":
        return np.ones(shape, "bool")
    if "int" in tensor.dtype:
        return random.integers(0, bound, shape).astype(tensor.dtype)
    return random.random(shape).astype(tensor.dtype)


@pytest.mark.parametrize(("cls", "example"), [p for p in EXAMPLES if p.values[0].__name__ != "InputLayer"])
def test_shapes_of_real_tensors(cls: type[Layer], example: Example) -> None:
    """Keras computes what it announced: a rule that follows a wrong announcement shows here."""
    layer, positional, named = made(cls, example)
    positional, named = each(concrete, positional), {k: each(concrete, v) for k, v in named.items()}
    arrays = [each(lambda t: values(t, example.values), p) for p in positional]
    arrays_named = {k: each(lambda t: values(t, example.values), v) for k, v in named.items()}
    output = keras.tree.flatten(applied(layer, keras_layer(layer), tuple(arrays), arrays_named))
    expected = layer.infer(*positional, **named)
    shapes = [t.shape for t in (expected if isinstance(expected, tuple) else (expected,))]
    assert [tuple(o.shape)[1:] for o in output] == shapes
