"""Formats beside Graphviz's own: what they hold, that they do not change by themselves, names of all kinds."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import archspec
from archspec.analysis.cost import graph_cost
from archspec.draw import FORMATS, diagram, draw, engine
from archspec.draw.formats import EXTENSIONS, TEXTS, format_of
from archspec.draw.model import unfold
from archspec.draw.paper_table import rows, to_latex, to_markdown
from archspec.draw.tex import is_latin, tex
from archspec.graph.ir import Graph
from archspec.schema import figure_schema
from tests.graphs import GraphBuilder, perceptron, resnet50

SPECS = Path(__file__).parents[1] / "specs"
ODD = 'a<b>&"c"{|}\\ ü 名前 `x` $y$ #1 100% ~^_ </script><script>bad()</script>'
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)

needs_engine = pytest.mark.skipif(engine() is None, reason="needs Graphviz")


def zoo(reference: str) -> Graph:
    return archspec.load(SPECS / reference).graph


def odd() -> Graph:
    builder = GraphBuilder(ODD)
    x = builder.apply({"Dense": 4}, builder.input("in " + ODD, (8,)), name=ODD)
    return builder.graph(**{ODD: builder.apply({"Dense": 5}, x, name="lone\ud800")})


def only(pattern: str, content: str) -> str:
    """What the pattern's group holds."""
    found = re.search(pattern, content, re.S)
    assert found
    return found[1]


def text(graph: Graph, format: str, tmp_path: Path, **options: object) -> str:
    return draw(graph, tmp_path / f"x.{EXTENSIONS[format]}", format=format, **options).read_text("utf-8")


@pytest.mark.parametrize("format", TEXTS)
def test_texts_need_no_engine(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archspec.draw.picture.engine", lambda: None)
    assert text(resnet50(), format, tmp_path)
    assert os.listdir(tmp_path) == [f"x.{EXTENSIONS[format]}"]


def test_the_format_of_an_extension() -> None:
    assert {format_of(extension) for extension in EXTENSIONS.values()} == set(FORMATS) - {"table-tex"}
    assert format_of("PDF") == "pdf" and format_of("jpg") is None


@pytest.mark.parametrize("seed", ["1", "2"])
def test_texts_do_not_depend_on_the_hash_seed(seed: str, tmp_path: Path) -> None:
    code = "import sys; from tests.test_formats import *; [text(resnet50(), f, Path(sys.argv[1])) for f in TEXTS]"
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    env = {**os.environ, "PYTHONHASHSEED": seed}
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], cwd=root, env=env, timeout=60, check=True)
    for format in TEXTS:
        text(resnet50(), format, tmp_path / "here")
    for name in os.listdir(tmp_path / "here"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_json_is_the_model(tmp_path: Path) -> None:
    graph = resnet50()
    found = json.loads(text(graph, "json", tmp_path))
    shown = diagram(graph)
    assert found["form"] == 1 and [panel["id"] for panel in found["panels"]] == [panel.id for panel in shown.panels]
    assert unfold(shown)[0] == set(graph.nodes)


@pytest.mark.parametrize("reference", ["resnet.yaml@resnet50", "vit.yaml", "vae.yaml"])
@pytest.mark.parametrize("level", ["overview", "blocks", "layers"])
def test_json_is_as_its_schema_says(reference: str, level: str, tmp_path: Path) -> None:
    written = json.loads((SPECS.parent / "docs" / "figure.schema.json").read_text("utf-8"))
    assert written == figure_schema(), "make it anew: archspec schema --figure -o docs/figure.schema.json"
    jsonschema.validate(json.loads(text(zoo(reference), "json", tmp_path, level=level)), written)


@pytest.mark.parametrize(
    "reference", ["resnet.yaml@resnet50", "unet.yaml", "inception.yaml", "transformer.yaml", "vae.yaml"]
)
def test_the_rows_of_a_table_add_up(reference: str) -> None:
    graph = zoo(reference)
    cost = graph_cost(graph)
    found = rows(diagram(graph))
    assert sum(row.parameters for row in found) == cost.parameters_total
    assert sum(row.macs for row in found) == cost.macs


def test_a_frame_is_a_row() -> None:
    found = {row.stage: row for row in rows(diagram(zoo("vit.yaml")))}
    assert found["encoder"].block.endswith("×12") and found["encoder"].output == "197×768"


def test_a_table_says_what_its_total_leaves_out() -> None:
    shown = diagram(perceptron())
    assert "| total |  | without Lambda, Mine |" in to_markdown(shown, ("Lambda", "Mine"))
    assert r"total &  & without Lambda, Mine &" in to_latex(shown, ("Lambda", "Mine"))


def test_table(tmp_path: Path) -> None:
    table = text(zoo("resnet.yaml@resnet50"), "table-md", tmp_path).splitlines()
    assert table[0] == "| stage | output | block | parameters | MACs |"
    assert "| stage3 | 14×14×1024 | bottleneck c=256, /2 ×6 | 7,118,848 | 1,464,336,384 |" in table
    assert table[-1] == "| total |  |  | 25,610,152 | 4,089,184,256 |"
    latex = text(zoo("resnet.yaml@resnet50"), "table-tex", tmp_path)
    assert r"stage3 & 14$\times$14$\times$1024 & bottleneck c=256, /2 $\times$6 & 7,118,848" in latex


def test_mermaid(tmp_path: Path) -> None:
    lines = text(perceptron(), "mermaid", tmp_path).splitlines()
    assert lines[0] == "flowchart TB"
    nodes = set(re.findall(r"^ *(n\d+)[(\[]", "\n".join(lines), re.M))
    ends = {name for a, b in re.findall(r"(n\d+) -\.?->(?:\|.*?\|)? (n\d+)", "\n".join(lines)) for name in (a, b)}
    assert ends <= nodes and len(nodes) >= len(ends) > 2
    assert text(perceptron(), "mermaid", tmp_path, direction="LR").startswith("flowchart LR")


def test_any_name_in_mermaid(tmp_path: Path) -> None:
    for line in text(odd(), "mermaid", tmp_path).splitlines():
        outside = re.sub(r'"[^"]*"', "", line)
        assert '"' not in outside and "<" not in outside.replace("<br/>", "")
        for label in re.findall(r'"([^"]*)"', line):
            assert not re.search(r"[<>`%$\\]|#(?!\w+;)", label.replace("<br/>", ""))


def test_any_name_in_tables(tmp_path: Path) -> None:
    for line in text(odd(), "table-md", tmp_path).splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 6 and "<" not in line
    lines = text(odd(), "table-tex", tmp_path).splitlines()
    assert all(len(re.findall(r"(?<!\\)&", line)) == 4 for line in lines if line.endswith(r" \\"))
    assert r"\textbackslash{} ü 名前 \textasciigrave{}x\textasciigrave{} \$y\$ \#1 100\%" in "".join(lines)
    assert tex("a_b{c}\\&%$#~^<>|") == (
        r"a\_b\{c\}\textbackslash{}\&\%\$\#\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"
    )
    assert is_latin("naïve ×3") and not is_latin("名前")


def test_any_name_in_json(tmp_path: Path) -> None:
    graph = odd()
    found = json.loads(text(graph, "json", tmp_path))
    layers = {name for panel in found["panels"] for box in panel["items"] for name in box.get("layers", ())}
    assert layers == {name.replace("\ud800", "\ufffd") for name in graph.nodes} and found["name"] == ODD


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    page = text(odd(), "html", tmp_path)
    assert not re.search(r"(src|href)=|@import|url\((?!#arrow)", page) and "default-src 'none'" in page
    assert page.count("<script") == page.count("</script>") == 2
    assert html.escape(ODD) in page


def test_every_block_of_a_page_opens(tmp_path: Path) -> None:
    page = text(zoo("inception.yaml"), "html", tmp_path)
    found = json.loads(only(r'id="data">(.*?)</script>', page))
    panels = {panel["id"] for panel in found["figure"]["panels"]}

    def inside(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [b for i in items for b in (inside(i["items"]) if "items" in i else [i])]

    blocks = [b for p in found["figure"]["panels"] for b in inside(p["items"]) if b["kind"] == "block"]
    assert blocks and sum(b["panel"] in panels for b in blocks) >= 0.8 * len(blocks)


# --- with the programs that read them --------------------------------------------------------------

ACTIONS = """
<script>
const result = {};
const boxes = () => view.querySelectorAll("g.box").length;
result.before = boxes();
const first = view.querySelector("g.opens");
first.dispatchEvent(new MouseEvent("click", { bubbles: true }));
result.opened = boxes();
view.querySelector("g.opens").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
result.closed = boxes();
search.value = "on"; search.dispatchEvent(new Event("input"));
result.found = found.textContent;
search.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
search.value = ""; search.dispatchEvent(new Event("input"));
const one = view.querySelector("g.box");
one.querySelector("rect").dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 50, clientY: 50 }));
result.tip = tip.textContent; result.hidden = tip.hidden;
const old = area.w;
view.dispatchEvent(new WheelEvent("wheel", { deltaY: -100, clientX: 300, clientY: 300, cancelable: true }));
result.zoomed = area.w < old;
const x = area.x;
view.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, clientX: 100, clientY: 100 }));
view.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 150, clientY: 100 }));
view.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
result.panned = area.x < x;
document.getElementById("open").click();
result.all = boxes();
const rects = [...view.querySelectorAll("g.box:not(.frame)")].map(g => g.getBBox());
// A line may touch only the boxes that it joins: those hold its ends.
const solid = [...view.querySelectorAll("g.box:not(.frame) > rect:first-of-type")].map(r => r.getBBox());
const holds = (b, p, m) => p.x > b.x - m && p.x < b.x + b.width + m && p.y > b.y - m && p.y < b.y + b.height + m;
result.crossings = [...view.querySelectorAll("path.edge")].filter(path => {
  const length = path.getTotalLength(), ends = [path.getPointAtLength(0), path.getPointAtLength(length)];
  const others = solid.filter(b => !ends.some(p => holds(b, p, 6)));
  for (let at = 0; at < length; at += 3) if (others.some(b => holds(b, path.getPointAtLength(at), -1))) return true;
  return false;
}).length;
const before = (a, b, side, size) => a[side] < b[side] + b[size] - .5 && b[side] < a[side] + a[size] - .5;
const meet = (a, b) => before(a, b, "x", "width") && before(a, b, "y", "height");
result.overlaps = rects.filter((a, i) => rects.some((b, j) => j > i && meet(a, b))).length;
const out = document.createElement("pre");
out.id = "result"; out.textContent = JSON.stringify(result); document.body.append(out);
</script></body>
"""


def dom(page: Path) -> str:
    """What a browser makes of a page."""
    assert CHROMIUM
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=900,900", "--dump-dom"]
    command += ["--virtual-time-budget=10000", "--allow-file-access-from-files"]
    run = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return run.stdout


def browsed(page: Path) -> dict[str, Any]:
    """What a page does when it is used."""
    tried = page.with_name("tried.html")
    tried.write_text(page.read_text("utf-8").replace("</body>", ACTIONS), "utf-8")
    result: dict[str, Any] = json.loads(html.unescape(only(r'<pre id="result">(.*?)</pre>', dom(tried))))
    return result


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
@pytest.mark.parametrize(
    "reference", ["resnet.yaml@resnet50", "inception.yaml", "segnet.yaml", "unet.yaml", "transformer.yaml"]
)
def test_a_page_in_a_browser(reference: str, tmp_path: Path) -> None:
    found = browsed(draw(zoo(reference), tmp_path / "x.html"))
    assert found["opened"] > found["before"] == found["closed"]
    assert found["all"] >= found["opened"] and found["overlaps"] == 0 and found["crossings"] == 0
    assert re.fullmatch(r"[1-9]\d* found", str(found["found"]))
    assert found["zoomed"] and found["panned"] and not found["hidden"] and "InputLayer" in str(found["tip"])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_any_name_in_a_browser(tmp_path: Path) -> None:
    page = draw(odd(), tmp_path / "x.html")
    script = '<script>document.title = [...view.querySelectorAll("g.box")].map(g => g.dataset.path).join("§")</script>'
    page.write_text(page.read_text("utf-8").replace("</body>", script + "</body>"), "utf-8")
    assert ODD in html.unescape(only(r"<title>(.*?)</title>", dom(page))).split("§")


MERMAID = os.environ.get("ARCHSPEC_MERMAID", "")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None or not MERMAID, reason="needs Chromium, and mermaid.min.js at ARCHSPEC_MERMAID")
@pytest.mark.parametrize("reference", ["resnet.yaml@resnet50", "inception.yaml", "transformer.yaml", "odd"])
def test_mermaid_reads_it(reference: str, tmp_path: Path) -> None:
    graph = odd() if reference == "odd" else zoo(reference)
    script = (
        f'<script src="{Path(MERMAID).as_uri()}"></script><script>mermaid.initialize({{startOnLoad: true}})</script>'
    )
    page = tmp_path / "x.html"
    drawn = html.escape(text(graph, "mermaid", tmp_path))
    page.write_text(f'<meta charset="utf-8"><body><pre class="mermaid">{drawn}</pre>{script}</body>', "utf-8")
    shown = html.unescape(re.sub("<br>|</?p>", " ", dom(page)))
    assert "Syntax error" not in shown and 'aria-roledescription="flowchart-v2"' in shown
    says = {"resnet.yaml@resnet50": "bottleneck (c, s) ×16", "inception.yaml": "mixed", "odd": "in " + ODD}
    assert says.get(reference, "encoder ×6") in shown


@needs_engine
def test_tikz_names_its_roles_and_compiles_alone_by_its_look(tmp_path: Path) -> None:
    found = text(perceptron(), "tikz", tmp_path)
    assert found.count("{") == found.count("}") and r"\begin{document}" in found
    assert r"\tikzset{role convolution/.style" in found and "\\path[role convolution]" in found
    assert "fontspec" not in found and "fontspec" in text(odd(), "tikz", tmp_path)


@needs_engine
def test_any_name_in_tikz(tmp_path: Path) -> None:
    found = text(odd(), "tikz", tmp_path, width=40)
    assert tex("in " + ODD) in found
    two = GraphBuilder("two")
    assert tex("a\\\\b\\\\\\c") in text(
        two.graph(two.chain(two.input("a\\\\b\\\\\\c", (4,)), "ReLU")), "tikz", tmp_path
    )


@pytest.mark.slow
@needs_engine
@pytest.mark.skipif(shutil.which("lualatex") is None, reason="needs LuaLaTeX (texlive-luatex, fonts-dejavu)")
def test_tikz_of_any_name_compiles(tmp_path: Path) -> None:
    path = draw(odd(), tmp_path / "x.tex")
    command = ["lualatex", "-interaction=nonstopmode", "-halt-on-error", path.name]
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False, errors="replace"
    )
    assert run.returncode == 0 and "1 page" in run.stdout, run.stdout[-1500:]


@pytest.mark.slow
@needs_engine
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a TeX (texlive-latex-base, texlive-pictures)")
@pytest.mark.parametrize("reference", ["resnet.yaml@resnet50", "unet.yaml", "transformer.yaml", "odd"])
def test_tikz_compiles(reference: str, tmp_path: Path) -> None:
    builder = GraphBuilder("odd")
    latin = re.sub(r"[^\x00-\xff]", "", ODD)
    named = builder.graph(builder.apply({"Dense": 3}, builder.input("in " + latin, (4,)), name=latin))
    path = draw(named if reference == "odd" else zoo(reference), tmp_path / "x.tex")
    table = draw(zoo("unet.yaml"), tmp_path / "table.tex", format="table-tex").read_text("utf-8")
    (tmp_path / "t.tex").write_text(f"\\documentclass{{article}}\\begin{{document}}{table}\\end{{document}}", "utf-8")
    for file in (path.name, "t.tex"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file]
        run = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, errors="replace"
        )
        assert run.returncode == 0 and "1 page" in run.stdout, run.stdout[-1500:]
