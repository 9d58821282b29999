"""Runtimes measured: what is compared, in which turns, and what is recommended."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archspec.bench import base
from archspec.bench.base import Runtime, Timed, chosen, runtimes
from archspec.bench.measure import ALIKE, FEWEST, SETTLE, WARM, Cell, Measured, measure
from archspec.bench.runtimes.jax import _reason
from archspec.bench.variants import forms, how_to
from archspec.build.weights import built
from archspec.cli import cli
from archspec.cli.bench import _ms
from archspec.export.base import ExportFailed, Run, Source, formats
from archspec.export.formats.keras import keras_run
from archspec.export.samples import random_inputs, random_network
from tests.graphs import GraphBuilder, perceptron


def source() -> Source:
    network = random_network(perceptron())
    return Source(network, built(network))


class Fake(Runtime):
    """Takes a time that it is told, gives what Keras gives times a factor, and notes when it is called.

    The time may depend on the network.
    """

    USE = "fake"
    TO = None

    def __init__(
        self, name: str, seconds: float | Callable[[Source], float], place: int = 0, factor: float = 1.0,
        calls: Any = None,
    ) -> None:  # fmt: skip
        self.__dict__ |= {"NAME": name, "PLACE": place, "seconds": seconds, "factor": factor}
        self.calls: list[str] = [] if calls is None else calls

    def prepare(self, source: Source, inputs: Sequence[Any], stack: ExitStack) -> tuple[Run, Timed]:
        run = keras_run(source.model, source.graph)

        seconds = self.seconds(source) if callable(self.seconds) else self.seconds

        def timed() -> float:
            self.calls.append(self.NAME)
            return seconds

        return lambda values: {name: v * self.factor for name, v in run(values).items()}, timed


def test_the_runtimes_take_turns() -> None:
    calls: list[str] = []
    fakes = [Fake("a", 0.001, calls=calls), Fake("b", 0.002, calls=calls)]
    found = measure({"original": source()}, fakes, [1], seconds=1e-9)
    turns = ["a"] * (settling(0.001) + 2) + ["b"] * (settling(0.002) + 2)
    assert calls == ["a"] * WARM + ["b"] * WARM + turns * (FEWEST // 2)
    assert [(cell.runtime, cell.median, len(cell.seconds)) for cell in found.cells] == [
        ("a", 0.001, FEWEST), ("b", 0.002, FEWEST),
    ]  # fmt: skip


def settling(seconds: float) -> int:
    """The calls of a turn that do not count."""
    return next(n for n in range(1, 1000) if sum([seconds] * n) >= SETTLE)


def test_what_gives_something_else_is_not_measured() -> None:
    wrong = Fake("wrong", 0.0001, factor=1.01)
    found = measure({"original": source()}, [wrong, Fake("right", 0.1)], [2], seconds=0.1)
    assert not wrong.calls
    cells = {cell.runtime: cell for cell in found.cells}
    assert "gives something else than Keras" in cells["wrong"].reason
    assert (best := found.best(2)) and best.runtime == "right"


def test_the_optimised_network_is_compared_with_the_original() -> None:
    other = source()
    other.model.set_weights([weight * 1.5 for weight in other.model.get_weights()])
    found = measure({"original": source(), "optimised": other}, [Fake("a", 0.1)], [1], seconds=0.1)
    assert {cell.variant: bool(cell.seconds) for cell in found.cells} == {"original": True, "optimised": False}


def test_a_missing_runtime_is_left_out() -> None:
    fake = Fake("missing", 0.1)
    fake.__dict__["NEEDS"] = {"no_such_module": "onnx"}
    found = measure({"original": source()}, [fake, Fake("there", 0.1)], [1], seconds=0.1)
    assert found.cells[0].reason == "missing needs no_such_module, which is not installed"


def test_equals_are_told_by_what_they_need() -> None:
    cells = (Cell("many", "original", 1, (1.0,)), Cell("few", "original", 1, (ALIKE * 0.999,)))
    best = Measured(cells, {"many": 9, "few": 1}).best(1)
    assert best and best.runtime == "few"
    slower = (cells[0], Cell("few", "original", 1, (ALIKE * 1.01,)))
    best = Measured(slower, {"many": 9, "few": 1}).best(1)
    assert best and best.runtime == "many"
    assert Measured((Cell("none", "original", 1, reason="no"),)).best(1) is None


def test_a_form_must_gain_something() -> None:
    cells = (Cell("a", "original", 1, (1.0,)), Cell("a", "optimised", 1, (0.99,)), Cell("a", "+ form", 1, (0.98,)))
    best = Measured(cells).best(1)
    assert best and best.variant == "original"
    best = Measured((*cells[:2], Cell("a", "+ form", 1, (0.9,)))).best(1)
    assert best and best.variant == "+ form"


@pytest.mark.parametrize("slower, best", [(1.5, "original"), (0.5, "optimised")])
def test_what_is_recommended_is_never_slower_than_the_original(slower: float, best: str) -> None:
    first, second = source(), source()
    fake = Fake("a", lambda given: slower if given is second else 1.0)
    found = measure({"original": first, "optimised": second}, [fake], [1], seconds=1e-9).best(1)
    assert found and found.variant == best


def test_forms_are_those_that_apply() -> None:
    builder = GraphBuilder()
    x = builder.input("image", (8, 8, 3))
    graph = builder.graph(builder.chain(x, {"DepthwiseConv2D": {"kernel_size": 3}}, "BatchNormalization", "ReLU"))
    network = random_network(graph)
    assert list(forms(network, optional=True)) == ["original", "optimised", "+ shifted-depthwise"]
    assert list(forms(network)) == ["original", "optimised"]
    assert list(forms(network, optimise=False)) == ["original"]


@pytest.mark.parametrize(
    "runtime, variant, told",
    [
        ("function", "original", "tf.function(model), called with tensors"),
        ("xla", "optimised", "archspec optimize 'a b.yaml' p.x=1 -o fast.keras, then tf.function(model, jit_comp"),
        ("jax", "+ shifted-depthwise", "archspec optimize 'a b.yaml' p.x=1 -o fast.keras --also shifted-depthwise, t"),
        ("onnx", "original", "archspec export 'a b.yaml' p.x=1 --to onnx --no-optimize, then onnxruntime"),
        ("litert", "optimised", "archspec export 'a b.yaml' p.x=1 --to litert, then ai_edge_litert"),
        ("openvino", "+ x", "archspec export 'a b.yaml' p.x=1 --to openvino --also x, then openvino with"),
    ],
)
def test_what_is_recommended_can_be_typed(runtime: str, variant: str, told: str) -> None:
    assert how_to(runtimes()[runtime], variant, ["a b.yaml", "p.x=1"]).startswith(told)


def test_medians_and_quartiles() -> None:
    cell = Cell("a", "original", 4, (0.1, 0.2, 0.3, 0.4, 10.0))
    assert cell.median == 0.3
    assert cell.throughput == pytest.approx(4 / 0.3)
    low, high = cell.spread
    assert 0.1 <= low < 0.3 < high


def test_names_of_runtimes() -> None:
    assert list(runtimes()) == [
        "predict", "predict_on_batch", "function", "frozen", "xla", "jax", "onnx", "openvino", "litert",
    ]  # fmt: skip
    assert [r.NAME for r in chosen(["litert", "function"])] == ["function", "litert"]
    with pytest.raises(ExportFailed, match="there is no runtime 'functoin'") as caught:
        chosen(["functoin"])
    assert caught.value.help and "function" in caught.value.help


SPEC = """
archspec: 1
name: tiny
inputs: {image: [8, 8, 3]}
layers:
  - {Conv2D: {filters: 4, kernel_size: 3, use_bias: false}}
  - BatchNormalization
  - ReLU
  - Flatten
  - Dense: 3
"""


def bench(folder: Path, *arguments: object) -> Any:
    (folder / "tiny.yaml").write_text(SPEC)
    return CliRunner().invoke(cli, ["bench", str(folder / "tiny.yaml"), *map(str, arguments)])


def test_the_command(tmp_path: Path) -> None:
    table = tmp_path / "tiny.csv"
    names = "predict_on_batch,function"
    result = bench(tmp_path, "--batch", "1,2", "--seconds", "0.01", "--runtimes", names, "-o", table)
    assert result.exit_code == 0, result.output
    assert "use " in result.stdout
    rows = list(csv.DictReader(table.open()))
    assert {(row["runtime"], row["batch"]) for row in rows} == {
        (name, batch) for name in names.split(",") for batch in ("1", "2")
    }
    assert all(float(row["median_ms"]) > 0 and float(row["error"]) < 1e-4 for row in rows)


def test_the_command_in_json(tmp_path: Path) -> None:
    result = bench(tmp_path, "--batch", "1", "--seconds", "0.01", "--runtimes", "function", "--json", "--no-optimize")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [cell["runtime"] for cell in told["cells"]] == ["function"]
    assert told["use"]["1"]["runtime"] == "function"
    assert told["use"]["1"]["how"] == "tf.function(model), called with tensors"


def test_the_command_with_forms(tmp_path: Path) -> None:
    result = bench(tmp_path, "--batch", "1", "--seconds", "0.01", "--runtimes", "function", "--json", "--forms")
    assert result.exit_code == 0, result.output
    assert [cell["variant"] for cell in json.loads(result.stdout)["cells"]] == ["original", "optimised"]


def test_without_predict_on_batch_nothing_is_relative_to_it(tmp_path: Path) -> None:
    result = bench(tmp_path, "--batch", "1", "--seconds", "0.01", "--runtimes", "function", "--no-optimize")
    assert result.exit_code == 0, result.output
    titles, line, row = result.stdout.splitlines()[2:5]
    assert titles.split() == ["batch", "1", "network", "median", "ms", "middle", "half", "examples/s"]
    assert row.startswith("function   original ")
    assert len(titles) == len(line) == len(row)


@pytest.mark.parametrize(("seconds", "text"), [(12e-6, "0.012"), (0.00123, "1.23"), (1.5, "1500.00")])
def test_milliseconds_of_small_networks_can_be_told_apart(seconds: float, text: str) -> None:
    assert _ms(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--batch", "one"), 2, "'one' is not N,N"),
        (("--batch", "0"), 2, "at least one example"),
        (("--forms", "--no-optimize"), 2, "--no-optimize leaves out"),
        (("--runtimes", "functoin"), 1, "there is no runtime"),
        (("-o", "no/such/file.csv"), 1, "there is no folder"),
        (("-o", "tiny.keras"), 2, "written into .csv files"),
        (("-o", "there.csv"), 1, "there.csv is there already; --force replaces it"),
        (("--force",), 2, "it takes -o"),
        (("--runtimes", ""), 1, "there is no runtime ''"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("mine")
    result = bench(tmp_path, *arguments)
    assert result.exit_code == code
    assert said in result.output and Path("there.csv").read_text() == "mine"


def test_a_named_runtime_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    result = bench(tmp_path, "--runtimes", "openvino")
    assert result.exit_code == 1
    assert "pip install 'archspec[openvino]'" in result.output


def test_runtimes_that_are_missing_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("jax", "tf2onnx") else find(name))
    names = ("function", "jax", "onnx")
    monkeypatch.setattr(base, "runtimes", lambda: {n: r for n, r in runtimes().items() if n in names})
    result = bench(tmp_path, "--batch", "1,2,1", "--seconds", "0.01", "--no-optimize")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("jax needs jax, which is not installed: pip install 'archspec[jax]'") == 1
    assert result.stdout.count("onnx needs tf2onnx, which is not installed: pip install 'archspec[onnx]'") == 1
    assert result.stdout.count("batch 1 ") == 1


def test_a_network_of_words(tmp_path: Path) -> None:
    text = "archspec: 1\nname: words\ninputs: {word: {shape: [3], dtype: string}}\n"
    (tmp_path / "words.yaml").write_text(f"{text}layers: [{{StringLookup: {{vocabulary: [a, b]}}}}]\n")
    names = "predict,predict_on_batch,function,frozen,xla"
    arguments = ["--runtimes", names, "--batch", "2", "--seconds", "0.01", "--json"]
    result = CliRunner().invoke(cli, ["bench", str(tmp_path / "words.yaml"), *arguments])
    assert result.exit_code == 0, result.output
    cells = {cell["runtime"]: cell for cell in json.loads(result.stdout)["cells"]}
    assert all(cells[name]["median_ms"] > 0 for name in ("predict", "predict_on_batch", "function"))
    assert "cannot express string_lookup (StringLookup)" in cells["frozen"]["reason"]
    assert cells["xla"]["reason"] == "XLA has no texts"


def test_a_runtime_that_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")

    def broken(*arguments: Any) -> Any:
        raise ImportError("libopenvino.so is missing", name="openvino")

    monkeypatch.setattr(type(runtimes()["openvino"]), "prepare", broken)
    result = bench(tmp_path, "--runtimes", "openvino", "--batch", 1)
    assert result.exit_code == 1
    assert "no runtime can run the network" in result.output
    assert "openvino, original: not measured, libopenvino.so is missing" in result.output
    monkeypatch.setattr(type(formats()["openvino"]), "write", broken)
    result = CliRunner().invoke(cli, ["export", str(tmp_path / "tiny.yaml"), "--to", "openvino"])
    assert result.exit_code == 1
    assert "openvino cannot be loaded: libopenvino.so is missing" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["frozen", "xla", "jax", "onnx", "openvino", "litert"])
def test_each_runtime_gives_what_keras_gives(name: str) -> None:
    runtime = runtimes()[name]
    if not all(importlib.util.find_spec(module) for module in runtime.NEEDS):
        pytest.skip(f"{name} is not installed")
    (cell,) = measure({"original": source()}, [runtime], [2], seconds=0.01).cells
    assert cell.seconds, cell.reason
    assert cell.error < 1e-4


@pytest.mark.slow  # it starts another process
def test_jax_says_why_it_cannot() -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    builder = GraphBuilder("text")
    graph = builder.graph(builder.apply({"Hashing": {"num_bins": 3}}, builder.input("word", (1,), "string")))
    network = random_network(graph)
    with ExitStack() as stack, pytest.raises(ExportFailed, match="JAX cannot run the network: "):
        runtimes()["jax"].prepare(Source(network, built(network)), [], stack)
    with ExitStack() as stack, pytest.raises(ExportFailed, match="JAX has no texts"):
        runtimes()["jax"].prepare(Source(network, built(network)), random_inputs(graph), stack)


def test_the_reason_is_no_note_about_the_stack_trace() -> None:
    trace = "Traceback (most recent call last):\n  File x\nTypeError: no such thing\nFor simplicity, JAX has"
    assert _reason(trace) == "no such thing"
    assert (_reason("killed"), _reason("")) == ("killed", "the process ended")
