"""The estimate of `archspec plan` against the memory that trainings really take, on the CPU.

For each network and backend a fresh process loads the framework, trains a tiny network once so that libraries and
threads are there, notes its resident memory, and trains three steps of the network on made-up arrays. Its peak
resident memory above that note is what the estimate (weights, gradients, optimizer's state, tensors) is compared with.

    python benchmarks/plan.py
    python benchmarks/plan.py --backend jax --only unet
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SPECS = Path(__file__).parent.parent / "specs"
NETWORKS: dict[str, tuple[str, list[str], int]] = {
    "resnet50": ("resnet.yaml@resnet50", ["params.size=64"], 32),
    "unet": ("unet.yaml@small", [], 128),
    "transformer": (
        "transformer.yaml@tiny",
        ["params.length=64", "params.dim=128", "params.heads=4", "params.vocabulary=1000"],
        64,
    ),
    "mlp": ("mlp.yaml", ["params.widths=[4096, 4096]"], 4096),
}


def resident(key: str) -> int:
    """Bytes by /proc/self/status: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def network(name: str, remat: str, times: int) -> Any:
    from archspec import load

    path, changes, batch_size = NETWORKS[name]
    more = [f"run.remat={remat}"] if remat else []
    return load(SPECS / path, changes=[*changes, *more, f"data.batch_size={batch_size * times}"])


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
    return x, rng.integers(0, classes, (batch_size, *positions))


def measure(name: str, remat: str, times: int) -> None:
    from archspec.start import start_keras

    start_keras()
    import keras
    import numpy as np

    from archspec.build import build
    from archspec.build.objects import keras_object
    from archspec.build.remat import Rematerialised
    from archspec.train.plan import remat_blocks
    from archspec.train.sections import sections

    def fit(model: Any, optimizer: Any, x: Any, y: Any, logits: bool) -> None:
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
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
    fit(model, keras_object(settings.train.optimizer), x if len(x) > 1 else x[0], y, name == "transformer")
    print(json.dumps({"peak": resident("VmHWM") - before}))


def measured(name: str, backend: str, remat: str, times: int) -> int:
    command = [sys.executable, __file__, "--child", name, "--times", str(times)]
    command += ["--remat", remat] if remat else []
    env = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: int = json.loads(done.stdout.splitlines()[-1])["peak"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("tensorflow", "jax"))
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--remat", default="", help="a glob for run.remat")
    parser.add_argument("--times", type=int, default=1, help="times the usual batch size")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure(given.child, given.remat, given.times)
        return
    from archspec.train.plan import estimate

    print(f"{'network':<12} {'backend':<10} {'estimate':>10} {'measured':>10} {'ratio':>6}")
    for name in [given.only] if given.only else NETWORKS:
        net = network(name, given.remat, given.times)
        said = estimate(net.document, net.graph).training_bytes
        for backend in [given.backend] if given.backend else ("tensorflow", "jax"):
            real = measured(name, backend, given.remat, given.times)
            print(f"{name:<12} {backend:<10} {said / 2**20:>6,.0f} MiB {real / 2**20:>6,.0f} MiB {said / real:>6.2f}")


if __name__ == "__main__":
    main()
