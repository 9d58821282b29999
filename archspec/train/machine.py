"""What this machine has: memory, and how fast it multiplies."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archspec.files import cache_folder, write_whole

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_PREFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
JAX_SHARE = 0.75  # https://docs.jax.dev/en/latest/gpu_memory_allocation.html
_FILE = "throughput.json"  # in the user's cache
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Throughput:
    """What a training does in a second, forward and backward passes together.

    Operations, a multiply and an add being two: in convolutions, and in products of matrices. `bytes` are those that
    other layers make, and `call` the seconds that each layer takes however small it is.
    """

    convolution: float
    product: float
    bytes: float = math.inf
    call: float = 0.0


def read_bytes(text: str) -> int:
    """`16GB`, `512 MiB`, `2e9` in bytes. Raises ValueError."""
    found = re.fullmatch(
        r"\s*([\d.]+(?:e\d+)?)\s*(?:([KMGT]?I?)B?)?\s*", text.upper().replace("E+", "E"), re.IGNORECASE
    )
    if found is None or (found[2] or "") not in _UNITS:
        raise ValueError(f"{text!r} is no amount of memory; write it like 16GB or 512MiB")
    size = int(float(found[1]) * _UNITS[found[2] or ""])
    if size <= 0:
        raise ValueError(f"{text!r} is no memory at all")
    return size


def read_flops(text: str) -> Throughput:
    """`10T`, `312e12`: operations for each second. Raises ValueError."""
    found = re.fullmatch(r"\s*([\d.]+(?:e\+?\d+)?)\s*([KMGTP]?)(?:FLOPS?|FLOP/S)?\s*", text, re.IGNORECASE)
    rate = float(found[1]) * _PREFIXES[found[2].upper()] if found else 0.0
    if rate <= 0:
        raise ValueError(f"{text!r} is no number of operations a second; write it like 10T or 312e12")
    return Throughput(rate, rate)


def expected_backend(wanted: str | None) -> str:
    """The backend of a training whose `run.backend` is `wanted`; nothing is loaded for it."""
    if wanted is None and "keras" in sys.modules:
        import keras

        return str(keras.backend.backend())
    return wanted or os.environ.get("KERAS_BACKEND") or "tensorflow"


def memory_bytes(devices: str | int = "auto", backend: str = "tensorflow") -> int:
    """What a training on `run.devices` may use: of the smallest GPU's memory where there is one, else of main memory.

    JAX takes three quarters of a GPU's unless XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise.
    """
    gpus = [] if devices in ("cpu", "tpu") else _gpus()
    return int(min(gpus) * (_jax_share() if backend == "jax" else 1)) if gpus else _main_memory()


def _jax_share() -> float:
    if os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "").lower() in ("false", "0"):
        return 1.0
    try:
        return float(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", JAX_SHARE))
    except ValueError:
        return JAX_SHARE


def _main_memory() -> int:
    """Physical memory, or the container's share of it."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in map(Path, _CGROUPS):
        if file.is_file() and (text := file.read_text().strip()).isdigit():
            sizes.append(int(text))
    return min(sizes)


def _gpus() -> list[int]:
    """The memory of NVIDIA's GPUs, by their own tool: no framework is loaded for it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [int(line) * 2**20 for line in done.stdout.split() if line.isdigit()] if done.returncode == 0 else []


# --- throughput -----------------------------------------------------------------------------------


def known_throughput(backend: str, precision: str) -> Throughput | None:
    """What was measured on this machine before."""
    found = _measured().get(_key(backend, precision))
    try:
        return Throughput(**found) if found else None
    except TypeError:  # of another version
        return None


def remember(backend: str, precision: str, speed: Throughput) -> Path:
    """Keeps a measurement in the user's cache folder. Raises OSError where that cannot be written to."""
    file = cache_folder() / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(_measured() | {_key(backend, precision): asdict(speed)}, indent=2))
    return file


def _measured() -> dict[str, Any]:
    try:
        found = json.loads((cache_folder() / _FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(backend: str, precision: str) -> str:
    return f"{platform.node()} {platform.machine()} {os.cpu_count()} {backend} {precision}"
