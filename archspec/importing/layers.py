"""A layer's config, as Keras writes it, to a layer of the catalogue; or to one that only says what it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, get_args

from pydantic import ValidationError, create_model
from pydantic_core import PydanticCustomError

from archspec.graph.ir import Graph
from archspec.graph.text import value_text
from archspec.layers import find_layer
from archspec.layers.base import Layer, snake_case
from archspec.layers.core import Activation
from archspec.layers.formula import Formula, FormulaError, call_text
from archspec.layers.objects.activations import Activation as ActivationName
from archspec.layers.ops import functions
from archspec.tensor import TensorType

# Arguments that every config has, and none of a layer of the catalogue; what a graph says elsewhere.
_ELSEWHERE = frozenset({"name", "trainable", "batch_shape", "batch_input_shape", "dtype", "autocast"})
# A picture is right without them: an unknown one is left out, and the layer stays what it is.
_COSMETIC = re.compile(r"(initializer|regularizer|constraint|activation|seed)$")
# One number for all directions, as specs write it.
WINDOWS = frozenset({"kernel_size", "strides", "pool_size", "dilation_rate", "size", "padding", "cropping"})
_MERGES = ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average")
LONGEST_TEXT = 2_000  # characters of the settings that an unknown layer shows


class Foreign(Layer):
    """A layer that the catalogue does not know. Its subclasses have its name.

    Shape: as the file declares it.
    Weights: not known.
    MACs: not known.
    """

    declared: ClassVar[tuple[TensorType, ...]] = ()

    settings: str = ""
    place: str = ""  # of a layer that others must not be taken for, its node

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return self.declared


@cache
def _foreign_class(name: str, declared: tuple[TensorType, ...]) -> type[Foreign]:
    made = create_model(name, __base__=Foreign, __module__=__name__)
    made.declared = declared
    return made


def foreign(name: str, config: Mapping[str, Any], outputs: Sequence[TensorType], place: str = "") -> Foreign:
    """What the catalogue has nothing for: its class's name, its settings in words, its declared outputs."""
    text = value_text(_given(config))[1:-1]
    shown = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
    return _foreign_class(writable(name) or "Layer", tuple(outputs))(settings=shown, place=place)


def unknown(graph: Graph) -> tuple[str, ...]:
    """The names of the classes in a graph that the catalogue has nothing for: their weights and MACs are not known."""
    return tuple(sorted({type(n.layer).__name__ for n in graph.nodes.values() if isinstance(n.layer, Foreign)}))


def writable(name: str) -> str:
    """A name that Python takes for a class, and a terminal for a text: without zeros and lone surrogates."""
    return name.replace("\0", "").encode(errors="replace").decode()


def catalogued(name: str, config: Mapping[str, Any], call: Mapping[str, Any]) -> Layer | None:
    """The catalogue's layer of a name with these arguments; None where there is none, or it takes them otherwise."""
    cls = find_layer(name)
    if cls is None:
        return None
    given = {**config, **call}
    if name == "InputLayer":
        given["shape"] = (given.get("batch_shape") or given.get("batch_input_shape") or [None])[1:]
        given["dtype"] = _dtype(given.get("dtype")) or "float32"
    arguments = _arguments(cls, given) | ({"dtype": given["dtype"]} if name == "InputLayer" else {})
    try:
        return cls.model_validate(arguments)
    except (ValidationError, PydanticCustomError) as error:
        wrong = {str(e["loc"][0]) for e in error.errors() if e["loc"]} if isinstance(error, ValidationError) else set()
    if not wrong or not all(map(_COSMETIC.search, wrong)):
        return None
    try:
        return cls.model_validate({key: value for key, value in arguments.items() if key not in wrong})
    except (ValidationError, PydanticCustomError):
        return None


def _arguments(cls: type[Layer], config: Mapping[str, Any]) -> dict[str, Any]:
    """A config's arguments as a spec has them, without those that mean the default."""
    arguments = {key: _argument(key, value) for key, value in config.items() if _is_argument(cls, key, value)}
    dtype = _dtype(config.get("dtype"))
    return arguments | ({"dtype": dtype} if dtype not in (None, "float32") else {})


def _is_argument(cls: type[Layer], key: str, value: object) -> bool:
    if key in _ELSEWHERE or key not in cls.model_fields or value is None:
        return False
    if (key, value) == ("data_format", "channels_last"):
        return False
    field = cls.model_fields[key]
    return value != "linear" or not key.endswith("activation") or field.is_required() or field.default is not None


def _argument(key: str, value: Any) -> Any:
    """A value as a spec has it."""
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]  # Keras 2 wrote lists of one
    return plain(alone(value) if key in WINDOWS else value)


def alone(value: Any) -> Any:
    """The one number of `[[3, 3], [3, 3]]`; other lists as they are."""
    if not isinstance(value, list) or not value:
        return value
    parts = [alone(one) for one in value]
    return parts[0] if isinstance(parts[0], int) and parts.count(parts[0]) == len(parts) else value


def plain(value: Any) -> Any:
    """Serialized objects as a spec writes them: `{L2: {l2: 0.1}}`; lists and plain values as they are."""
    if isinstance(value, Mapping):
        name = value.get("class_name")
        if isinstance(name, str) and "config" in value:
            return _object(name, value["config"])
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def _object(name: str, config: Any) -> Any:
    if not isinstance(config, Mapping):
        return plain(config)  # a function's name, a tensor's shape
    cls = find_layer(name)
    if cls is None:
        known = {key: plain(one) for key, one in config.items() if one is not None and key not in _HIDDEN}
        return {name: known} if known else name
    return {name: _arguments(cls, config)}


_HIDDEN = frozenset({"input_axes", "output_axes"})  # of initializers, and always null for Keras's own layers


def of_keras(data: Mapping[str, Any]) -> bool:
    """Whether a serialized class is Keras's or archspec's, not another of the same name."""
    package, mark, _ = str(data.get("registered_name") or "").rpartition(">")
    if mark:
        return package == "archspec"
    return str(data.get("module", "keras")).split(".")[0] == "keras"


def _dtype(value: Any) -> str | None:
    """A dtype, or the name of a policy."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner.get("name") if isinstance(inner, Mapping) else None
    return value if isinstance(value, str) else None


# --- functions of keras.ops -----------------------------------------------------------------------


def operation(name: str, settings: Mapping[str, Any], args: Sequence[Any], types: Sequence[TensorType]) -> Layer | None:
    """A call of keras.ops as a layer: a merge, an activation, or a formula. In `args`, tensors stand as `Tensor`."""
    tensors = [value for value in args if isinstance(value, Tensor)]
    function = snake_case(name)
    if name in _MERGES and len(tensors) == len(args) == 2 and len({t.shape for t in types}) == 1:
        return catalogued(name, {}, {})
    if function in get_args(ActivationName) and len(tensors) == 1 and not _given(settings):
        return Activation.model_validate({"activation": function})
    if function not in functions():
        return None
    names = [f"x{i + 1}" for i in range(len(types))] if len(types) > 1 else ["x"]
    try:
        text = _formula(function, settings, args, names)
        return Formula.model_validate({"expression": text, "arguments": tuple(names)})
    except (FormulaError, ValidationError, PydanticCustomError):
        return None


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in settings.items() if key not in _ELSEWHERE and value is not None}


def _formula(function: str, settings: Mapping[str, Any], args: Sequence[Any], names: Sequence[str]) -> str:
    """`add(x, 1.0)`. Raises FormulaError."""
    flat = [one for value in args for one in (value if isinstance(value, list) else [value])]
    if all(isinstance(value, Tensor) for value in flat):
        return call_text(function, _given(settings), names)
    inputs: Iterator[str] = iter(names)
    parts = [next(inputs) if isinstance(value, Tensor) else repr(plain(value)) for value in args]
    parts += [f"{key}={value!r}" for key, value in _given(settings).items()]
    return f"{function}({', '.join(parts)})"


class Tensor:
    """The place of a tensor among the arguments of a call."""
