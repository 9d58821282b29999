"""The passes that a command line names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from archspec.optimize.rewrite import Level, Pass


def also_option(function: Callable[..., Any]) -> Callable[..., Any]:
    help = "All passes of the level and these, which pay under some runtimes only."
    return click.option("--also", metavar="NAME,...", help=help)(function)


def chosen_passes(
    level: Level, passes: str | None = None, skip: str | None = None, also: str | None = None
) -> Sequence[Pass]:
    """Those that are named, or those of the level; with what is wrong with a name told as a mistake of use."""
    from archspec.optimize.driver import UnknownPass, chosen

    if passes is not None and also is not None:
        raise click.UsageError("--passes takes the named passes only, --also adds to all: give one of them")
    try:
        return chosen(level, names(passes), names(skip) or (), names(also) or ())
    except UnknownPass as error:
        raise click.UsageError(str(error)) from None


def names(text: str | None) -> list[str] | None:
    """The words of a list. Raises UsageError where there is none in it."""
    found = None if text is None else [name.strip() for name in text.split(",") if name.strip()]
    if found == []:
        raise click.UsageError(f"{text!r} names no pass")
    return found
