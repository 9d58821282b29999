"""Checking a spec with all of its variants, and writing measured figures into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archspec.architecture import Architecture, load
from archspec.diagnostics import Diagnostic, SpecError
from archspec.language.limits import Limits
from archspec.language.resolve import split_reference


@dataclass(frozen=True)
class Checked:
    """What checking one reference found: the networks that are right, and all that is wrong."""

    reference: str
    networks: tuple[tuple[str, Architecture], ...]  # by the reference that names each
    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[str, str]

    @property
    def lines(self) -> list[str]:
        """One line a network: its parameters and MACs."""
        from archspec.analysis.cost import graph_cost

        result = []
        for reference, network in self.networks:
            if network.document.spec.layers is None:
                result.append(f"{reference}: a library of {len(network.document.blocks)} blocks")
                continue
            cost = graph_cost(network.graph)
            figures = f"{cost.parameters_total:,} parameters, {cost.macs:,} MACs, {len(network.graph.nodes):,} layers"
            result.append(f"{reference}: {figures}")
        return result


def check(
    reference: str, *, changes: Sequence[str] = (), limits: Limits = Limits(), allow: Sequence[str | Path] = ()
) -> Checked:
    """Checks a spec: the variant that the reference names, or the spec itself and every variant it has."""
    found: dict[Diagnostic, None] = {}
    texts: dict[str, str] = {}
    networks: list[tuple[str, Architecture]] = []

    def one(name: str) -> Architecture | None:
        try:
            network = load(name, changes=changes, limits=limits, allow=allow)
        except SpecError as error:
            texts.update(error.texts)
            found.update(dict.fromkeys(error.diagnostics))
            return None
        texts.update(network.document.texts)
        mistakes = network.check()
        found.update(dict.fromkeys(mistakes))
        if not mistakes:
            networks.append((name, network))
        return network

    base = one(reference)
    path, variant = split_reference(reference)
    if base is not None and variant is None:
        for name in base.document.variants:
            one(f"{path}@{name}")
    return Checked(reference, tuple(networks), tuple(found), texts)
