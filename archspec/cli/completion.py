"""archspec completion"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that makes a shell complete archspec's commands, options, specs, variants and layers.

    For this session:

    \b
        eval "$(archspec completion bash)"
        eval "$(archspec completion zsh)"
        archspec completion fish | source

    For good, once:

    \b
        archspec completion bash > ~/.archspec-completion.bash; echo '. ~/.archspec-completion.bash' >> ~/.bashrc
        archspec completion zsh > ~/.archspec-completion.zsh; echo '. ~/.archspec-completion.zsh' >> ~/.zshrc
        archspec completion fish > ~/.config/fish/completions/archspec.fish

    bash needs version 4.4 or newer.
    """
    from archspec.cli import cli

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "archspec", "_ARCHSPEC_COMPLETE").source())
