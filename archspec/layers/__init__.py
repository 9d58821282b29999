"""The catalogue: Keras's layers by name, and the few that are refused."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic_core import PydanticCustomError

from archspec.layers.base import Layer, first_argument

# One family of layers a module.
FAMILIES = (
    "core",
    "conv",
    "pooling",
    "reshaping",
    "normalization",
    "activation",
    "regularization",
    "merging",
    "weight",
    "formula",
    "recurrent",
    "conv_recurrent",
    "wrappers",
    "attention",
    "multi_head_attention",
    "vocabulary",
    "categorical",
    "preprocessing",
    "image_preprocessing",
    "augmentation",
    "color_augmentation",
)

REFUSED = {
    "Lambda": "it runs arbitrary Python code; write a formula instead: expr: …",
    "TorchModuleWrapper": "it runs code of another framework",
    "FlaxLayer": "it runs code of another framework",
    "JaxLayer": "it runs code of another framework",
    "TFSMLayer": "it runs a saved program whose code cannot be checked",
}


@cache
def catalogue() -> Mapping[str, type[Layer]]:
    """Every layer by each of its public names."""
    names: dict[str, type[Layer]] = {}
    for family in FAMILIES:
        module = importlib.import_module(f"archspec.layers.{family}")
        for cls in vars(module).values():
            if (
                isinstance(cls, type)
                and issubclass(cls, Layer)
                and cls.__module__ == module.__name__
                and cls.__name__[0] != "_"
            ):
                for name in (cls.__name__, *cls.ALIASES):
                    assert names.setdefault(name, cls) is cls, f"two layers are named {name}"
    return names


def parse_layer(value: str | Mapping[str, Any]) -> Layer:
    """A layer as a spec writes it: `ReLU`, `{Dense: 10}`, `{Conv2D: {filters: 8, kernel_size: 3}}`.

    Raises pydantic's ValidationError, or PydanticCustomError for a name that is unknown or refused.
    """
    name, arguments = (value, None) if isinstance(value, str) else next(iter(value.items()), ("", None))
    if name in REFUSED:
        raise PydanticCustomError("refused_layer", "{name} is refused: {why}", {"name": name, "why": REFUSED[name]})
    if name not in catalogue() or (not isinstance(value, str) and len(value) != 1):
        context = {"kind": "layer", "name": repr(name), "known": sorted(catalogue())}
        raise PydanticCustomError("unknown_object", "{kind} {name} is not known", context)
    cls = catalogue()[name]
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, Mapping):
        arguments = {first_argument(cls) or "value": arguments}
    return cls.model_validate(arguments)
