"""Writes docs/zoo.md: what specs/index.yaml names, with the figures of docs/reference.json.

The tests hold the specs to these figures, so the page need not load one; only where the reference has no exact figure
it is the spec's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import archspec

DOCS = Path(__file__).parent
SPECS = DOCS.parent / "specs"
PAGE = DOCS / "zoo.md"
HEAD = """\
# The zoo

{count} networks in {files} specs, each with the figures of a reference: Keras's constructors, torchvision, Hugging
Face, the authors' files, or arithmetic. Parameters, MACs and output shapes are equal to the last unit. `make docs`
makes this page from [specs/index.yaml](../specs/index.yaml) and [reference.json](reference.json), which has the
sources, how each figure was found, and the arithmetic.

```sh
archspec summary specs/mobilenet.yaml@v2 params.alpha=0.35
```

How it is counted, which other tools do otherwise:

* **Parameters** are {params}. *Trainable* are {trainable}.
* **MACs** are {macs}.
* **Published** figures are rounded as they stand in print. A * marks those that are quoted from memory and were not
  read again in their source.
"""
TABLE = """\
| Network | Spec | Parameters | Trainable | MACs | Published | Remarks |
|---|---|--:|--:|--:|---|---|
"""


def page() -> str:
    """The page's text."""
    reference: dict[str, Any] = json.loads((DOCS / "reference.json").read_text("utf-8"))
    index: dict[str, str] = yaml.safe_load((SPECS / "index.yaml").read_text("utf-8"))
    networks = {name: reference["networks"][name] for name in index}
    files = {line.split("@")[0].split()[0] for line in index.values()}
    text = HEAD.format(count=len(index), files=len(files), **reference["conventions"])
    for family, about in reference["families"].items():
        names = [name for name, network in networks.items() if network["family"] == family]
        text += f"\n## {about['title']}\n\n{about['paper']}. {_files(index[name] for name in names)}\n"
        if "note" in about:
            text += f"{about['note']}\n"
        text += "\n" + TABLE + "".join(_row(name, index[name], networks[name]) for name in names)
    return text


def _files(lines: Iterator[str]) -> str:
    """The specs of a family, with their lengths."""
    links = []
    for file in dict.fromkeys(line.split("@")[0].split()[0] for line in lines):
        length = len((SPECS / file).read_text("utf-8").splitlines())
        links.append(f"[{file}](../specs/{file}), {length} lines")
    return f"Spec{'s' * (len(links) > 1)}: {'; '.join(links)}."


def _row(name: str, line: str, network: Mapping[str, Any]) -> str:
    figures = [network["params"], network["trainable"], network["macs"]]
    if None in figures:
        figures = _measured(line)
    cells = [name, f"`{line}`", *(f"{figure:,}" for figure in figures)]
    cells += [_published(network["published"]) if "published" in network else "", network.get("note", "")]
    return f"| {' | '.join(cells)} |\n"


def _measured(line: str) -> list[int]:
    spec, *changes = line.split()
    summary = archspec.load(SPECS / spec, changes=changes).summary().to_json()
    return [summary["parameters"]["total"], summary["parameters"]["trainable"], summary["macs"]]


def _published(published: Mapping[str, Any]) -> str:
    figures = [published[key] for key in ("params", "macs") if key in published]
    return f"{'; '.join(figures)} ({published['source']}){'' if published['read'] else ' *'}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
