"""A layer's config → the layer of the catalogue that computes the same, or the reason why there is none.

Where `layers.catalogued` reads for pictures and leaves out what it does not know, nothing is left out here but what
only a training uses: initializers, regularizers and constraints that the catalogue lacks, and seeds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from archspec.importing.layers import WINDOWS, alone, of_keras
from archspec.layers import REFUSED, find_layer
from archspec.layers.base import DType, Layer
from archspec.layers.core import InputLayer
from archspec.layers.wrappers import Bidirectional

# What every config has and no layer of the catalogue, or what a node says.
_ELSEWHERE = frozenset({"name", "trainable", "dtype", "batch_shape", "batch_input_shape", "layers_config"})
_OF_TRAINING = re.compile(r"(initializer|regularizer|constraint|seed)$")
# Arguments that Keras, or Keras 2, writes and the catalogue lacks: the values with which they change nothing.
_WITHOUT_EFFECT: Mapping[str, tuple[object, ...]] = {
    "autocast": (True,), "data_format": ("channels_last",), "gptq_unpacked_column_size": (None,), "groups": (1,),
    "implementation": (0, 1, 2), "mask_zero": (False,), "optional": (False,), "oov_method": ("floormod",),
    "per_example": (True, False), "quantization_config": (None,), "ragged": (False,), "rms_scaling": (False,),
    "sparse": (False,), "time_major": (False,), "unroll": (False,), "zero_output_for_mask": (False,),
}  # fmt: skip
_DERIVED = frozenset({"vocabulary_size", "input_length"})  # what Keras writes and does not read
_QUANTIZED = re.compile(r"^\w+_from_\w+$|^gptq|^awq")
_FLOAT32 = "float32"  # the policy of a layer that says nothing, unless another one is set for everything


class Unknown(Exception):
    """The catalogue has no layer that computes the same. The message says why, and reads on from the layer's name."""


def exact_layer(name: str, config: Mapping[str, Any], call: Mapping[str, Any]) -> Layer:
    """The layer of a class's name, its config and the arguments of its call. Raises Unknown."""
    if name in REFUSED:
        raise Unknown(REFUSED[name])
    cls = find_layer(name)
    if cls is None:
        raise Unknown("the catalogue has no layer of this name")
    dtype = policy(config.get("dtype"))  # first, as quantised layers have other arguments, too
    given = {key: value for key, value in config.items() if key not in _ELSEWHERE}
    if cls is Bidirectional:
        given |= {key: _without_zeroing(given[key]) for key in ("layer", "backward_layer") if given.get(key)}
    if given.get("bin_boundaries"):
        given.pop("num_bins", None)  # by which they were found
    arguments = {key: _argument(key, value) for key, value in given.items() if _says_something(cls, key, value)}
    arguments |= {key: _argument(key, value) for key, value in call.items()}
    if cls is InputLayer:
        arguments["shape"] = (config.get("batch_shape") or config.get("batch_input_shape") or [None])[1:]
        arguments["dtype"] = dtype or _FLOAT32
    elif dtype and cls.model_fields["dtype"].annotation is not type(None):
        arguments["dtype"] = dtype
    return _validated(cls, arguments)


def _without_zeroing(data: Any) -> Any:
    """A layer without the argument that Bidirectional sets by itself on those that return sequences."""
    config = data["config"]
    if not config.get("return_sequences"):
        return data
    return {**data, "config": {key: value for key, value in config.items() if key != "zero_output_for_mask"}}


def _validated(cls: type[Layer], arguments: dict[str, Any]) -> Layer:
    try:
        return cls.model_validate(arguments)
    except (ValidationError, PydanticCustomError) as error:
        if not isinstance(error, ValidationError):
            raise Unknown(str(error)) from None
        wrong = {str(one["loc"][0]): one["msg"] for one in error.errors() if one["loc"]}
        needed = {key: message for key, message in wrong.items() if not _OF_TRAINING.search(key)}
        if needed or not wrong:
            key, message = next(iter(needed.items()), ("", error.errors()[0]["msg"]))
            given = arguments.get(key)
            text = next(iter(given), "") if isinstance(given, Mapping) else repr(given)  # an object by its class alone
            said = f"{key} {text if len(text) <= 80 else text[:77] + '...'}: " if key else ""
            raise Unknown(f"{said}{message[:1].lower()}{message[1:]}") from None
    return _validated(cls, {key: value for key, value in arguments.items() if key not in wrong})


def _says_something(cls: type[Layer], key: str, value: object) -> bool:
    """Whether an argument goes to the catalogue's layer; False for what means its default. Raises Unknown."""
    field = cls.model_fields.get(key)
    if field is None:
        if value in _WITHOUT_EFFECT.get(key, ()) or key in _DERIVED or _OF_TRAINING.search(key):
            return False
        raise Unknown(f"the catalogue has no argument {key} ({value!r:.60})")
    if value is None:
        return not field.is_required() and field.get_default(call_default_factory=True) is not None
    if value == "linear" and key.endswith("activation"):
        return field.is_required() or field.default is not None
    return (key, value) != ("data_format", "channels_last")


def _argument(key: str, value: Any) -> Any:
    """A value as a spec has it. Raises Unknown."""
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]  # Keras 2 wrote lists of one
    if _OF_TRAINING.search(key):
        return _of_training(value)
    return _plain(alone(value) if key in WINDOWS else value)


def _of_training(value: Any) -> Any:
    try:
        return _plain(value)
    except Unknown:
        return {}  # which is no object of the catalogue's, so that it is left out


def _plain(value: Any) -> Any:
    """Objects as a spec writes them: `{L2: {l2: 0.1}}`, a function of Keras by its name. Raises Unknown."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    name = value.get("class_name")
    if name == "__tuple__":  # of Keras 2
        return _plain(value.get("items"))
    if name in ("__numpy__", "__tensor__"):
        return _plain(value["config"]["value"])
    if not isinstance(name, str) or "config" not in value:
        return {str(key): _plain(one) for key, one in value.items()}
    if not of_keras(value) or name.startswith("__"):
        raise Unknown(f"it has the code of {value.get('registered_name') or name}, which is not run")
    config = value["config"]
    if not isinstance(config, Mapping):
        return config  # the name of a function
    if find_layer(name):
        return exact_layer(name, config, {})
    return {name: {key: _plain(one) for key, one in config.items() if one is not None}}


# --- dtypes ---------------------------------------------------------------------------------------


def policy(value: Any) -> str | None:
    """The dtype or the policy's name; None for float32. Raises Unknown."""
    name = value
    if isinstance(value, Mapping):
        inner = value.get("config")
        inner = inner if isinstance(inner, Mapping) else {}
        name = inner.get("name")
        if "Quantized" in str(value.get("class_name")) or "mode" in inner:
            raise Unknown(_quantized(str(inner.get("mode") or name)))
        if value.get("class_name") == "DTypePolicyMap":
            return _common(inner)
    if isinstance(name, str) and _QUANTIZED.search(name):
        raise Unknown(_quantized(name))
    if name is None or name == _FLOAT32:
        return None
    if not isinstance(name, str):
        raise Unknown(f"its dtype is {name!r}")
    return name


def _common(config: Mapping[str, Any]) -> str | None:
    """The one policy of a layer and those inside it."""
    others = config.get("policy_map") or {}
    policies = {policy(one) for one in (config.get("default_policy"), *others.values())}
    if len(policies) > 1:
        raise Unknown("the layers inside it have different dtypes")
    return policies.pop()


def _quantized(mode: str) -> str:
    return f"it is quantised ({mode}): read the model that it was made from, and quantise the result"


def float_dtype(dtypes: set[str]) -> DType | None:
    """The dtype of a layer that computes with these floats as a function would; None for float32. Raises Unknown."""
    floats = sorted(dtype for dtype in dtypes if "float" in dtype)
    if len(floats) > 1:
        raise Unknown(f"it mixes {' and '.join(floats)}")
    return None if not floats or floats[0] == _FLOAT32 else floats[0]  # type: ignore[return-value]
