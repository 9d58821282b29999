"""How boxes and edges look: what the options, the theme and the fonts of this machine come to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from archspec.draw.metrics import Face
from archspec.draw.palette import Colours


@dataclass(frozen=True, slots=True)
class Style:
    """`rankdir` is Graphviz's; `shapes` says where tensors' shapes stand.

    No box gets wider than `limit` points, in the panels of blocks `narrow`; panels whose columns need not be `straight`
    take less width.
    """

    colours: Colours = field(default_factory=Colours)
    size: int = 8
    rankdir: str = "TB"
    shapes: str = "node"
    trainable: bool = False
    u: bool = False
    face: Face = field(default_factory=Face)
    limit: float = float("inf")
    narrow: float = float("inf")
    straight: bool = True
    across: bool = False

    @property
    def small(self) -> int:
        return self.size - 1

    @property
    def lying(self) -> bool:
        return self.rankdir == "LR"

    def inside(self) -> Style:
        """That of the panels of blocks, which stand whatever way the network lies, but for those that go `across`."""
        rankdir = "LR" if self.across else "BT" if self.rankdir == "BT" else "TB"
        return replace(self, u=False, rankdir=rankdir, limit=min(self.limit, self.narrow))
