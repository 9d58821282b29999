"""archspec check"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import is_change, print_json, read_limits, spec_options

if TYPE_CHECKING:
    from archspec.check import Checked

_KEY = re.compile(rb"""(?:^(?:\xef\xbb\xbf)?|[{,])\s*["']?archspec["']?\s*:""", re.MULTILINE)  # with or without a BOM


@click.command("check")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC[@VARIANT]... [PATH=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print the diagnostics as JSON.")
@click.option("--github", is_flag=True, help="Print the diagnostics as GitHub annotations.")
@click.option("--update-expect", is_flag=True, help="Write the measured figures into the specs' `expect`.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but mistakes.")
@spec_options
def command(
    specs: tuple[str, ...], as_json: bool, github: bool, update_expect: bool, quiet: bool, limits: tuple[str, ...],
    allow: tuple[Path, ...],
) -> int:  # fmt: skip
    """Check specs: their form, their shapes, and the figures they claim.

    A SPEC is a file, with @VARIANT or all of its variants, or a folder with specs. Nothing is imported, built or
    trained, so this takes a fraction of a second. All mistakes are printed at once, each with its place, the reason and
    the remedy; `archspec explain CODE` tells more about one.

    \b
        archspec check resnet.yaml                    the spec and every variant
        archspec check resnet.yaml@resnet18           one variant
        archspec check specs/                         all specs in a folder
        archspec check resnet.yaml params.classes=10  with other values

    The exit code is 0 if all is well and 1 if anything is wrong.
    """
    from archspec.diagnostics import to_github, to_json

    changes = [s for s in specs if is_change(s)]
    references = [s for s in specs if not is_change(s)]
    if not references:
        raise click.UsageError("name a spec to check")
    results = []
    for reference in expand(references):
        results.append(_checked(reference, changes, limits, allow, update_expect))
        if not (as_json or github):
            _tell(results[-1], quiet)
    found = [d for result in results for d in result.diagnostics]
    if as_json:
        print_json({"ok": not found, "checked": [r.reference for r in results], "diagnostics": to_json(found)})
    elif github and found:
        click.echo(to_github(found))
    elif found:
        click.echo(f"\n{len(found)} mistake{'s' * (len(found) != 1)}", err=True)
    return 1 if found else 0


def _checked(
    reference: str, changes: Sequence[str], limits: tuple[str, ...], allow: tuple[Path, ...], update: bool
) -> Checked:
    """What is found in a spec; with `update`, after its claims have become what was measured."""
    from archspec.check import check, update_claims

    result = check(reference, changes=changes, limits=read_limits(limits), allow=allow)
    if not update:
        return result
    for path in update_claims(result):
        click.echo(f"{path}: figures under expect updated", err=True)
    return check(reference, changes=changes, limits=read_limits(limits), allow=allow)


def _tell(result: Checked, quiet: bool) -> None:
    from archspec.diagnostics import render

    for line in result.lines if not quiet else ():
        click.echo(line)
    if result.diagnostics:
        click.echo(render(result.diagnostics, result.texts), err=True)


def expand(references: Sequence[str]) -> Iterator[str]:
    """Folders stand for the specs in them."""
    for reference in references:
        folder = Path(reference)
        if not folder.is_dir():
            yield reference
            continue
        files = sorted(p for p in folder.rglob("*") if p.suffix in (".yaml", ".yml", ".json") and _is_spec(p))
        if not files:
            raise click.UsageError(f"there is no spec in {reference}")
        yield from map(str, files)


def _is_spec(path: Path) -> bool:
    """Whether a file has the key `archspec`; an index or another YAML file beside the specs has not."""
    with path.open("rb") as file:
        return _KEY.search(file.read(4096)) is not None
