"""What checkpoints, the log and the progress cost at default settings, as a share of the time that the steps take.

One network is trained twice in turn, in one process: by Keras's `fit` with nothing but our batches, and by our loop
with metrics.csv, checkpoints and the bar. Each is timed over several epochs after one that is not counted, and the
best of the turns is compared, for the machine may be busy with other things.

    python benchmarks/train_overhead.py
    python benchmarks/train_overhead.py --backend jax --turns 5

With --feed it compares our batches with those that `fit` makes of the same arrays instead.
"""

from __future__ import annotations

import argparse
import io
import os
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
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--feed", action="store_true")
    given = parser.parse_args()
    os.environ["KERAS_BACKEND"] = given.backend
    from archspec.start import start_keras

    start_keras()
    for name in NETWORKS:
        model, x, y = network(name)
        with tempfile.TemporaryDirectory() as folder:
            ways = (
                feeding(model, x, y, given.epochs) if given.feed else watching(model, x, y, given.epochs, Path(folder))
            )
            best = [(float("inf"), float("inf"))] * len(ways)
            for turn in range(given.turns + 1):
                for i, way in enumerate(ways):
                    began = time.perf_counter(), time.process_time()
                    way()
                    took = time.perf_counter() - began[0], time.process_time() - began[1]
                    if turn:
                        best[i] = min(best[i][0], took[0]), min(best[i][1], took[1])
        what = "our batches / fit on arrays" if given.feed else "with all / bare"
        wall, processor = (after / before for before, after in zip(*best, strict=True))
        print(f"{given.backend} {name}: {what}: {wall:.3f} of the time, {processor:.3f} of the processor's", flush=True)


def feeding(model: Any, x: Any, y: Any, epochs: int) -> list[Callable[[], Any]]:
    from archspec.train.batches import training_batches
    from archspec.train.feed import Feed

    batches = training_batches(Feed(len(x), x, y), 64, 0, None)
    return [
        lambda: model.fit(x, y, batch_size=64, epochs=epochs, verbose=0),
        lambda: model.fit(batches, epochs=epochs, verbose=0),
    ]


def watching(model: Any, x: Any, y: Any, epochs: int, folder: Path) -> list[Callable[[], Any]]:
    import keras

    from archspec.train.batches import training_batches
    from archspec.train.checkpoint import Checkpoint, Position
    from archspec.train.feed import Feed
    from archspec.train.loop import Parts, run_loop
    from archspec.train.progress import Progress
    from archspec.train.record import Record
    from archspec.train.settings import Checkpoints
    from archspec.train.stop import Stop

    batches = training_batches(Feed(len(x), x, y), 64, 0, None)

    class Nothing(keras.callbacks.CallbackList):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None: ...

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None: ...

    def ours() -> None:
        parts = Parts(
            folder, Trained(model, {"optimizer": model.optimizer}), batches, epochs, Checkpoints().seconds,
            Record(folder / "metrics.csv", False), Progress(False, 64, Terminal()), Stop(lambda: None),
            Checkpoint(Position()),
        )  # fmt: skip
        run_loop(parts, [], {})

    return [
        lambda: model.fit(batches, epochs=epochs, verbose=0, callbacks=Nothing(add_history=True, model=model)),
        ours,
    ]


if __name__ == "__main__":
    sys.exit(main())
