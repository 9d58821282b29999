"""The forms of a network that are measured, and the commands that make them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from archspec.bench.base import Runtime
from archspec.bench.measure import PLUS
from archspec.export.base import Source
from archspec.optimize.driver import OPTIONAL, chosen, run
from archspec.optimize.network import Network

ORIGINAL, OPTIMISED = "original", "optimised"


def forms(network: Network, optimise: bool = True, optional: bool = False) -> dict[str, Network]:
    """The network as it is, optimised, and with each pass that pays under some runtimes only, where they apply."""
    found = {ORIGINAL: network}
    if not optimise:
        return found
    optimised = run(network, "inference", chosen("inference")).network
    if optimised.graph is not network.graph:
        found[OPTIMISED] = optimised
    for each in OPTIONAL if optional else ():
        done = run(network, "inference", chosen("inference", also=[each.name]))
        if any(applied.pass_name == each.name for applied in done.applied):
            found[PLUS + each.name] = done.network
    return found


def sources(networks: dict[str, Network]) -> dict[str, Source]:
    """Each built by Keras."""
    from archspec.build.weights import built

    return {name: Source(network, built(network)) for name, network in networks.items()}


def described(variant: str) -> str:
    """A form in a sentence: `the optimised network + shifted-depthwise`."""
    return f"the {OPTIMISED} network {variant}" if variant.startswith(PLUS) else f"the {variant} network"


def how_to(runtime: Runtime, variant: str, subject: Sequence[str]) -> str:
    """What a user does to run that form so; `subject` are the arguments that name the network."""
    command = _command(runtime.TO, variant, subject)
    return f"{shlex.join(command)}, then {runtime.USE}" if command else runtime.USE


def _command(to: str | None, variant: str, subject: Sequence[str]) -> list[str]:
    also = ["--also", variant.removeprefix(PLUS)] if variant.startswith(PLUS) else []
    if to:
        return ["archspec", "export", *subject, "--to", to, *also, *(["--no-optimize"] if variant == ORIGINAL else [])]
    return [] if variant == ORIGINAL else ["archspec", "optimize", *subject, "-o", "fast.keras", *also]
