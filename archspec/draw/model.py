"""The diagram model: what a figure shows, apart from how it is laid out and written. Every output format reads it.

A figure has panels: the first is the macro view, each other one shows a block drawn once. A panel holds boxes, in
groups or not, and edges between boxes. Nothing of the graph is lost: boxes and edges say which layers and tensors they
stand for, `unfold` gives them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["overview", "blocks", "layers", "raw", "block"]
BoxKind = Literal["layer", "block", "symbol", "bar", "input", "output", "point"]
EdgeKind = Literal["main", "branch", "residual", "skip"]
LEGEND = {  # a legend's words; roles that differ from their names in them
    "normalization": "normalisation", "added": "+ added", "removed": "- removed", "changed": "~ changed",
}  # fmt: skip
TOGETHER = ("dense", "embedding")  # roles that share a colour, and so an entry
Wire = tuple[str, int, str, int]  # a tensor's way in the graph: node, which of its outputs, reader, which of its inputs


@dataclass(frozen=True, slots=True)
class Strip:
    """A normalisation, activation or dropout fused into the box of the layer before it."""

    text: str
    role: str


@dataclass(frozen=True, slots=True)
class Box:
    """What stands as one node in a figure.

    kind: layer (one op with its strips) · block (a row that stands for layers drawn elsewhere or not at all) ·
    symbol (a small circle: label is `+` or `×`) · bar (a concatenation) · input · output · point (where a tensor forks
    or enters a panel, with a name where several do; stands for no layer).
    """

    id: str  # unique in the figure
    kind: BoxKind
    label: str  # the main line; of a block row its bold name
    role: str  # a layer's role, or: block, input, output, merge, fork
    name: str = ""  # the name that the author gave, where the label does not say it
    detail: str = ""  # second line of a block row: `bottleneck c=64, /2`
    shape: str = ""  # of the output, without batch
    times: int = 1  # ×n: as many alike follow each other
    strips: tuple[Strip, ...] = ()
    partial: bool = False  # dashed: not in all of the block's uses
    where: str = ""  # of a partial box: `only in the first of each ×n`
    panel: str = ""  # id of the panel that shows its inside
    frozen: bool = False  # none of its weights is trained
    path: str = ""  # the spec path
    settings: str = ""  # for hovers: the layer's class with its arguments, the block's use
    layers: tuple[str, ...] = ()  # the graph's nodes that it stands for, of all repeats and uses
    inner: tuple[Wire, ...] = ()  # the tensors that stay inside it; with a panel, only those between its repeats
    parameters: int = 0  # of all its layers together
    macs: int = 0
    note: str = ""  # of an optimised network, what was done to it: its outline has another colour


@dataclass(frozen=True, slots=True)
class Group:
    """A frame around boxes; with `times` the frame of a repeat, whose boxes stand for the layers of all repeats."""

    id: str
    label: str
    path: str
    items: tuple[Box | Group, ...]
    detail: str = ""  # the block's name and parameters where the label does not say them
    times: int = 1
    settings: str = ""
    inner: tuple[Wire, ...] = ()  # from one repeat to the next


@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor's way between two boxes of one panel.

    kind: main (the longest way, drawn straight) · branch · residual (a way around layers, into a sum) · skip (between
    stages far apart, dashed, with its shape as label).
    """

    tail: str
    head: str
    kind: EdgeKind = "main"
    label: str = ""
    partial: bool = False  # dashed: not in all of the block's uses
    wires: tuple[Wire, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of a figure, laid out by itself. `title` and `formals` head a block's panel: `bottleneck (c, s)`."""

    id: str
    items: tuple[Box | Group, ...]
    edges: tuple[Edge, ...]
    title: str = ""
    formals: tuple[str, ...] = ()
    times: int = 1  # how often the block is used in all
    notes: tuple[str, ...] = ()
    shape: Literal["column", "u", "free"] = "free"  # of the macro panel: a chain, encoder and decoder, or neither
    levels: tuple[tuple[str, str], ...] = ()  # of a U: the boxes at equal height, left and right


@dataclass(frozen=True, slots=True)
class Figure:
    """`roles` are those present, in the legend's order."""

    name: str
    level: Level
    panels: tuple[Panel, ...]
    roles: tuple[str, ...] = ()
    title: str = ""

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """The legend's entries: a role and its words."""
        shared = all(role in self.roles for role in TOGETHER)
        found = {role: LEGEND.get(role, role) for role in self.roles if not (shared and role in TOGETHER[1:])}
        return tuple((found | {TOGETHER[0]: ", ".join(TOGETHER)} if shared else found).items())


def boxes(items: tuple[Box | Group, ...]) -> Iterator[Box]:
    """Every box in order, those in groups too."""
    for item in items:
        if isinstance(item, Group):
            yield from boxes(item.items)
        else:
            yield item


def groups(items: tuple[Box | Group, ...]) -> Iterator[Group]:
    """Every group, outer ones first."""
    for item in items:
        if isinstance(item, Group):
            yield item
            yield from groups(item.items)


def count(figure: Figure) -> int:
    """The figure's nodes; the points where lines fork are none."""
    return sum(box.kind not in ("point", "output") for panel in figure.panels for box in boxes(panel.items))


def unfold(figure: Figure) -> tuple[frozenset[str], frozenset[Wire]]:
    """The layers and the tensors' ways that the figure stands for: those of the graph, where nothing was left out.

    What a block row stands for counts where its panel shows it, so that a panel that forgets something is noticed; the
    row itself adds only the tensors that go from one repeat to the next.
    """
    layers: set[str] = set()
    wires: set[Wire] = set()
    for panel in figure.panels:
        for box in boxes(panel.items):
            layers.update(() if box.panel else box.layers)
            wires.update(box.inner)
        wires.update(wire for edge in panel.edges for wire in edge.wires)
        wires.update(wire for group in groups(panel.items) for wire in group.inner)
    return frozenset(layers), frozenset(wires)
