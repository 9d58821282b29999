"""What rewriting buys in training: the time of a step, as a ratio to the unoptimised network's in the same run.

Both networks learn by SGD on the same random batch, float32; steps are interleaved and the medians compared. On JAX the
forms that pay are measured before, as `archspec train` does.

    python benchmarks/step.py                                   # TensorFlow, all networks
    python benchmarks/step.py mobilenet_v2 densenet121 --backend jax
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from optimize import spec  # beside this file

from archspec.graph.ir import Graph
from archspec.start import start_keras

NETWORKS: dict[str, tuple[Callable[[], Graph], dict[str, float]]] = {
    "mobilenet_v2": (spec("mobilenet_v2.yaml", size=96, classes=10), {"jax": 0.35}),
    "densenet121": (spec("densenet.yaml@densenet121", size=96, classes=10), {"jax": 0.90}),
    "resnet50": (spec("resnet.yaml@keras_resnet50", size=96, classes=10), {}),
    "inception_v3": (spec("inception.yaml@v3", size=139, classes=10), {}),
    "unet": (spec("unet.yaml"), {}),
    "vit_small": (spec("vit.yaml", size=96, depth=6, dim=192, heads=3, classes=10), {}),
}
AT_MOST = 1.03  # where no other ratio is named


def step(graph: Graph, batch: int) -> Callable[[], Any]:
    """A training step that has been compiled; the call returns when the loss is there."""
    import keras
    import numpy as np

    from archspec.build import build

    keras.utils.set_random_seed(0)
    model = build(graph)
    model.compile(keras.optimizers.SGD(1e-4), "mean_squared_error", jit_compile=keras.backend.backend() == "jax")
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, *model.input_shape[1:])).astype("float32")
    y = random.normal(size=(batch, *model.output_shape[1:])).astype("float32")
    model.train_on_batch(x, y)
    return lambda: model.train_on_batch(x, y)


def measure(name: str, options: argparse.Namespace) -> None:
    from archspec.train.forms import measured_forms
    from archspec.train.rewriting import rewriting_passes, rewritten

    load, at_most = NETWORKS[name]
    graph = load()
    passes, forms = rewriting_passes("training"), dict[str, float]()
    if options.backend == "jax":
        forms = measured_forms(graph, passes, options.batch, "float32")
    found = rewritten(graph, "training", forms)
    if found.graph is graph:
        print(f"{name:14} nothing applies", flush=True)
        return
    steps = [step(each, options.batch) for each in (graph, found.graph)]
    times: list[list[float]] = [[], []]
    for index in range(options.rounds + 2):
        for each, taken in zip(steps, times, strict=True):
            begin = time.perf_counter()
            each()
            if index >= 2:
                taken.append(time.perf_counter() - begin)
    one, two = (statistics.median(taken) for taken in times)
    bound = at_most.get(options.backend, AT_MOST)
    told = ", ".join(dict.fromkeys(each.pass_name for each in found.optimized.applied))
    print(f"{name:14} {1e3 * one:8.1f} ms  ratio {two / one:.3f} (at most {bound:.2f})  {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    start_keras()
    for name in options.networks or NETWORKS:
        measure(name, options)


if __name__ == "__main__":
    main()
