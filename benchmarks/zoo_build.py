"""Time to build the zoo's counterparts of keras.applications, as ratios to Keras's own constructors in the same run.

Each network is built in turn from its spec and by its constructor, both with fresh weights, on TensorFlow; before, each
is built once to warm up. What a ratio compares are the medians.

    python benchmarks/zoo_build.py                       # every keras/ entry of specs/index.yaml
    python benchmarks/zoo_build.py --only ResNet --runs 5
"""

from __future__ import annotations

import argparse
import ast
import gc
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
AT_MOST = 1.15
MEDIAN_AT_MOST = 1.0


def entries(index: Path, only: str) -> dict[str, str]:
    """Names of `keras.applications` calls, and the references to our specs."""
    lines = yaml.safe_load(index.read_text("utf-8"))
    names = {name: line for name, line in lines.items() if name.startswith("keras/")}
    return {name.removeprefix("keras/"): line for name, line in names.items() if only in name}


def theirs(name: str) -> Callable[[], Any]:
    """`ResNet50(classes=10)` as a function that builds it without pretrained weights."""
    import keras

    call = ast.parse(name, mode="eval").body
    constructor = call.func if isinstance(call, ast.Call) else call
    arguments = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords} if isinstance(call, ast.Call) else {}
    assert isinstance(constructor, ast.Name)
    build = getattr(keras.applications, constructor.id)
    return lambda: build(weights=None, **arguments)


def ours(reference: str) -> Callable[[], Any]:
    """From the text of the spec to the model."""
    import archspec

    spec, *changes = reference.split()
    return lambda: archspec.load(ROOT / "specs" / spec, changes=changes).build()


def seconds(build: Callable[[], Any]) -> float:
    import keras

    keras.backend.clear_session()
    gc.collect()
    start = time.perf_counter()
    build()
    return time.perf_counter() - start


def ratio(name: str, reference: str, runs: int) -> float:
    builds = {"archspec": ours(reference), "keras": theirs(name)}
    times: dict[str, list[float]] = {contender: [] for contender in builds}
    for run in range(runs + 1):
        for contender, build in builds.items():
            taken = seconds(build)
            if run:
                times[contender].append(taken)
    medians = {contender: statistics.median(taken) for contender, taken in times.items()}
    found = medians["archspec"] / medians["keras"]
    print(f"{name:72} {medians['archspec']:7.3f} s {medians['keras']:7.3f} s {found:6.2f}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="builds of each that count")
    parser.add_argument("--only", default="", help="a part of the names")
    parser.add_argument("--index", type=Path, default=ROOT / "specs" / "index.yaml")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    print(f"{'':72} {'archspec':>9} {'keras':>9} {'ratio':>6}")
    ratios = {name: ratio(name, line, options.runs) for name, line in entries(options.index, options.only).items()}
    worst = max(ratios, key=lambda name: ratios[name])
    print(f"median {statistics.median(ratios.values()):.2f} (at most {MEDIAN_AT_MOST})")
    print(f"worst  {ratios[worst]:.2f} (at most {AT_MOST}): {worst}")


if __name__ == "__main__":
    main()
