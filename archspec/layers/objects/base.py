"""Keras's objects in a spec: a name, or a mapping from a name to its arguments."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from archspec.layers.base import Model

MODULES = ("initializers", "regularizers", "constraints", "losses", "metrics", "schedules", "optimizers", "callbacks")


class Object(Model):
    """An object of Keras's: fields are its arguments by Keras's names, with Keras's defaults.

    A subclass is named as in Keras. The kinds below are its direct subclasses; KERAS says where Keras keeps them.
    """

    KERAS: ClassVar[str]  # the public module below `keras`
    ALIASES: ClassVar[tuple[str, ...]] = ()  # further names that Keras takes for it, beside its own in snake case


class Initializer(Object):
    KERAS = "initializers"


class Regularizer(Object):
    KERAS = "regularizers"


class Constraint(Object):
    KERAS = "constraints"


class Loss(Object):
    KERAS = "losses"


class Metric(Object):
    KERAS = "metrics"


class Schedule(Object):
    KERAS = "optimizers.schedules"


class Optimizer(Object):
    KERAS = "optimizers"


class Callback(Object):
    KERAS = "callbacks"


def snake_case(name: str) -> str:
    """`GlorotUniform` → `glorot_uniform`, `Conv2D` → `conv2d`, as Keras names its objects."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


@cache
def known(kind: type[Object]) -> Mapping[str, type[Object]]:
    """All objects of a kind by each name that a spec may give them."""
    names: dict[str, type[Object]] = {}
    for module in MODULES:
        for leaf in vars(importlib.import_module(f"archspec.layers.objects.{module}")).values():
            if isinstance(leaf, type) and issubclass(leaf, kind) and leaf is not kind and leaf.__name__[0] != "_":
                for name in {leaf.__name__, snake_case(leaf.__name__), *leaf.ALIASES}:
                    assert names.setdefault(name, leaf) is leaf, f"two objects are named {name}"
    return names


def parse_object(kind: type[Object], value: Any) -> Any:
    """`he_normal`, `{L2: 1e-4}` or `{L2: {l2: 1e-4}}` → the object. Other values are left for pydantic to judge."""
    if isinstance(value, str):
        name, arguments = value, None
    elif isinstance(value, Mapping) and len(value) == 1:
        ((name, arguments),) = value.items()
    else:
        return value
    objects = known(kind)
    if name not in objects:
        context = {"kind": kind.__name__.lower(), "name": repr(name), "known": sorted(objects)}
        raise PydanticCustomError("unknown_object", "{kind} {name} is not known", context)
    cls = objects[name]
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, Mapping):
        arguments = {next(iter(cls.model_fields), "value"): arguments}
    return cls.model_validate(arguments)


def object_field(kind: type[Object]) -> BeforeValidator:
    """The annotation that makes a pydantic field read an object of the kind."""
    return BeforeValidator(lambda value: parse_object(kind, value))
