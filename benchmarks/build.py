"""Time to build Keras's ResNet-50 from its spec, as a ratio to keras.applications.ResNet50 without weights, one run.

In one process both are built in turn, after one build of each; in fresh processes (JAX compiles what it meets for
the first time) each build has a process of its own, and the time starts when Keras is imported.

    python benchmarks/build.py                      # both
    python benchmarks/build.py --runs 15 --fresh 0
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def ours() -> Any:
    import archspec

    return archspec.load(ROOT / "specs" / "resnet.yaml@keras_resnet50").build()


def theirs() -> Any:
    import keras

    return keras.applications.ResNet50(weights=None)


CONTENDERS: Mapping[str, Callable[[], Any]] = {"archspec": ours, "keras": theirs}


def seconds(contender: str) -> float:
    """One build, until its weights are there."""
    import keras

    keras.backend.clear_session()
    gc.collect()
    start = time.perf_counter()
    model = CONTENDERS[contender]()
    if keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready([weight.value for weight in model.weights])
    return time.perf_counter() - start


def fresh_seconds(contender: str) -> float:
    environment = os.environ | {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--one", contender]
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=600)
    return float(run.stdout.split()[-1])


def compare(title: str, measure: Callable[[str], float], runs: int, at_most: float) -> None:
    """Builds in turn, and prints the medians, their spread, and the ratio of the medians."""
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(runs):
        for name in CONTENDERS:
            times[name].append(measure(name))
    print(title)
    for name, taken in times.items():
        print(f"  {name:10} {statistics.median(taken):7.3f} s   ({min(taken):.3f} to {max(taken):.3f}, {runs} runs)")
    ratio = statistics.median(times["archspec"]) / statistics.median(times["keras"])
    print(f"  ratio      {ratio:7.2f}     (at most {at_most})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="builds of each in one process")
    parser.add_argument("--fresh", type=int, default=3, help="fresh processes for each")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(seconds(options.one))
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.runs:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        for name in CONTENDERS:
            seconds(name)
        compare("ResNet-50, TensorFlow, in one process", seconds, options.runs, at_most=1.1)
    if options.fresh:
        compare("ResNet-50, JAX, in fresh processes", fresh_seconds, options.fresh, at_most=0.5)


if __name__ == "__main__":
    main()
