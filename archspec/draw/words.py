"""What rows and frames are called: their names, their blocks' arguments, what they hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from archspec.draw.labels import FORMALS, detail_words, formal_name, is_given, op_words, range_text
from archspec.draw.pieces import Part, Run, Scope, Unit, staged, units
from archspec.draw.sorts import STRIDES
from archspec.graph.ir import Graph, Use
from archspec.graph.text import value_text

LONGEST_NUMBERS = 18  # characters of a row's arguments
LONGEST_NAME = 24
COUNTERS = {"i", "depth", "level", "layer", "index", "stage", "block", "number"}


def row_name(part: Part, graph: Graph) -> str:
    """What the author calls it, without the numbers of repeats: `stage2`, `mixed17` for four that follow each other."""
    if isinstance(part, Scope) and not part.own and part.path == part.items[0].path:
        return _joint_name([row_name(item, graph) for item in part.items])
    own = re.sub(r"_\d+$", "", part.path.rsplit(".", 1)[-1])
    if isinstance(part, Unit):
        layer = graph.nodes[part.nodes[part.head]].layer
        return own if is_given(part.path, layer) else op_words(layer).get("", "") or own
    if isinstance(part, Scope):
        if part.sort:
            return part.stem
        numbered = part.stem[-1:].isdigit() and part.stem in part.blocks
        return part.stem if numbered or own == "layers" else own
    stems = [member.stem if isinstance(member, Scope) else _bare(member.path) for member in part.members]
    common = _beginning(stems).rstrip("_") or stems[0]
    if any(isinstance(member, Scope) and staged(member) for member in part.members):
        ends = (part.members[0], part.members[-1])
        return common + "-".join(re.sub(r"^\D*", "", end.path.rsplit(".", 1)[-1]) for end in ends)
    return common


def _beginning(names: Sequence[str]) -> str:
    """What all names begin with."""
    low, high = min(names), max(names)
    alike = 0
    while alike < len(low) and low[alike : alike + 1] == high[alike : alike + 1]:
        alike += 1
    return low[:alike]


def _bare(path: str) -> str:
    own = path.rsplit(".", 1)[-1]
    return own.rstrip("0123456789").rstrip("_") or own


def _joint_name(names: list[str]) -> str:
    """A name for neighbours that one row stands for: all of theirs, else the first and the last."""
    names = list(dict.fromkeys(names))
    whole = ", ".join(names)
    return whole if len(whole) <= LONGEST_NAME or len(names) == 1 else f"{names[0]} to {names[-1]}"


def arguments(member: Scope) -> dict[str, int | float | str]:
    """The numbers and words that the spec's names stand for there, without those that only count the repeats."""
    inside = len(member.uses) - member.own
    outer, own = member.uses[:inside], member.uses[inside : inside + 1]
    found = _values(own if member.blocks else (*outer, *own))
    looped = any(use.variables for use in own)
    return found or (_values(outer) if looped else {})  # a loop over a block tells its variables, not the arguments


def _values(uses: Sequence[Use]) -> dict[str, int | float | str]:
    found: dict[str, int | float | str] = {}
    for use in uses:
        for name, value in use.variables:
            counts = name in COUNTERS or (name not in FORMALS and use.iteration and value == use.iteration - 1)
            if isinstance(value, int | float | str) and not isinstance(value, bool) and not counts:
                found[name] = value
    return found


def varying(members: Sequence[Scope]) -> set[str]:
    """The arguments that tell the uses of a block apart."""
    seen: dict[str, set[object]] = {}
    for member in members:
        for name, value in arguments(member).items():
            seen.setdefault(name, set()).add(value)
    return {name for name, values in seen.items() if len(values) > 1}


def numbers(members: Sequence[Scope], among: Collection[str]) -> str:
    """`c=128, /2`: of a stride that of the first use, of others the range."""
    texts: list[str] = []
    found = [arguments(member) for member in members]
    for name in found[0] if found else ():
        values = [own[name] for own in found if name in own]
        if name not in among or (name in STRIDES and values[0] == 1):
            continue
        if name in STRIDES:
            texts.append(f"/{values[0]}")
        elif len(set(values)) == 1:
            value = values[0]
            texts.append(f"{formal_name(name)}={f'{value:.4g}' if isinstance(value, float) else value_text(value)}")
        elif numeric := [value for value in values if isinstance(value, int | float)]:
            texts.append(f"{formal_name(name)}={range_text(numeric)}")
    while len(texts) > 1 and len(", ".join(texts)) > LONGEST_NUMBERS:
        texts.pop()  # the hover has them all
    return ", ".join(texts)


def contents(part: Part, graph: Graph) -> str:
    """What a row that no panel shows holds."""
    return detail_words([graph.nodes[unit.nodes[unit.head]].layer for unit in units(part)])


def settings(part: Part) -> str:
    """For hovers: the block's use with its arguments."""
    scope = part.members[0] if isinstance(part, Run) else part
    use = scope.use if isinstance(scope, Scope) else None
    if use is None:
        return part.path
    values = [f"{name}={value_text(v)}" for name, v in use.variables if isinstance(v, str | int | float)]
    return f"{use.kind} {use.name}({', '.join(values)})"


def where(column: Sequence[Part | None], firsts: Sequence[int]) -> str:
    """In which uses of the block a dashed box is."""
    present = [i for i, part in enumerate(column) if part is not None]
    if present == sorted(firsts):
        return "only in the first of each ×n"
    if present == [0]:
        return "only in the first"
    absent = [i for i, part in enumerate(column) if part is None]
    if absent == [0] or absent == sorted(firsts):
        return "not in the first of each ×n" if absent == sorted(firsts) else "not in the first"
    if present == [len(column) - 1]:
        return "only in the last"
    return f"in {len(present)} of {len(column)}"


def attends(part: Part, graph: Graph) -> bool:
    """Whether a part is an attention of several layers, which a figure shows as one box."""
    scope = part.members[0] if isinstance(part, Run) else part
    if not isinstance(scope, Scope):
        return False
    named = any(word in block.rsplit(".", 1)[-1] for block in scope.blocks for word in ("attention", "attend"))
    return named and not any(_merges(unit, graph) for unit in units(scope))


def _merges(unit: Unit, graph: Graph) -> bool:
    return type(graph.nodes[unit.nodes[0]].layer).__name__ == "Add"


def environment(scope: Scope) -> dict[str, float]:
    """The numbers that the spec's names stand for where a scope is: the nearest loop's and block's arguments."""
    uses = scope.uses[: len(scope.uses) - scope.own + 1] if scope.own else scope.uses
    values = {name: value for use in uses for name, value in use.variables}
    return {n: v for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool) and v}


def members_of(part: Part) -> tuple[Scope, ...]:
    """The scopes whose inside a row stands for."""
    if isinstance(part, Scope) and staged(part):
        (part,) = part.items
    if isinstance(part, Run):
        scopes = [member for member in part.members if isinstance(member, Scope)]
        inner = {members_of(scope)[0].kind[1] for scope in scopes if staged(scope)}
        if inner and all(staged(scope) or inner & set(scope.blocks) for scope in scopes):
            return tuple(inner for scope in scopes for inner in members_of(scope))  # stages that fold loosely
        return tuple(scopes)
    return (part,) if isinstance(part, Scope) and part.own else ()
