"""Every fenced block of README.md and docs/*.md is run, none is skipped.

What a block needs beyond its text stands in HTML comments directly before it:

    <!-- inputs: {image: [28, 28, 3]} -->     keys of a spec around a fragment: inputs, params, layers, …
    <!-- error: E206 -->                      the spec is wrong, with this code
    <!-- file: blocks.yaml -->                the other blocks of the document find this one under the name
    <!-- exit: 1 -->                          the exit code of a block's last command
    <!-- slow -->                             run with `-m slow`

* `yaml`, `json`: a spec, which must be right with all of its variants; or a fragment, a list of steps or a mapping of
  keys, which is put into a spec with the keys of the comment and, where there are still none, `_SKELETON`.
* `sh`: commands, run one by one in a copy of the repository's specs, with the earlier blocks of the document run
  before. `make`, `git clone` and `pip install` are checked against Makefile and pyproject.toml instead.
* `python`: a program, run in the same folder.
* `text`: what the `sh` or `python` block directly before it prints; `…` stands for anything, alone on a line for any
  number of lines.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from archspec.analysis.expect import CLAIMS
from archspec.check import check
from archspec.data.base import sources
from archspec.data.settings import Data, Split
from archspec.diagnostics import render
from archspec.language.document import MODIFIERS, TYPES, VERBS, InputDecl, Param, SpecFile
from archspec.language.expressions import FUNCTIONS
from archspec.language.limits import Limits
from archspec.language.scope import _ATTRIBUTES
from archspec.layers import REFUSED
from archspec.train.settings import Run, Train

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
COPIED = ("specs", "docs", "tests/golden")

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)")
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_COMMENTS = re.compile(r"(<!--((?!-->).)*-->\s*)+\Z", re.DOTALL)  # those directly before a block
_DIRECTIVES = frozenset({"error", "file", "exit", "slow"})
_SPECS, _SHELLS = ("yaml", "json"), ("sh", "bash", "console")
_PROGRAMS = frozenset({"archspec", "python", "cat", "ls", "head", "diff"})
_SKELETON = {
    "archspec": 1,
    "name": "fragment",
    "inputs": {"image": [28, 28, 3]},
    "layers": ["GlobalAveragePooling2D", {"Dense": 10}],
}


@dataclass(frozen=True, eq=False)
class Block:
    """A fenced block: `line` is that of its opening fence, `given` the comment before it."""

    document: Path
    line: int
    language: str
    text: str = field(repr=False)
    given: Mapping[str, Any] = field(default_factory=dict)
    follows: Block | None = field(default=None, repr=False)  # the block directly before it, with no prose between

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def slow(self) -> bool:
        return "slow" in self.given


def parse(document: Path, text: str) -> Iterator[Block]:
    """The blocks of a Markdown text, in order. A fence that is not closed fails."""
    lines = text.split("\n")
    prose: list[str] = []
    last: Block | None = None
    at = 0
    while at < len(lines):
        opening = _FENCE.fullmatch(lines[at])
        if opening is None:
            prose.append(lines[at])
            at += 1
            continue
        start = at
        closing = re.compile(rf" *{opening['fence'][0]}{{{len(opening['fence'])},}} *")
        at += 1
        while at < len(lines) and not closing.fullmatch(lines[at]):
            at += 1
        assert at < len(lines), f"{document.name}:{start + 1}: the fence is not closed"
        between = "\n".join(prose)
        comments = _COMMENTS.search(between)
        body = textwrap.dedent("\n".join(lines[start + 1 : at])) + "\n"
        given: dict[str, Any] = {}
        for comment in _COMMENT.findall(comments[0]) if comments else ():
            given |= _given(document, start, comment)
        follows = last if last and not _COMMENT.sub("", between).strip() else None
        last = Block(document, start + 1, opening["info"].strip(), body, given, follows)
        yield last
        prose = []
        at += 1


def _given(document: Path, at: int, text: str) -> dict[str, Any]:
    found = yaml.safe_load(text)
    given = {found: True} if isinstance(found, str) else found
    known = {*_DIRECTIVES, *SpecFile.model_fields}
    assert isinstance(given, dict) and set(given) <= known, f"{document.name}:{at}: <!--{text}--> says nothing known"
    return given


BLOCKS = [block for document in DOCUMENTS for block in parse(document, document.read_text("utf-8"))]


def blocks(*languages: str) -> list[Any]:
    """Those in the languages, as parameters of a test."""
    chosen = [block for block in BLOCKS if block.language in languages]
    return [pytest.param(b, id=b.name, marks=[pytest.mark.slow] if b.slow else []) for b in chosen]


# --- where blocks run ----------------------------------------------------------------------------


@dataclass
class Workshop:
    """A copy of the repository's specs for one document, and the results of the blocks that ran in it."""

    folder: Path
    outputs: dict[Block, str] = field(default_factory=dict, repr=False)

    def output(self, block: Block) -> str:
        """What a block prints, the earlier ones of its document having run before it."""
        for earlier in BLOCKS:
            if earlier.document == block.document and earlier.language in _SHELLS and not earlier.slow:
                if earlier.line >= block.line:
                    break
                self.run(earlier)
        return self.run(block)

    def run(self, block: Block) -> str:
        if block not in self.outputs:
            if block.language == "python":
                self.outputs[block] = self.execute([sys.executable, "-c", block.text], block, 0)
            else:
                self.outputs[block] = self.shell(block)
        return self.outputs[block]

    def shell(self, block: Block) -> str:
        lines = commands(block)
        printed = ""
        for i, line in enumerate(lines):
            program, arguments = split(line)
            if program in _CHECKED:
                _CHECKED[program](arguments)
                continue
            assert program in _PROGRAMS, f"{block.name}: no rule says how to test the command {program!r}"
            code = block.given.get("exit", 0) if i == len(lines) - 1 else 0
            printed += self.execute(["bash", "-c", line], block, code)
        return printed

    def execute(self, command: list[str], block: Block, code: int) -> str:
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "COLUMNS": "120", "TF_CPP_MIN_LOG_LEVEL": "3", "NO_COLOR": "1"}
        result = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=600, check=False,
        )  # fmt: skip
        assert result.returncode == code, f"{block.name}: {command[-1]}\nexit code {result.returncode}\n{result.stdout}"
        return result.stdout


@pytest.fixture(scope="module")
def workshops(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Workshop]:
    """One folder a document, with the files that its blocks are."""
    made = {}
    for document in DOCUMENTS:
        folder = tmp_path_factory.mktemp(document.stem)
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name)
        for block in BLOCKS:
            if block.document == document and "file" in block.given:
                (folder / block.given["file"]).write_text(whole(block), "utf-8")
        made[document] = Workshop(folder)
    return made


# --- specs ---------------------------------------------------------------------------------------


def whole(block: Block) -> str:
    """The spec that a block is or is part of."""
    first = next((line for line in block.text.splitlines() if line.strip() and not line.startswith("#")), "")
    if re.match(r'(\{\s*")?archspec"?:|\{$', first):
        return block.text
    steps = first.startswith("- ")
    keys = {"layers"} if steps else set(yaml.safe_load(block.text))
    around = {k: v for k, v in block.given.items() if k in SpecFile.model_fields}
    assert not keys & set(around), f"{block.name}: {keys & set(around)} stands in the block and in the comment"
    around |= {k: v for k, v in _SKELETON.items() if k not in keys | set(around)}
    header = yaml.safe_dump(around, default_flow_style=None, sort_keys=False, width=1000)
    return f"{header}layers:\n{textwrap.indent(block.text, '  ')}" if steps else header + block.text


@pytest.mark.parametrize("block", blocks(*_SPECS))
def test_specs_are_right(block: Block, workshops: dict[Path, Workshop], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshops[block.document].folder)
    file = Path(block.given.get("file", f"line{block.line}.{block.language}"))
    file.write_text(whole(block), "utf-8")
    result = check(str(file))
    if "error" in block.given:
        assert {d.code for d in result.diagnostics} == {block.given["error"]}, render(result.diagnostics, result.texts)
    else:
        assert not result.diagnostics, render(result.diagnostics, result.texts)


# --- commands and programs -----------------------------------------------------------------------


def commands(block: Block) -> list[str]:
    """The commands of a block, one a line unless a backslash joins them."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    prompts = {line.startswith("$ ") for line in lines}
    assert len(prompts) == 1, f"{block.name}: output stands in a text block behind the commands"
    return [line.removeprefix("$ ") for line in lines]


def split(line: str) -> tuple[str, list[str]]:
    """The program of a command and its arguments, without variables before it."""
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words[0].removeprefix(".venv/bin/"), words[1:]


def _make(arguments: list[str]) -> None:
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {a for a in arguments if "=" not in a} <= set(targets), f"the Makefile has {targets}"


def _git(arguments: list[str]) -> None:
    assert arguments[0] == "clone" and arguments[1].removesuffix(".git").rpartition("/")[2] == _project()["name"]


def _pip(arguments: list[str]) -> None:
    assert arguments[0] == "install"
    project = _project()
    extras_of = project["optional-dependencies"]
    known = {project["name"], *map(_bare, [*project["dependencies"], *(r for e in extras_of.values() for r in e)])}
    for argument in arguments[1:]:
        extras = re.search(r"\[(.*)\]", argument)
        if not argument.startswith("-"):
            assert _bare(argument) in ("", ".", *known)
            assert set(extras[1].split(",") if extras else ()) <= set(extras_of)


def _bare(requirement: str) -> str:
    return re.split(r"[\[<>=~!;]", requirement)[0].strip()


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def _nothing(arguments: list[str]) -> None:
    """Moving around the checkout and its virtual environment: the folder of the test stands for it."""


_CHECKED = {"make": _make, "git": _git, "pip": _pip, "cd": _nothing, "source": _nothing}


@pytest.mark.parametrize("block", blocks(*_SHELLS, "python"))
def test_commands_and_programs_run(block: Block, workshops: dict[Path, Workshop]) -> None:
    workshops[block.document].output(block)


@pytest.mark.parametrize(
    "block", [pytest.param(b, id=b.name, marks=[pytest.mark.slow] if b.follows and b.follows.slow else [])
              for b in BLOCKS if b.language == "text"]
)  # fmt: skip
def test_output_is_as_shown(block: Block, workshops: dict[Path, Workshop]) -> None:
    before = block.follows
    assert before and before.language in (*_SHELLS, "python"), f"{block.name}: text must directly follow a command"
    printed = workshops[block.document].output(before)
    assert matches(block.text, printed), f"{block.name} is not what is printed:\n{printed}"


def matches(shown: str, printed: str) -> bool:
    pattern = ""
    for line in map(str.rstrip, shown.strip("\n").splitlines()):
        pattern += r"(.*\n)*?" if line.strip() == "…" else ".*?".join(map(re.escape, line.split("…"))) + r" *\n"
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None


# --- the documents as wholes ---------------------------------------------------------------------


def test_no_block_is_left_out() -> None:
    known = (*_SPECS, *_SHELLS, "python", "text")
    assert [f"{b.name}: {b.language or 'no language'}" for b in BLOCKS if b.language not in known] == []


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text = re.sub(r"^(```.*?^```|`[^`]*`)", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
            target, _, heading = "".join(link).partition("#")
            if not target.startswith(("http:", "https:")):
                file = document.parent / target if target else document
                assert file.exists(), f"{document.name} links to {target}, which is not there"
                assert not heading or heading in _headings(file), f"{document.name}: {target} has no #{heading}"


def _headings(file: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_reference_has_every_word_of_the_language() -> None:
    text = (ROOT / "docs/language.md").read_text("utf-8")
    words = {*VERBS, *MODIFIERS, *TYPES, *FUNCTIONS, *CLAIMS, *REFUSED, *_ATTRIBUTES, *sources()}
    words |= set(SpecFile.model_fields) | set(Param.model_fields) - {"required"} | set(InputDecl.model_fields)
    words |= {f for model in (Data, Split, Train, Run, *sources().values()) for f in model.model_fields}
    words |= set(Limits.__dataclass_fields__)
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert sorted(word for word in words if not re.search(rf"\b{word}\b", code)) == []


# --- the rules above themselves ------------------------------------------------------------------


def test_a_fence_must_be_closed() -> None:
    with pytest.raises(AssertionError, match="not closed"):
        list(parse(ROOT / "a.md", "```sh\nls\n"))


def test_a_comment_must_say_something_known() -> None:
    with pytest.raises(AssertionError, match="nothing known"):
        list(parse(ROOT / "a.md", "<!-- slwo -->\n```sh\nls\n```\n"))


def test_blocks_know_what_they_follow() -> None:
    text = "```sh\nls\n```\n\n```text\na\n```\n\nprose\n\n<!-- slow -->\n\n  ~~~text\n  b\n  ~~~\n"
    first, second, third = parse(ROOT / "a.md", text)
    assert second.follows == first and third.follows is None
    assert third.slow and third.text == "b\n"


def test_shown_output_is_compared() -> None:
    assert matches("a\n…\nd", "a\nb\nc\nd\n") and matches("took … s", "took 0.4 s\n")
    assert not matches("a\nb", "a\nc\n") and not matches("a", "a\nb\n")


@pytest.mark.parametrize("line", ["make nothing", "git clone https://example.org/other", 'pip install -e ".[extra]"'])
def test_what_is_not_there_is_noticed(line: str) -> None:
    program, arguments = split(line)
    with pytest.raises(AssertionError):
        _CHECKED[program](arguments)
