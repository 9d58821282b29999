"""`archspec check` of ResNet-152 against a Python process that constructs it in Keras, as whole processes in turn.

Prints the ratio of the medians; the check must be at least 20 times faster. Also prints what the check has imported.

    python benchmarks/check.py [--runs 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = str(ROOT / "specs" / "resnet.yaml@resnet152")
OURS = [sys.executable, "-m", "archspec", "check", SPEC]
THEIRS = [sys.executable, "-c", "import keras; keras.applications.ResNet152(weights=None)"]
MODULES = f"""
import sys
from archspec.cli import cli
cli.main(["check", {SPEC!r}], standalone_mode=False)
heavy = {{"keras", "tensorflow", "jax", "numpy", "graphviz", "matplotlib", "sklearn"}} & set(sys.modules)
print("heavy modules:", sorted(heavy) or "none", file=sys.stderr)
"""


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    seconds(OURS)  # the byte code is written and the files are in memory
    seconds(THEIRS)
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(seconds(OURS))
        theirs.append(seconds(THEIRS))
    for name, times in (("archspec check", ours), ("keras.applications.ResNet152", theirs)):
        print(f"{name}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}, {runs} runs")
    print(f"ratio: {statistics.median(theirs) / statistics.median(ours):.1f} (at least 20)")
    print(subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True).stderr.strip())


if __name__ == "__main__":
    main()
