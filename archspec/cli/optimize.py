"""archspec optimize"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.cli.common import Above0, check_replaced, failure, load_backend, print_json, subject_argument, written
from archspec.cli.passes import also_option, chosen_passes

if TYPE_CHECKING:
    from archspec.cli.subject import Subject
    from archspec.export.refused import Proven
    from archspec.graph.ir import Graph
    from archspec.optimize.driver import Optimized
    from archspec.optimize.rewrite import Level, Pass

_TOLD = 3  # layers that a line names


@click.command("optimize")
@subject_argument
@click.option("--level", type=click.Choice(["none", "training", "inference"]), default="inference", show_default=True,
              help="training keeps every weight under its layer's name; inference rewrites them.")  # fmt: skip
@click.option("--passes", metavar="NAME,...", help="These passes only, also those that pay under some runtimes only.")
@click.option("--skip", metavar="NAME,...", help="All passes of the level but these.")
@also_option
@click.option("--explain", is_flag=True, help="Say what would be done and why no more; nothing is built or written.")
@click.option("--verify/--no-verify", default=None, help="Compare both networks on numbers. Default: with -o.")
@click.option("--tolerance", type=Above0(), metavar="ERROR",
              help="Largest error relative to the outputs' spread; by default 1e-4 in float32.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the optimised network as a .keras file.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    subject: str, changes: tuple[str, ...], level: Level, passes: str | None, skip: str | None, also: str | None,
    explain: bool, verify: bool | None, tolerance: float | None, output: Path | None, force: bool, as_json: bool,
    limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Rewrite a network so that it computes the same with less work.

    Without -o, it is only said what would be done: what each pass did, scope by scope, at which line of the spec, what
    the network costs before and after, and why other rewrites do not apply. Nothing is built for that.

    \b
        archspec optimize resnet.yaml@resnet50 --explain
        archspec optimize runs/digits_cnn-001 -o fast.keras
        archspec optimize model.keras -o fast.keras --skip strides-first
        archspec optimize densenet.yaml --level training --verify

    With -o, or --verify, both networks are run on random inputs and compared, for the level training their gradients
    too; where an error is over the tolerance, the pass that brought it is left out, and that is said. A spec has no
    trained weights: random ones are compared, and a file gets fresh ones.
    """
    from archspec.cli.subject import open_subject
    from archspec.optimize.explain import report

    wanted = chosen_passes(level, passes, skip, also)
    check = not explain and output is not None if verify is None else verify
    _check_use(explain, check, tolerance, output)
    check_replaced(output, force)
    opened = open_subject(subject, changes, limits, allow, weights=not explain, around=True)
    if not (check or output):
        done = _planned(opened, level, wanted)
    else:
        done = _made(opened, level, wanted, check, tolerance, output)
    told = report(opened.graph, done.optimized, level)
    if as_json:
        print_json({**told.to_json(), **_uncounted_json(opened.graph), **done.to_json()})
    else:
        click.echo(told.to_text() + _uncounted_text(opened.graph) + done.to_text(), nl=False)
    if output is not None:
        click.echo(f"{output} written", err=True)


@dataclass(frozen=True)
class Done:
    """What was made, and its proof where there is one."""

    optimized: Optimized
    proven: Proven | None = None

    def to_text(self) -> str:
        if self.proven is None:
            return ""
        lines = [f"refused: {name}: {proof}" for name, proof in self.proven.refused]
        return "\n".join(["", *lines, f"Verified: {self.proven.proof}", ""])

    def to_json(self) -> dict[str, Any]:
        if self.proven is None:
            return {}
        proof, refused = self.proven.proof, self.proven.refused
        verified = {"holds": proof.holds, "error": proof.error, "tolerance": proof.tolerance}
        return {"verified": verified, "refused": [{"pass": n, "error": p.error, "why": str(p)} for n, p in refused]}


def _check_use(explain: bool, check: bool, tolerance: float | None, output: Path | None) -> None:
    """No option is given that would not be heeded. Raises UsageError."""
    if explain and output is not None:
        raise click.UsageError("--explain writes nothing, so it does not go with -o")
    if explain and check:
        raise click.UsageError("--explain builds nothing, so it does not go with --verify")
    if tolerance is not None and not check:
        raise click.UsageError("--tolerance is that of the comparison: it takes --verify or -o")
    if output is not None and output.suffix != ".keras":
        raise click.UsageError(f"optimised networks are saved as .keras files, got {output}")


def _uncounted_json(graph: Graph) -> dict[str, Any]:
    from archspec.importing.layers import Foreign

    found = [name for name, node in graph.nodes.items() if isinstance(node.layer, Foreign)]
    return {"not_counted": found} if found else {}


def _uncounted_text(graph: Graph) -> str:
    """That the figures lack the layers of a saved model that the catalogue does not know."""
    names: list[str] = _uncounted_json(graph).get("not_counted", [])
    if not names:
        return ""
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"\nParameters and MACs are without those of {', '.join(names[:_TOLD])}{more}, left as they are.\n"


def _planned(opened: Subject, level: Level, passes: Sequence[Pass]) -> Done:
    """What would be done, without weights."""
    from archspec.optimize.driver import run
    from archspec.optimize.network import Network

    return Done(run(Network(opened.graph), level, passes))


def _made(
    opened: Subject, level: Level, passes: Sequence[Pass], verify: bool, tolerance: float | None, output: Path | None
) -> Done:
    """The network rewritten with its weights, compared, and written."""
    load_backend(opened.backend)
    from archspec.build.weights import fresh
    from archspec.export.refused import proven
    from archspec.optimize.driver import run

    network = opened.network()
    found = proven(network, level, passes, tolerance=tolerance) if verify else None
    if found and not found.proof.holds:
        raise failure(f"the network cannot be compared with itself: {found.proof}")
    if output is not None and network.weights is None:
        refused = {name for name, _ in found.refused} if found else set()
        optimized = run(fresh(network.graph), level, [each for each in passes if each.name not in refused])
    else:
        optimized = found.optimized if found else run(network, level, passes)
    if output is not None:
        _write(output, optimized, opened.model)
    return Done(found.optimized if found else optimized, found)


def _write(output: Path, optimized: Optimized, model: Path | None) -> None:
    """As a file; of a saved model, with what cannot be read of it put back."""
    from archspec.build.weights import built

    with written(output) as draft:
        built(optimized.network).save(draft)
        if model is not None:
            _put_back(draft, model)


def _put_back(draft: Path, model: Path) -> None:
    from archspec.importing import ImportFailed
    from archspec.importing.around import put_back

    try:
        put_back(draft, model)
    except ImportFailed as error:
        raise failure(str(error)) from None
