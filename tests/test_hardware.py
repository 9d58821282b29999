"""Several devices and hosts: virtual ones of this CPU, which give the weights that one device gives."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import archspec
from archspec.diagnostics import SpecError
from archspec.train import hardware as machine
from archspec.train.check import check_settings

SPEC = """
archspec: 1
name: tiny
inputs: {image: [8, 8, 1]}
layers:
  - Flatten
  - Rescaling: {scale: 0.004}
  - Dense: {units: 16, activation: relu, kernel_regularizer: {L2: 0.01}}
  - {Dense: {units: 10, activation: softmax}, name: dense_out}
data:
  source: SOURCE
  split: {validation: 0.1, test: 0.2}
  batch_size: 64     # which leaves 41 for the last batch: neither 4 nor 8 devices can share them equally
train:
  epochs: 2
  loss: SparseCategoricalCrossentropy
  optimizer: {Adam: {learning_rate: 0.01}}
  metrics: [accuracy]
"""
SOURCES = {
    "arrays": "{sklearn: digits}",
    "stream": "{images: {path: digits, size: 8, color_mode: grayscale}}",
}
DEVICES = {"jax": 8, "tensorflow": 4}  # TensorFlow traces each replica by itself, which takes its time
# TensorFlow's virtual devices have no variable in the environment.
START = """
import sys
if {tensorflow}:
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * {devices})
from archspec.cli import run
sys.argv = ["archspec", "train", *sys.argv[1:]]
run()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec for each kind of source."""
    folder = tmp_path_factory.mktemp("hardware")
    digits = load_digits()
    for i, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (folder / "digits" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).save(folder / "digits" / str(label) / f"{i}.png")
    for name, source in SOURCES.items():
        (folder / f"{name}.yaml").write_text(SPEC.replace("SOURCE", source))
    return folder


def one(home: Path, source: str) -> Path:
    """What one device makes of it."""
    run = home / f"one-{source}"
    if not run.exists():
        archspec.load(home / f"{source}.yaml").train(run, quiet=True)
    return run


def start(home: Path, backend: str, *arguments: str, devices: int | None = None) -> subprocess.Popen[str]:
    pytest.importorskip(backend)
    devices = devices or DEVICES[backend]
    code = START.format(tensorflow=backend == "tensorflow", devices=devices)
    flags = f"--xla_force_host_platform_device_count={devices}"
    flags += " --xla_cpu_collective_call_terminate_timeout_seconds=250"  # a busy machine: 40 s would end the process
    environment = os.environ | {"KERAS_BACKEND": backend, "XLA_FLAGS": flags, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", code, *arguments, "--quiet"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=home, stdout=pipe, stderr=pipe, text=True)


def train(home: Path, backend: str, *arguments: str) -> str:
    """The errors' text of a training where there are several devices."""
    process = start(home, backend, *arguments)
    _, errors = process.communicate(timeout=300)
    return "" if process.returncode == 0 else errors


def weights(run: Path) -> list[np.ndarray]:
    network = keras.saving.load_model(run / "model.keras", compile=False)
    return [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in network.weights]


def assert_same(run: Path, other: Path) -> None:
    """The weights, to rounding: no weight of the 2,400 is apart by more than a thousandth of what a step changes."""
    for first, second in zip(weights(run), weights(other), strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-5)
    figures = [json.loads((path / "results.json").read_text())["metrics"] for path in (run, other)]
    for split in ("train", "validation", "test"):
        assert figures[0][split] == pytest.approx(figures[1][split], rel=1e-3), split


BACKENDS = ["jax", pytest.param("tensorflow", marks=pytest.mark.slow)]
EITHER = ["arrays", pytest.param("stream", marks=pytest.mark.slow)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", EITHER)
def test_several_devices_give_the_weights_of_one(home: Path, backend: str, source: str) -> None:
    run = home / f"{backend}-{source}"
    assert not train(home, backend, f"{source}.yaml", f"run.devices={DEVICES[backend]}", "--run-dir", str(run))
    assert_same(one(home, source), run)
    assert len(json.loads((run / "environment.json").read_text())["used"]) == DEVICES[backend]


# What tells a share of a batch from all of it, and what is drawn where all devices compute one step.
WEIGHED = ["train.class_weight={'3': 5, '4': 0.1}", "train.optimizer={SGD: {learning_rate: 0.1, global_clipnorm: 0.1}}"]
LAYERS = {"jax": "BatchNormalization, Dropout: 0.2", "tensorflow": "BatchNormalization: {synchronized: true}"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
@pytest.mark.parametrize("source", [*SOURCES])
def test_what_looks_at_the_whole_batch_is_that_of_one_device(home: Path, backend: str, source: str) -> None:
    """Statistics, clipping and classes' weights, of batches that divide and of the last one."""
    text = SPEC.replace("SOURCE", SOURCES[source]).replace("  - {Dense", f"  - {{{LAYERS[backend]}}}\n  - {{Dense")
    text = text.replace("{BatchNormalization, Dropout: 0.2}", "BatchNormalization\n  - Dropout: 0.2")
    name = f"whole-{backend}-{source}.yaml"
    (home / name).write_text(text)
    numbers = (1, DEVICES[backend])
    runs = [home / f"{name}-{devices}" for devices in numbers]
    for devices, run in zip(numbers, runs, strict=True):
        assert not train(home, backend, name, *WEIGHED, f"run.devices={devices}", "--run-dir", str(run))
    assert_same(*runs)


TURNS = "{one: {trains: dense, loss: SparseCategoricalCrossentropy}, two: {trains: dense_out, loss: FORMULA}}"
FORMULA = "{expr: 'mean(square(output - mean(output, axis=0)))'}"  # over the batch


@pytest.mark.slow
def test_phases_and_formulas_see_the_whole_batch_on_jax(home: Path) -> None:
    changes = ["train.loss=", f"train.phases={TURNS.replace('FORMULA', FORMULA)}", "train.metrics=[]"]
    runs = [home / f"turns-{devices}" for devices in (1, 8)]
    for devices, run in zip((1, 8), runs, strict=True):
        assert not train(home, "jax", "arrays.yaml", *changes, f"run.devices={devices}", "--run-dir", str(run))
    assert_same(*runs)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_half_precision_learns_the_same_on_several_devices(home: Path, backend: str) -> None:
    """Each device rounds its part of a gradient to float16; the scale of the loss is one for all."""
    numbers = (1, DEVICES[backend])
    runs = [home / f"half-{backend}-{devices}" for devices in numbers]
    for devices, run in zip(numbers, runs, strict=True):
        changes = [f"run.devices={devices}", "run.precision=mixed_float16"]
        assert not train(home, backend, "arrays.yaml", *changes, "--run-dir", str(run))
    for first, second in zip(*map(weights, runs), strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("source", EITHER)
def test_two_processes_give_the_weights_of_one(home: Path, source: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = f"run.hosts=[127.0.0.1:{port}, 127.0.0.1:{port}]"
    run = home / f"hosts-{source}"
    arguments = [f"{source}.yaml", hosts, "--run-dir", str(run)]
    both = [start(home, "jax", *arguments, f"run.host={i}", devices=2) for i in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert_same(one(home, source), run)
    assert len(json.loads((run / "environment.json").read_text())["used"]) == 4


LAYOUT = ["run.mesh={batch: 4, model: 2}", "run.layout={'dense*/kernel': [null, model], 'dense/bias': [model]}"]


@pytest.mark.slow
def test_divided_weights_are_those_of_one_device(home: Path) -> None:
    run = home / "layout"
    assert not train(home, "jax", "arrays.yaml", *LAYOUT, "--run-dir", str(run))
    assert_same(one(home, "arrays"), run)


@pytest.mark.slow
def test_a_layout_divides_weights_and_their_optimizer(home: Path) -> None:
    code = f"""
import archspec
from archspec.data.plan import plan
from archspec.train.check import check_settings
from archspec.train.hardware import hardware
net = archspec.load("arrays.yaml", changes={LAYOUT!r})
import keras
settings = check_settings(net.document, net.graph)
with hardware(net.document, net.graph, settings).model():
    from archspec.train.objective.trainee import objective
    ready = plan(net.document, net.graph, settings.data, settings.losses(net.graph))
    trainee = objective(net.document, net.graph, settings, ready)
    trainee.optimizers["optimizer"].build(trainee.model.trainable_variables)
variables = [*trainee.network.variables, *trainee.optimizers["optimizer"].variables]
print({{v.path: v.value.addressable_shards[0].data.shape for v in variables}})
"""
    pytest.importorskip("jax")
    flags = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | flags, cwd=home, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shapes = eval(done.stdout.splitlines()[-1], {})
    assert shapes["dense/kernel"] == shapes["adam/dense_kernel_momentum"] == (64, 8)
    assert shapes["dense_out/kernel"] == (16, 5)
    assert shapes["dense/bias"] == (8,)
    assert shapes["dense_out/bias"] == (10,)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_run_on_several_devices_goes_on(home: Path, backend: str) -> None:
    """One epoch and one more are two, and what several devices began one can end."""
    run, whole, alone = (home / f"{backend}-{name}" for name in ("resumed", "whole", "alone"))
    devices = f"run.devices={DEVICES[backend]}"
    assert not train(home, backend, "arrays.yaml", devices, "--run-dir", str(whole))
    assert not train(home, backend, "arrays.yaml", devices, "train.epochs=1", "--run-dir", str(run))
    shutil.copytree(run, alone)
    assert not train(home, backend, "--resume", str(run), "train.epochs=2")
    for first, second in zip(weights(whole), weights(run), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not train(home, backend, "--resume", str(alone), "train.epochs=2", "run.devices=1")
    assert_same(one(home, "arrays"), alone)


GPUS = ["gpu:0", "gpu:1", "gpu:2"]


def seen(monkeypatch: pytest.MonkeyPatch, home: Path, backend: str, devices: list[str], *changes: str) -> Any:
    """The spec's settings, on a machine that has these devices; no strategy is made."""
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind=None: devices)
    monkeypatch.setattr(machine, "_strategy", lambda devices: len(devices) > 1 or None)
    monkeypatch.setattr(machine, "_distribution", lambda run, graph, devices: True)
    net = archspec.load(home / "arrays.yaml", changes=changes)
    return net.document, net.graph, check_settings(net.document, net.graph)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (["train.loss={expr: mean(square(output))}", "train.metrics=[]"], "a formula is for the whole batch"),
        (["train.loss={Dice: {}}", "train.metrics=[]"], "Dice over all axes is for the whole batch"),
        (["train.loss={Circle: {}}", "train.metrics=[]"], "Circle is for the whole batch"),
        (["train.loss={SparseCategoricalCrossentropy: {reduction: sum}}"], "a loss with reduction: sum is"),
        (["train.loss=", "train.phases={one: {trains: dense_out, loss: SparseCategoricalCrossentropy}}"],
         "training in phases is for the whole batch"),
        (["train.optimizer={Adam: {gradient_accumulation_steps: 2}}"], "cannot do with gradient_accumulation_steps"),
        (["train.optimizer={Adam: {use_ema: true, ema_overwrite_frequency: 2}}"], "with ema_overwrite_frequency"),
        (["run.jit=true"], "TensorFlow's XLA is for one device"),
    ],
)  # fmt: skip
def test_what_needs_the_whole_batch_is_for_one_device_of_tensorflow(
    home: Path, monkeypatch: pytest.MonkeyPatch, changes: list[str], what: str
) -> None:
    several = seen(monkeypatch, home, "tensorflow", GPUS, "run.devices=2", *changes)
    with pytest.raises(SpecError, match=what):
        machine.hardware(*several)
    single = seen(monkeypatch, home, "tensorflow", GPUS, "run.devices=1", *changes)
    assert machine.hardware(*single).devices == ("gpu:0",)
    if what.endswith("is for the whole batch"):
        found = machine.hardware(*seen(monkeypatch, home, "tensorflow", GPUS, *changes))
        assert found.devices == () and found.spread is None
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert machine.hardware(*several).devices == ("gpu:0", "gpu:1")


def test_what_is_synchronized_is_for_tensorflow(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when the backend is named, and else when it is known."""
    layer = "layers.2={BatchNormalization: {synchronized: true}}"
    said = "synchronized needs TensorFlow; on JAX statistics are those of the whole batch already"
    with pytest.raises(SpecError, match=said):
        seen(monkeypatch, home, "jax", GPUS, layer, "run.backend=jax")
    with pytest.raises(SpecError, match=said):
        machine.hardware(*seen(monkeypatch, home, "jax", GPUS, layer))
    assert machine.hardware(*seen(monkeypatch, home, "tensorflow", GPUS, layer)).spread


def test_auto_takes_as_many_as_can_share_a_batch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in ("tensorflow", "jax"):
        assert machine.hardware(*seen(monkeypatch, home, backend, GPUS)).devices == ("gpu:0", "gpu:1")
        found = machine.hardware(*seen(monkeypatch, home, backend, GPUS, "data.batch_size=63"))
        assert found.devices == tuple(GPUS) and found.spread
        assert machine.hardware(*seen(monkeypatch, home, backend, GPUS, "data.batch_size=61")).devices == ()
        assert machine.hardware(*seen(monkeypatch, home, backend, ["cpu:0", "cpu:1"])).devices == ()
        with pytest.raises(SpecError, match="batches of 64 cannot be divided among 3 devices"):
            machine.hardware(*seen(monkeypatch, home, backend, GPUS, "run.devices=gpu"))


def test_hosts_share_batches_equally_and_know_their_places(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = "run.hosts=[a:1, b:1]"
    monkeypatch.delenv("KERAS_DISTRIBUTION_PROCESS_ID", raising=False)
    with pytest.raises(SpecError, match="nothing says which of the hosts this one is"):
        machine.hardware(*seen(monkeypatch, home, "jax", GPUS, hosts))
    monkeypatch.setattr(machine, "_joined", lambda run: (2, 1))
    with pytest.raises(SpecError, match="batches of 64 cannot be divided among 3 devices"):
        machine.hardware(*seen(monkeypatch, home, "jax", GPUS, hosts, "run.host=1"))
    with pytest.raises(SpecError, match="2 devices are asked for, the 2 hosts have 3 and use all of them"):
        machine.hardware(*seen(monkeypatch, home, "jax", GPUS, hosts, "run.host=1", "run.devices=2"))
    found = machine.hardware(*seen(monkeypatch, home, "jax", GPUS, hosts, "run.host=1", "data.batch_size=9"))
    assert found.devices == tuple(GPUS) and found.follows


@pytest.mark.parametrize("number", [1, 3])
def test_tpus_have_their_own_strategy(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Also a single one. Played: there is none here."""
    tf = pytest.importorskip("tensorflow")
    calls: dict[str, Any] = {}
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", lambda tpu: f"resolver {tpu}")
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", lambda resolver: f"topology of {resolver}")
    monkeypatch.setattr(tf.tpu.experimental.DeviceAssignment, "build", lambda topology, num_replicas: calls.update(
        topology=topology, replicas=num_replicas) or "assignment")  # fmt: skip
    monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda resolver, experimental_device_assignment: (
        resolver, experimental_device_assignment))  # fmt: skip
    made = machine._strategy(tuple(f"tpu:{i}" for i in range(number)))
    assert made == ("resolver local", "assignment")
    assert calls == {"topology": "topology of resolver local", "replicas": number}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["run.devices=3"], "3 devices are asked for, tensorflow sees 1 CPU"),
        (["run.devices=tpu"], "no TPU can be seen by tensorflow"),
        (["run.devices=gpu"], "no GPU can be seen by tensorflow"),
        (["run.backend=tensorflow", "run.hosts=[a:1, b:1]"], "does not train with MultiWorkerMirroredStrategy"),
        (["run.backend=tensorflow", "run.mesh={batch: 2}"], "mesh is for the JAX backend"),
        (["run.backend=jax", "run.layout={dense/kernel: [null, model]}"], "a layout needs a mesh"),
        ([*LAYOUT, "run.backend=jax", "run.layout={dense/kernl: [null, model]}"], "no weight is named 'dense/kernl'"),
        ([*LAYOUT, "run.backend=jax", "run.layout={dense/kernel: [null, modell]}"], "no axis 'modell'"),
        ([*LAYOUT, "run.backend=jax", "run.layout={dense/kernel: [model]}"], "the layout names 1 axes"),
        (["run.mesh={a: 1, b: 3}", "run.backend=jax", "run.layout={dense/bias: [b]}"], "16 cannot be divided into 3"),
        (["run.backend=jax", "run.mesh={batch: 3}"], "batches of 64 cannot be divided into 3 parts"),
        (["run.backend=jax", "run.host=2", "run.hosts=[a:1, b:1]"], "there is no host 2"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(home: Path, changes: list[str], said: str) -> None:
    if keras.distribution.list_devices()[0] != "cpu:0":
        pytest.skip("this machine has more than a CPU")
    net: Any = archspec.load(home / "arrays.yaml", changes=changes)
    with pytest.raises(SpecError) as caught:
        net.train(home / "none", quiet=True)
    assert said in str(caught.value)
    assert not (home / "none").exists()
