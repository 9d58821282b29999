"""Keras's objects in a spec: a name, or a mapping from a name to its arguments."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AllowInfNan, BeforeValidator
from pydantic_core import PydanticCustomError

from archspec.layers.base import DType, Model, snake_case

# Ranges that the arguments of many objects share.
Finite = Annotated[float, AllowInfNan(False)]
AtLeastZero = Annotated[float, Ge(0), AllowInfNan(False)]
AboveZero = Annotated[float, Gt(0), AllowInfNan(False)]
Fraction = Annotated[float, Ge(0), Le(1)]
BelowOne = Annotated[float, Ge(0), Lt(1)]
Count = Annotated[int, Ge(0)]
Positive = Annotated[int, Gt(0)]


class Object(Model):
    """An object of Keras's: fields are its arguments by Keras's names, with Keras's defaults.

    A subclass is named as in Keras. The kinds below are its direct subclasses; KERAS says where Keras keeps them,
    and a kind's objects stand in the module of the same last name. A class that only lends fields to others has
    a name with an underscore.
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

    reduction: Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"] | None = (
        "sum_over_batch_size"
    )
    name: str | None = None
    dtype: DType | None = None


class Metric(Object):
    KERAS = "metrics"

    name: str | None = None
    dtype: DType | None = None


class Schedule(Object):
    KERAS = "optimizers.schedules"


class Optimizer(Object):
    KERAS = "optimizers"

    name: str | None = None


class Callback(Object):
    KERAS = "callbacks"


_RUNS_CODE = "it runs arbitrary Python code"
_BY_PATH = "it picks optimizers by patterns over the paths of Keras's variables, which a spec does not know"
_OWN_FILES = "the run's folder does this by itself"
_BY_LOSS = "it takes no arguments, the loss decides what it is; name the metric itself, such as"

# Names of Keras's that a spec may not use, with the reason.
REFUSED: Mapping[type[Object], Mapping[str, str]] = {
    Metric: {
        "MeanMetricWrapper": _RUNS_CODE,
        "Mean": "it averages values and does not compare predictions with targets",
        "Sum": "it adds values up and does not compare predictions with targets",
        "accuracy": f"{_BY_LOSS} BinaryAccuracy or SparseCategoricalAccuracy",
        "acc": f"{_BY_LOSS} BinaryAccuracy or SparseCategoricalAccuracy",
    },
    Loss: {
        "crossentropy": f"{_BY_LOSS} BinaryCrossentropy or SparseCategoricalCrossentropy",
        "ce": f"{_BY_LOSS} BinaryCrossentropy or SparseCategoricalCrossentropy",
    },
    Optimizer: {
        "MultiOptimizer": _BY_PATH,
        "OptimizerMap": _BY_PATH,
    },
    Callback: {
        "LambdaCallback": _RUNS_CODE,
        "LearningRateScheduler": f"{_RUNS_CODE}; give the optimizer a schedule: learning_rate: {{CosineDecay: …}}",
        "RemoteMonitor": "it sends the training's figures over the network",
        "ModelCheckpoint": _OWN_FILES,
        "OrbaxCheckpoint": _OWN_FILES,
        "BackupAndRestore": _OWN_FILES,
        "CSVLogger": _OWN_FILES,
        "TensorBoard": "it writes files outside the run's folder, which keeps the figures by itself",
        "History": "every training has it",
        "ProgbarLogger": "every training has it",
        "CallbackList": "list the callbacks themselves",
    },
}


@cache
def known(kind: type[Object]) -> Mapping[str, type[Object]]:
    """All objects of a kind by each name that a spec may give them."""
    names: dict[str, type[Object]] = {}
    module = importlib.import_module(f"archspec.layers.objects.{kind.KERAS.rpartition('.')[2]}")
    for leaf in vars(module).values():
        if isinstance(leaf, type) and issubclass(leaf, kind) and leaf is not kind and leaf.__name__[0] != "_":
            for name in {leaf.__name__, snake_case(leaf.__name__), *leaf.ALIASES} - REFUSED.get(kind, {}).keys():
                assert names.setdefault(name, leaf) is leaf, f"two objects are named {name}"
    return names


@cache
def first_argument(cls: type[Object]) -> str | None:
    """The argument that a bare value stands for: the first that is the class's own rather than lent by its bases."""
    bases = [base for base in cls.__mro__ if issubclass(base, Object)]
    lent = {name for base in bases[1:] for name in base.model_fields}
    kind = bases[-2]
    own = [name for name in cls.model_fields if name not in lent]
    of_its_family = [name for name in cls.model_fields if name not in kind.model_fields]
    return next(iter((*own, *of_its_family, *cls.model_fields)), None)


def parse_object(kind: type[Object], value: Any) -> Any:
    """`he_normal`, `{L2: 1e-4}` or `{L2: {l2: 1e-4}}` → the object. Other values are left for pydantic to judge."""
    if isinstance(value, str):
        name, arguments = value, None
    elif not isinstance(value, Mapping):
        return value
    elif len(value) == 1:
        ((name, arguments),) = value.items()
    else:  # left to pydantic it would be read as the fields of the bare kind
        raise PydanticCustomError("one_name", "Input should be a name, or a mapping from one name to its arguments")
    objects = known(kind)
    if name not in objects:
        raise _unknown(kind, name)
    cls = objects[name]
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, Mapping):
        arguments = {first_argument(cls) or "value": arguments}
    return cls.model_validate(arguments)


def _unknown(kind: type[Object], name: object) -> PydanticCustomError:
    word = kind.__name__.lower()
    for refused, why in REFUSED.get(kind, {}).items():
        if name in (refused, snake_case(refused)):
            context = {"kind": word, "name": name, "why": why}
            return PydanticCustomError("refused_object", "{kind} {name} is refused: {why}", context)
    return PydanticCustomError(
        "unknown_object",
        "{kind} {name} is not known",
        {"kind": word, "name": repr(name), "known": sorted(known(kind))},
    )


def object_field(kind: type[Object]) -> BeforeValidator:
    """The annotation that makes a pydantic field read an object of the kind."""
    return BeforeValidator(lambda value: parse_object(kind, value))
