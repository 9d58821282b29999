"""What checkpoints, the log and the progress cost at default settings, as a share of the time that the steps take.

The time spent in our list of callbacks is added up while a small network trains, with a bar drawn and metrics.csv and
checkpoints written, and divided by the rest of the time. JAX computes behind the program's back, so there each step
is waited for before the clock starts.

    python benchmarks/train_overhead.py
    python benchmarks/train_overhead.py --backend jax --epochs 20

With --feed it compares our batches with those that `fit` makes of the same arrays instead: the best of several turns
of each, one after the other, as wall time and as processor time.
"""

from __future__ import annotations

import argparse
import collections
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NETWORKS = ("mlp", "cnn")


class Terminal(io.StringIO):
    """A bar is drawn as on a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Trained:
    model: Any
    optimizers: dict[str, Any]


def network(name: str) -> tuple[Any, Any, Any]:
    """A small compiled model and its examples: an MLP on 60,000 × 784, a CNN on 10,000 images of 16 × 16."""
    import keras
    import numpy as np

    layers = keras.layers
    rng = np.random.default_rng(0)
    shape, size = ((784,), 60_000) if name == "mlp" else ((16, 16, 3), 10_000)
    x, y = rng.random((size, *shape), "float32"), rng.integers(0, 10, size)
    body = [layers.Dense(128, "relu"), layers.Dense(64, "relu")]
    if name == "cnn":
        body = [layers.Conv2D(16, 3, activation="relu"), layers.Conv2D(16, 3, activation="relu"), layers.Flatten()]
    model = keras.Sequential([keras.Input(shape), *body, layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, x, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--feed", action="store_true")
    given = parser.parse_args()
    os.environ["KERAS_BACKEND"] = given.backend
    from archspec.start import start_keras

    start_keras()
    for name in NETWORKS:
        model, x, y = network(name)
        if given.feed:
            wall, processor = feeding(model, x, y, given.turns)
            said = f"our batches / fit on arrays: {wall:.3f} of the time, {processor:.3f} of the processor's"
        else:
            with tempfile.TemporaryDirectory() as folder:
                watching(model, x, y, 1, Path(folder))
                found = [watching(model, x, y, given.epochs, Path(folder)) for _ in range(given.turns)]
            shares = [sum(each.values()) for each in found]
            parts = {part: statistics.median(each[part] for each in found) for part in found[0]}
            most = ", ".join(f"{part} {share:.2%}" for part, share in sorted(parts.items(), key=lambda p: -p[1])[:3])
            said = f"overhead: {statistics.median(shares):.2%} of the steps' time ({min(shares):.2%} to "
            said += f"{max(shares):.2%}; {most}); less than 3 % is wanted"
        print(f"{given.backend} {name}: {said}", flush=True)


def feeding(model: Any, x: Any, y: Any, turns: int) -> tuple[float, float]:
    """Wall and processor time of three epochs with our batches, as ratios to Keras's own."""
    from archspec.train.batches import training_batches
    from archspec.train.feed import Feed

    batches = training_batches(Feed(len(x), x, y), 64, 0, None)
    ways: list[Callable[[], Any]] = [
        lambda: model.fit(x, y, batch_size=64, epochs=3, verbose=0),
        lambda: model.fit(batches, epochs=3, verbose=0),
    ]
    best = [(float("inf"), float("inf"))] * 2
    for turn in range(turns + 1):
        for i, way in enumerate(ways):
            began = time.perf_counter(), time.process_time()
            way()
            took = time.perf_counter() - began[0], time.process_time() - began[1]
            if turn:
                best[i] = min(best[i][0], took[0]), min(best[i][1], took[1])
    return best[1][0] / best[0][0], best[1][1] / best[0][1]


def watching(model: Any, x: Any, y: Any, epochs: int, folder: Path) -> dict[str, float]:
    """The share of each of our callbacks in the rest of the time of one training."""
    import keras

    from archspec.train import loop
    from archspec.train.batches import training_batches
    from archspec.train.checkpoint import Checkpoint, Position
    from archspec.train.feed import Feed
    from archspec.train.progress import Progress
    from archspec.train.record import Record
    from archspec.train.settings import Checkpoints
    from archspec.train.stop import Stop

    spent: dict[str, float] = collections.defaultdict(float)

    class Timed(loop.Loop):
        """Adds up the time in each of its calls."""

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if not name.startswith("on_") or not callable(found):
                return found

            def timed(*arguments: Any, **named: Any) -> Any:
                if keras.backend.backend() == "jax":
                    import jax

                    jax.block_until_ready(arguments)
                began = time.perf_counter()
                try:
                    return found(*arguments, **named)
                finally:
                    spent[name] += time.perf_counter() - began

            return timed

    parts = loop.Parts(
        folder, Trained(model, {"optimizer": model.optimizer}), training_batches(Feed(len(x), x, y), 64, 0, None),
        epochs, Checkpoints().seconds, Record(folder / "metrics.csv", False), Progress(False, 64, Terminal()),
        Stop(lambda: None), Checkpoint(Position()),
    )  # fmt: skip
    began = time.perf_counter()
    model.fit(parts.batches, epochs=epochs, verbose=0, callbacks=Timed(parts, [], []))
    steps = time.perf_counter() - began - sum(spent.values())
    return {name: seconds / steps for name, seconds in spent.items()}


if __name__ == "__main__":
    sys.exit(main())
