"""Networks that are trained in another form: the same training, and the spec's own network comes out of it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import archspec
from archspec.diagnostics import SpecError
from archspec.train import fit, rewriting
from archspec.train.evaluate import evaluate
from archspec.train.folder import RunFailed
from archspec.train.forms import kept_forms
from archspec.train.repeat import first_difference
from archspec.train.settings import Rewrites
from tests.disk import ROOT
from tests.running import interrupted, results, resume

SPEC = """
archspec: 1
name: rewritable
inputs: {image: [8, 8, 1]}
layers:
  - Rescaling: {scale: 0.0625}
  - ZeroPadding2D: 1
  - Conv2D: {filters: 8, kernel_size: 3, use_bias: false}
  - BatchNormalization
  - Activation: relu
  - DepthwiseConv2D: {kernel_size: 3, padding: same}
  - Conv2D: {filters: 4, kernel_size: 1, activation: relu}
  - Dropout: 0
  - Conv2D: {filters: 4, kernel_size: 1}
  - AveragePooling2D: 2
  - Dropout: 0.2
  - Flatten
  - Dense: 10
  - Softmax
data: {source: {sklearn: digits}, split: {test: 0.2, validation: 0.1}, batch_size: 64}
train: {epochs: 2, loss: SparseCategoricalCrossentropy, metrics: [accuracy]}
run: {jit: false}
"""
ALSO = "{also: [dense-for-one-by-one, shifted-depthwise]}"


def train(folder: Path, run: str, *changes: str, **options: Any) -> Path:
    (folder / "spec.yaml").write_text(SPEC)
    made = archspec.load(folder / "spec.yaml", changes=changes)
    path: Path = made.train(folder / run, quiet=True, **options).path
    return path


def losses(run: Path) -> list[float]:
    lines = (run / "metrics.csv").read_text().splitlines()
    place = lines[0].split(",").index("loss")
    return [float(line.split(",")[place]) for line in lines[1:]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the network as it is written."""
    return train(tmp_path_factory.mktemp("plain"), "plain", "run.optimize=none")


@pytest.mark.parametrize("optimize", ["training", ALSO, pytest.param("{skip: paddings}", marks=pytest.mark.slow)])
def test_training_is_the_same_and_gives_the_network_of_the_spec(optimize: str, plain: Path, tmp_path: Path) -> None:
    other = train(tmp_path, "other", f"run.optimize={optimize}")
    assert losses(other) == pytest.approx(losses(plain), rel=1e-4)
    networks = [keras.saving.load_model(run / "model.keras") for run in (plain, other)]
    names = [[layer.name for layer in network.layers] for network in networks]
    assert names[0] == names[1] == list(archspec.loads(SPEC).graph.nodes)
    for before, now in zip(*(network.weights for network in networks), strict=True):
        np.testing.assert_allclose(now.numpy(), before.numpy(), rtol=1e-3, atol=2e-4, err_msg=before.path)
    assert results(plain)["optimization"] is None
    made = results(other)["optimization"]
    assert made["after"]["layers"] < made["before"]["layers"]
    assert ("paddings" in made["passes"]) == (optimize != "{skip: paddings}")
    assert ("dense-for-one-by-one" in made["passes"]) == (optimize == ALSO)
    assert "## Optimisation" in (other / "report.md").read_text()
    assert "Rewrites by pass: " in (other / "report.html").read_text()
    assert "## Optimisation" not in (plain / "report.md").read_text()


@pytest.mark.slow
def test_a_rewritten_training_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole = train(tmp_path, "whole", f"run.optimize={ALSO}", "train.epochs=3")
    text = SPEC.replace("jit: false", f"jit: false, optimize: {ALSO}").replace("epochs: 2", "epochs: 3")
    broken = interrupted(text, tmp_path, "broken", "000001")
    resume(broken)
    assert first_difference(whole, broken) is None


@pytest.mark.parametrize("optimize", [pytest.param("training", marks=pytest.mark.slow), ALSO])
def test_a_rewritten_training_begins_with_the_weights_of_a_run(optimize: str, tmp_path: Path) -> None:
    first = train(tmp_path, "first", "train.epochs=1")
    given = ["train.initial_weights=first", "train.optimizer={SGD: 0}", "train.epochs=1", f"run.optimize={optimize}"]
    second = train(tmp_path, "second", *given)
    models = [keras.saving.load_model(run / "model.keras") for run in (first, second)]
    for before, now in zip(*(list(m.trainable_weights) for m in models), strict=True):
        np.testing.assert_array_equal(before.numpy(), now.numpy(), err_msg=before.path)
    again = train(tmp_path, "again", *given, repeat=second)
    assert first_difference(second, again) is None


def test_build_rewrites_as_the_spec_says() -> None:
    keras.utils.set_random_seed(0)
    plain = archspec.loads(SPEC, set={"run.optimize": "none"}).build()
    keras.utils.set_random_seed(0)
    rewritten = archspec.loads(SPEC).build()
    assert [layer.name for layer in plain.layers] == list(archspec.loads(SPEC).graph.nodes)
    assert "zero_padding2d" not in [layer.name for layer in rewritten.layers]
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(rewritten.predict_on_batch(images), plain.predict_on_batch(images), rtol=1e-5)
    assert [(w.path, w.shape) for w in rewritten.weights] == [(w.path, w.shape) for w in plain.weights]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("inference", "optimize of run should be 'none' or 'training', got 'inference'"),
        ("{skip: padings}", "there is no pass 'padings': did you mean 'paddings'"),
        ("{also: [fold-batch-norm]}", "the pass 'fold-batch-norm' is of the level inference, not of training"),
        ("{passes: paddings, also: merge-parallel}", "give one of them"),
        ("{levels: training}", "optimize takes passes, also, skip"),
    ],
)
def test_what_cannot_be_asked_of_it(given: str, said: str) -> None:
    text = SPEC.replace("jit: false", f"optimize: {given}")
    found = archspec.loads(text).check()
    assert len(found) == 1
    assert said in str(found[0].message) + str(found[0].help)
    assert found[0].span is not None


def test_only_the_order_s_own_passes_are_asked_for_by_default() -> None:
    keeping = rewriting.rewriting_passes("training")
    assert keeping
    assert all(each.keeps_weights and each.level == "training" for each in keeping)
    assert rewriting.rewriting_passes("none") == ()
    named = rewriting.rewriting_passes(Rewrites(passes=("merge-parallel", "paddings")))
    assert [each.name for each in named] == ["paddings", "merge-parallel"]


def test_what_was_measured_once_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[int] = []

    def measure() -> dict[str, float]:
        asked.append(1)
        return {"shifted-depthwise": 0.2}

    assert kept_forms("name", measure) == kept_forms("name", measure) == {"shifted-depthwise": 0.2}
    assert len(asked) == 1
    (file,) = tmp_path.rglob("*.json")
    file.write_text('{"no-such-pass": 0.1}')  # of another version
    assert kept_forms("name", measure) == {"shifted-depthwise": 0.2}
    file.write_text("{")
    assert kept_forms("name", measure) == {"shifted-depthwise": 0.2}
    assert len(asked) == 3


@pytest.mark.slow
def test_on_jax_the_forms_that_pay_are_found_by_measuring() -> None:
    """XLA on a CPU runs depthwise convolutions several times slower than sums of shifted images."""
    code = f"""
import archspec
from archspec.train.environment import choose_backend
choose_backend("jax")
from archspec.train import forms, rewriting
made = archspec.load({str(ROOT / "specs" / "mobilenet.yaml")!r}, params={{"size": 64}})
assert not forms.is_worth_it(made.graph, 16, 4)
assert forms.is_worth_it(made.graph, 16, 100_000)
print(forms.measured_forms(made.graph, rewriting.rewriting_passes("training"), 16, "float32"))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(said.stdout)["shifted-depthwise"] < 0.6


def test_a_run_takes_the_forms_of_the_one_that_it_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(tmp_path, "first", "train.epochs=1")
    said = json.loads((first / "optimize.json").read_text())
    (first / "optimize.json").write_text(json.dumps({**said, "forms": {"dense-for-one-by-one": 0.5}}))
    told: list[str] = []
    monkeypatch.setattr(fit._Run, "say", lambda self, text: told.append(text))
    again = train(tmp_path, "again", "train.epochs=1", repeat=first)
    assert results(again)["optimization"]["forms"] == {"dense-for-one-by-one": 0.5}
    assert any("dense-for-one-by-one" in text for text in told)


NAMED = """
archspec: 1
name: named
inputs: {image: [64]}
blocks:
  enc: {layers: [{Dense: 8, name: pre}, ReLU]}
layers:
  - {enc: , name: e}
  - Dense: 16
  - {Activation: tanh, name: code}
  - {Dropout: 0, name: same}
  - Dense: 64
  - {Activation: sigmoid, name: decoded}
data: {source: {sklearn: digits}, split: {test: 0.8}, inputs: {image: features}}
train:
  epochs: 1
  optimizer: {SGD: {learning_rate: 0.1}}
  loss: {expr: "mean(square(decoded - image / 16)) + mean(square(e.pre)) / 9 + mean(square(same - 1)) + mean(code)"}
run: {jit: false}
"""


def test_losses_read_the_tensors_of_the_spec_whatever_was_rewritten(tmp_path: Path) -> None:
    """Those in blocks too, which the graph has no names for, and those of layers that went."""
    (tmp_path / "spec.yaml").write_text(NAMED)
    found = []
    for optimize in ("none", "training"):
        made = archspec.load(tmp_path / "spec.yaml", changes=[f"run.optimize={optimize}"])
        run = made.train(tmp_path / optimize, quiet=True)
        found.append([run.history[0]["loss"], run.metrics["loss"]])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert results(tmp_path / "training")["optimization"]["passes"] == {"identities": 1, "activations": 2}


@pytest.mark.parametrize("value", [["identities"], 3])
def test_what_is_no_choice_of_rewrites_is_told_all_of_them(value: object) -> None:
    with pytest.raises(SpecError, match="none, training, or a mapping with passes, also and skip"):
        archspec.loads(SPEC, set={"run.optimize": value}).build()


def test_a_rewritten_run_is_evaluated_bit_for_bit(tmp_path: Path) -> None:
    run = train(tmp_path, "run", "train.epochs=1", f"run.optimize={ALSO}")
    found, told = evaluate(run), results(run)
    assert dict(found.metrics) == told["metrics"]["test"]
    assert {name: each.to_json() for name, each in found.judged.items()} == told["figures"]


MERGED = """
archspec: 1
name: merged
inputs: {features: [6]}
layers: [concat: {q: [Dense: 4], k: [Dense: 8]}, Dense: 1]
"""


def test_build_draws_the_weights_of_the_spec_where_a_pass_joins_them() -> None:
    """An initializer draws otherwise for a kernel that is two in one."""
    found = []
    for optimize in ("none", {"also": ["merge-parallel-dense"]}):
        keras.utils.set_random_seed(0)
        network = archspec.loads(MERGED, set={"run.optimize": optimize}).build()
        found.append(network.predict_on_batch(np.ones((2, 6), "float32")))
    assert "q.dense_merged" in [layer.name for layer in network.layers]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train.optimizer={Adam: {clipnorm: 1.0}}", "clipnorm looks at each weight as a whole"),
        ("train.optimizer=Lamb", "Lamb looks at each weight as a whole"),
        ("train.optimizer={LossScaleOptimizer: {inner_optimizer: Muon}}", "Muon looks at each weight as a whole"),
        (
            "train={phases: {one: {trains: conv2d, loss: {expr: mean(output)}}}}",
            "phases train weights by their layers'",
        ),
    ],
)
def test_weights_keep_their_form_where_something_depends_on_it(line: str, said: str, tmp_path: Path) -> None:
    text = SPEC.replace("jit: false", f"optimize: {ALSO}")
    (tmp_path / "spec.yaml").write_text(text)
    assert not archspec.load(
        tmp_path / "spec.yaml", changes=[f"{line}", "run.optimize={also: shifted-depthwise}"]
    ).check()
    (found,) = archspec.load(tmp_path / "spec.yaml", changes=[line]).check()
    assert f"dense-for-one-by-one gives weights another form, but {said}" in found.message
    assert found.span is not None and ALSO in text.splitlines()[found.span.line - 1]


def test_a_run_that_goes_on_has_forms_that_its_optimizer_can_do_with(tmp_path: Path) -> None:
    run = train(tmp_path, "run", "train.epochs=1")
    said = json.loads((run / "optimize.json").read_text())
    (run / "optimize.json").write_text(json.dumps({**said, "forms": {"dense-for-one-by-one": 0.5}}))
    with pytest.raises(RunFailed, match="gives weights another form"):
        resume(run, "train.epochs=2", "train.optimizer={Adam: {clipnorm: 1.0}}")
    for broken in ('{"forms": {"dense-for-one-by-one": "0.5"}}', '{"forms": {"none": 0.5}}', "{}", "[", "[]"):
        (run / "optimize.json").write_text(broken)
        with pytest.raises(RunFailed, match=r"optimize.json' cannot be read"):
            resume(run, "train.epochs=2")


def test_blocks_are_computed_again_whatever_became_of_them(tmp_path: Path) -> None:
    """One is gone as it did nothing; of another a layer lies elsewhere."""
    text = SPEC.replace("  - Dropout: 0\n", "  - {layers: [Dropout: 0], name: nothing}\n").replace(
        "  - Conv2D: {filters: 4, kernel_size: 1}\n  - AveragePooling2D: 2\n",
        "  - {layers: [Conv2D: {filters: 4, kernel_size: 1}, AveragePooling2D: 2], name: down}\n",
    )
    found = []
    for optimize in ("none", "training"):
        given = f"jit: false, optimize: {optimize}, remat: [nothing, down]"
        (tmp_path / "spec.yaml").write_text(text.replace("jit: false", given))
        run = archspec.load(tmp_path / "spec.yaml", changes=["train.epochs=1"]).train(tmp_path / optimize, quiet=True)
        found.append(run.history[0]["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_joined_layers_leave_the_others_what_they_draw(tmp_path: Path) -> None:
    """The seed of a dropout counts the layers that were made before it."""
    text = SPEC.partition("layers:")[0] + (
        "layers: [Flatten, concat: {q: [Dense: 4], k: [Dense: 8]}, Dropout: 0.5, Dense: 10, Softmax]"
        "\ndata:" + SPEC.partition("data:")[2]
    )
    (tmp_path / "spec.yaml").write_text(text)
    found = []
    for i, optimize in enumerate(("none", "{also: [merge-parallel-dense]}")):
        made = archspec.load(tmp_path / "spec.yaml", changes=[f"run.optimize={optimize}", "train.epochs=1"])
        found.append(made.train(tmp_path / str(i), quiet=True).history[0]["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
