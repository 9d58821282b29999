"""Checking a spec with all of its variants, and writing measured figures into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archspec.architecture import Architecture, load
from archspec.diagnostics import Diagnostic, Span, SpecError
from archspec.files import write_whole
from archspec.language.limits import Limits
from archspec.language.resolve import split_reference


@dataclass(frozen=True)
class Checked:
    """What checking one reference found: the networks that are right, and all that is wrong."""

    reference: str
    networks: tuple[tuple[str, Architecture], ...]  # without mistakes, by the reference that names each
    loaded: tuple[Architecture, ...]  # those whose figures are known, right or wrong
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
    loaded: list[Architecture] = []

    def one(name: str) -> Architecture | None:
        try:
            network = load(name, changes=changes, limits=limits, allow=allow)
        except SpecError as error:
            texts.update(error.texts)
            found.update(dict.fromkeys(error.diagnostics))
            return None
        texts.update(network.document.texts)
        loaded.append(network)
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
    return Checked(reference, tuple(networks), tuple(loaded), tuple(found), texts)


def update_claims(checked: Checked) -> list[Path]:
    """Writes the measured figures in the place of exact claims that do not hold. Gives the files that changed.

    A spec without `expect` gets one, with its parameters, MACs and output.
    """
    from archspec.analysis.expect import claims, measure

    edits: dict[str, dict[Span, str]] = {}
    additions: dict[str, str] = {}
    for network in checked.loaded:
        document = network.document
        if not document.spec.expect and document.variant is None and document.spec.layers is not None:
            figures = measure(document, network.graph)
            lines = [f"  {name}: {figures[name]}" for name in ("params", "trainable", "macs", "output")]
            additions[document.file] = "\nexpect:\n" + "\n".join(lines) + "\n"
        for claim in claims(document, network.graph)[0]:
            if claim.exact and not claim.holds:
                edits.setdefault(claim.place.file, {})[claim.place] = str(claim.measured)
    changed = []
    for file in {**edits, **additions}:
        path = Path(file)
        if path.suffix == ".json" and file in additions:
            continue
        lines = path.read_text("utf-8").split("\n")
        for span, text in sorted(edits.get(file, {}).items(), reverse=True):
            line = lines[span.line - 1]
            lines[span.line - 1] = line[: span.column - 1] + text + line[span.end_column - 1 :]
            del lines[span.line : span.end_line]
        write_whole(path, "\n".join(lines) + additions.get(file, ""))
        changed.append(path)
    return changed
