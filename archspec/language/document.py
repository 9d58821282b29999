"""The file as written: pydantic models of its parts, and its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from archspec.diagnostics import Diagnostic
from archspec.language.limits import Limits
from archspec.language.source import Mark

TYPES = ("int", "float", "bool", "str", "shape", "any", "layers")
MODIFIERS = ("name", "from", "when", "repeat", "share", "for", "trainable")
MERGES: Mapping[str, str] = {
    "add": "Add", "concat": "Concatenate", "multiply": "Multiply", "average": "Average", "maximum": "Maximum",
    "minimum": "Minimum", "subtract": "Subtract", "dot": "Dot",
}  # fmt: skip
BROKEN = ""  # the verb of a step that could not be read, which was reported
VERBS = (*MERGES, "expr", "weight", "reuse", "let", "layers")

ParamType = Literal["int", "float", "bool", "str", "shape", "any", "layers"]


class Part(BaseModel):
    """A part of the file; what is elaborated later stays as plain data."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Param(Part):
    """A parameter of a spec or a block: its type, and its default unless it is required."""

    SHORT: ClassVar[str] = "a default, a type (int float bool str shape any layers), or {type, default, min, max, …}"

    type: ParamType = "any"
    default: Any = None
    required: bool = False
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] | None = None
    description: str = ""


def type_of(value: Any) -> ParamType:
    """The type that a default stands for. An expression's value is not known yet, nor what replaces a null."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str) and not value.startswith("="):
        return "str"
    return "any"


def _param(value: Any) -> Any:
    if isinstance(value, str) and value in TYPES:
        return {"type": value, "required": True}
    if isinstance(value, Mapping) and value and set(value) <= set(Param.model_fields) - {"required"}:
        given = dict(value)
        given.setdefault("type", type_of(given.get("default")))
        if "choices" in given and isinstance(given["choices"], list):
            given["choices"] = tuple(given["choices"])
        return given | {"required": "default" not in given}
    return {"type": type_of(value), "default": value}


ParamField = Annotated[Param, BeforeValidator(_param)]


class InputDecl(Part):
    """An input of the network: its shape without the batch, and its dtype."""

    shape: Any  # a list, whose lengths may be expressions
    dtype: str = "float32"


def _input(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {"shape": value}


class BlockDecl(Part):
    """A reusable block."""

    params: dict[str, ParamField] = Field(default_factory=dict)
    inputs: list[str] = Field(default_factory=list)
    outputs: list[str] = Field(default_factory=list)
    layers: list[Any]
    description: str = ""


class SpecFile(Part):
    """The top level of a spec."""

    archspec: Literal[1]
    name: str = Field(min_length=1, max_length=200)
    description: str = ""
    source: str = ""
    params: dict[str, ParamField] = Field(default_factory=dict)
    variants: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    inputs: dict[str, Annotated[InputDecl, BeforeValidator(_input)]] = Field(default_factory=dict)
    blocks: dict[str, BlockDecl] = Field(default_factory=dict)
    use: dict[str, str] = Field(default_factory=dict)
    extends: str | None = None
    layers: list[Any] | None = None
    outputs: list[str] | dict[str, str] = Field(default_factory=list)
    expect: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    run: dict[str, Any] | None = None
    draw: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step as written. `mark` is the place of its mapping (or bare name), `value_mark` that of the verb's value."""

    verb: str
    value: Any
    mark: Mark
    value_mark: Mark
    name: str | list[str] | None = None
    source: Any = None
    when: Any = True
    repeat: Any = None
    share: bool = False
    loop: Mapping[str, Any] | None = None
    trainable: Any = True
    steps: tuple[Step, ...] = ()  # of a group
    paths: tuple[MergePath, ...] = ()  # of a merge
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of a merge's layer


@dataclass(frozen=True, slots=True, eq=False)
class MergePath:
    """One path of a merge: steps run on `x`, or the name of a tensor."""

    name: str | None
    steps: tuple[Step, ...] | None
    tensor: str | None
    mark: Mark


@dataclass(frozen=True, eq=False)
class Block:
    """A block ready for use: its declaration and parsed steps."""

    name: str
    declared: BlockDecl
    steps: tuple[Step, ...]
    mark: Mark


@dataclass(frozen=True, eq=False)
class Document:
    """A whole spec: extended, its variant and overrides applied, its structure validated.

    `raw` is the plain data after all that, `mark` the places of everything in it. `texts` holds every file read.
    """

    file: str
    folder: Path | None
    variant: str | None
    spec: SpecFile
    raw: Mapping[str, Any]
    mark: Mark
    texts: Mapping[str, str]
    blocks: Mapping[str, Block]
    steps: tuple[Step, ...]
    uses: Mapping[str, Document]
    limits: Limits
    mistakes: tuple[Diagnostic, ...] = ()  # found so far, none of which hides what comes after
    changed: bool = False  # overrides were given, so the figures under `expect` need not hold

    @property
    def name(self) -> str:
        """The network's name: the spec's and its variant's, where that does not say it already (`resnet50`)."""
        if self.variant is None:
            return self.spec.name
        return self.variant if self.variant.startswith(self.spec.name) else f"{self.spec.name}_{self.variant}"

    @property
    def data(self) -> Mapping[str, Any] | None:
        return self.spec.data

    @property
    def train(self) -> Mapping[str, Any] | None:
        return self.spec.train

    @property
    def run(self) -> Mapping[str, Any] | None:
        return self.spec.run

    @cached_property
    def variants(self) -> tuple[str, ...]:
        return tuple(self.spec.variants)
