"""Throughput of `archspec train` against a plain Keras script for the same network, data and batch size.

The script is what a good user writes: `fit` on a shuffled, batched and prefetched tf.data pipeline, Keras's defaults,
no bar. Both run in processes of their own, in turn; each is given its time, and the median of its epochs' seconds
without the first counts. archspec's include all that it does at an epoch's end. It measures how many steps to run at
once at its start, into a cache of its own; that time is told apart.

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

NETWORKS = {
    "mlp": ([784], 20_000, "[Dense: {units: 128, activation: relu}, Dense: {units: 64, activation: relu}]"),
    "tabular": ([16], 20_000, "[Dense: {units: 32, activation: relu}, Dense: {units: 32, activation: relu}]"),
    "cnn": (
        [16, 16, 3], 4_000,
        "[Conv2D: {filters: 16, kernel_size: 3, activation: relu}, "
        "Conv2D: {filters: 16, kernel_size: 3, activation: relu}, Flatten]",
    ),
}  # fmt: skip
BATCH_SIZE = 64

SPEC = """
archspec: 1
name: {name}
inputs: {{image: {shape}}}
blocks:
  body: {{layers: {layers}}}
layers: [body, Dense: {{units: 10, activation: softmax}}]
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
body = {"mlp": [layers.Dense(128, "relu"), layers.Dense(64, "relu")],
        "tabular": [layers.Dense(32, "relu"), layers.Dense(32, "relu")],
        "cnn": [layers.Conv2D(16, 3, activation="relu"), layers.Conv2D(16, 3, activation="relu"), layers.Flatten()]}
model = keras.Sequential([keras.Input(shape), *body[name], layers.Dense(10, "softmax")])
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
    shape, size, layers = NETWORKS[name]
    text = SPEC.format(name=name, shape=shape, layers=layers, examples=size, batch_size=BATCH_SIZE)
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
    return statistics.median(times[1:]), f"{'XLA, ' if chosen['jit'] else ''}{chosen['steps']} at once"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="of training, each time")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--backends", nargs="+", choices=["tensorflow", "jax"], default=["tensorflow", "jax"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.networks:
            size = NETWORKS[name][1]
            ratios: dict[str, list[float]] = {backend: [] for backend in given.backends}
            how: dict[str, str] = {}
            rates: list[float] = []
            for _ in range(given.turns):
                script = plain(name, given.seconds)
                rates.append(size / script)
                for backend in given.backends:
                    epoch, how[backend] = ours(name, backend, given.seconds, Path(temporary))
                    ratios[backend].append(script / epoch)
            print(f"{name}: the script {statistics.median(rates):,.0f} examples/s", flush=True)
            for backend, found in ratios.items():
                spread = f"{min(found):.2f} to {max(found):.2f}"
                print(
                    f"  archspec on {backend} ({how[backend]}): {statistics.median(found):.2f} times ({spread})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
