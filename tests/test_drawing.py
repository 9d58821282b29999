"""The section `draw` of a spec: what it takes, and that mistakes in it are found when the spec is checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

import archspec
from archspec.cli import cli
from archspec.cli.draw import FORMATS
from archspec.cli.draw import command as draw_command
from archspec.draw import FORMATS as KNOWN_FORMATS
from archspec.draw.palette import PALETTES, THEMES
from archspec.language import drawing
from archspec.layers import catalogue
from archspec.schema import schema_text

SPEC = "archspec: 1\nname: net\ninputs: {image: [4]}\nlayers: [Dense: 3]\ndraw: "


def section(text: str) -> dict[str, Any]:
    return archspec.loads(f"{SPEC}{text}\n").drawing


def test_what_it_says_is_what_drawing_takes() -> None:
    assert section("null") == {}
    given = "{width: 7in, palette: {dense: '#112233'}, expand: 'stage*', collapse: [a, b], level: 'block:top'}"
    assert section(given) == {
        "level": "block:top", "width": 7.0, "palette": {"dense": "#112233"}, "expand": ("stage*",),
        "collapse": ("a", "b"),
    }  # fmt: skip
    assert section("{font_size: =4 * 2 + 1}") == {"font_size": 9}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{widht: 3}", "5:8: draw has no key 'widht'; did you mean 'width'?"),
        ("{level: blocsk}", "5:15: draw: level should be overview, blocks, layers, raw or block:NAME"),
        ("{level: 'block:'}", "block:NAME"),
        ("{width: wide}", "width must be inches, as 3.3in"),
        ("{width: 2000}", "from 1 to 1000 inches"),
        ("{font_size: 6}", "font_size of draw should be greater than or equal to 8, got 6"),
        ("{direction: UP}", "'LR' or 'U', got 'UP'"),
        ("{palette: rainbow}", "'okabe-ito' or 'grey'"),
        ("{palette: {dens: '#112233'}}", "5:18: palette has no key 'dens'; did you mean 'dense'?"),
        ("{palette: {dense: green}}", 'a colour is like "#77AADD", in quotes'),
        ("\n  palette:\n    dense: #112233", "in quotes, got null"),
        ("{legend: 3}", "legend of draw should be true or false"),
        ("{expand: [3]}", "expand.0 of draw should be text"),
        ("3", "draw should be a mapping"),
    ],
)
def test_mistakes_are_found_when_the_spec_is_checked(text: str, said: str) -> None:
    try:
        found = archspec.loads(f"{SPEC}{text}\n").check()
    except archspec.SpecError as error:
        found = error.diagnostics
    (diagnostic,) = found
    span = diagnostic.span
    assert span
    told = f"{span.line}:{span.column}: {diagnostic.message}; {diagnostic.help}"
    assert said in told


def test_check_draw_and_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(SPEC + "{level: blocsk, widht: 2}\n")
    for command in ("check", "draw"):
        run = subprocess.run(
            [sys.executable, "-m", "archspec", command, str(path)],
            capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert run.returncode == 1 and "did you mean 'blocks'" in run.stderr and "did you mean 'width'" in run.stderr
    path.write_text(SPEC + "{level: raw, title: mine}\n")
    CliRunner().invoke(cli, ["draw", str(path), "-o", str(tmp_path / "x.json"), "--title", "theirs"])
    text = (tmp_path / "x.json").read_text()
    assert '"level": "raw"' in text and '"title": "theirs"' in text


def test_one_list_of_options() -> None:
    """The section and the command have the same names and choices."""
    assert get_args(drawing.Palette) == tuple(PALETTES) and get_args(drawing.Theme) == tuple(THEMES)
    assert {cls.ROLE for cls in catalogue().values()} <= set(drawing.RoleColours.model_fields)
    choices = {p.name: tuple(getattr(p.type, "choices", ())) for p in draw_command.params}
    assert set(drawing.Draw.model_fields) <= set(choices) and set(FORMATS) == set(KNOWN_FORMATS)
    for name in ("direction", "theme", "shapes", "order"):
        assert choices[name] == get_args(drawing.Draw.model_fields[name].annotation)


def test_the_schema_knows_it() -> None:
    schema = yaml.safe_load(schema_text())
    validator = jsonschema.Draft202012Validator(schema)

    def fits(draw: Any) -> bool:
        spec = {"archspec": 1, "name": "net", "inputs": {"image": [4]}, "layers": [{"Dense": 3}], "draw": draw}
        return bool(validator.is_valid(spec))

    assert fits(None) and fits({"width": "3.3in", "palette": "grey"}) and fits({"palette": {"dense": "#112233"}})
    assert not fits({"widht": 3}) and not fits({"theme": "neon"}) and not fits({"palette": {"dens": "#112233"}})
