"""archspec schema"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import written


@click.command("schema")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
@click.option("--figure", is_flag=True, help="The schema of what `archspec draw --format json` writes.")
def command(output: Path | None, figure: bool) -> None:
    """Print the JSON Schema of the spec language, for editors.

    Draft 2020-12, made from the same classes that check specs: every layer, object and setting with its arguments,
    their types and defaults. An editor that knows it completes names, shows what they mean and marks mistakes.

    With VS Code's YAML extension, or any editor that runs yaml-language-server, the first line of a spec names it:

    \b
        archspec schema -o archspec.schema.json
        # yaml-language-server: $schema=archspec.schema.json

    A schema cannot work out shapes or names: `archspec check` says whether a spec is right.
    """
    from archspec.schema import figure_schema, schema_text

    text = schema_text(figure_schema()) if figure else schema_text()
    if output is None:
        click.echo(text, nl=False)
        return
    with written(output) as draft:
        draft.write_text(text, encoding="utf-8")
    click.echo(f"{output} written", err=True)
