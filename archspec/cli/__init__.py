"""The command line: one short module a command; each prints what the API returns and sets the exit code.

Exit codes: 0 all is well, 1 the spec or the run has errors, 2 the command was used wrongly, 3 a bug of archspec's.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from archspec import __version__

COMMANDS = ("new", "check", "summary", "show", "draw", "diff", "build", "optimize", "plan", "train", "runs", "evaluate",
            "predict", "export", "bench", "weights", "layers", "schema", "explain", "doctor", "completion")  # fmt: skip

# Most commands live for half a second, and make classes that stay: looking for garbage among them took a quarter of it.
_COLLECT_EVERY = 200_000


class _Commands(click.Group):
    """Imports a command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"archspec.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from archspec.diagnostics import did_you_mean

        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            hint = did_you_mean(args[0], COMMANDS) or f"the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="archspec")
def cli() -> None:
    """Write a neural architecture as a spec, draw it, train it.

    A spec is a YAML or JSON file in Keras's own vocabulary. Begin with

    \b
        archspec new cnn > my.yaml       a commented starter
        archspec check my.yaml           is it right? what does it claim?
        archspec summary my.yaml         shapes, parameters, MACs
        archspec draw my.yaml -o my.svg  its picture
        archspec train my.yaml           train and test it
        archspec predict runs/my-001 x   what it makes of new inputs

    A variant is named behind @, and values are changed by their path:

    \b
        archspec train resnet.yaml@resnet18 params.classes=10 train.epochs=5
    """


def main() -> int:
    """Runs a command and gives its exit code; only here are errors caught."""
    from archspec.diagnostics import SpecError

    gc.set_threshold(_COLLECT_EVERY)
    try:
        code = cli.main(prog_name="archspec", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SpecError as error:
        click.echo(str(error), err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # `archspec layers | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("ARCHSPEC_DEBUG"):
            raise
        click.echo(f"archspec failed: {type(error).__name__}: {error}", err=True)
        click.echo("This is a bug of archspec's. ARCHSPEC_DEBUG=1 shows where; please report it.", err=True)
        return 3


def run() -> NoReturn:
    """The program: ends at once where no framework runs, for taking apart what it holds takes a sixth of a check."""
    code = main()
    if "keras" in sys.modules:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
