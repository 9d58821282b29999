"""Keras on JAX, compiled: in a process of its own, as Keras's backend is chosen once for a process."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, ClassVar

from archspec.bench.base import Runtime, Timed
from archspec.export.base import ExportFailed, Run, Source, short
from archspec.optimize.network import Array

_WORKER = "from archspec.bench.worker import main; main()"
_ERROR = re.compile(r"[\w.]*(Error|Exception): ")


class Jax(Runtime):
    NAME = "jax"
    NEEDS: ClassVar[Mapping[str, str]] = {"jax": "jax"}
    USE = "KERAS_BACKEND=jax, and jax.jit of model.stateless_call"
    PLACE = 6

    def prepare(self, source: Source, inputs: Sequence[Array], stack: ExitStack) -> tuple[Run, Timed]:
        if any(x.dtype == object for x in inputs):
            raise ExportFailed("JAX has no texts")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Written and read by ourselves, in a folder that nobody else can write to.
        (folder / "network.pickle").write_bytes(pickle.dumps((source.network, list(inputs))))
        environment = {**os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(folder / "stderr").open("wb"), env=environment,
            text=True,
        )  # fmt: skip
        stack.callback(_end, worker)
        said = _ask(worker, folder)
        if said != "ready":
            raise ExportFailed(f"JAX cannot run the network: {said}")

        def measure() -> float:
            return float(_ask(worker, folder, "call"))

        def run(values: Sequence[Array]) -> Mapping[str, Array]:
            (folder / "inputs.pickle").write_bytes(pickle.dumps(list(values)))
            _ask(worker, folder, "run")
            found: Mapping[str, Array] = pickle.loads((folder / "outputs.pickle").read_bytes())
            return found

        return run, measure


def _ask(worker: subprocess.Popen[str], folder: Path, word: str | None = None) -> str:
    """The worker's next line, after a word to it. Raises ExportFailed where it has ended."""
    assert worker.stdin and worker.stdout
    if word:
        _tell(worker.stdin, word)
    line = worker.stdout.readline().strip()
    if not line:
        raise ExportFailed(
            f"JAX cannot run the network: {short(_reason((folder / 'stderr').read_text('utf-8', 'replace')))}"
        )
    return line


def _reason(notes: str) -> str:
    """The line of a stack trace that names the error; what comes behind it is about the trace."""
    lines = notes.strip().splitlines()
    named = (line.partition(": ")[2] for line in reversed(lines) if _ERROR.match(line))
    return next(named, lines[-1] if lines else "the process ended")


def _tell(stdin: IO[str], word: str) -> None:
    try:
        stdin.write(f"{word}\n")
        stdin.flush()
    except BrokenPipeError:
        raise ExportFailed("the process with JAX has ended") from None


def _end(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin
    worker.kill()
    worker.wait()
