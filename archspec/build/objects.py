"""The catalogue's layers and objects as Keras's: made by their classes, Keras reads no mapping of the spec's."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from archspec.importing.layers import Foreign
from archspec.layers.base import Layer, Model, call_fields
from archspec.layers.objects import Metric, Object

if TYPE_CHECKING:
    import keras


def keras_object(obj: Object) -> Any:
    """Keras's object with the same arguments, nested objects with it."""
    import keras

    module: Any = reduce(getattr, obj.KERAS.split("."), keras)
    arguments = {name: _value(getattr(obj, name)) for name in type(obj).model_fields}
    if isinstance(obj, Metric):  # Keras takes several thresholds as a list only
        arguments = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
    return getattr(module, type(obj).__name__)(**arguments)


def keras_layer(layer: Layer, *, name: str | None = None, trainable: bool = True) -> keras.layers.Layer:
    """Keras's layer with the same arguments, nested layers and objects with it, not yet built.

    An open dtype is left to the global policy. An open data format is not: the graph's images are channels-last
    whatever the user's keras.json says.
    """
    import keras

    from archspec.build import layers as own

    if isinstance(layer, Foreign):
        return _opaque(layer, name)
    cls = getattr(own if layer.OWN else keras.layers, type(layer).__name__)
    fields = type(layer).model_fields.keys() - call_fields(type(layer)) - {"dtype"}
    arguments = {field: _value(getattr(layer, field)) for field in sorted(fields)}
    if "data_format" in fields:
        arguments["data_format"] = layer.data_format or "channels_last"  # type: ignore[attr-defined]
    if layer.dtype is not None:
        arguments["dtype"] = layer.dtype
    if name is not None:
        arguments["name"] = name
    made: keras.layers.Layer = cls(**arguments)
    if not trainable:
        made.trainable = False
    return made


def _opaque(layer: Foreign, name: str | None) -> keras.layers.Layer:
    """What stands for a layer that only its own code could compute."""
    from archspec.build.opaque import Opaque

    assert layer.place, f"{type(layer).__name__} was read for a picture"
    shapes, dtypes = [list(t.shape) for t in layer.declared], [t.dtype for t in layer.declared]
    made: keras.layers.Layer = Opaque(layer.place, shapes, dtypes, name=name or layer.place)
    return made


def call_arguments(layer: Layer) -> dict[str, Any]:
    """The arguments beside the tensors that the Keras layer is called with; an open one is left to Keras."""
    values = {name: getattr(layer, name) for name in sorted(call_fields(type(layer)))}
    return {name: _value(value) for name, value in values.items() if value is not None}


def _value(value: object) -> Any:
    if isinstance(value, Layer):
        return keras_layer(value)
    if isinstance(value, Object):
        return keras_object(value)
    if isinstance(value, Model):  # arguments that Keras groups in a dict, by names that the class fixes
        return {name: item for name in type(value).model_fields if (item := getattr(value, name)) is not None}
    if isinstance(value, tuple):  # layers as a list: Keras cannot read back a tuple of them
        return [*map(keras_layer, value)] if any(isinstance(v, Layer) for v in value) else tuple(map(_value, value))
    assert value is None or isinstance(value, bool | int | float | str), (
        f"Keras cannot be given a {type(value).__name__}"
    )
    return value
