"""archspec check"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from archspec.cli.common import is_change, print_json, read_limits, spec_options

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
    from archspec.check import check, update_claims
    from archspec.diagnostics import render, to_github, to_json

    changes = [s for s in specs if is_change(s)]
    references = [s for s in specs if not is_change(s)]
    if not references:
        raise click.UsageError("name a spec to check")
    results = []
    for reference in expand(references):
        result = check(reference, changes=changes, limits=read_limits(limits), allow=allow)
        if update_expect:
            for path in update_claims(result):
                click.echo(f"{path}: figures under expect updated", err=True)
            result = check(reference, changes=changes, limits=read_limits(limits), allow=allow)
        results.append(result)
        if not (as_json or github):
            for line in result.lines if not quiet else ():
                click.echo(line)
            if result.diagnostics:
                click.echo(render(result.diagnostics, result.texts), err=True)
    found = [d for result in results for d in result.diagnostics]
    if as_json:
        print_json({"ok": not found, "checked": [r.reference for r in results], "diagnostics": to_json(found)})
    elif github and found:
        click.echo(to_github(found))
    elif found:
        errors = len(found)
        click.echo(f"\n{errors} mistake{'s' * (errors != 1)}", err=True)
    return 1 if found else 0


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
