"""Rewrites that are proven, and the refusal of those that are not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from archspec.export.proof import Proof, prove
from archspec.export.samples import filled
from archspec.optimize.driver import Optimized, run
from archspec.optimize.network import Network
from archspec.optimize.rewrite import Level, Pass


@dataclass(frozen=True)
class Proven:
    """What the passes that could be proven made of a network, the proof, and the passes that were refused, with theirs.

    `proof` does not hold where not even the network without rewrites gives the same twice.
    """

    optimized: Optimized
    proof: Proof
    refused: tuple[tuple[str, Proof], ...] = ()


def proven(
    network: Network,
    level: Level,
    passes: Sequence[Pass],
    *,
    keep: Collection[str] | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> Proven:
    """Runs the passes and compares the result with the original on numbers; random weights where there are none.

    Where the error is over the tolerance, the passes are tried one more at a time, and the first that brings it over is
    refused: the others go on without it.
    """
    original = filled(network, seed)

    def tried(chosen: Sequence[Pass]) -> tuple[Optimized, Proof]:
        optimized = run(original, level, chosen, keep)
        undo = optimized.undo if level == "training" else None
        return optimized, prove(original, optimized.network, seed, tolerance, redo=optimized.redo, undo=undo)

    left, refused = list(passes), list[tuple[str, Proof]]()
    while True:
        optimized, proof = tried(left)
        guilty = None if proof.holds else _first_wrong(left, lambda chosen: tried(chosen)[1].holds)
        if guilty is None:
            break
        refused.append((left[guilty].name, proof))
        del left[guilty]
    if network.weights is None:
        optimized = replace(optimized, network=Network(optimized.network.graph))
    return Proven(optimized, proof, tuple(refused))


def _first_wrong(passes: Sequence[Pass], holds: Callable[[Sequence[Pass]], bool]) -> int | None:
    """Which pass, added to those before it, brings the error over the tolerance; None where there is none to blame."""
    low, high = 0, len(passes)  # without any it may hold, with all it does not
    while low < high:
        middle = (low + high) // 2
        if holds(passes[:middle]):
            low = middle + 1
        else:
            high = middle
    return low - 1 if low else None
