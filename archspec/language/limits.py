"""How large a spec may be. Specs are untrusted: none may exhaust the machine."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Limits:
    """Each can be raised: `--limit nodes=5000000`, or `Limits(nodes=…)` in Python."""

    nodes: int = 1_000_000  # layers in the graph
    text: int = 4_000_000  # bytes of one file
    values: int = 1_000_000  # values of one file, aliases written out, and elements of a list in an expression
    nesting: int = 64  # levels of lists and mappings in a file, and of blocks in blocks
    number: int = 10**18  # size of a whole number

    def changed(self, settings: dict[str, int]) -> Limits:
        """The same with some changed. Raises ValueError for an unknown name."""
        known = [f.name for f in fields(self)]
        for name in settings:
            if name not in known:
                raise ValueError(f"there is no limit {name!r}; the limits are {', '.join(known)}")
        return replace(self, **settings)


def over(name: str, value: int, found: str) -> str:
    """The message of every limit: what was found, the limit and its name."""
    return f"{found} is over the limit {name} = {value:,}"


def raise_help(name: str) -> str:
    return f"if this is meant, raise it: --limit {name}=N"
