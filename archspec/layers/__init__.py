"""The catalogue: Keras's layers by name, and the few that are refused."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic_core import PydanticCustomError

from archspec.layers.base import Layer, first_argument
from archspec.plugins import defined

# One family of layers a module.
FAMILIES = (
    "core",
    "conv",
    "conv_transpose",
    "separable",
    "pooling",
    "global_pooling",
    "adaptive_pooling",
    "reshaping",
    "normalization",
    "activation",
    "regularization",
    "merging",
    "weight",
    "own",
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
        for cls in _members(family):
            for name in (cls.__name__, *cls.ALIASES):
                assert names.setdefault(name, cls) is cls, f"two layers are named {name}"
    return names


@cache
def find_layer(name: str) -> type[Layer] | None:
    """The layer of a name, if there is one. Imports its family alone, for a spec uses few of them."""
    if not name[:1].isupper():
        return None
    home = next((family for family in FAMILIES if f"\nclass {name}(" in _source(family)), None)
    found = [cls for cls in _members(home) if cls.__name__ == name] if home else []
    return found[0] if found else catalogue().get(name)


@cache
def _source(family: str) -> str:
    return (pkgutil.get_data(__name__, f"{family}.py") or b"").decode()


def _members(family: str) -> list[type[Layer]]:
    return list(defined(f"archspec.layers.{family}", Layer))


def parse_layer(value: str | Mapping[str, Any]) -> Layer:
    """A layer as a spec writes it: `ReLU`, `{Dense: 10}`, `{Conv2D: {filters: 8, kernel_size: 3}}`.

    Raises pydantic's ValidationError, or PydanticCustomError for a name that is unknown or refused.
    """
    name, arguments = (value, None) if isinstance(value, str) else next(iter(value.items()), ("", None))
    if name in REFUSED:
        raise PydanticCustomError("refused_layer", "{name} is refused: {why}", {"name": name, "why": REFUSED[name]})
    cls = find_layer(name)
    if cls is None or (not isinstance(value, str) and len(value) != 1):
        context = {"kind": "layer", "name": repr(name), "known": sorted(catalogue())}
        raise PydanticCustomError("unknown_object", "{kind} {name} is not known", context)
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, Mapping):
        arguments = {first_argument(cls) or "value": arguments}
    return cls.model_validate(arguments)
