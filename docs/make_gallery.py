"""Writes gallery/: every spec drawn at the levels overview and blocks, its cost table, and the pages that show them.

`state.json` says what was drawn and by what, so that a test can tell a gallery that is stale.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

import archspec
from archspec.draw import draw, engine, fonts
from archspec.draw.formats import as_text
from archspec.draw.options import options
from archspec.draw.picture import diagram

ROOT = Path(__file__).parent.parent
SPECS, GALLERY = ROOT / "specs", ROOT / "gallery"
LEVELS = ("blocks", "overview")
# Beside the spec as it stands, the variants that look different.
VARIANTS = {
    "densenet": ["cifar100_k12_bc"], "efficientnet": ["v2_s"], "gan": ["discriminator64"], "inception": ["v2"],
    "lenet": ["paper1998"], "mobilenet": ["v1", "v3_large"], "resnet": ["resnet18", "keras_resnet50v2", "cifar20"],
    "rnn": ["gru"], "segnet": ["voc224"], "unet": ["original"],
}  # fmt: skip
HEAD = (
    "Every spec in [specs](../specs), drawn by `archspec draw` as it is; `make gallery` draws them anew. "
    "[training.md](training.md) shows small ones trained."
)


@dataclass(frozen=True)
class Entry:
    """One network of the gallery."""

    family: str
    reference: str  # as typed after `archspec draw`, from the folder specs
    spec: str = ""  # the text of one that has no file

    @property
    def file(self) -> str:
        return self.reference.replace(".yaml", "").replace("@", "-")

    @cached_property
    def network(self) -> archspec.Architecture:
        return archspec.loads(self.spec) if self.spec else archspec.load(SPECS / self.reference)

    @cached_property
    def digest(self) -> str:
        """Of all that a drawing shows."""
        parts = [self.text("json", level) for level in LEVELS]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def text(self, format: str, level: str = "blocks") -> str:
        chosen = options(self.network.drawing, {"level": level})
        return as_text(format, diagram(self.network.graph, chosen), self.network.graph, chosen)

    def drawings(self, folder: Path = GALLERY) -> Iterator[tuple[str, Path]]:
        for level in LEVELS:
            yield level, folder / f"{self.file}{'' if level == 'blocks' else f'-{level}'}.svg"

    def draw(self, folder: Path = GALLERY) -> None:
        for level, path in self.drawings(folder):
            draw(self.network.graph, path, spec=self.network.drawing, level=level)


def entries() -> list[Entry]:
    """The networks by family in the order of the zoo; specs that the zoo does not name stand last."""
    reference = json.loads((ROOT / "docs/reference.json").read_text("utf-8"))
    index: dict[str, str] = yaml.safe_load((SPECS / "index.yaml").read_text("utf-8"))
    families: dict[str, str] = {}
    for name, line in index.items():
        file = line.split("@")[0].split()[0]
        families.setdefault(file, reference["families"][reference["networks"][name]["family"]]["title"])
    for path in sorted(SPECS.glob("*.yaml")):
        if path.name != "index.yaml":
            families.setdefault(path.name, "Further specs")
    return [Entry(family, name) for file, family in families.items() for name in _references(file)]


def readme() -> Entry:
    """The spec that README.md begins with."""
    (text,) = re.findall("```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)[:1]
    return Entry("", "readme", text)


def _references(file: str) -> Iterator[str]:
    yield file
    for variant in VARIANTS.get(file.removesuffix(".yaml"), ()):
        yield f"{file}@{variant}"


def state(shown: Iterable[Entry]) -> dict[str, Any]:
    """What the gallery is made of: each figure's digest, and what laid them out."""
    graphviz = engine()
    assert graphviz, "the gallery needs Graphviz"
    return {
        "engine": graphviz.version(),
        "font": fonts(graphviz).family,
        "figures": {entry.file: entry.digest for entry in shown},
    }


def _by_family(shown: Iterable[Entry]) -> dict[str, list[Entry]]:
    families: dict[str, list[Entry]] = {}
    for entry in shown:
        families.setdefault(entry.family, []).append(entry)
    return families


def _caption(entry: Entry) -> str:
    summary = entry.network.summary().to_json()
    return f"{summary['parameters']['total']:,} parameters, {summary['macs']:,} MACs"


def markdown(shown: list[Entry]) -> str:
    """README.md: thumbnails in rows, the tables folded below."""
    text = f"# Gallery\n\n{HEAD} [index.html](index.html) shows them side by side.\n"
    for family, members in _by_family(shown).items():
        text += f"\n## {family}\n"
        for entry in members:
            pictures = "\n".join(
                f'<a href="{path.name}"><img src="{path.name}" alt="{entry.reference}, {level}" height="220"></a>'
                for level, path in entry.drawings()
            )
            text += f"\n**[{entry.reference}](../specs/{entry.reference.split('@')[0]})** · {_caption(entry)}\n\n"
            text += f"{pictures}\n\n<details><summary>Stages</summary>\n\n{entry.text('table-md')}\n</details>\n"
    return text


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff }
body { margin: 2rem auto; max-width: 1200px; padding: 0 1rem }
section { display: flex; flex-wrap: wrap; gap: 1.5rem }
figure { margin: 0; max-width: 100% } figcaption { max-width: 360px }
img { max-width: 100%; background: #fff } nav a { margin-right: .8em } code { background: #f1f3f5; padding: 0 .3em }
h2 { border-bottom: 1px solid #ddd; margin-top: 2.5rem } small { color: #555 }
""".strip()


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>archspec gallery</title><style>
{style}
</style></head>
<body><h1>Gallery</h1>
<p>Every spec, drawn by <code>archspec draw</code>.</p>
<nav>{links}</nav>
{body}</body></html>
"""


def page(shown: list[Entry]) -> str:
    """index.html: every figure at its size, by family."""
    families = _by_family(shown)
    links = " ".join(f'<a href="#{_anchor(family)}">{html.escape(family)}</a>' for family in families)
    body = ""
    for family, members in families.items():
        body += f'<h2 id="{_anchor(family)}">{html.escape(family)}</h2>\n<section>\n'
        for entry in members:
            (_, blocks), (_, overview) = entry.drawings()
            body += (
                f'<figure><a href="{overview.name}"><img src="{blocks.name}" alt="{entry.reference}"></a>'
                f"<figcaption><code>{entry.reference}</code><br><small>{_caption(entry)} · "
                f'<a href="{overview.name}">overview</a></small></figcaption></figure>\n'
            )
        body += "</section>\n"
    return PAGE.format(style=STYLE, links=links, body=body)


def _anchor(family: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in family.lower())


def main() -> None:
    shown = entries()
    for path in GALLERY.glob("*.svg"):
        path.unlink()
    drawn = [*shown, readme()]
    for entry in drawn:
        entry.draw()
    (GALLERY / "README.md").write_text(markdown(shown), "utf-8")
    (GALLERY / "index.html").write_text(page(shown), "utf-8")
    (GALLERY / "state.json").write_text(json.dumps(state(drawn), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
