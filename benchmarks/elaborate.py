"""Time and memory of checking a spec of 10,000 and of 100,000 layers: the cost must grow with the graph, no faster.

python benchmarks/elaborate.py [--runs 3]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import archspec

SPEC = """
archspec: 1
name: deep
inputs: {{features: [8]}}
blocks:
  residual:
    params: {{units: int}}
    layers:
      - add: {{f: [Dense: =units, ReLU], skip: x}}
layers:
  - {{residual: 8, repeat: {count}}}
"""
LAYERS = 3  # of a residual block


def seconds(layers: int) -> float:
    start = time.perf_counter()
    network = archspec.loads(SPEC.format(count=layers // LAYERS))
    assert not network.check()
    network.summary()
    assert len(network.graph.nodes) >= layers - LAYERS
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    small, large = [], []
    for _ in range(runs):
        small.append(seconds(10_000))
        large.append(seconds(100_000))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB
    print(f"10,000 layers: {statistics.median(small):.2f} s; 100,000 layers: {statistics.median(large):.2f} s")
    print(
        f"ratio: {statistics.median(large) / statistics.median(small):.1f} (at most 12); peak {peak:.2f} GiB (under 2)"
    )


if __name__ == "__main__":
    main()
