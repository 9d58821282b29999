"""What was measured on this machine, kept for other runs of the same network: in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from archspec.files import cache_folder, write_whole


def key(*parts: object) -> str:
    """A name for what was measured for a network on this machine, the same on every backend."""
    versions = (keras.__version__, platform.node(), platform.machine(), os.cpu_count())
    return hashlib.sha256(repr((*parts, *versions)).encode()).hexdigest()[:32]


def place(kind: str, name: str, backend: str | None = None) -> Path:
    """The file of what was measured under that name, on the backend in use or on another."""
    return cache_folder() / kind / f"{name}-{backend or keras.backend.backend()}.json"


def read(path: Path) -> Any:
    """What the file holds; None where it is not there or broken."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def keep(path: Path, found: Mapping[str, Any]) -> None:
    """Writes to the cache; a home that cannot be written to has none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(found))
    except OSError:
        return
