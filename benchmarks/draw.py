"""`archspec draw` of ResNet-152 against Keras's `plot_model` of the same network, as whole processes in turn.

Prints the ratio of the medians; the drawing must be at least 8 times faster and take less than 1.5 s.
`plot_model` needs pydot and a `dot` program. Where they are missing, Keras only builds the network, which is less than
it has to do, and the ratio says so. Also prints how long the blocks of a network of 10,000 layers take, at most 3 s.

    python benchmarks/draw.py [--runs 5]
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = str(ROOT / "specs" / "resnet.yaml@resnet152")
BUILD = "import keras; model = keras.applications.ResNet152(weights=None)"
PLOT = "keras.utils.plot_model(model, to_file={!r}, show_shapes=True)"
DEEP = """archspec: 1
name: deep
blocks:
  unit:
    layers:
      - Conv2D: {filters: 8, kernel_size: 3, padding: same, use_bias: false}
      - BatchNormalization
      - ReLU
      - Dropout: 0.1
inputs:
  image: [16, 16, 8]
layers:
  - {unit: , repeat: 2500}
  - GlobalAveragePooling2D
  - Dense: 10
"""


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def drawing(spec: str, path: Path) -> list[str]:
    return [sys.executable, "-m", "archspec", "draw", spec, "-o", str(path)]


def report(name: str, times: list[float]) -> None:
    print(f"{name}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}, {len(times)} runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        plots = bool(importlib.util.find_spec("pydot") and shutil.which("dot"))
        plot = f"; {PLOT.format(str(Path(folder) / 'theirs.svg'))}" if plots else ""
        ours, theirs = drawing(SPEC, Path(folder) / "ours.svg"), [sys.executable, "-c", BUILD + plot]
        seconds(ours)  # the byte code is written and the files are in memory
        seconds(theirs)
        our_times, their_times = [], []
        for _ in range(runs):
            our_times.append(seconds(ours))
            their_times.append(seconds(theirs))
        report("archspec draw", our_times)
        report("keras plot_model" if plots else "keras build alone (no pydot or no dot here to plot with)", their_times)
        print(f"ratio: {statistics.median(their_times) / statistics.median(our_times):.1f} (at least 8)")
        deep = Path(folder) / "deep.yaml"
        deep.write_text(DEEP, "utf-8")
        report(
            "archspec draw, 10,002 layers (at most 3 s)",
            [seconds(drawing(str(deep), deep.with_suffix(".svg"))) for _ in range(runs)],
        )


if __name__ == "__main__":
    main()
