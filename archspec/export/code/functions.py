"""Bodies that are alike as one function: what differs between its uses becomes its parameters."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from archspec.export.code.formulas import Written
from archspec.export.code.items import LAST, Bodies, Body, Each, Item, Key, Listed
from archspec.export.code.loops import looped
from archspec.export.code.tree import Scope
from archspec.graph.ir import Edge, Graph

FLOW = ("x", "y", "z", "u", "w")  # the tensors that need no name of their own
RESERVED = frozenset({*keyword.kwlist, *FLOW, "keras", "layers", "ops", "math", "name", "made", "i", "range", "zip",
                      "enumerate", "reused", "Formula", "build_model"})  # fmt: skip
MULTIPLES = range(2, 9)
NUMBER = "#"  # begins the keys of the numbers in names
LEAST_FACTOR = 4  # sizes are multiples of each other; small numbers only happen to be

Place = tuple[int, Key]


@dataclass(frozen=True, slots=True)
class Of:
    """A parameter's value, `times` it."""

    parameter: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Parameter:
    """A function's parameter: the value most of its uses give it, if there is one."""

    name: str
    default: Any = None
    has_default: bool = False


@dataclass(eq=False)
class Function:
    """A function of the code. `open` says which arguments of its items are parameters; the others are constant."""

    name: str
    body: Body
    uses: int
    parameters: list[Parameter] = field(default_factory=list)
    open: dict[Place, Of] = field(default_factory=dict)
    closed: dict[Place, Any] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)  # parameters that its loops go through
    inputs: list[str] = field(default_factory=list)

    @property
    def is_shared(self) -> bool:
        """Whether layers that it makes are made elsewhere as well, so that it has to be told of those."""
        return any(item.shared or (isinstance(item.made, Function) and item.made.is_shared) for item in self.body.items)

    @property
    def items(self) -> Sequence[Item]:
        return self.body.items


def functions(graph: Graph, root: Scope) -> tuple[list[Function], Body]:
    """The functions, each before those that call it, and the body of the whole network."""
    bodies = Bodies(graph)
    made: list[Function] = []
    names: dict[str, list[Function]] = {}
    for level in _levels(root):
        groups: dict[Any, list[Body]] = {}
        for scope in level:
            body = _looped(bodies.body(scope))
            groups.setdefault(body.kind, []).append(body)
        for alike in sorted(groups.values(), key=len, reverse=True):
            base = identifier(alike[0].scope.base)
            function = Function(_name(base, alike[0], names), alike[0], len(alike))
            names.setdefault(base, []).append(function)
            _parametrise(graph, function, alike)
            made.append(function)
    top = bodies.body(root, [Edge(name) for name in graph.inputs], list(graph.outputs.values()))
    return made, _looped(top)


def _looped(body: Body) -> Body:
    items, body.outputs = looped(body.items, body.outputs)
    body.items = [_numbered(item) for item in items]
    return body


def _numbered(item: Item) -> Item:
    """The item with the numbers in its name as arguments: they may differ between uses like any other."""
    label = ""
    numbers: list[int] = []
    for part in re.split(r"((?<!\d)(?:0|[1-9]\d*)(?!\d))", item.label):
        if part.isdecimal() and part.isascii() and (part == "0" or part[0] != "0"):
            label += mark(len(numbers))
            numbers.append(int(part))
        else:
            label += part
    values = dict(item.values) | {f"{NUMBER}{i}": number for i, number in enumerate(numbers)}
    return replace(item, label=label, values=values, spelt=item.label)


def mark(place: int) -> str:
    """What stands in an item's name for a number of it."""
    return f"{{{NUMBER}{place}}}"


def _levels(root: Scope) -> list[list[Scope]]:
    """Scopes by how deeply others lie in them, the flattest first."""
    levels: list[list[Scope]] = []

    def visit(scope: Scope) -> int:
        height = max((visit(inner) + 1 for inner in scope.scopes()), default=0)
        levels.extend([] for _ in range(height + 1 - len(levels)))
        levels[height].append(scope)
        return height

    for scope in root.scopes():
        visit(scope)
    return levels


def identifier(text: str) -> str:
    """The text as a name in Python that means nothing else yet."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "block"
    name = name if not name[0].isdigit() else f"n{name}"
    return f"{name}_" if name in RESERVED else name


def _name(base: str, body: Body, names: Mapping[str, list[Function]]) -> str:
    """The block's name; where it has several forms, with what this one has and the first has not."""
    others = names.get(base, [])
    taken = {function.name for each in names.values() for function in each}
    if base not in taken:
        return base
    if others:
        mine, first = _words(body), _words(others[0].body)
        more, less = [w for w in mine if w not in first], [w for w in first if w not in mine]
        for word, parts in (("with", more), ("without", less)):
            if parts:
                return fresh(f"{base}_{word}_{parts[0]}", taken)
    return fresh(base, taken)


def _words(body: Body) -> list[str]:
    """What tells forms of a block apart: the parts of its items' names, and how the functions it calls differ."""
    found: dict[str, None] = {}
    for item in body.items:
        for part in item.spelt.split(".")[body.scope.inner :]:
            found[identifier(plain(part))] = None
        if isinstance(item.made, Function):
            found |= dict.fromkeys(re.split(r"_with(?:out)?_", item.made.name)[1:])
    return list(found)


def plain(part: str) -> str:
    """A part of a name without the number at its end."""
    return re.sub(r"(_?\d+|\{i\})+$", "", part)


# --- parameters ----------------------------------------------------------------------------------


def _parametrise(graph: Graph, function: Function, alike: Sequence[Body]) -> None:
    """Sorts the arguments into constants and parameters, and gives each use of the function its values."""
    columns = dict(_columns(alike))
    open_places = {p: column for p, column in columns.items() if len(set(map(repr, column))) > 1}
    function.closed = {p: column[0] for p, column in columns.items() if p not in open_places}
    variables = [body.scope.variables for body in alike]
    used = _names_in(function.items)
    chosen: dict[str, Sequence[Any]] = {}
    for place, column in _bases_first(open_places):
        known = next((name for name, other in chosen.items() if _equal(column, other)), None)
        if known is not None:
            function.open[place] = Of(known)
            continue
        multiple = _multiple(column, chosen)
        if multiple:
            function.open[place] = multiple
            continue
        name = _parameter_name(place, column, variables, function, used | chosen.keys())
        chosen[name] = column
        function.open[place] = Of(name)
    order = dict.fromkeys(function.open[place].parameter for place in open_places)
    parameters = [_parameter(name, chosen[name]) for name in order]
    function.parameters = sorted(parameters, key=lambda parameter: parameter.has_default)
    for number, body in enumerate(alike):
        body.function = function
        given = {parameter.name: chosen[parameter.name][number] for parameter in function.parameters}
        body.values = {n: Listed(v.values) if isinstance(v, Each) else v for n, v in given.items()}
    function.listed = {name for name, column in chosen.items() if isinstance(column[0], Each)}
    function.inputs = _input_names(graph, function, {*used, *chosen})


def _columns(alike: Sequence[Body]) -> Iterator[tuple[Place, list[Any]]]:
    """The values of each argument in all uses; lists where any has another value in each turn of a loop."""
    for number, item in enumerate(alike[0].items):
        listed = False
        for key in item.values:
            column = [body.items[number].values[key] for body in alike]
            if any(isinstance(value, Each) for value in column):
                listed = True
                column = [
                    value if isinstance(value, Each) else Each((value,) * turns(body.items[number]))
                    for value, body in zip(column, alike, strict=True)
                ]
            if key != LAST or not listed:  # a loop over lists needs no count
                yield (number, key), column


def turns(item: Item) -> int:
    """How often a loop goes round."""
    assert item.start is not None
    return int(item.values[LAST]) - item.start + 1


def _equal(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return list(map(repr, a)) == list(map(repr, b))


def _bases_first(places: Mapping[Place, list[Any]]) -> list[tuple[Place, list[Any]]]:
    """Smaller sizes before larger ones, which may be multiples of them."""

    def order(entry: tuple[Place, list[Any]]) -> tuple[bool, Any]:
        return (True, entry[1][0]) if _is_size(entry[1]) else (False, 0)

    return sorted(places.items(), key=order)


def _is_size(column: Sequence[Any]) -> bool:
    return all(type(value) is int and value >= LEAST_FACTOR for value in column)


def _multiple(column: Sequence[Any], chosen: Mapping[str, Sequence[Any]]) -> Of | None:
    if not _is_size(column):
        return None
    for name, other in chosen.items():
        if _is_size(other):
            times = column[0] // other[0]
            if times in MULTIPLES and all(a == times * b for a, b in zip(column, other, strict=True)):
                return Of(name, times)
    return None


def _parameter_name(
    place: Place, column: Sequence[Any], variables: Sequence[Mapping[str, Any]], function: Function, taken: set[str]
) -> str:
    """The name that the spec's block has for it, if it has one; else the argument's."""
    for name in variables[0]:
        if name not in taken and _equal(column, [each.get(name) for each in variables]):
            return fresh(name, taken)
    number, key = place
    detail = function.items[number].detail
    if isinstance(key, int):
        assert isinstance(detail, Written)
        key = detail.keys[key] or "number"
    elif key == LAST:
        key = "count"
    elif key.startswith(NUMBER):
        key = "number"
    return fresh(f"{key}s" if isinstance(column[0], Each) and not key.endswith("s") else key, taken)


def fresh(name: str, taken: Iterable[str]) -> str:
    """The name, with a number behind it where it is taken."""
    name = identifier(name)
    if name not in taken:
        return name
    base, count = re.sub(r"_\d+$", "", name), 2
    while (made := f"{base}_{count}") in taken:
        count += 1
    return made


def _parameter(name: str, column: Sequence[Any]) -> Parameter:
    texts = Counter(map(repr, column))
    text, count = texts.most_common(1)[0]
    value = next(v for v in column if repr(v) == text)
    simple = value is None or isinstance(value, bool | int | float | str)
    return Parameter(name, value, True) if simple and 2 * count > len(column) else Parameter(name)


def _names_in(items: Sequence[Item]) -> set[str]:
    """The names that the code of the items uses for something else: functions, and what formulas call tensors."""
    names: set[str] = set(RESERVED)
    for item in items:
        if isinstance(item.made, Function):
            names.add(item.made.name)
        if isinstance(item.detail, Written):
            names |= {*item.detail.arguments}
    return names


def _input_names(graph: Graph, function: Function, taken: set[str]) -> list[str]:
    """`x` for the first input; the others are called as where they come from, if somebody gave that a name."""
    names: list[str] = []
    for edge in function.body.inputs:
        name = given_name(graph, edge) if names or edge.node in graph.inputs else None
        free = [flow for flow in FLOW if flow not in names]
        if name is None or not names:
            names.append(free[0] if free else fresh("x", {*names, *taken}))
        else:
            names.append(fresh(name, {*taken, *names}))
    return names


def given_name(graph: Graph, edge: Edge) -> str | None:
    """The last part of a node's name where it is not just that of its layer."""
    from archspec.layers.base import default_name

    last = edge.node.rpartition(".")[2]
    default = default_name(type(graph.nodes[edge.node].layer))
    plain = re.sub(r"_?\d+$", "", last)
    return None if plain in (default, "expr", "weight", "") else plain
