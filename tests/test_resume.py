"""Training interrupted, resumed and repeated: the same to the last bit, and told plainly when it cannot be."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import archspec
from archspec.train import checkpoint as checkpoints
from archspec.train.batches import training_batches
from archspec.train.failures import explained
from archspec.train.feed import Feed
from archspec.train.folder import RunFailed, locked
from archspec.train.progress import Moment, bar, plain
from archspec.train.repeat import first_difference
from archspec.train.runs import open_run
from tests.disk import shades
from tests.running import TINY, at_checkpoint, interrupted, results, resume, status, train

ROOT = Path(__file__).resolve().parent.parent

SPEC = (
    TINY
    + """\
data:
  source: {sklearn: digits}
  split: {validation: 0.1, test: 0.2}
  batch_size: 128
  augment: [GaussianNoise: 0.1]
train:
  epochs: 4
  loss: SparseCategoricalCrossentropy
  optimizer: {Adam: {learning_rate: 0.01, use_ema: true, ema_momentum: 0.9}}
  metrics: [accuracy]
  callbacks:
    - EarlyStopping: {patience: 1, restore_best_weights: true, min_delta: 0.05}
    - ReduceLROnPlateau: {patience: 1, factor: 0.5, min_delta: 10.0}
    - SwapEMAWeights
run: {checkpoint: {seconds: 0}}
"""
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbs."""
    return train(SPEC, tmp_path_factory.mktemp("whole"), "run").path


# --- to the last bit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "number"),
    [("00000-00000003", signal.SIGINT), ("00001-00000000", signal.SIGTERM), ("00002-00000005", signal.SIGTERM)],
)
def test_an_interrupted_run_ends_as_if_nothing_had_happened(tmp_path: Path, whole: Path, at: str, number: int) -> None:
    run = interrupted(SPEC, tmp_path, "run", at, number)
    assert (run / "model.keras").is_file()
    ended = resume(run)
    assert status(run) == "finished"
    assert first_difference(whole, run) is None
    assert ended.metrics == json.loads((whole / "results.json").read_text())["metrics"]["test"]


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "source"), [("tensorflow", "arrays"), ("tensorflow", "stream"), ("jax", "arrays")])
def test_killed_runs_end_as_if_nothing_had_happened(backend: str, source: str) -> None:
    pytest.importorskip(backend)
    command = [sys.executable, str(ROOT / "benchmarks" / "kill.py"), "--epochs", "5", "--kills", "4"]
    command += ["--backend", backend, "--source", source, "--signals", "KILL", "KILL", "INT", "TERM"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to the last bit" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_used(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = interrupted(SPEC, tmp_path, "run", "00001-00000004")
    before, newest = sorted((run / "checkpoints").glob("*.safetensors"))
    data = bytearray(newest.read_bytes())
    data[-100] ^= 1
    newest.write_bytes(data)
    resume(run, quiet=False)
    said = capsys.readouterr().out
    assert f"the checkpoint {newest.name} is damaged" in said
    assert f"step {int(before.stem.partition('-')[2])}" in said
    assert first_difference(whole, run) is None


@pytest.mark.slow
def test_no_whole_checkpoint_means_a_new_beginning(tmp_path: Path, whole: Path) -> None:
    run = interrupted(SPEC, tmp_path, "run", "00001-00000004")
    for path in (run / "checkpoints").glob("*.sha256"):
        path.unlink()
    resume(run)
    assert first_difference(whole, run) is None


@pytest.mark.parametrize("lost", ["optimizer/", "callback/", "model/"])
def test_the_comparison_notices_what_a_checkpoint_leaves_out(tmp_path: Path, whole: Path, lost: str) -> None:
    run = interrupted(SPEC, tmp_path, "run", "00002-00000004")
    found = checkpoints.last(run / "checkpoints").checkpoint
    assert found is not None
    empty = {name: np.zeros_like(a) if name.startswith(lost) else a for name, a in found.arrays.items()}
    position = found.position
    if lost == "callback/":
        position = checkpoints.Position(position.epoch, position.step, names=position.names, lines=position.lines)
    checkpoints.write(run / "checkpoints", checkpoints.Checkpoint(position, empty))
    resume(run)
    assert first_difference(whole, run) is not None


def test_a_checkpoint_without_a_variable_does_not_fit(tmp_path: Path) -> None:
    run = interrupted(SPEC, tmp_path, "run", "00001-00000004")
    found = checkpoints.last(run / "checkpoints").checkpoint
    assert found is not None
    some = {name: array for name, array in found.arrays.items() if not name.startswith("optimizer/")}
    checkpoints.write(run / "checkpoints", checkpoints.Checkpoint(found.position, some))
    with pytest.raises(RunFailed, match="the checkpoint does not fit"):
        resume(run)


def test_a_repeated_run_is_the_same(tmp_path: Path, whole: Path) -> None:
    again = open_run(whole)[1].train(tmp_path / "again", repeat=whole, quiet=True)
    assert again.difference is None
    other = open_run(whole, ["run.seed=1"])[1].train(tmp_path / "other", repeat=whole, quiet=True)
    assert other.difference is not None
    assert other.difference.startswith("epoch 1: accuracy was")


# --- the order of the examples --------------------------------------------------------------------


def passes(feed: Feed, places: list[tuple[int, int]], seed: int | None) -> list[list[int]]:
    batches = training_batches(feed, 8, seed, None)
    seen = []
    for epoch, start in places:
        batches.begin(epoch, start)
        seen.append([int(y) for _, labels in batches.get_numpy_iterator() for y in labels])
    return seen


@pytest.mark.parametrize("kind", ["arrays", "stream"])
def test_the_order_depends_on_the_seed_and_the_epoch_alone(kind: str) -> None:
    import tensorflow as tf

    x, y = np.zeros((30, 2), "float32"), np.arange(30)
    examples = tf.data.Dataset.from_tensor_slices((x, y)).cache() if kind == "stream" else None
    feed = Feed(30, x, y, examples)
    first, second, later, again = passes(feed, [(0, 0), (1, 0), (1, 2), (0, 0)], 0)
    assert sorted(first) == sorted(second) == list(range(30))
    assert first == again and first != second and later == second[16:]
    assert passes(feed, [(1, 0)], 1)[0] != second
    assert passes(feed, [(5, 1)], None)[0] == list(range(8, 30))


def test_tensorflow_sees_the_same_order_as_the_other_backends() -> None:
    feed = Feed(30, np.zeros((30, 2), "float32"), np.arange(30))
    batches = training_batches(feed, 8, 3, {n: n / 10 for n in range(30)})
    data = batches.get_tf_dataset()
    for epoch, start in ((0, 0), (2, 0), (1, 3)):
        batches.begin(epoch, start)
        ours, theirs = ([*map(np.asarray, batch)] for batch in (next(batches.get_numpy_iterator()), next(iter(data))))
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(ours[2], ours[1] / 10)


def test_fit_with_our_callbacks_computes_what_keras_computes(tmp_path: Path) -> None:
    """The same network, batches and order through plain Keras: the same weights to the last bit."""
    text = (
        SPEC.split("  callbacks:")[0]
        .replace(", use_ema: true, ema_momentum: 0.9", "")
        .replace("epochs: 4", "epochs: 2")
    )
    text = text.replace("  augment: [GaussianNoise: 0.1]\n", "").replace("  - Dropout: 0.2\n", "")
    spec = archspec.loads(text, folder=tmp_path)
    run = spec.train(tmp_path / "run", quiet=True)
    from test_train import fed

    feed = fed(text, tmp_path).train
    keras.utils.set_random_seed(0)
    model = spec.build()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    for epoch in range(2):
        order = np.random.default_rng((0, epoch)).permutation(feed.size)
        for at in range(0, feed.size, 128):
            model.train_on_batch(feed.x[order[at : at + 128]], feed.y[order[at : at + 128]])
    saved = keras.saving.load_model(run.path / "model.keras")
    for one, two in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


# --- from the folder alone ------------------------------------------------------------------------

BONE = """
archspec: 1
name: bone
use: {acts: acts/act.yaml}
params: {width: 4}
variants: {wide: {width: 16}}
inputs: {features: [64]}
layers: [{Dense: =width, name: code}, acts.act]
"""
NET = """
archspec: 1
name: net
use: {bone: ../lib/bone.yaml@wide, small: ../lib/bone.yaml}
inputs: {features: [64]}
layers:
  - {bone: , name: one}
  - {small: , name: two, from: features}
  - concat: [one, two]
  - {Dense: {units: 10, activation: softmax}, name: head}
data: {source: {sklearn: digits}, split: {test: 0.2}}
train: {epochs: 1, loss: SparseCategoricalCrossentropy}
"""


def test_a_run_needs_none_of_the_files_that_its_spec_used(tmp_path: Path) -> None:
    from archspec.train.evaluate import evaluate

    for name, text in (
        ("lib/acts/act.yaml", "archspec: 1\nname: act\nblocks: {act: {layers: [ReLU]}}\n"),
        ("lib/bone.yaml", BONE),
        ("home/net.yaml", NET),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    network = archspec.load(tmp_path / "home" / "net.yaml", allow=[tmp_path / "lib"], limits=archspec.Limits(nodes=99))
    run = network.train(tmp_path / "run", quiet=True)
    shutil.rmtree(tmp_path / "lib")
    (tmp_path / "home" / "net.yaml").write_text("something else")
    again = open_run(run.path)[1]
    assert again.document.limits.nodes == 99
    assert [t.size for node in again.graph.nodes.values() for t in node.outputs][-2:] == [20, 10]
    assert evaluate(run.path).metrics == results(run.path)["metrics"]["test"]
    assert again.train(tmp_path / "again", repeat=run.path, quiet=True).difference is None
    assert len(resume(run.path, "train.epochs=2").history) == 2
    assert len(open_run(run.path)[1].document.uses) == 2
    assert (run.path / "files" / "outside" / "bone.yaml").read_text() == BONE


def test_a_run_keeps_the_weights_that_it_began_with(tmp_path: Path) -> None:
    text = NET.replace("use: {bone: ../lib/bone.yaml@wide, small: ../lib/bone.yaml}\n", "").replace(
        "  - {bone: , name: one}\n  - {small: , name: two, from: features}\n  - concat: [one, two]\n", ""
    )
    train(text, tmp_path, "first")
    second = text.replace("train: {", "train: {initial_weights: first, ")
    run = train(second, tmp_path, "run").path
    shutil.rmtree(tmp_path / "first")
    assert open_run(run)[1].train(tmp_path / "again", repeat=run, quiet=True).difference is None
    with pytest.raises(archspec.SpecError, match="nowhere"):
        other = open_run(run, ["train.initial_weights=nowhere"])[1]
        other.train(tmp_path / "other", repeat=run, quiet=True)


def test_seconds_are_those_of_all_sessions(tmp_path: Path) -> None:
    run = interrupted(SPEC, tmp_path, "run", "00002-00000004")
    found = checkpoints.last(run / "checkpoints").checkpoint
    assert found is not None
    lines = [dict(line) | {"seconds": 1000.0} for line in found.position.lines]
    position = dataclasses.replace(found.position, lines=tuple(lines), seconds=100.0)
    checkpoints.write(run / "checkpoints", checkpoints.Checkpoint(position, found.arrays))
    resume(run)
    assert 2100 < results(run)["seconds"] < 2200


# --- a spec that has changed ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return interrupted(SPEC, tmp_path_factory.mktemp("broken"), "run", "00001-00000004")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("layers.1.Dense.units=8", r"- dense = Dense\(units=16.*\n.*\+ dense = Dense\(units=8"),
        ("data.batch_size=32", "data.batch_size: 128 → 32"),
        ("run.seed=3", "run.seed: 0 → 3"),
        ("train.optimizer=SGD", "train.optimizer: Adam → SGD"),
    ],
)
def test_what_a_run_is_made_of_must_not_change(broken_off: Path, change: str, said: str) -> None:
    before = status(broken_off)
    with pytest.raises(RunFailed, match=f"(?s)the spec has changed since the run began.*{said}"):
        resume(broken_off, change)
    assert status(broken_off) == before


def test_settings_of_the_training_may_change(
    tmp_path: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(broken_off, tmp_path / "run")
    changes = ["train.epochs=3", "train.optimizer.Adam.learning_rate=0.003"]
    changed = resume(run, *changes, quiet=False)
    said = capsys.readouterr().out
    assert "changed: train.epochs: 4 → 3" in said
    assert "changed: train.optimizer.learning_rate: 0.01 → 0.003" in said
    assert changed.history[0]["learning_rate"] == pytest.approx(0.01)
    assert changed.history[1]["learning_rate"] == pytest.approx(0.0015)
    assert "learning_rate: 0.003" in (run / "resolved.yaml").read_text()
    with pytest.raises(RunFailed, match="is finished"):
        resume(run)
    assert len(resume(run, "train.epochs=4").history) == 4


def test_other_data_are_refused(tmp_path: Path) -> None:
    def save(seed: int) -> None:
        rng = np.random.default_rng(seed)
        np.savez(tmp_path / "d.npz", x=rng.normal(size=(200, 64)).astype("float32"), y=rng.integers(0, 10, 200))

    save(0)
    text = SPEC.replace("{sklearn: digits}", "{npz: d.npz}")
    run = interrupted(text, tmp_path, "run", "00000-00000001")
    save(1)
    with pytest.raises(RunFailed, match="the data have changed since the run began"):
        resume(run)


def test_a_second_process_is_refused(broken_off: Path) -> None:
    with locked(broken_off), pytest.raises(RunFailed, match="another process is training"):
        resume(broken_off)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="there is no run"):
        open_run(tmp_path / "none")
    with pytest.raises(RunFailed, match="is no run"):
        open_run(tmp_path)
    for folder, said in ((tmp_path / "none", "there is no run"), (tmp_path, "is no run")):
        with pytest.raises(RunFailed, match=said):
            archspec.loads(TINY).train(resume=folder)
    assert not [*tmp_path.iterdir()], "not even a lock is left there"


# --- when it breaks off ---------------------------------------------------------------------------


def test_a_full_disk_is_told_and_leaves_the_run_whole(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with (
            at_checkpoint(run, "00001-00000004", fill),
            pytest.raises(RunFailed, match="larger than the system") as caught,
        ):
            train(SPEC, tmp_path, "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.help is not None and "--resume" in caught.value.help
    assert status(run).startswith("failed: the run broke off")
    assert not [path for path in run.rglob(".*") if path.name != ".lock"]
    resume(run)
    assert first_difference(whole, run) is None


def test_too_little_memory_is_told_on_every_backend() -> None:
    class JaxRuntimeError(RuntimeError):
        pass

    for error in (
        MemoryError(),
        JaxRuntimeError("INTERNAL: Error dispatching computation: Out of memory allocating 35571733764 bytes."),
        JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"),
    ):
        said = explained(error)
        assert said is not None and said.startswith("there is not enough memory")
    assert explained(JaxRuntimeError("INTERNAL: something else")) is None


def test_a_file_that_vanishes_is_told(tmp_path: Path) -> None:
    shades(tmp_path, count=40)
    text = """
archspec: 1
name: shades
inputs: {image: [512, 512, 3]}
layers: [GlobalAveragePooling2D, Dense: {units: 2, activation: softmax}]
data:
  source: {images: {path: images, size: 512}}
  batch_size: 2
train: {epochs: 3, loss: SparseCategoricalCrossentropy}
run: {checkpoint: {seconds: 0}}
"""

    def vanish() -> None:
        for path in (tmp_path / "images" / "dark").iterdir():
            path.rename(path.with_suffix(".gone"))

    at = at_checkpoint(tmp_path / "run", "00000-00000001", vanish)
    with at, pytest.raises(RunFailed, match=r"the image '.*\.png' is no longer there"):
        train(text, tmp_path, "run")
    assert status(tmp_path / "run").startswith("failed: the run broke off")


@pytest.mark.slow
def test_the_command_tells_without_a_traceback(tmp_path: Path) -> None:
    """Ctrl-C once ends after the step with exit code 130, and a loss that is no number with 1."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.replace("epochs: 4", "epochs: 500").replace("patience: 1,", "patience: 500,"))
    command = [sys.executable, "-m", "archspec", "train", str(spec), "--run-dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with at_checkpoint(tmp_path / "run", "00001-00000000", lambda: process.send_signal(signal.SIGINT)):
        said, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "a second time ends at once" in said
    assert "interrupted in epoch" in errors and f"archspec train --resume {tmp_path / 'run'}" in errors
    assert "Traceback" not in errors
    wild = [*command[:-2], "--run-dir", str(tmp_path / "wild"), "train.optimizer.Adam.learning_rate=1e35"]
    done = subprocess.run(wild, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "the loss is" in done.stderr and "Traceback" not in done.stderr
    assert status(tmp_path / "wild").startswith("failed: the loss is")


# --- progress -------------------------------------------------------------------------------------


def test_the_bar_fits_the_terminal() -> None:
    moment = Moment(3, 30, 60, 240, 3412.4, 131.0, {"loss": 0.23071, "accuracy": 0.95})
    assert bar(moment, 200) == (
        "epoch  3/30 ━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   60/240  2:11 left  3,412/s  loss 0.2307  accuracy 0.95"
    )
    assert len(bar(moment, 40)) == 39
    assert plain(moment) == "epoch 3/30 step 60/240  2:11 left  3,412/s  loss 0.2307  accuracy 0.95"


def test_quiet_prints_nothing_and_others_a_line_for_each_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = SPEC.replace("epochs: 4", "epochs: 2")
    train(short, tmp_path, "quiet")
    assert capsys.readouterr().out == ""
    train(short, tmp_path, "said", quiet=False)
    said = capsys.readouterr().out
    assert said.count("\nepoch ") == 2 and "\r" not in said
