"""The language as JSON Schema (draft 2020-12), made from the classes that validate specs, so that editors know it.

Schemas here are plain data. A type's schema says what its values are when written out; `with_expression` then adds
that any value may be an expression instead. Whatever is larger than a line goes to `$defs` once, by a readable name.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from archspec.language.document import MERGES, MODIFIERS, VERBS, SpecFile
from archspec.language.drawing import Draw
from archspec.language.schema_values import (
    EXPRESSION,
    Schema,
    any_of,
    bounded,
    plain,
    slug_of,
    type_text,
    with_expression,
)
from archspec.layers import catalogue
from archspec.layers.base import Layer, Model, first_argument
from archspec.layers.objects import Object, known
from archspec.layers.objects.base import first_argument as object_first
from archspec.layers.ops import functions
from archspec.layers.ops.arguments import names

_PLAIN: Mapping[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
    dict: {"type": "object"},
    Any: {},
}


class Definitions:
    """What `$defs` holds: each class once, and each type of value that is used again and again."""

    def __init__(self, choices: Mapping[type[BaseModel], Mapping[str, type[Model]]]) -> None:
        self.made: dict[str, Schema] = {}
        self.choices = choices  # further classes of which a spec names one

    def reference(self, name: str, make: Callable[[], Schema]) -> Schema:
        """A reference to the definition of the name, made when it is first asked for."""
        if name not in self.made:
            self.made[name] = {}  # stands for itself while it is made: layers hold layers
            self.made[name] = make()
        return {"$ref": f"#/$defs/{name}"}

    # --- types -----------------------------------------------------------------------------------

    def value(self, field: FieldInfo) -> Schema:
        """What may stand as an argument: a value of its type, or an expression."""
        schema = self.of_type(field.annotation, field.metadata)
        if "$ref" in schema or not schema:
            return schema
        return self.reference(slug_of(type_text(schema)), lambda: with_expression(schema))

    def of_type(self, annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> Schema:
        """The schema of a pydantic field's type. Types that no field of ours has are an error of ours."""
        if get_origin(annotation) is Annotated:
            inner, *more = get_args(annotation)
            return self.of_type(inner, [*more, *metadata])
        return bounded(self._bare(annotation, metadata), metadata)

    def _bare(self, annotation: Any, metadata: Any) -> Schema:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin in (Union, types.UnionType):
            return any_of([self.of_type(part) for part in arguments])
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (list, tuple):
            listed = self.items(origin, arguments)
            one_for_all = any(isinstance(m, BeforeValidator) for m in metadata)  # a name alone stands for a list of it
            return any_of([listed["items"], listed]) if one_for_all else listed
        if origin is dict:
            return {"type": "object", "additionalProperties": with_expression(self.of_type(arguments[1]))}
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.model(annotation)
        return dict(_PLAIN[annotation])

    def items(self, origin: Any, arguments: tuple[Any, ...]) -> Schema:
        listed: Schema = {"type": "array", "items": with_expression(self.of_type(arguments[0]))}
        if origin is tuple and arguments[-1] is not Ellipsis:
            listed |= {"minItems": len(arguments), "maxItems": len(arguments)}
        return listed

    def model(self, cls: type[BaseModel]) -> Schema:
        if issubclass(cls, Layer):
            one = self.reference("layer", self.layer)
            return any_of([one, {"type": "array", "items": one}]) if cls is Layer else self.use(cls)
        if issubclass(cls, Object):
            return self.reference(cls.__name__.lower(), lambda: self.choice(cls, known(cls)))
        if cls in self.choices:
            return self.reference(cls.__name__.lower(), lambda: self.choice(cls, self.choices[cls]))
        return self.reference(cls.__name__, lambda: self.arguments(cls))

    # --- named things ----------------------------------------------------------------------------

    def arguments(self, cls: type[BaseModel], more: Mapping[str, Schema] | None = None) -> Schema:
        """A mapping of a class's fields."""
        fields = cls.model_fields
        properties = {name: self.value(field) | _default(field) for name, field in fields.items()}
        required = [name for name, field in fields.items() if field.is_required()]
        schema: Schema = {"type": "object", "properties": {**properties, **(more or {})}, "additionalProperties": False}
        if inspect.getdoc(cls) and "__doc__" in vars(cls):
            schema = {"description": inspect.getdoc(cls), **schema}
        return schema | ({"required": required} if required else {})

    def use(self, cls: type[Model], kind: type[BaseModel] = Layer) -> Schema:
        """What stands behind a layer's or object's name: its arguments, its first argument alone, or nothing."""

        def make() -> Schema:
            arguments = self.arguments(cls)
            first = object_first(cls) if issubclass(cls, Object) else first_argument(cls)
            required = set(arguments.get("required", ()))
            ways = [arguments]
            if first and required <= {first}:
                ways.append({"not": {"type": "object"}, **self.value(cls.model_fields[first])})
            if not required:
                ways.append({"type": "null"})
            about = {"description": arguments.pop("description")} if "description" in arguments else {}
            return about | any_of(ways)

        return self.reference(f"{kind.__name__.lower()}.{cls.__name__}", make)

    def layer(self) -> Schema:
        return self.one_of({name: self.use(cls) for name, cls in catalogue().items()}, "Layer")

    def choice(self, kind: type[BaseModel], known: Mapping[str, type[Model]]) -> Schema:
        names = {name: self.use(cls, kind) for name, cls in sorted(known.items())}
        return self.one_of(names, kind.__name__)

    def one_of(self, names: Mapping[str, Schema], description: str) -> Schema:
        """A name, or a mapping from a name to its arguments."""
        one: Schema = {"type": "object", "properties": dict(names), "additionalProperties": False}
        one |= {"minProperties": 1, "maxProperties": 1}
        about = {"description": f"{description}: its name, or a mapping from its name to its arguments"}
        return about | any_of([{"enum": list(names)}, one, EXPRESSION])

    # --- steps -----------------------------------------------------------------------------------

    def steps(self) -> Schema:
        return self.reference("steps", lambda: {
            "description": "Steps, each taking the current tensor x and leaving a new one",
            "anyOf": [{"type": "array", "items": self.reference("step", self.step)}, EXPRESSION],
        })  # fmt: skip

    def step(self) -> Schema:
        """One verb and its modifiers. The names of blocks are the spec's own, so any name may be a verb."""
        verbs: dict[str, Schema] = {name: self.use(cls) for name, cls in catalogue().items()}
        verbs |= {name: self.merge(name) for name in MERGES}
        verbs |= _verbs(self) | {f"ops.{name}": self.operation(f) for name, f in _functions().items()}
        mapping: Schema = {
            "type": "object",
            "properties": verbs | _modifiers(),
            "patternProperties": {r"^(=|[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$)": {}},
            "additionalProperties": False,
            "not": {"propertyNames": {"enum": list(MODIFIERS)}},
        }
        bare = {"anyOf": [{"enum": [*catalogue(), *MERGES]}, {"type": "string"}]}
        return {"description": "A verb (a layer, a block, a merge …) and its modifiers"} | any_of([mapping, bare])

    def merge(self, verb: str) -> Schema:
        cls = catalogue()[MERGES[verb]]

        def make() -> Schema:
            path = self.reference("path", lambda: {
                "description": "The name of a tensor, or steps that run on x",
                "anyOf": [{"type": "string"}, {"type": "array", "items": self.reference("step", self.step)}],
            })  # fmt: skip
            arguments = {n: any_of([self.value(f), path]) for n, f in cls.model_fields.items()}
            named = {"type": "object", "properties": arguments, "additionalProperties": path}
            text = inspect.getdoc(cls) or ""
            return {"description": text} | any_of([named, {"type": "array", "items": path}, {"type": "null"}])

        return self.reference(f"merge.{verb}", make)

    def operation(self, function: Callable[..., Any]) -> Schema:
        """A function's arguments, by name or the one after the tensor alone. Their types are judged with the shapes."""
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        schema: Schema = {"properties": {name: {} for name in names}}
        if len(names) == len(parameters):
            schema["additionalProperties"] = False
        return {"description": inspect.getdoc(function)} | self.reference(f"ops({', '.join(names)})", lambda: schema)


def document_schema(
    sections: Mapping[str, type[Model]], choices: Mapping[type[BaseModel], Mapping[str, type[Model]]]
) -> Schema:
    """The schema of a whole spec.

    `sections` are the classes of `data`, `train` and `run`; `choices` what they name that is no object of Keras's.
    """
    made = Definitions(choices)
    made.made["expression"] = {"type": "string", "pattern": "^=", "description": "An expression: =4 * filters"}
    made.made["param"] = _param()
    properties = _top_level(made) | {name: made.model(cls) for name, cls in sections.items()}
    assert properties.keys() == SpecFile.model_fields.keys()
    steps = {"description": "Steps, or for each input or field its own"} | any_of(
        [made.steps(), {"type": "object", "additionalProperties": made.steps()}]
    )
    for name in ("preprocess", "augment"):
        made.made["Data"]["properties"][name] = steps
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "archspec",
        "description": "A neural network as an archspec spec: its layers, its data, its training",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "anyOf": [
            {"required": ["archspec", "name", "layers"]},
            {"required": ["archspec", "name", "blocks"]},
            {"required": ["extends"]},
        ],
        "$defs": dict(sorted(made.made.items())),
    }


def _functions() -> dict[str, Callable[..., Any]]:
    """The functions that steps may call."""
    return {name: functions()[name] for name in sorted(names())}


# --- the parts of a spec -------------------------------------------------------------------------


def _top_level(made: Definitions) -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    params = _mapping({"$ref": "#/$defs/param"}, "Values that the file may use, by name")
    shape = {"type": "array", "items": any_of([{"type": "integer", "minimum": 1}, {"type": "null"}, EXPRESSION])}
    shape = any_of([shape, EXPRESSION])
    named_input: Schema = {"type": "object", "properties": {"shape": shape, "dtype": text}, "required": ["shape"]}
    named_input["additionalProperties"] = False
    names = {"type": "array", "items": text}
    block: Schema = {
        "type": "object",
        "properties": {
            "params": params,
            "inputs": names,
            "outputs": names,
            "layers": made.steps(),
            "description": text,
        },
        "required": ["layers"],
        "additionalProperties": False,
    }
    values: Schema = {"type": "object"}
    return {
        "archspec": {"description": "The language's version", "const": 1},
        "name": {"description": "The network's name", "type": "string", "minLength": 1, "maxLength": 200},
        "description": {"description": "What the network is, in a line", **text},
        "source": {"description": "The paper", **text},
        "params": params,
        "variants": _mapping(any_of([values, {"type": "null"}]), "Named sets of values of params: FILE@VARIANT"),
        "inputs": _mapping(any_of([shape, named_input]), "The inputs' shapes without the batch"),
        "blocks": _mapping(block, "Reusable lists of steps, each a verb of its own"),
        "use": _mapping(text, "Other specs as blocks: FILE or FILE@VARIANT"),
        "extends": {"description": "The spec that this one changes: FILE or FILE@VARIANT", **text},
        "layers": made.steps(),
        "outputs": {"description": "The names of the tensors that come out"}
        | any_of([names, {"type": "object", "additionalProperties": text}]),
        "expect": {"description": "Figures that check verifies: params, trainable, macs, output …", **values},
        "draw": any_of([made.model(Draw), {"type": "null"}]),
    }


def _mapping(values: Schema, description: str) -> Schema:
    return {
        "description": description,
        "type": "object",
        "propertyNames": {"pattern": r"^[^\W\d][\w.-]*$"},
        "additionalProperties": values,
    }


def _param() -> Schema:
    from archspec.language.document import TYPES, Param

    about = {"description": Param.SHORT}
    long = {"type": {"enum": list(TYPES)}, "default": {}, "min": {"type": "number"}, "max": {"type": "number"}}
    long |= {"choices": {"type": "array"}, "description": {"type": "string"}}
    return about | any_of([{"enum": list(TYPES)}, {"type": "object", "properties": long}, {}])


def _verbs(made: Definitions) -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    verbs: dict[str, Schema] = {
        "expr": {"description": "A formula over tensors and params: softmax(q @ swapaxes(k, -1, -2)) @ v", **text},
        "weight": {"description": "A trainable tensor of its own", **made.use(catalogue()["Weight"])},
        "reuse": {"description": "An earlier named layer or block again, with the same weights"}
        | any_of([text, {"type": "object", "minProperties": 1, "maxProperties": 1}]),
        "let": {"description": "Names tensors anew, all at once", **_mapping(text, "")},
        "layers": {"description": "A group of steps, so that modifiers can apply to all of them", **made.steps()},
    }
    assert {*verbs, *MERGES} == set(VERBS)
    return verbs


def _modifiers() -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    names: Schema = {"type": "array", "items": text}
    sources = any_of([text, names])
    condition = any_of([{"type": "boolean"}, EXPRESSION])
    rows = any_of([{"type": "array"}, EXPRESSION])
    modifiers: dict[str, Schema] = {
        "name": {"description": "The name of the layer and of its output; a list names several outputs", **sources},
        "from": {"description": "Takes these tensors instead of x"}
        | any_of([text, names, {"type": "object", "additionalProperties": sources}]),
        "when": {"description": "Skips the step where it is false", **condition},
        "repeat": {"description": "Runs the step that often, each time with its own weights"}
        | any_of([{"type": "integer", "minimum": 0}, EXPRESSION]),
        "share": {"description": "Beside repeat: with the same weights each time", "type": "boolean"},
        "for": {"description": "Runs the step once for each row of the lists: for: {depth: [3, 4, 6, 3]}"}
        | {"type": "object", "minProperties": 1, "additionalProperties": rows},
        "trainable": {"description": "False freezes what the step makes", **condition},
    }
    assert tuple(modifiers) == MODIFIERS
    return modifiers


def _default(field: FieldInfo) -> Schema:
    return {} if field.is_required() else {"default": plain(field.get_default(call_default_factory=True))}
