"""archspec doctor"""

from __future__ import annotations

import click

from archspec.cli.common import print_json


@click.command("doctor")
@click.option(
    "--devices/--no-devices", default=True, show_default=True,
    help="Start the framework in a process of its own, to see its devices; takes 5 to 20 s.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(devices: bool, as_json: bool) -> int:
    """See whether everything is there: versions, backend, devices, Graphviz, fonts.

    Each line says what was found, and what to do where something is missing. Graphviz and fonts are needed for
    pictures, JAX for its backend only; without anything else the exit code is 1.

    \b
        archspec doctor
        archspec doctor --no-devices   at once, without starting the framework
    """
    from archspec.doctor import examine

    found = []
    for finding in examine(devices):
        found.append(finding)
        if not as_json:
            colour = "green" if finding.ok else "red" if finding.needed else "yellow"
            mark = click.style(f"{'ok' if finding.ok else 'missing':<8}", fg=colour)
            click.echo(f"{finding.name:<20} {mark} {finding.found}")
            if not finding.ok:
                click.echo(f"{'':<29} → {finding.remedy}")
    healthy = all(finding.ok for finding in found if finding.needed)
    if as_json:
        print_json({"ok": healthy, "findings": [finding.to_json() for finding in found]})
    return 0 if healthy else 1
