"""archspec explain"""

from __future__ import annotations

import click

from archspec.cli.common import print_json


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from archspec.explanations import EXPLANATIONS

    return [code for code in EXPLANATIONS if code.startswith(incomplete.upper())]


@click.command("explain")
@click.argument("code", required=False, shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(code: str | None, as_json: bool) -> None:
    """Explain the code of a mistake, such as E301; without a code, list all.

    A page says what the code means, shows a spec that gives it, and how to mend it.

    \b
        archspec explain E301

    \b
        E1..  reading files and text
        E2..  the form of a spec: keys, arguments, values, names
        E3..  elaboration: shapes, tensors, expressions, weights
        E4..  claims under `expect`
        E5..  data and training
    """
    from archspec.diagnostics import did_you_mean
    from archspec.explanations import EXPLANATIONS

    if code is None:
        if as_json:
            print_json({known: explanation.title for known, explanation in EXPLANATIONS.items()})
        for known, explanation in EXPLANATIONS.items() if not as_json else ():
            click.echo(f"{known}  {explanation.title}")
        return
    code = code.upper()
    if code not in EXPLANATIONS:
        hint = did_you_mean(code, EXPLANATIONS) or "archspec explain lists all"
        raise click.UsageError(f"there is no code {code!r}: {hint}")
    explanation = EXPLANATIONS[code]
    if as_json:
        print_json({"code": code, "title": explanation.title, "meaning": explanation.meaning,
                    "wrong": explanation.wrong, "mend": explanation.mend})  # fmt: skip
    else:
        click.echo(explanation.to_text(code), nl=False)
