"""What a pass is, and what it answers for one place of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archspec.diagnostics import Span
from archspec.graph.ir import Edge, Node, Origin
from archspec.layers.base import Layer
from archspec.optimize.network import Change

if TYPE_CHECKING:
    from archspec.optimize.draft import Draft

Level = Literal["none", "training", "inference"]


@dataclass(frozen=True)
class Rewrite:
    """A change at one place.

    * `takes`: the nodes that go, by name. None of them is an input of the network.
    * `puts`: the nodes that come, each after those of them that it reads. A node under the name of one that goes takes
      its place, and keeps its weights unless `weights` says otherwise.
    * `same`: which tensor stands for a tensor of a node that goes, for all its readers outside, for outputs and for
      named tensors. Both have the same type. A tensor of a node that is put again under its name stands for itself.
    * `weights`: the weights of the nodes that come, from those of the nodes that go. None where they stay as they are:
      then every node that owns weights is put again, or (at the level `inference` only) its weights are dropped.
    * `undo`: the way back, from the weights of the nodes that come to those of the nodes that go; at the level
      `training` wherever `weights` is given. It is linear, and orthogonal or a projection, so that gradients take it
      too.
    * `note`: what was done, for people: `relu into conv2d`.
    * `keeps_masks`: Keras's implicit masks are handed on as before; without it, nothing is changed where one passes.
    * `alters`: nodes between those of the rewrite that stay as they are, but give something else than before.
    """

    takes: tuple[str, ...]
    puts: tuple[Node, ...] = ()
    same: Mapping[Edge, Edge] = field(default_factory=dict)
    weights: Change | None = None
    undo: Change | None = None
    note: str = ""
    keeps_masks: bool = False
    alters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skip:
    """The pattern is there, but the rewrite does not apply; `node` is where one looks for the reason."""

    node: str
    reason: str


Answer = Rewrite | Skip | None


@dataclass(frozen=True)
class Pass:
    """One kind of rewrite. A subclass is a frozen dataclass; its fields are its options.

    * `name`: in kebab-case, as `--passes` takes it.
    * `mark`: what a drawing says at a layer that the pass made or changed, in a few letters.
    * `level`: `training` where the function, its gradients and what training does to the weights stay the same.
    * `keeps_weights`: every weight stays as it is, under its layer's name.
    """

    name: ClassVar[str]
    mark: ClassVar[str] = ""
    level: ClassVar[Literal["training", "inference"]]
    keeps_weights: ClassVar[bool] = True

    def match(self, draft: Draft, node: Node) -> Answer:
        """The rewrite of which the node is the anchor, the reason against it, or None where the pattern is not there.

        It looks at the node's neighbourhood only: asked of every node, a pass is linear in the graph.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Place:
    """Where a pass found its pattern: at which node, and what the spec says there."""

    pass_name: str
    node: str
    origin: Origin

    @property
    def scope(self) -> tuple[str, ...]:
        return tuple(self.node.split(".")[:-1])

    @property
    def span(self) -> Span | None:
        return self.origin.span


@dataclass(frozen=True)
class Applied(Place):
    """A rewrite that was made."""

    note: str
    takes: tuple[str, ...]
    puts: tuple[str, ...]


@dataclass(frozen=True)
class Skipped(Place):
    """A rewrite that was not made, and why."""

    reason: str


def changed(layer: Layer, **arguments: Any) -> Layer:
    """The layer with other arguments, which are not validated: a pass gives right ones."""
    assert arguments.keys() <= type(layer).model_fields.keys(), f"{type(layer).__name__} has no {arguments}"
    return layer.model_copy(update=arguments)
