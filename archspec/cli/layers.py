"""archspec layers"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from archspec.cli.common import print_json

if TYPE_CHECKING:
    from archspec.reference import Entry


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from archspec.reference import names

    return [name for name in names() if name.startswith(incomplete)]


@click.command("layers")
@click.argument("name", required=False, shell_complete=_complete)
@click.option("--ops", "what", flag_value="ops", help="List the functions of steps `ops.NAME` and of formulas.")
@click.option("--objects", "what", flag_value="objects", help="List initializers, losses, metrics, optimizers …")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, what: str | None, as_json: bool) -> None:
    """List what a spec can use, or explain one name.

    The vocabulary is Keras's: layers, functions (ops), and objects such as initializers, losses and optimizers, by
    Keras's names and with Keras's arguments and defaults.

    \b
        archspec layers              every layer, by family
        archspec layers --ops        the functions of `ops.NAME` and of `expr`
        archspec layers --objects    initializers, regularizers, losses, metrics, optimizers, schedules …
        archspec layers Conv2D       arguments, shapes, weights, MACs, and an example
        archspec layers ops.einsum   a function
        archspec layers AdamW        an object

    A layer's page says what its output's shape is, which weights it has, how its MACs are counted, what it refuses,
    and the paper that it comes from.
    """
    from archspec import reference

    if name is None:
        groups = {"ops": reference.operations, "objects": reference.objects}.get(what or "", reference.families)()
        if as_json:
            print_json(groups)
        else:
            _print_groups(groups)
        return
    entries = reference.find(name)
    if not entries:
        from archspec.diagnostics import did_you_mean

        refused = reference.refused(name)
        if refused:
            raise click.UsageError(f"{name} is refused: {refused}")
        hint = did_you_mean(name, reference.names()) or "archspec layers lists all, --ops and --objects the rest"
        raise click.UsageError(f"nothing is named {name!r}: {hint}")
    if as_json:
        print_json([entry.to_json() for entry in entries])
    else:
        click.echo("\n\n".join(map(_page, entries)))


def _print_groups(groups: Mapping[str, Iterable[str]]) -> None:
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    for title, names in groups.items():
        click.echo(click.style(title, bold=True))
        for line in _columns(list(names), width - 2):
            click.echo(f"  {line}")
        click.echo()


def _columns(names: list[str], width: int) -> list[str]:
    """Names read downwards in as many columns as fit."""
    cell = max(map(len, names)) + 2
    rows = -(-len(names) // max(1, width // cell))
    return ["".join(f"{name:<{cell}}" for name in names[i::rows]).rstrip() for i in range(rows)]


def _page(entry: Entry) -> str:
    head = click.style(entry.name, bold=True) + f"  {entry.kind}"
    if entry.aliases:
        head += f", also {', '.join(entry.aliases)}"
    parts = [head, entry.doc]
    if entry.tensors:
        parts.append(f"Called with: {', '.join(entry.tensors)}")
    if entry.arguments:
        names = max(len(a.name) for a in entry.arguments)
        types = [_short(a.type) for a in entry.arguments]
        column = max(map(len, types))
        lines = [
            f"  {a.name:<{names}}  {text:<{column}}  {a.default_text}{'  (of the call)' if a.of_call else ''}".rstrip()
            for a, text in zip(entry.arguments, types, strict=True)
        ]
        parts.append("\n".join(["Arguments:", *lines]))
    if entry.example:
        parts.append("\n".join(["Example:", *(f"  {line}" for line in entry.example.splitlines())]))
    return "\n\n".join(parts)


def _short(text: str, most: int = 56) -> str:
    """A long choice cut; `--json` has it whole."""
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + " …"
