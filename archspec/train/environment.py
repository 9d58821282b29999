"""What a run depended on beside its spec: versions, machine, seed, data, command."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from archspec.start import start_keras

BACKENDS = ("tensorflow", "jax")
_PACKAGES = ("archspec", "keras", "tensorflow", "tensorflow-cpu", "jax", "numpy", "scikit-learn", "tensorflow-datasets")


def environment() -> dict[str, Any]:
    """Versions of what is installed, the machine and the command. Keras must be loaded."""
    import keras

    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "versions": versions,
        "backend": keras.backend.backend(),
        "devices": keras.distribution.list_devices(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "command": shlex.join(sys.argv),
        "folder": os.getcwd(),
    }


# XLA's CPU compiler orders a program for many threads, which computes again long before what is made is needed, and
# frees nothing: of ResNet-20 for CIFAR (batches of 256) a step's tensors took 400 MiB, 396 with all blocks computed
# again, and without that order 208 and 170 (JAX 0.10.2).
FRUGAL = "xla_cpu_enable_concurrency_optimized_scheduler"


def _knows_frugal() -> bool:
    """Whether this jaxlib was tried with the flag: XLA ends the process at one that it does not know."""
    return importlib.metadata.version("jaxlib").startswith("0.10.")


def choose_backend(wanted: str | None, frugal: bool = False) -> str:
    """Makes Keras use the backend, which only works before it is loaded. Returns the one in use.

    `frugal` asks JAX to order what it computes on a CPU for least memory, where nobody has said how.

    Raises RuntimeError where Keras is loaded with another one, and where the backend is none of ours or not installed.
    """
    if "keras" in sys.modules:
        import keras

        loaded: str = keras.backend.backend()
        if wanted not in (None, loaded):
            raise RuntimeError(f"run.backend is {wanted}, but Keras is already loaded with {loaded}")
        return loaded
    chosen = wanted or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if chosen not in BACKENDS:
        raise RuntimeError(f"KERAS_BACKEND is {chosen}, but archspec works with {' and '.join(BACKENDS)}")
    if importlib.util.find_spec(chosen) is None:
        raise RuntimeError(f"the backend {chosen} is not installed: pip install {chosen}")
    os.environ["KERAS_BACKEND"] = chosen
    flags = os.environ.get("XLA_FLAGS", "")
    if frugal and chosen == "jax" and FRUGAL not in flags and _knows_frugal():
        os.environ["XLA_FLAGS"] = f"{flags} --{FRUGAL}=false".strip()
    start_keras()
    return chosen


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Within the context, Keras makes layers of this precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
