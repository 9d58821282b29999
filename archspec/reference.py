"""The catalogue as people look it up: what a name stands for, its arguments, its tensors, an example."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from archspec.graph.text import value_text
from archspec.language.document import MERGES
from archspec.language.schema import Definitions
from archspec.language.schema_values import plain, type_text
from archspec.layers import FAMILIES, REFUSED, catalogue
from archspec.layers.base import Layer, Model, call_fields, first_argument, tensor_parameters
from archspec.layers.objects import Object, known, snake_case
from archspec.layers.objects.base import REFUSED as REFUSED_OBJECTS
from archspec.layers.ops import arguments as calls
from archspec.layers.ops import functions


@dataclass(frozen=True)
class Argument:
    """One argument; `of_call`: Keras takes it when the layer is called, a spec beside the others."""

    name: str
    type: str
    required: bool
    default: Any = None
    of_call: bool = False

    @property
    def default_text(self) -> str:
        return "required" if self.required else value_text(self.default)


@dataclass(frozen=True)
class Entry:
    """What is known of a name."""

    name: str
    kind: str
    doc: str
    arguments: tuple[Argument, ...]
    aliases: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    example: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def families() -> dict[str, list[str]]:
    """The layers by family."""
    found: dict[str, list[str]] = {family.replace("_", " "): [] for family in FAMILIES}
    for name, cls in catalogue().items():
        found[cls.__module__.rpartition(".")[2].replace("_", " ")].append(name)
    return {family: sorted(names) for family, names in found.items()}


def operations() -> dict[str, list[str]]:
    """The functions by family."""
    found: dict[str, list[str]] = {}
    for name in sorted(calls.names()):
        found.setdefault(functions()[name].__module__.rpartition(".")[2], []).append(name)
    return found


def objects() -> dict[str, list[str]]:
    """Initializers, losses and their like by kind, each by its own name."""
    return {kind.KERAS: sorted({cls.__name__ for cls in known(kind).values()}) for kind in Object.__subclasses__()}


def names() -> list[str]:
    """Every name that can be looked up."""
    found = [*catalogue(), *(name for group in objects().values() for name in group)]
    return sorted({*found, *(f"ops.{name}" for name in calls.names())})


def refused(name: str) -> str | None:
    """Why a name of Keras's is refused, if it is."""
    reasons = {**REFUSED, **{word: why for kinds in REFUSED_OBJECTS.values() for word, why in kinds.items()}}
    return reasons.get(name)


def find(name: str) -> list[Entry]:
    """All that a name stands for: a layer, objects of several kinds, a function. Merges stand for their layers."""
    name = MERGES.get(name, name)
    found = [layer_entry(catalogue()[name])] if name in catalogue() else []
    found += [object_entry(known(kind)[name], kind) for kind in Object.__subclasses__() if name in known(kind)]
    operation = name.removeprefix("ops.")
    if operation in calls.names():
        found.append(operation_entry(operation))
    return found


def layer_entry(cls: type[Layer]) -> Entry:
    tensors = tuple(
        f"{p.name}{' (several)' if p.several else ''}{'' if p.required or p.several else ' (optional)'}"
        for p in tensor_parameters(cls)
    )
    return Entry(cls.__name__, "layer", _doc(cls), _arguments(cls), cls.ALIASES, tensors, _example(cls))


def object_entry(cls: type[Object], kind: type[Object]) -> Entry:
    """Beside its own names an object goes by the one in snake case."""
    aliases = tuple(name for name, other in known(kind).items() if other is cls and name != cls.__name__)
    return Entry(cls.__name__, kind.__name__.lower(), _doc(cls), _arguments(cls), tuple(sorted(aliases)))


def operation_entry(name: str) -> Entry:
    parameters = calls.signature(name).parameters.values()
    types = {p.name: calls.describe(calls.hints(name)[p.name]) for p in parameters}
    arguments = tuple(
        Argument(p.name, types[p.name], p.default is p.empty and p.kind is not p.VAR_KEYWORD,
                 None if p.default is p.empty else p.default)
        for p in parameters
    )  # fmt: skip
    tensors = [a for a in arguments if a.required and "tensor" in a.type]
    values = [a.name for a in arguments if a.required and a not in tensors]
    lines = [f"- ops.{name}: {{{', '.join(f'{value}: …' for value in values)}}}" if values else f"- ops.{name}"]
    if len(tensors) > 1 or any("several" in a.type for a in tensors):
        lines.append("  from: [a, b]")
    return Entry(f"ops.{name}", "function", _doc(functions()[name]), arguments, (), (), "\n".join(lines))


def _doc(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def _arguments(cls: type[Model]) -> tuple[Argument, ...]:
    """The required arguments, then the class's own, then those that its bases lend."""
    made = Definitions({})
    bases: tuple[type[Model], ...] = (Layer, *Object.__subclasses__())
    shared = [name for base in bases if issubclass(cls, base) for name in base.model_fields]
    own = [name for name in cls.__annotations__ if name in cls.model_fields]

    def rank(name: str) -> int:
        if cls.model_fields[name].is_required():
            return 0
        return 3 if name in shared else 1 if name in own and issubclass(cls, Object) else 2

    return tuple(_argument(cls, name, made) for name in sorted(cls.model_fields, key=rank))


def _argument(cls: type[Model], name: str, made: Definitions) -> Argument:
    field = cls.model_fields[name]
    required = field.is_required()
    default = None if required else plain(field.get_default(call_default_factory=True))
    of_call = issubclass(cls, Layer) and name in call_fields(cls)
    return Argument(name, type_text(made.of_type(field.annotation, field.metadata)), required, default, of_call)


def _example(cls: type[Layer]) -> str:
    """The layer's first example as a step, with the tensors that it takes where there are several."""
    if not cls.EXAMPLES:
        return ""
    first = cls.EXAMPLES[0]
    arguments: Mapping[str, Any] = first.arguments
    name = snake_case(cls.__name__) if cls.OWN else cls.__name__
    step = name
    if list(arguments) == [first_argument(cls)] and not isinstance(next(iter(arguments.values())), Mapping):
        step = f"{name}: {value_text(next(iter(arguments.values())))}"
    elif arguments:
        step = f"{name}: {value_text(arguments)}"
    lines = [f"- {step}"]
    required = [p.name for p in tensor_parameters(cls) if p.required]
    if len(required) > 1:
        lines.append(f"  from: {{{', '.join(f'{name}: …' for name in required)}}}")
    elif any(p.several for p in tensor_parameters(cls)):
        lines.append("  from: [a, b]")
    return "\n".join(lines)
