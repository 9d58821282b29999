"""Throughput of `archspec train` against a plain Keras script for the same network, data and batch size.

The script is what a good user writes: `fit` on a shuffled, batched and prefetched tf.data pipeline, Keras's defaults,
no bar. Both run in processes of their own, in turn; each is given its time, and the median of its epochs' seconds
without the first counts. archspec's include all that it does at an epoch's end; the script's are the mean of those
before and after it. How steps are run is measured in the first turn, into a cache of its own; that time is told apart.

    python benchmarks/train.py
    python benchmarks/train.py --seconds 20 --turns 3 --networks cnn --backends tensorflow jax
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH_SIZE = 64
# Shape and number of the examples, and least ratio wanted.
NETWORKS = {
    "mlp": ([784], 20_000, 2.5),
    "tabular": ([16], 20_000, 2.5),
    "cnn": ([16, 16, 3], 4_000, 1.0),
    "resnet20": ([32, 32, 3], 640, 1.0),
}

SPEC = """
archspec: 1
name: {name}
inputs: {{image: {shape}}}
blocks:
  mlp: {{layers: [Dense: {{units: 128, activation: relu}}, Dense: {{units: 64, activation: relu}}]}}
  tabular: {{layers: [Dense: {{units: 32, activation: relu}}, Dense: {{units: 32, activation: relu}}]}}
  cnn:
    layers:
      - Conv2D: {{filters: 16, kernel_size: 3, activation: relu}}
      - Conv2D: {{filters: 16, kernel_size: 3, activation: relu}}
      - Flatten
  conv:
    params: {{filters: int, stride: 1, kernel: 3}}
    layers:
      - Conv2D: {{filters: =filters, kernel_size: =kernel, strides: =stride, padding: same, use_bias: false}}
      - BatchNormalization
  unit:
    params: {{filters: int, stride: int}}
    layers:
      - add:
          shortcut: [{{conv: {{filters: =filters, stride: =stride, kernel: 1}}, when: =stride > 1}}]
          residual: [conv: {{filters: =filters, stride: =stride}}, ReLU, conv: {{filters: =filters}}]
      - ReLU
  resnet20:
    layers:
      - conv: {{filters: 16}}
      - ReLU
      - for: {{filters: [16, 32, 64], stride: [1, 2, 2]}}
        layers:
          - for: {{i: =range(3)}}
            unit: {{filters: =filters, stride: =1 if i else stride}}
      - GlobalAveragePooling2D
layers: [{name}, Dense: {{units: 10, activation: softmax}}]
data: {{source: {{synthetic: {{shape: {shape}, classes: 10, examples: {examples}}}}}, batch_size: {batch_size}}}
train: {{epochs: 100000, loss: SparseCategoricalCrossentropy, metrics: [accuracy]}}
"""

SCRIPT = """
import sys, time
import keras, numpy as np, tensorflow as tf
name, shape, size, batch_size = sys.argv[1], eval(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rng = np.random.default_rng(0)
x, y = rng.random((size, *shape), "float32"), rng.integers(0, 10, size)
layers = keras.layers
def conv(x, filters, stride=1, kernel=3):
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)
def unit(x, filters, stride):
    shortcut = conv(x, filters, stride, 1) if stride > 1 else x
    return layers.ReLU()(layers.Add()([shortcut, conv(layers.ReLU()(conv(x, filters, stride)), filters)]))
def body(x):
    if name == "mlp":
        return layers.Dense(64, "relu")(layers.Dense(128, "relu")(x))
    if name == "tabular":
        return layers.Dense(32, "relu")(layers.Dense(32, "relu")(x))
    if name == "cnn":
        x = layers.Conv2D(16, 3, activation="relu")(x)
        return layers.Flatten()(layers.Conv2D(16, 3, activation="relu")(x))
    x = layers.ReLU()(conv(x, 16))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            x = unit(x, filters, 1 if i else stride)
    return layers.GlobalAveragePooling2D()(x)
inputs = keras.Input(shape)
model = keras.Model(inputs, layers.Dense(10, "softmax")(body(inputs)))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(size).batch(batch_size).prefetch(tf.data.AUTOTUNE)
class Times(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()
    def on_epoch_end(self, epoch, logs=None):
        print("epoch", time.perf_counter() - self.began, flush=True)
model.fit(data, epochs=100000, verbose=0, callbacks=[Times()])
"""


def plain(name: str, seconds: float) -> float:
    """Seconds of an epoch."""
    shape, size, _ = NETWORKS[name]
    command = [sys.executable, "-c", SCRIPT, name, str(shape), str(size), str(BATCH_SIZE)]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    times: list[float] = []
    while sum(times) < seconds or len(times) < 4:
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the script ended")
        times += [float(line.split()[1])] if line.startswith("epoch") else []
    process.kill()
    process.wait()
    return statistics.median(times[1:])


def ours(name: str, backend: str, seconds: float, home: Path) -> tuple[float, str]:
    """Seconds of an epoch, and how the steps were run."""
    shape, size, _ = NETWORKS[name]
    text = SPEC.format(name=name, shape=shape, examples=size, batch_size=BATCH_SIZE)
    (home / "spec.yaml").write_text(text)
    run = Path(tempfile.mkdtemp(dir=home)) / "run"
    command = [sys.executable, "-m", "archspec", "train", str(home / "spec.yaml"), "--run-dir", str(run), "--quiet"]
    environment = os.environ | {"KERAS_BACKEND": backend, "XDG_CACHE_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    times: list[float] = []
    while (sum(times) < seconds or len(times) < 4) and process.poll() is None:
        time.sleep(0.5)
        if (run / "metrics.csv").exists():
            with (run / "metrics.csv").open() as file:
                times = [float(line["seconds"]) for line in csv.DictReader(file) if line.get("seconds")]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    if len(times) < 2:
        raise SystemExit(errors)
    chosen = json.loads((run / "execution.json").read_text())
    how = f"{'XLA, ' if chosen['jit'] else ''}{chosen['steps']} {'steps' if chosen['steps'] > 1 else 'step'} at once"
    told = {"measured": f"measured in {chosen['took'] or 0:.1f} s", "cached": "cached"}
    return statistics.median(times[1:]), f"{how}, {told.get(chosen['why'], 'not measured')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="of training, each time")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--backends", nargs="+", choices=["tensorflow", "jax"], default=["tensorflow", "jax"])
    given = parser.parse_args()
    for name in given.networks:
        with tempfile.TemporaryDirectory() as home:
            compare(name, given.backends, given.seconds, given.turns, Path(home))


def compare(name: str, backends: list[str], seconds: float, turns: int, home: Path) -> None:
    """Prints what a network's trainings reach beside the script's."""
    _, size, wanted = NETWORKS[name]
    ratios: dict[str, list[float]] = {backend: [] for backend in backends}
    how: dict[str, list[str]] = {backend: [] for backend in backends}
    rates: list[float] = []
    for _ in range(turns):
        before = plain(name, seconds)
        for backend in backends:
            epoch, said = ours(name, backend, seconds, home)
            after = plain(name, seconds)  # the machine may have become busier or idler meanwhile
            rates += [size / before, size / after]
            ratios[backend].append((before + after) / 2 / epoch)
            how[backend].append(said)
            before = after
    print(f"{name}: the script {statistics.median(rates):,.0f} examples/s; at least {wanted} times is wanted")
    for backend, found in ratios.items():
        reached, spread = statistics.median(found), f"{min(found):.2f} to {max(found):.2f}"
        print(f"  archspec on {backend}: {reached:.2f} times ({spread}); {' · '.join(dict.fromkeys(how[backend]))}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
