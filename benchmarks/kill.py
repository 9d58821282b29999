"""One training killed (kill -9) at random moments again and again, resumed each time, against one that nobody disturbs.

Prints how many kills there were and where they fell, and whether metrics.csv (but for its seconds) and every weight are
the same to the last bit. Exit code 1 if they are not.

    python benchmarks/kill.py                      # 50 kills, arrays, TensorFlow
    python benchmarks/kill.py --kills 10 --backend jax --source stream

Each attempt is a process of its own, forked before any framework has computed anything, which saves its start.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

SPEC = """
archspec: 1
name: killed
inputs: {image: [8, 8, 1]}
layers:
  - Conv2D: {filters: 8, kernel_size: 3, activation: relu}
  - BatchNormalization
  - Flatten
  - Dropout: 0.3
  - Dense: {units: 10, activation: softmax}
data:
  source: %(source)s
  split: {validation: 0.1, test: 0.2}
  batch_size: 16
  augment: [GaussianNoise: 0.1]
  preprocess: [Rescaling: {scale: 0.0625}]
train:
  epochs: %(epochs)d
  loss: SparseCategoricalCrossentropy
  optimizer: {Adam: {learning_rate: 0.003, use_ema: true, ema_momentum: 0.9}}
  metrics: [accuracy]
  callbacks:
    - EarlyStopping: {patience: 1000, restore_best_weights: true}
    - ReduceLROnPlateau: {patience: 2, factor: 0.7}
run: {backend: %(backend)s, checkpoint: {seconds: %(seconds)s}}
"""


Where = collections.Counter[str]


def images(folder: Path) -> None:
    """The handwritten digits as PNG files: a stream."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for i, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).save(folder / str(label) / f"{i}.png")


def start(arguments: list[str], log: Path) -> int:
    """Runs `archspec train` in a process of its own and gives its number."""
    child = os.fork()
    if child:
        return child
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from archspec.cli import main

    sys.argv = ["archspec", "train", *arguments]
    code = main()
    sys.stdout.flush()
    os._exit(code)


def attempt(arguments: list[str], log: Path, after: float | None, run: Path, number: int) -> tuple[bool, str]:
    """One process, sent a signal after so many seconds of its training (less than 0: after its start).

    Gives whether it was ended so, and where.
    """
    child = start(arguments, log)
    before, began, seen = newest(run), time.perf_counter(), None
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        now = time.perf_counter()
        if done:
            if status:
                raise SystemExit(f"the training ended with {status}:\n{log.read_text()[-3000:]}")
            return False, "finished"
        if seen is None and newest(run) != before:
            seen = now
        training = seen is not None
        if after is not None and (now - seen > after if training else after < 0 and now - began > -after):
            os.kill(child, number)
            _, status = os.waitpid(child, 0)
            if status == 0:
                return False, "finished"  # before the signal reached it
            if os.waitstatus_to_exitcode(status) not in (-number, 128 + number):
                raise SystemExit(f"the signal {number} gave {status}:\n{log.read_text()[-3000:]}")
            return True, "in training" if training else "before its first checkpoint"
        time.sleep(0.002)


def newest(run: Path) -> tuple[str, ...]:
    return tuple(sorted(file.name for file in run.glob("checkpoints/*.safetensors")))


def killed_run(home: Path, name: str, given: argparse.Namespace, chance: random.Random, where: Where) -> Path:
    """A training to its end, killed on the way as often as there are kills left; gives its folder."""
    run = home / name
    arguments = [str(home / "spec.yaml"), "--run-dir", str(run)]
    while True:
        after = None
        if where.total() < given.kills:  # a tenth of the kills fall before the training goes on
            after = -chance.uniform(0.5, 4) if chance.random() < 0.1 else chance.uniform(0, given.span)
        number = signal.Signals[f"SIG{chance.choice(given.signals)}"]
        killed, place = attempt(arguments, home / "log", after, run, number)
        if not killed:
            return run
        where[place] += 1
        if (run / "resolved.yaml").exists():
            arguments = ["--resume", str(run)]
        else:
            run = home / f"{name}-{where.total()}"
            arguments = [str(home / "spec.yaml"), "--run-dir", str(run)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.1, help="between two checkpoints")
    parser.add_argument("--span", type=float, default=0.8, help="kills fall up to so many seconds into the training")
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--source", choices=("arrays", "stream"), default="arrays")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signals", nargs="+", default=["KILL"], help="KILL, INT, TERM: one is drawn each time")
    given = parser.parse_args()
    os.environ["KERAS_BACKEND"] = given.backend
    from archspec.start import start_keras

    start_keras()
    from archspec.train.repeat import first_difference

    chance, where, runs = random.Random(given.seed), Where(), list[Path]()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        source = "{sklearn: digits}"
        if given.source == "stream":
            images(home / "digits")
            source = "{images: {path: digits, size: 8, color_mode: grayscale}}"
        (home / "spec.yaml").write_text(SPEC % (vars(given) | {"source": source}))
        whole = home / "whole"
        attempt([str(home / "spec.yaml"), "--run-dir", str(whole)], home / "log", None, whole, 0)
        while where.total() < given.kills:  # a fast training may end before all of them
            runs.append(killed_run(home, f"killed-{len(runs)}", given, chance, where))
        # Only now: what compares starts threads, and a process with threads must not be forked.
        difference = next(filter(None, (first_difference(whole, run) for run in runs)), None)
    print(f"{where.total()} kills ({dict(where)}) in {len(runs)} runs, {given.backend}, {given.source}: "
          f"{difference or 'the same figures and weights as the undisturbed run, to the last bit'}")  # fmt: skip
    return 0 if difference is None else 1


if __name__ == "__main__":
    sys.exit(main())
