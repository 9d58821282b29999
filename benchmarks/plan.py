"""The estimates of `archspec plan` against the memory and the time that trainings really take, on the CPU.

For each network and backend a fresh process loads the framework, trains a tiny network once so that libraries and
threads are there, notes its resident memory, and trains three steps of the network on made-up arrays. Its peak
resident memory above that note is what the estimate is compared with. Then further steps are timed, and the estimate
of a step's time is made with the rates that `plan --measure` measures in the same process, right afterwards.

    python benchmarks/plan.py
    python benchmarks/plan.py --backend jax --only unet
    python benchmarks/plan.py --only unet --remat "*"          # all blocks computed again
    python benchmarks/plan.py --only resnet20 --memory 512MiB  # with the largest batch that is said to fit
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

SPECS = Path(__file__).parent.parent / "specs"
NETWORKS: dict[str, tuple[str, list[str], int]] = {
    "mlp": ("mlp.yaml", ["params.widths=[2048, 2048]"], 2048),
    "cnn": ("digits_cnn.yaml", ["run.backend=null"], 2048),
    "resnet20": ("resnet.yaml@cifar20", [], 256),
    "unet": ("unet.yaml@small", [], 96),
    "vit": (
        "vit.yaml",
        ["params.size=64", "params.patch=8", "params.dim=128", "params.heads=4", "params.depth=4", "params.classes=10"],
        128,
    ),
    "transformer": (
        "transformer.yaml@tiny",
        ["params.length=64", "params.dim=128", "params.heads=4", "params.vocabulary=1000"],
        64,
    ),
    "lstm": ("lstm_text.yaml", ["params.vocabulary=5000"], 128),
    "resnet50": ("resnet.yaml@resnet50", ["params.size=64"], 32),
}


def resident(key: str) -> int:
    """Bytes by /proc/self/status: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def network(name: str, remat: str, times: float) -> Any:
    from archspec import load

    path, changes, batch_size = NETWORKS[name]
    more = [f"run.remat=['{remat}']"] if remat else []
    return load(SPECS / path, changes=[*changes, *more, f"data.batch_size={round(batch_size * times)}"])


def examples(graph: Any, batch_size: int) -> tuple[Any, Any]:
    """Arrays of the inputs' types, and class labels for the output."""
    import numpy as np

    rng = np.random.default_rng(0)
    inputs = [graph.nodes[name].outputs[0] for name in graph.inputs]
    x = [
        rng.integers(1, 100, (batch_size, *t.shape)).astype(t.dtype)
        if "int" in t.dtype
        else rng.random((batch_size, *t.shape), "float32")
        for t in inputs
    ]
    (edge,) = graph.outputs.values()
    *positions, classes = graph.type(edge).shape
    shape = (batch_size, *positions, 1) if classes == 1 else (batch_size, *positions)
    return x, rng.integers(0, max(classes, 2), shape)


def measure(name: str, remat: str, times: float) -> None:
    from archspec.train.environment import choose_backend

    choose_backend(None, frugal=bool(remat))
    import keras
    import numpy as np

    from archspec.build import build
    from archspec.build.objects import keras_object
    from archspec.build.remat import Rematerialised
    from archspec.train import probe
    from archspec.train.plan import remat_blocks
    from archspec.train.sections import sections

    def fit(model: Any, optimizer: Any, x: Any, y: Any, logits: bool) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        model.compile(optimizer, keras.losses.BinaryCrossentropy() if model.output_shape[-1] == 1 else loss)
        for _ in range(3):
            model.train_on_batch(x, y)

    tiny = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(),
                             keras.layers.Dense(4, "softmax")])  # fmt: skip
    fit(tiny, "adam", np.ones((4, 8, 8, 3), "float32"), np.zeros(4), False)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = resident("VmRSS")
    net = network(name, remat, times)
    settings = sections(net.document, 100)
    model = build(net.graph)
    blocks = remat_blocks(net.document, net.graph, settings)
    if blocks:
        model = Rematerialised(net.graph, model, [*blocks.values()])
    x, y = examples(net.graph, settings.data.batch_size)
    given = x if len(x) > 1 else x[0]
    fit(model, keras_object(settings.train.optimizer), given, y, name == "transformer")
    peak, seconds = resident("VmHWM") - before, []
    for _ in range(5):
        began = time.perf_counter()
        model.train_on_batch(given, y)
        seconds.append(time.perf_counter() - began)
    rates = asdict(probe.measure(None, settings.run.precision)[1])
    print(json.dumps({"peak": peak, "seconds": statistics.median(seconds), "rates": rates}))


def measured(name: str, backend: str, remat: str, times: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, "--times", str(times)]
    command += ["--remat", remat] if remat else []
    env = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("tensorflow", "jax"))
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--remat", default="", help="a glob for run.remat")
    parser.add_argument("--times", type=float, default=1.0, help="times the usual batch size")
    parser.add_argument("--memory", help="take the largest batch that is estimated to fit into it")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure(given.child, given.remat, given.times)
        return
    from archspec.train.machine import Throughput, read_bytes
    from archspec.train.plan import estimate

    print(f"{'network':<12} {'backend':<10} {'memory':>22} {'ratio':>6}  {'step':>20} {'ratio':>6}")
    for name in [given.only] if given.only else NETWORKS:
        for backend in [given.backend] if given.backend else ("tensorflow", "jax"):
            net, times = network(name, given.remat, given.times), given.times
            said = estimate(net.document, net.graph, backend=backend)
            if given.memory:
                most = said.largest_batch(read_bytes(given.memory))
                if not most:
                    print(f"{name:<12} {backend:<10} no batch fits, or any")
                    continue
                times = most / NETWORKS[name][2]
                net = network(name, given.remat, times)
                said = estimate(net.document, net.graph, backend=backend)
            real = measured(name, backend, given.remat, times)
            memory, peak = said.training_bytes / 2**20, real["peak"] / 2**20
            step, seconds = said.seconds(Throughput(**real["rates"])) * 1e3, real["seconds"] * 1e3
            print(f"{name:<12} {backend:<10} {memory:>6,.0f} of {peak:>6,.0f} MiB  {memory / peak:>6.2f}  "
                  f"{step:>6,.0f} of {seconds:>6,.0f} ms  {step / seconds:>6.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
