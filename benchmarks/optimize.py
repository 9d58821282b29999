"""What rewriting a network's graph buys: the time of a call, as a ratio to the unoptimised network in the same run.

Both are tf.functions on a batch of 1, float32, with random weights and statistics; calls are interleaved, and the
medians compared, of the time and of the work of all threads.

    python benchmarks/optimize.py                                    # all networks
    python benchmarks/optimize.py densenet121 --rounds 60
    python benchmarks/optimize.py inception_v3 --with fold-batch-norm --without merge-parallel
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from archspec.graph.ir import Graph  # noqa: E402
from archspec.optimize.driver import OPTIONAL, chosen, optimize, run  # noqa: E402
from archspec.optimize.network import Network  # noqa: E402


def spec(line: str, **params: int) -> Callable[[], Graph]:
    import archspec

    return lambda: archspec.load(ROOT / "specs" / line, params=params).graph


REPVGG = """
archspec: 1
name: repvgg
inputs: {image: [64, 64, 3]}
blocks:
  block:
    params: {filters: int, stride: 1}
    layers:
      - add:
          three: [Conv2D: {filters: =filters, kernel_size: 3, strides: =stride, padding: same, use_bias: false}, BatchNormalization]
          one: [Conv2D: {filters: =filters, kernel_size: 1, strides: =stride, padding: same, use_bias: false}, BatchNormalization]
          same: [{BatchNormalization: , when: =stride == 1}]
        when: =stride == 1
      - add:
          three: [Conv2D: {filters: =filters, kernel_size: 3, strides: =stride, padding: same, use_bias: false}, BatchNormalization]
          one: [Conv2D: {filters: =filters, kernel_size: 1, strides: =stride, padding: same, use_bias: false}, BatchNormalization]
        when: =stride > 1
      - ReLU
layers:
  - for: {filters: [48, 96, 192], depth: [2, 4, 4]}
    layers:
      - block: {filters: =filters, stride: 2}
      - {block: {filters: =filters}, repeat: =depth - 1}
  - GlobalAveragePooling2D
  - Dense: 10
"""  # noqa: E501
LINEAR = """
archspec: 1
name: linear
inputs: {image: [56, 56, 64]}
layers:
  - for: {i: =range(4)}
    layers:
      - Conv2D: {filters: 96, kernel_size: 3, padding: same}
      - Conv2D: {filters: 64, kernel_size: 1}
      - ReLU
"""


def text(source: str) -> Callable[[], Graph]:
    import archspec

    return lambda: archspec.loads(source).graph


NETWORKS: dict[str, tuple[Callable[[], Graph], float]] = {
    "mobilenet_v2": (spec("mobilenet_v2.yaml"), 0.70),
    "resnet50": (spec("resnet.yaml@keras_resnet50"), 0.82),
    "densenet121": (spec("densenet.yaml@densenet121"), 0.90),
    "inception_v3": (spec("inception.yaml@v3"), 0.93),
    "vit_small": (spec("vit.yaml", size=96, depth=6, dim=192, heads=3), 1.03),
    "repvgg": (text(REPVGG), 0.77),
    "conv_1x1": (text(LINEAR), 0.68),
}


def call(network: Network) -> Callable[[], Any]:
    """The network as a tf.function that has been traced, on a batch of 1."""
    import tensorflow as tf

    from archspec.build.weights import built
    from archspec.export.samples import random_inputs

    function = tf.function(built(network), jit_compile=False)
    (image,) = map(tf.constant, random_inputs(network.graph, batch=1))
    function(image)
    return lambda: function(image)


Times = dict[str, tuple[list[float], list[float]]]


def interleaved(contenders: dict[str, Callable[[], Any]], rounds: int) -> Times:
    """Seconds of each call, and the processor's seconds in all threads, which a busy machine disturbs less."""
    times: Times = {name: ([], []) for name in contenders}
    for index in range(rounds + 2):
        for name, model in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            model()
            if index >= 2:
                times[name][0].append(time.perf_counter() - wall)
                times[name][1].append(time.process_time() - cpu)
    return times


def ratio(taken: Sequence[float], original: Sequence[float]) -> str:
    """The medians' ratio, and half the distance of the quartiles."""
    quarters, whole = statistics.quantiles(taken, n=4), statistics.median(original)
    return f"{statistics.median(taken) / whole:6.3f} ± {(quarters[2] - quarters[0]) / 2 / whole:.3f}"


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def with_optional(network: Network, also: Sequence[str]) -> Network:
    """The network after all passes of the order and those of the optional ones that are named."""
    passes = (*chosen("inference"), *(each for each in OPTIONAL if each.name in also))
    return run(network, "inference", passes).network


def measure(name: str, options: argparse.Namespace) -> None:
    from archspec.export.samples import random_network

    load, at_most = NETWORKS[name]
    network = random_network(load())
    contenders = {"original": call(network), "optimised": call(optimize(network).network)}
    contenders |= {f"with {each}": call(optimize(network, passes=names(each)).network) for each in options.chosen}
    contenders |= {f"without {each}": call(optimize(network, skip=names(each)).network) for each in options.without}
    contenders |= {f"also {each}": call(with_optional(network, names(each))) for each in options.also}
    times = interleaved(contenders, options.rounds)
    wall, cpu = times["original"]
    print(f"{name}: {1000 * statistics.median(wall):.1f} ms (ratio at most {at_most})")
    for contender, (seconds, work) in times.items():
        print(f"  {contender:40} {ratio(seconds, wall)}   processor {ratio(work, cpu)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], metavar="NETWORK", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--with", dest="chosen", action="append", default=[], help="also with these passes only")
    parser.add_argument("--without", action="append", default=[], help="also without these passes")
    parser.add_argument("--also", action="append", default=[], help="all passes and these optional ones")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in options.networks or NETWORKS:
        measure(name, options)


if __name__ == "__main__":
    main()
