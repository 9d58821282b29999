"""What is minimised: formula losses, phases, frozen scopes, initial weights, optimizers' arguments.

All but the slow tests run on the other backend, too: see the last one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import archspec
from archspec.data.plan import plan
from archspec.train.check import check_settings
from archspec.train.fit import TrainedRun
from archspec.train.objective.trainee import Trainee, objective
from archspec.train.sections import sections

BACKEND = keras.backend.backend()

NET = """
archspec: 1
name: net
params: {{margin: 1.0}}
inputs: {{a: [4]}}
blocks:
  head: {{layers: [{{Dense: 3, name: mean}}, {{Dense: 3, from: mean, name: log_var}}]}}
layers:
  - {{head: , name: code}}
  - {{Dense: 1, name: out}}
data:
  {{source: {{npz: d.npz}}, inputs: {{a: a}}, targets: {{output: y}}, split: {{test: 0.2}}, batch_size: 8}}
train:
  epochs: 2
{train}
"""


def net(*train: str) -> str:
    return NET.format(train="\n".join(f"  {line}" for line in train))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 4)).astype("float32")
    np.savez(tmp_path / "d.npz", a=a, y=a.sum(1), sign=(a[:, 0] > 0).astype("int64"))
    return tmp_path


def train(text: str, folder: Path, **options: Any) -> TrainedRun:
    return archspec.loads(text, folder=folder, **options).train(runs=folder / "runs", quiet=True)


def trainee(text: str, folder: Path) -> Trainee:
    spec = archspec.loads(text, folder=folder)
    settings = sections(spec.document, steps_per_epoch=6)
    return objective(
        spec.document, spec.graph, settings,
        plan(spec.document, spec.graph, settings.data, settings.losses(spec.graph)),
    )  # fmt: skip


def saved(run: TrainedRun) -> keras.Model:
    return keras.saving.load_model(run.path / "model.keras")


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}


def assert_same_weights(one: keras.Model, two: keras.Model, tolerance: float = 1e-6) -> None:
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), rtol=1e-4, atol=tolerance, err_msg=a.path
        )


# --- what check says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "code", "said"),
    [
        ("{expr: mean(square(out - targt))}", "E303", "the name 'targt' is not known here"),
        ("{kl: {expr: mean(code.mea)}}", "E303", "a tensor has no .mea"),
        ("{kl: {expr: 'mittel(code.mean, 1)'}}", "E303", "there is no function mittel"),
        ("{kl: {expr: mean(code.mean, 1)}}", "E201", "has no key '1)'"),
        ("{kl: {expr: 'mean(x)'}}", "E303", "a loss has no x"),
        ("{kl: {expr: 'mean(code.mean'}}", "E303", "never closed"),
        ("{kl: {expr: margin * 2}}", "E301", "the formula has no tensor in it"),
        ("{kl: {expr: square(code.mean)}}", "E504", "for each example, the formula gives (batch, 3)"),
        ("{kl: {expr: code.mean @ code.log_var}}", "E301", "do not fit"),
        ("{kl: {expr: 'argmax(code.mean, -1)'}}", "E504", "the formula gives int32"),
        ("{kl: {expr: mean(code.mean), weight: -1}}", "E203", "greater than or equal to 0"),
        ("{kl: {expr: mean(code.mean)}, output: crossentropy}", "E504", "a loss is named itself"),
        ("{kl: MeanSquaredError}", "E504", "there is no output 'kl'"),
    ],
)
def test_a_wrong_formula_is_found_without_the_data(folder: Path, loss: str, code: str, said: str) -> None:
    (diagnostic,) = archspec.loads(net(f"loss: {loss}"), folder=folder).check()
    assert diagnostic.code == code and said in diagnostic.message
    assert diagnostic.span is not None and diagnostic.span.line == 15


def test_the_place_in_a_formula_is_shown(folder: Path) -> None:
    (diagnostic,) = archspec.loads(net("loss: {kl: {expr: mean(cod.mean)}}"), folder=folder).check()
    assert diagnostic.span is not None and diagnostic.span.column == 1 + len("  loss: {kl: {expr: mean(")
    assert diagnostic.help == "did you mean 'code'?"


def test_a_tensor_that_leads_nowhere_is_named(folder: Path) -> None:
    text = net("loss: {kl: {expr: mean(side)}}").replace(
        "- {Dense: 1", "- {Dense: 2, from: a, name: side}\n  - {Dense: 1, from: code"
    )
    (diagnostic,) = archspec.loads(text, folder=folder).check()
    assert "side leads to no output" in diagnostic.message and "outputs: [output, NAME]" in str(diagnostic.help)


def test_a_formula_is_judged_by_its_target_once_there_are_data(folder: Path) -> None:
    text = net("loss: {expr: 'mean(square(code.mean - target), -1)'}")
    assert archspec.loads(text, folder=folder).check() == []
    wrong = text.replace("output: y", "output: a")
    with pytest.raises(archspec.SpecError, match=r"(?s)E301.*do not broadcast.*target is \(4,\)"):
        train(wrong, folder)


@pytest.mark.parametrize(
    ("line", "said", "help"),
    [
        ("frozen: [cod]", "frozen: no layer or scope is named 'cod'", "did you mean 'code'?"),
        (
            "initial_weights: {cdoe: a.keras}",
            "initial_weights: no layer or scope is named 'cdoe'",
            "did you mean 'code'?",
        ),
        ("loss_weights: {kl: 2}", "there is no output 'kl'", None),
        ("metrics: [accuracy]", "metrics compare outputs with targets, and no loss has a target", None),
        ("class_weight: balanced", "class_weight is for a network with one output and one loss", None),
        ("phases: {a: {trains: out, loss: MeanSquaredError}}", "phases have losses of their own", None),
    ],
)
def test_settings_that_do_not_go_together(folder: Path, line: str, said: str, help: str | None) -> None:
    found = archspec.loads(net("loss: {kl: {expr: mean(code.mean)}}", line), folder=folder).check()
    assert [d.code for d in found] == ["E504"] and said in found[0].message
    assert help is None or found[0].help == help


def test_callbacks_for_one_optimizer_do_not_go_with_phases(folder: Path) -> None:
    text = net("phases: {a: {trains: out, loss: MeanSquaredError}}", "callbacks: [ReduceLROnPlateau]")
    (diagnostic,) = archspec.loads(text, folder=folder).check()
    assert diagnostic.message == "ReduceLROnPlateau is for one optimizer, and each phase has its own"


def test_a_phase_must_train_something(folder: Path) -> None:
    def said(trains: str, more: str = "epochs: 1") -> str:
        text = net(f"phases: {{a: {{trains: {trains}, loss: MeanSquaredError}}}}").replace("epochs: 2", more)
        return "\n".join(f"{d.code} {d.message} {d.help}" for d in archspec.loads(text, folder=folder).check())

    assert said("code") == said("code.m*") == said("[code, out]") == ""
    assert "E504 trains: no layer or scope is named 'outt' did you mean 'out'?" in said("[code, outt]")
    text = net("phases: {a: {trains: out, loss: MeanSquaredError}}").replace(
        "name: out}", "name: out, trainable: false}"
    )
    (diagnostic,) = archspec.loads(text, folder=folder).check()
    assert "nothing there has weights to train" in diagnostic.message


# --- formulas -------------------------------------------------------------------------------------


def test_a_formula_trains_as_the_same_loss_of_keras_does(folder: Path) -> None:
    one = train(net("loss: MeanSquaredError", "metrics: [MeanAbsoluteError]"), folder)
    two = train(net("loss: {expr: square(output - target)}", "metrics: [MeanAbsoluteError]"), folder)
    assert_same_weights(saved(one), saved(two))
    assert one.metrics == pytest.approx(two.metrics, rel=1e-4)
    assert set(two.metrics) == {"loss", "mean_absolute_error"}


def test_losses_are_added_and_each_is_logged(folder: Path) -> None:
    text = net("loss: {output: MeanAbsoluteError, kl: {expr: KL, weight: 0.5}}", "loss_weights: {output: 2}").replace(
        "KL", '"-0.5 * mean(sum(1 + code.log_var - square(code.mean) - exp(code.log_var), -1))"'
    )
    run = train(text, folder)
    assert run.metrics["loss"] == pytest.approx(2 * run.metrics["output_loss"] + 0.5 * run.metrics["kl_loss"], rel=1e-5)
    model, data = saved(run), np.load(folder / "d.npz")
    inner = keras.Model(model.input, [model.get_layer("code.mean").output, model.get_layer("code.log_var").output])
    spec = archspec.loads(text, folder=folder)
    settings = check_settings(spec.document, spec.graph)
    test = plan(spec.document, spec.graph, settings.data, settings.losses(spec.graph)).parts.test
    assert test is not None
    mean, log_var = inner.predict(data["a"][test["all"]], verbose=0)
    expected = -0.5 * np.mean(np.sum(1 + log_var - mean**2 - np.exp(log_var), -1))
    assert run.metrics["kl_loss"] == pytest.approx(expected, rel=1e-4)


def test_params_and_inputs_stand_in_formulas(folder: Path) -> None:
    text = net("loss: {expr: mean(square(a - margin)) + 0 * mean(output)}").replace("targets: {output: y}, ", "")
    data = np.load(folder / "d.npz")["a"]
    run = train(text, folder)
    assert 0.5 * np.mean((data - 1) ** 2) < run.metrics["loss"] < 2 * np.mean((data - 1) ** 2)


def test_formulas_see_what_augmentation_gives(folder: Path) -> None:
    text = net("loss: {expr: mean(abs(a)) + 0 * mean(output)}").replace("targets: {output: y}, ", "")
    augmented = text.replace("{source: ", "{augment: [GaussianNoise: 1.0], source: ")
    plain, noisy = train(text, folder), train(augmented, folder)
    assert noisy.history[-1]["loss"] > 1.2 * plain.history[-1]["loss"]
    assert noisy.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=1e-5)


def test_regularizers_count_beside_formulas(folder: Path) -> None:
    text = net("loss: {expr: 0 * mean(output)}").replace(
        "{Dense: 1, name: out}", "{Dense: {units: 1, kernel_regularizer: {L2: 1.0}}, name: out}"
    )
    run = train(text.replace("targets: {output: y}, ", ""), folder)
    assert run.metrics["loss"] == pytest.approx(float(np.sum(weights(saved(run))["out/kernel"] ** 2)), rel=1e-4)


# --- phases ---------------------------------------------------------------------------------------

TWO = """
archspec: 1
name: two
inputs: {x1: [1]}
layers:
  - {Dense: {units: 1, use_bias: false, kernel_regularizer: {L2: 0.1}}, name: first}
  - {Dense: {units: 1, use_bias: false}, name: second}
data: {source: {npz: d.npz}, inputs: {x1: x}, targets: {output: y}}
train:
  epochs: 3
  metrics: [MeanSquaredError]
  phases:
    a: {trains: first, loss: {expr: mean(square(output - target))}, optimizer: {SGD: 0.1}}
    b:
      trains: second
      loss: {output: MeanSquaredError, more: {expr: mean(square(output)), weight: 0.5}}
      optimizer: {SGD: 0.05}
"""


def test_phases_take_turns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12, 1)).astype("float32")
    np.savez(tmp_path / "d.npz", x=x, y=y)
    made = trainee(TWO, tmp_path)
    assert list(made.optimizers) == ["a", "b"]
    wa, wb = (float(keras.ops.convert_to_numpy(w).item()) for w in made.network.weights)
    history = made.model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history
    for _ in range(3):
        first, second = [], []
        for at in range(0, 12, 4):
            xs, ys = x[at : at + 4], y[at : at + 4]
            first.append(np.mean((wa * wb * xs - ys) ** 2))
            wa -= 0.1 * (np.mean(2 * (wa * wb * xs - ys) * wb * xs) + 2 * 0.1 * wa)
            second.append(np.mean((wa * wb * xs - ys) ** 2) + 0.5 * np.mean((wa * wb * xs) ** 2))
            wb -= 0.05 * (np.mean(2 * (wa * wb * xs - ys) * wa * xs) + 0.5 * np.mean(2 * wa * wb * xs * wa * xs))
    np.testing.assert_allclose(
        [keras.ops.convert_to_numpy(w).item() for w in made.network.weights], [wa, wb], rtol=1e-4
    )
    assert history["a_loss"][-1] == pytest.approx(np.mean(first), rel=1e-4)
    assert history["b_loss"][-1] == pytest.approx(np.mean(second), rel=1e-4)
    assert set(history) == {"loss", "a_loss", "b_loss", "b_output_loss", "b_more_loss", "mean_squared_error"}


GAN = """
archspec: 1
name: pair
inputs: {image: [64]}
blocks:
  generator:
    layers:
      - {weight: {shape: [4], initializer: zeros}, trainable: false, name: origin}
      - {Sampling: , from: [origin, origin]}
      - {Dense: {units: 16, activation: relu}}
      - BatchNormalization
      - Dense: {units: 64, activation: sigmoid}
  discriminator: {layers: [Dense: {units: 16, activation: relu}, Dropout: 0.2, Dense: 1]}
layers:
  - {generator: , name: generator}
  - {discriminator: , from: image, name: discriminator}
  - {reuse: discriminator, from: generator, name: fake}
outputs: {sample: generator, real: discriminator, fake: fake}
data: {source: {sklearn: digits}, preprocess: [Reshape: [64], Rescaling: {scale: =1/16}], inputs: {image: image}}
train:
  epochs: 1
  phases:
    discriminator:
      trains: discriminator
      loss: {expr: mean(softplus(-discriminator)) + mean(softplus(fake))}
      optimizer: {Adam: {learning_rate: 1e-3, use_ema: true}}
    generator: {trains: generator, loss: {expr: mean(softplus(-fake))}}
"""


@pytest.mark.parametrize("still", ["discriminator", "generator"])
def test_each_phase_changes_its_own_weights_only(folder: Path, still: str) -> None:
    """The optimizer of one phase has a rate of 0."""
    moving = {"discriminator": "generator", "generator": "discriminator"}[still]
    changes = {f"train.phases.{still}.optimizer": {"SGD": 0.0}, f"train.phases.{moving}.optimizer": {"SGD": 0.1}}
    before = weights(trainee(GAN, folder).network)
    after = weights(saved(train(GAN, folder, set=changes)))
    trained = [path for path in before if "moving" not in path and "origin" not in path]
    changed = {path.split(".")[0] for path in trained if not np.array_equal(before[path], after[path])}
    assert changed == {moving}
    np.testing.assert_array_equal(after["generator.origin/weight"], 0)


def test_phases_keep_their_optimizers_apart(folder: Path) -> None:
    made = trainee(GAN, folder)
    made.model.optimizer.build(made.model.trainable_variables)
    run = train(GAN, folder)
    assert {"discriminator_loss", "generator_loss", "loss"} <= set(run.metrics)
    assert made.optimizers["discriminator"].use_ema and not made.optimizers["generator"].use_ema
    shapes = {name: sorted(tuple(v.shape) for v in o.variables) for name, o in made.optimizers.items()}
    assert shapes["discriminator"] != shapes["generator"]


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_phases_and_formulas_in_half_precision(folder: Path, precision: str) -> None:
    changes = {"run.precision": precision, "train.steps_per_execution": 4}
    run = train(GAN, folder, set=changes)
    assert np.isfinite(list(run.metrics.values())).all()
    assert 0.3 < run.metrics["generator_loss"] < 2.5  # ln 2 for a judge that does not know


# --- optimizers -----------------------------------------------------------------------------------

OPTIMIZERS: dict[str, tuple[str, Any]] = {
    "warm-up": (
        "{SGD: {learning_rate: {CosineDecay: {initial_learning_rate: 0.0, warmup_target: 0.1, warmup_steps: 5, "
        "decay_steps: =steps}}}}",
        lambda k: k.optimizers.SGD(k.optimizers.schedules.CosineDecay(0.0, 12, warmup_target=0.1, warmup_steps=5)),
    ),
    "pieces": (
        "{Adam: {learning_rate: {PiecewiseConstantDecay: {boundaries: [4], values: [0.1, 0.01]}}}}",
        lambda k: k.optimizers.Adam(k.optimizers.schedules.PiecewiseConstantDecay([4], [0.1, 0.01])),
    ),
    "clipnorm": ("{SGD: {learning_rate: 0.1, clipnorm: 0.1}}", lambda k: k.optimizers.SGD(0.1, clipnorm=0.1)),
    "clipvalue": ("{SGD: {learning_rate: 0.1, clipvalue: 0.1}}", lambda k: k.optimizers.SGD(0.1, clipvalue=0.1)),
    "global_clipnorm": (
        "{SGD: {learning_rate: 0.1, global_clipnorm: 0.1}}", lambda k: k.optimizers.SGD(0.1, global_clipnorm=0.1)
    ),
    "weight_decay": ("{AdamW: {learning_rate: 0.1, weight_decay: 0.2}}", lambda k: k.optimizers.AdamW(0.1, 0.2)),
    "ema": (
        "{SGD: {learning_rate: 0.1, use_ema: true, ema_momentum: 0.8}}",
        lambda k: k.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8),
    ),
    "ema overwriting": (
        "{Adam: {learning_rate: 0.1, use_ema: true, ema_overwrite_frequency: 3}}",
        lambda k: k.optimizers.Adam(0.1, use_ema=True, ema_overwrite_frequency=3),
    ),
    "accumulation": (
        "{Adam: {learning_rate: 0.1, gradient_accumulation_steps: 3}}",
        lambda k: k.optimizers.Adam(0.1, gradient_accumulation_steps=3),
    ),
    "loss scale": (
        "{Adam: {learning_rate: 0.1, loss_scale_factor: 128.0}}",
        lambda k: k.optimizers.Adam(0.1, loss_scale_factor=128.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizers_arguments_do_what_keras_does(folder: Path, name: str) -> None:
    written, plain = OPTIMIZERS[name]
    data = np.load(folder / "d.npz")
    a, y = data["a"][:48], data["y"][:48]
    made = trainee(net("loss: {expr: mean(square(output - target))}", f"optimizer: {written}"), folder)
    started = weights(made.network)
    model = keras.models.clone_model(made.network)
    for weight in model.weights:
        weight.assign(started[weight.path])
    model.compile(plain(keras), "mse")
    for each in (made.model, model):
        each.fit(a, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(made.network, model, 1e-5)
    assert any(not np.allclose(started[path], value, atol=1e-4) for path, value in weights(model).items())


# --- frozen scopes and initial weights ------------------------------------------------------------


def test_frozen_scopes_stay(folder: Path) -> None:
    text = net("loss: MeanSquaredError", "frozen: [code.m*, out]")
    before, run = weights(trainee(text, folder).network), train(text, folder)
    after = weights(saved(run))
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed == {"code.log_var/kernel", "code.log_var/bias"}
    assert '"trainable": 12' in (run.path / "results.json").read_text()


def test_what_shares_weights_is_frozen_by_any_of_its_names(folder: Path) -> None:
    text = net("loss: MeanSquaredError", "frozen: [again]").replace(
        "- {Dense: 1, name: out}", "- {Dense: 3, name: once}\n  - {reuse: once, name: again}\n  - {Dense: 1, name: out}"
    )
    before, after = weights(trainee(text, folder).network), weights(saved(train(text, folder)))
    assert np.array_equal(before["once/kernel"], after["once/kernel"])
    assert not np.array_equal(before["out/kernel"], after["out/kernel"])


@pytest.mark.parametrize("kind", ["folder", ".keras", ".weights.h5"])
def test_a_training_begins_with_the_weights_of_another(folder: Path, kind: str, capsys: Any) -> None:
    first = train(net("loss: MeanSquaredError"), folder)
    path = str(first.path)
    if kind != "folder":
        path = str(folder / f"w{kind}")
        saved(first).save(path) if kind == ".keras" else saved(first).save_weights(path)
    text = net("loss: MeanSquaredError", f"initial_weights: {path}", "optimizer: {SGD: 0.0}")
    text = text.replace("{Dense: 1, name: out}", "{Dense: 3, name: extra}\n  - {Dense: 1, name: out}")
    text = text.replace("Dense: 3, from: mean", "Dense: 2, from: mean").replace(
        "{Dense: 3, name: extra}", "{Dense: 2, name: extra}"
    )
    run = archspec.loads(text, folder=folder).train(runs=folder / "runs")
    before, after = weights(saved(first)), weights(saved(run))
    for name in ("code.mean/kernel", "code.mean/bias", "out/bias"):
        np.testing.assert_array_equal(before[name], after[name])
    said = capsys.readouterr().out
    assert "initial weights from" in said and "3 weights with 16 of 32 parameters" in said
    assert "code.log_var/kernel is (3, 2) float32" in said  # of another shape
    assert "extra/kernel" in said  # not in the file


def test_nothing_changes_where_nothing_fits(folder: Path) -> None:
    np.savez(folder / "w.npz", other=np.zeros(3))
    with pytest.raises(archspec.SpecError, match=r"(?s)nothing of .*w.npz fits the network.*no weight for 1 arrays"):
        train(net("loss: MeanSquaredError", "initial_weights: w.npz"), folder)
    with pytest.raises(archspec.SpecError, match="there is no such file"):
        train(net("loss: MeanSquaredError", "initial_weights: {code: nowhere.keras}"), folder)


def test_a_used_backbone_is_filled_and_frozen_and_then_tuned(tmp_path: Path) -> None:
    (tmp_path / "backbone.yaml").write_text(
        "archspec: 1\nname: backbone\ninputs: {image: [8, 8, 1]}\n"
        "layers:\n  - Flatten\n  - {Dense: {units: 16, activation: relu}, name: features}\n"
        "  - Dense: {units: 10, activation: softmax}\n"
        "data: {source: {sklearn: digits}}\ntrain: {epochs: 3, loss: SparseCategoricalCrossentropy}\n"
    )
    (tmp_path / "transfer.yaml").write_text(
        "archspec: 1\nname: transfer\nuse: {backbone: backbone.yaml}\ninputs: {image: [8, 8, 1]}\n"
        "layers:\n  - backbone\n  - {Dense: {units: 10, activation: softmax}, from: backbone.features, name: head}\n"
        "data: {source: {sklearn: digits}}\n"
        "train: {epochs: 3, loss: SparseCategoricalCrossentropy, metrics: [accuracy],\n"
        "  initial_weights: {backbone: runs/backbone-001}, frozen: [backbone]}\n"
    )
    first = archspec.load(tmp_path / "backbone.yaml").train(runs=tmp_path / "runs", quiet=True)
    second = archspec.load(tmp_path / "transfer.yaml").train(runs=tmp_path / "runs", quiet=True)
    taken, given = weights(saved(second)), weights(saved(first))
    np.testing.assert_array_equal(taken["backbone.features/kernel"], given["features/kernel"])
    tuned = {"train.frozen": [], "train.initial_weights": "runs/transfer-001", "train.epochs": 6}
    third = archspec.load(tmp_path / "transfer.yaml", set=tuned).train(runs=tmp_path / "runs", quiet=True)
    assert not np.array_equal(weights(saved(third))["backbone.features/kernel"], given["features/kernel"])
    assert third.metrics["accuracy"] > second.metrics["accuracy"]


# --- the other backend ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "jax", reason="this is JAX")
def test_all_of_this_on_jax() -> None:
    pytest.importorskip("jax")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", __file__]
    done = subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-4000:]
