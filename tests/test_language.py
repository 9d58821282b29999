"""Laws of the language, its limits, and that nothing but SpecError comes out of any text."""

import json
import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import archspec
from archspec.graph.text import to_text
from archspec.graph.verify import verify
from archspec.language.dump import to_yaml

SPECS = Path(__file__).parent.parent / "specs"
HEAD = {"archspec": 1, "name": "t", "inputs": {"image": [8, 8, 4]}}

# --- laws over generated specs -------------------------------------------------------------------

layers = st.one_of(
    st.builds(lambda n: {"Dense": n}, st.integers(1, 9)),
    st.builds(lambda n: {"Conv2D": {"filters": n, "kernel_size": 3, "padding": "same"}}, st.integers(1, 5)),
    st.sampled_from(["ReLU", "BatchNormalization", {"Dropout": 0.5}, {"expr": "x * 2 + 1"}]),
)
steps: st.SearchStrategy[Any] = st.recursive(
    layers,
    lambda inner: st.one_of(
        st.builds(lambda body: {"layers": body}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda body, n: {"layers": body, "repeat": n}, st.lists(inner, min_size=1, max_size=2), st.integers(0, 3)
        ),
        st.builds(lambda body: {"concat": {"skip": "x", "f": body}}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda body, w: {"layers": body, "when": w}, st.lists(inner, max_size=2), st.booleans()),
        st.builds(lambda body, t: {"layers": body, "trainable": t}, st.lists(inner, max_size=2), st.booleans()),
    ),
    max_leaves=8,
)
bodies = st.lists(steps, max_size=5)


def graph(body: Any, **more: Any) -> Any:
    return archspec.loads(json.dumps(HEAD | {"layers": body} | more), format="json").graph


def shape_of(graph: Any) -> list[Any]:
    """What a graph computes, without names and places."""
    order = {name: i for i, name in enumerate(graph.nodes)}
    return [
        (node.layer, [(order[e.node], e.index) for e in node.inputs], node.outputs, node.trainable,
         order[node.shares] if node.shares else None)
        for node in graph.nodes.values()
    ]  # fmt: skip


@given(bodies)
@settings(max_examples=60, deadline=None)
def test_graphs_are_sound_and_yaml_means_what_json_means(body: Any) -> None:
    made = graph(body)
    verify(made)
    text = yaml.safe_dump(HEAD | {"layers": body}, sort_keys=False)
    assert to_text(archspec.loads(text).graph) == to_text(made)


@given(bodies)
@settings(max_examples=40, deadline=None)
def test_the_resolved_document_means_the_same(body: Any) -> None:
    network = archspec.loads(json.dumps(HEAD | {"layers": body}), format="json")
    assert to_text(archspec.loads(to_yaml(network.document.raw)).graph) == to_text(network.graph)


@given(steps, st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_a_repeat_is_the_step_written_so_often(step: Any, count: int) -> None:
    assert shape_of(graph([{"layers": [step], "repeat": count}])) == shape_of(graph([step] * count))


@given(bodies)
@settings(max_examples=40, deadline=None)
def test_a_block_means_its_steps(body: Any) -> None:
    inline = shape_of(graph(body))
    assert shape_of(graph(["b"], blocks={"b": {"layers": body}})) == inline
    wrap = {"params": {"body": "layers"}, "layers": [{"layers": "=body"}]}
    assert shape_of(graph([{"wrap": {"body": body}}], blocks={"wrap": wrap})) == inline


@given(st.lists(layers, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_shared_repeats_have_the_weights_of_one(body: Any) -> None:
    keep = [{"Dense": 4}]  # so that each turn begins with the shape that the first began with
    once, often = graph([{"layers": body + keep}]), graph([{"layers": body + keep, "repeat": 3, "share": True}])
    count = [sum(w.size for node in g.nodes.values() for w in g.weights(node)) for g in (once, often)]
    assert count[0] == count[1]


@given(st.integers(1, 30))
@settings(max_examples=10, deadline=None)
def test_a_change_is_as_if_it_stood_in_the_file(units: int) -> None:
    spec = HEAD | {"params": {"units": 3}, "layers": [{"Dense": "=units"}, {"Dense": {"units": 2}}]}
    text = json.dumps(spec)
    changed = archspec.loads(text, format="json", params={"units": units}, set={"layers.1.Dense.units": units})
    edited = spec | {"params": {"units": units}, "layers": [{"Dense": "=units"}, {"Dense": {"units": units}}]}
    assert to_text(changed.graph) == to_text(archspec.loads(json.dumps(edited), format="json").graph)


# --- any text gives a graph or a SpecError -------------------------------------------------------

words = st.sampled_from(
    [
        "archspec: 1",
        "name: t",
        "inputs:",
        "  image: [8, 8, 4]",
        "layers:",
        "  - Dense: 3",
        "  - {Dense: =n, from: y}",
        "params: {n: 3}",
        "blocks:",
        "  b:",
        "    layers: [ReLU]",
        "  - b",
        "  - add: [x, x]",
        "  - {repeat: 3, Dense: 2}",
        "expect: {params: 3}",
        "[",
        "}",
        ": :",
        "- -",
        "use: {a: b.yaml}",
        "outputs: [x]",
        "data: {source: 3}",
        "train: 5",
        "*a",
        "&a [1]",
        "!!set {a}",
        "'",
        '"',
        "=1/0",
        "? a",
        "  - expr: x @ x",
        "\t",
    ]
)


@given(st.lists(words, max_size=14))
@settings(max_examples=250, deadline=None)
def test_no_text_makes_a_traceback(lines: list[str]) -> None:
    try:
        archspec.loads("\n".join(lines)).check()
    except archspec.SpecError as error:
        assert error.diagnostics and str(error)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                        ["Dense", "name", "from", "when", "repeat", "for", "units", "add", "layers", "expr", "let",
                         "reuse", "weight", "shape", "ops.sum"]), inner, max_size=3), max_leaves=12))  # fmt: skip
@example({"ops.sum": {"name": None}})
@example({"from": [], "ops.sum": None})
@example({"from": {"name": ["x", "x"]}, "ops.sum": None})
@settings(max_examples=250, deadline=None)
def test_no_step_makes_a_traceback(step: Any) -> None:
    try:
        archspec.loads(json.dumps(HEAD | {"layers": [step, {"Dense": 3}]}), format="json").check()
    except archspec.SpecError as error:
        assert error.diagnostics and str(error)


def test_mutilated_specs_make_no_traceback() -> None:
    """Every spec with each of its lines left out, or turned into nonsense, is a network or a SpecError."""
    for path in sorted(SPECS.glob("digits_cnn.yaml")) + sorted(SPECS.glob("vit.yaml")):
        lines = path.read_text("utf-8").split("\n")
        for i, line in enumerate(lines):
            for instead in ([], [line.replace(":", " ")], [line + " ]"], [line.replace("=", "=nope.")]):
                try:
                    archspec.loads("\n".join([*lines[:i], *instead, *lines[i + 1 :]]), folder=SPECS).check()
                except archspec.SpecError as error:
                    assert error.diagnostics and str(error)


# --- limits --------------------------------------------------------------------------------------

BOMBS = {
    "power": "layers:\n  - Dense: =9**9**9",
    "tower of powers": "layers:\n  - Dense: =" + "9**" * 60 + "9",
    "repeat": "layers:\n  - {Dense: 3, repeat: 1000000000}",
    "repeat as a float": "layers:\n  - {Dense: 3, repeat: 1e9}",
    "range": 'layers:\n  - {Dense: "=len(range(10**15))"}',
    "string": "layers:\n  - Dense: =len('a' * 10**12)",
    "doubling blocks": "blocks:\n  b0: {layers: [ReLU, ReLU]}\n"
    + "".join(f"  b{i}: {{layers: [b{i - 1}, b{i - 1}]}}\n" for i in range(1, 60))
    + "layers: [b59]",
    "aliases": "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)),
    "nesting": "layers: " + "[" * 10_000 + "]" * 10_000,
    "nesting of blocks": "layers:\n" + "".join("  " * i + " - layers:\n" for i in range(1, 10_000)),
    "nested expression": "layers:\n  - Dense: =" + "(" * 5000 + "1" + ")" * 5000,
    "digits": "layers:\n  - Dense: " + "9" * 100_000,
    "keys": "layers: {" + "a: " * 100_000,
    "huge shape": "layers:\n  - Dense: 999999999999999\n  - Dense: 999999999999999",
}


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))


@pytest.mark.parametrize("bomb", BOMBS, ids=str)
def test_nothing_exhausts_the_machine(bomb: str, tmp_path: Path) -> None:
    spec = tmp_path / "bomb.yaml"
    spec.write_text("archspec: 1\nname: bomb\ninputs: {image: [8]}\n" + BOMBS[bomb])
    run = subprocess.run(
        [sys.executable, "-m", "archspec", "check", str(spec)], preexec_fn=limited, capture_output=True, text=True,
        timeout=30,
    )  # fmt: skip
    expected = 0 if bomb == "huge shape" else 1  # large numbers alone cost nothing
    assert run.returncode == expected, run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr) < 20_000


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    spec = tmp_path / "large.yaml"
    with spec.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(archspec.SpecError, match="limit text"):
        archspec.load(spec)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("nodes", "layers: [{ReLU: , repeat: 20}]"),
        ("number", "layers: [Dense: 1001]"),
        ("nesting", "layers: [{layers: [{layers: [{layers: [ReLU]}]}]}]"),
        ("values", "params: {a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]}\nlayers: [ReLU]"),
        ("text", "layers: [ReLU]  # " + "-" * 100),
    ],
)
def test_each_limit_is_named_and_can_be_raised(limit: str, text: str) -> None:
    text = "archspec: 1\nname: t\ninputs: {image: [8]}\n" + text
    small = archspec.Limits(nodes=10, number=1000, nesting=6, values=20, text=130)
    default = archspec.Limits()
    only = archspec.Limits(**{name: getattr(small if name == limit else default, name) for name in small.__slots__})
    with pytest.raises(archspec.SpecError, match=rf"limit {limit} = .*--limit {limit}=N|limit {limit} = ") as caught:
        archspec.loads(text, limits=only)
    assert f"--limit {limit}=N" in str(caught.value)
    archspec.loads(text)


# --- the API -------------------------------------------------------------------------------------


def test_load_takes_params_and_paths() -> None:
    network = archspec.load(SPECS / "resnet.yaml@resnet50", params={"classes": 10}, set={"train.epochs": 2})
    assert network.name == "resnet50"
    assert network.summary().to_json()["parameters"]["total"] == 23581642
    assert network.document.train is not None and network.document.train["epochs"] == 2
    both = archspec.load(SPECS / "resnet.yaml@resnet50", params={"classes": 10}, changes=["train.epochs=3"])
    assert both.document.train and both.document.train["epochs"] == 3 and both.graph.outputs
    with pytest.raises(archspec.SpecError, match="E203") as caught:
        archspec.load(SPECS / "resnet.yaml", params={"classes": "many"})
    assert caught.value.diagnostics[0].code == "E203"


def test_spec_errors_show_their_lines() -> None:
    text = textwrap.dedent("""\
        archspec: 1
        name: t
        inputs: {image: [8]}
        layers:
          - Dnse: 3
        """)
    with pytest.raises(archspec.SpecError, match="did you mean 'Dense'") as caught:
        archspec.loads(text)
    assert "5 |   - Dnse: 3" in str(caught.value)


def test_use_and_extends_stay_below_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("archspec: 1\nname: o\nlayers: [Flatten]\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.yaml").symlink_to(outside)
    for reference in ("../outside.yaml", "link.yaml", str(outside)):
        for section in (f"use: {{o: {reference}}}\nlayers: [Flatten]", f"extends: {reference}"):
            spec = inside / "spec.yaml"
            spec.write_text(f"archspec: 1\nname: t\ninputs: {{image: [8]}}\n{section}\n")
            with pytest.raises(archspec.SpecError, match="E108"):
                archspec.load(spec)
            archspec.load(spec, allow=[tmp_path])


def test_extending_a_spec_of_another_folder_finds_what_it_uses(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "lib.yaml").write_text("archspec: 1\nname: lib\nblocks: {b: {layers: [ReLU]}}\n")
    base = "archspec: 1\nname: base\nparams: {n: 2}\nvariants: {wide: {n: 4}, wrong: {n: 0}}\nuse: {lib: lib.yaml}\n"
    (inner / "base.yaml").write_text(base + "inputs: {image: [8]}\nlayers: [Dense: =n, lib.b]\n")
    outer = tmp_path / "outer.yaml"
    outer.write_text("archspec: 1\nname: outer\nextends: inner/base.yaml@wide\n")
    network = archspec.load(outer)
    assert [str(t) for t in network.graph.nodes["b.relu"].outputs] == ["(4,)"]
    assert not network.document.variants


def test_the_package_is_lazy() -> None:
    code = (
        "import archspec, sys; assert 'pydantic' not in sys.modules; archspec.load; assert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
