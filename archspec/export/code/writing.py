"""A function's lines: its items in order, and names for the tensors between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archspec.export.code.formulas import Written
from archspec.export.code.functions import FLOW, NUMBER, RESERVED, Function, fresh, identifier, plain
from archspec.export.code.items import LAST, Each, Item, Key, Ref
from archspec.export.code.layout import INDENT, call_lines, docstring, fold
from archspec.export.code.values import module_of, text_code, value_code
from archspec.graph.text import same_value
from archspec.layers.base import Layer, call_fields, default_name, first_argument, group_inputs, tensor_parameters
from archspec.layers.formula import Formula

# Layers that give a list within their outputs: the states of a cell, or of a stack of cells.
_NESTED_OUTPUTS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells", "RNN", "Bidirectional"})


@dataclass(frozen=True)
class Turns:
    """A loop: its head, and the names of the arguments that change from turn to turn. Without a head there is none,

    and `number` is that of the only turn.
    """

    head: str = ""
    names: Mapping[Key, str] = field(default_factory=dict)
    number: int | None = None


class Writer:
    """Writes a body's lines. `prefix` says whether its layers' names begin with the variable `name`."""

    def __init__(self, function: Function, prefix: bool, taken: set[str]) -> None:
        self.function = function
        self.prefix = prefix
        self.taken = taken  # names that no tensor may have
        self.names: dict[Ref, str] = {}
        self.layers: dict[int, str] = {}  # layers that are called again, by the items that made them
        self.last = _last_uses(function)
        self.end = len(function.items) - 1

    def lines(self) -> Iterator[str]:
        for i, name in enumerate(self.function.inputs):
            self.names[Ref(-1, i)] = name
        for place, item in enumerate(self.function.items):
            yield from self._item(place, item)

    # --- tensors -------------------------------------------------------------------------------------

    def _live(self, place: int) -> set[str]:
        """The names of the tensors that are read after an item."""
        return {name for ref, name in self.names.items() if self.last.get(ref, -2) > place}

    def _results(self, place: int, item: Item) -> list[str]:
        found: list[str] = []
        for index in range(item.outputs):
            ref = Ref(place, index)
            if ref not in self.last:
                found.append("_")
                continue
            name = self._result(place, item, ref, set(found))
            self.names[ref] = name
            found.append(name)
        return found

    def _result(self, place: int, item: Item, ref: Ref, beside: set[str]) -> str:
        live = self._live(place) | beside
        if self.last[ref] > place + 1 and item.start is None:
            given = self._given(item)
            if given and given not in self.taken | set(FLOW):
                return fresh(given, {*live, *self.taken})
        ending = [self.names[r] for _, r in item.inputs if self.names[r] in FLOW and self.names[r] not in live]
        free = [name for name in (*ending, *FLOW) if name not in live]
        return free[0] if free else fresh("x", {*live, *self.taken})

    def _given(self, item: Item) -> str | None:
        """What the spec calls the item, if it is more than its layer's name."""
        own = item.spelt.split(".")[self.function.body.scope.inner :]
        first = plain(own[0]) if own else ""
        usual = item.made.name if isinstance(item.made, Function) else default_name(item.made)
        return None if first in (usual, "expr", "weight", "") else identifier(first)

    # --- items ---------------------------------------------------------------------------------------

    def _item(self, place: int, item: Item) -> Iterator[str]:
        line = Line(self.function, place, self._turns(place, item))
        if not line.turns.head:
            results = self._results(place, item)
            returned = self.prefix and self.function.body.outputs == [Ref(place)] and place == self.end
            target = "return " if returned else f"{', '.join(results)} = " if results else ""
            yield from self._call(line, [self.names[ref] for _, ref in item.inputs], target, INDENT)
            return
        first = self.names[item.inputs[item.carried[0]][1]]
        name = first
        if first in self._live(place) or first not in FLOW:
            name = self._results(place, item)[0]
            yield f"{INDENT}{name} = {first}"
        self.names[Ref(place)] = name
        yield from fold(line.turns.head, INDENT)
        tensors = [name if i in item.carried else self.names[ref] for i, (_, ref) in enumerate(item.inputs)]
        yield from self._call(line, tensors, f"{name} = ", INDENT * 2)

    def _turns(self, place: int, item: Item) -> Turns:
        """The head of the loop, empty where there is none or it goes round once."""
        if item.start is None:
            return Turns()
        function = self.function
        lists: dict[Key, str] = {}  # what is gone through, by argument
        for key in item.values:
            given = function.open.get((place, key))
            closed = function.closed.get((place, key))
            if given is not None and given.parameter in function.listed:
                lists[key] = given.parameter
            elif isinstance(closed, Each):
                lists[key] = value_code(closed)
        if not lists:
            last = function.open.get((place, LAST))
            if last is None and function.closed[place, LAST] == item.start:
                return Turns(number=item.start)
            end = f"{last.parameter} + 1" if last else str(int(function.closed[place, LAST]) + 1)
            return Turns(f"for i in range({item.start}, {end}):")
        taken = {*self.taken, *self.names.values(), *(p.name for p in function.parameters)}
        variables: dict[str, str] = {}  # list → variable
        for key, values in lists.items():
            if values not in variables:
                variables[values] = fresh(keyword_of(item, key), {*taken, *variables.values()})
        names = {key: variables[values] for key, values in lists.items()}
        if len(variables) == 1:
            ((values, variable),) = variables.items()
            return Turns(f"for i, {variable} in enumerate({values}, {item.start}):", names)
        heads = f"for i, ({', '.join(variables.values())}) in enumerate(zip({', '.join(variables)}), {item.start}):"
        return Turns(heads, names)

    # --- calls ---------------------------------------------------------------------------------------

    def _call(self, line: Line, tensors: Sequence[str], target: str, indent: str) -> Iterator[str]:
        item = line.item
        name = self._name(line)
        if isinstance(item.made, Function):
            made = ["made"] if item.made.is_shared else []
            arguments = [*tensors, name, *made, *line.arguments_of(item.made)]
            yield from call_lines(f"{target}{item.made.name}", arguments, "", indent)
            return
        end = f"({', '.join(line.called_with(item.made, tensors))})"
        if item.outputs > 1 and item.made.__name__ in _NESTED_OUTPUTS:
            target, end = f"{target}keras.tree.flatten(", f"{end})"
        if item.again is not None:
            yield f"{indent}{target}{self.layers[item.again]}{end}"
            return
        cls = f"{module_of(item.made)}{item.made.__name__}"
        arguments = [*line.made_with(item.made), f"name={name}"]
        if item.shared:
            yield from call_lines(f"{target}reused", ["made", f"{cls}({', '.join(arguments)})"], end, indent)
        elif any(other.again == line.place for other in self.function.items):
            layer = fresh(f"{self._given(item) or default_name(item.made)}_layer", self._taken())
            self.layers[line.place] = layer
            yield from call_lines(f"{layer} = {cls}", arguments, "", indent)
            yield f"{indent}{target}{layer}{end}"
        else:
            yield from call_lines(f"{target}{cls}", arguments, end, indent)

    def _taken(self) -> set[str]:
        return {*self.taken, *self.names.values(), *self.layers.values(), *(p.name for p in self.function.parameters)}

    def _name(self, line: Line) -> str:
        label, turns = line.item.label, line.turns
        is_open = bool(turns.head)
        for key in line.item.values:
            if isinstance(key, str) and key.startswith(NUMBER):
                code = line.code(key)
                is_open = is_open or not code.isdecimal()
                label = label.replace(f"{{{key}}}", code if code.isdecimal() else f"{{{code}}}")
        label = label if turns.head else label.replace("{i}", str(turns.number))
        if self.prefix:
            return f'f"{{name}}.{label}"'
        return f'f"{label}"' if is_open else text_code(label)


@dataclass(frozen=True)
class Line:
    """One item of a function, with what its loop changes: its arguments in code."""

    function: Function
    place: int
    turns: Turns

    @property
    def item(self) -> Item:
        return self.function.items[self.place]

    def code(self, key: Key) -> str:
        if key in self.turns.names:
            return self.turns.names[key]
        given = self.function.open.get((self.place, key))
        if given is None:
            return value_code(self.function.closed[self.place, key])
        return given.parameter if given.times == 1 else f"{given.times} * {given.parameter}"

    def is_default(self, key: Key, default: object) -> bool:
        """Whether the argument always has this value, which it has if it is left out."""
        place = (self.place, key)
        return place in self.function.closed and same_value(self.function.closed[place], default)

    def arguments_of(self, called: Function) -> list[str]:
        """The arguments of a function's call that it does not have by itself."""
        defaults = {p.name: p.default for p in called.parameters if p.has_default}
        keys = [p.name for p in called.parameters]
        return [f"{k}={self.code(k)}" for k in keys if k not in defaults or not self.is_default(k, defaults[k])]

    def made_with(self, cls: type[Layer]) -> list[str]:
        """The arguments that are not Keras's defaults, the first one without its name."""
        if issubclass(cls, Formula):
            return self._formula()
        first = first_argument(cls)
        fields = {name: info.get_default(call_default_factory=True) for name, info in cls.model_fields.items()}
        own = {**fields, "trainable": True, "per_example": True}
        order = sorted(own, key=lambda key: (key != first, key in Layer.model_fields, key == "trainable"))
        keys = [k for k in order if k in self.item.values and k not in call_fields(cls)]
        return [
            self.code(key) if key == first else f"{key}={self.code(key)}"
            for key in keys
            if not self.is_default(key, own[key])
        ]

    def _formula(self) -> list[str]:
        detail = self.item.detail
        assert isinstance(detail, Written)
        numbers = [self.code(key) for key in self.item.values if isinstance(key, int)]
        text = detail.text.format(*(f"({code})" if " " in code else code for code in numbers))
        bound = [f"{name}={name}" for name in dict.fromkeys(self.turns.names.values())]  # a loop changes the name
        arguments = [f"lambda {', '.join([*detail.arguments, *bound])}: {text}"]
        arguments += ["keeps_mask=True"] if detail.keeps_mask else []
        return arguments + ([] if self.is_default("dtype", None) else [f"dtype={self.code('dtype')}"])

    def called_with(self, cls: type[Layer], tensors: Sequence[str]) -> list[str]:
        """The tensors as Keras takes them, and the arguments of the call."""
        takes = tensor_parameters(cls)
        fields = {key: cls.model_fields[key].get_default(call_default_factory=True) for key in sorted(call_fields(cls))}
        options = [f"{key}={self.code(key)}" for key, default in fields.items() if not self.is_default(key, default)]
        if not takes or (issubclass(cls, Formula) and len(tensors) == 1):
            return [tensors[0], *options]
        positional, named = group_inputs(cls, tuple(name for name, _ in self.item.inputs), tuple(tensors))
        sizes = self._state_sizes()
        for name in {"initial_state", "states"} & named.keys() if sizes else ():
            named[name] = tuple(_nested(named[name], sizes))
        if positional:
            return [f"[{', '.join(positional)}]", *_named(named), *options]
        first = named.pop(takes[0].name)
        given = f"[{', '.join(first)}]" if isinstance(first, tuple) else str(first)
        return [given, *_named(named), *options]

    def _state_sizes(self) -> list[int]:
        """How many states each cell of a stack has, which Keras takes cell by cell; empty where there is no stack."""
        for key in ("cells", "cell", "layer"):
            value = self.function.closed.get((self.place, key))
            if key == "layer" and value is not None:
                value = getattr(value, "cell", None)
            cells = value if isinstance(value, tuple) else getattr(value, "cells", None)
            if cells:
                sizes = [2 if type(cell).__name__ == "LSTMCell" else 1 for cell in cells]
                return sizes * (2 if key == "layer" else 1)
        return []


def _nested(states: Sequence[str], sizes: Sequence[int]) -> Iterator[str]:
    """The states of a stack of cells, those of each cell in a list if they are several."""
    rest = iter(states)
    for size in sizes:
        own = [next(rest) for _ in range(size)]
        yield own[0] if size == 1 else f"[{', '.join(own)}]"


def _named(tensors: Mapping[str, Any]) -> list[str]:
    return [f"{name}=[{', '.join(v)}]" if isinstance(v, tuple) else f"{name}={v}" for name, v in tensors.items()]


def keyword_of(item: Item, key: Key) -> str:
    """What an argument of an item is called."""
    if isinstance(key, str):
        return key
    assert isinstance(item.detail, Written)
    return item.detail.keys[key] or "number"


def _last_uses(function: Function) -> dict[Ref, int]:
    """The last item that reads each tensor; those that are returned are read behind all."""
    last = {ref: place for place, item in enumerate(function.items) for _, ref in item.inputs}
    return last | dict.fromkeys(function.body.outputs, len(function.items))


def function_lines(function: Function, about: str) -> Iterator[str]:
    """The whole function of a block."""
    parameters = [p.name if not p.has_default else f"{p.name}={value_code(p.default)}" for p in function.parameters]
    made = ["made"] if function.is_shared else []
    yield from call_lines(f"def {function.name}", [*function.inputs, "name", *made, *parameters], ":", "")
    yield from docstring(about, INDENT)
    writer = Writer(function, True, taken_names(function))
    lines = list(writer.lines())
    yield from lines
    if not any(line.startswith(f"{INDENT}return ") for line in lines):
        yield f"{INDENT}return {', '.join(writer.names[ref] for ref in function.body.outputs)}"


def taken_names(function: Function) -> set[str]:
    """Names that no tensor of a function may have: those of what it calls, its parameters, what formulas read."""
    numbers = {given.parameter for given in function.open.values()}
    return {*(RESERVED - set(FLOW)), *numbers, *called_names(function)}


def called_names(function: Function) -> set[str]:
    return {item.made.name for item in function.items if isinstance(item.made, Function)}
