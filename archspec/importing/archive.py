"""The config of a `.keras` file: the one text in the archive that is read. Weights and code are left alone."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

CONFIG = "config.json"
HDF5 = b"\x89HDF\r\n\x1a\n"  # how files of Keras 2 began
MOST_BYTES = 256 * 1024 * 1024  # a config of 100,000 layers takes about 100 MiB


class ImportFailed(ValueError):
    """A model cannot be read. The message says why."""


def read_config(path: str | Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The config in a `.keras` file. Raises ImportFailed."""
    try:
        with open(path, "rb") as file:
            if file.read(len(HDF5)) == HDF5:
                raise ImportFailed(f"{path} is an HDF5 file: load it in Keras and save it as .keras")
        with zipfile.ZipFile(path) as archive, archive.open(CONFIG) as file:
            text = file.read(most_bytes + 1)  # never more, whatever the archive says of its size
    except OSError as error:
        raise ImportFailed(f"cannot read {path}: {error.strerror or error}") from None
    except KeyError:
        raise ImportFailed(f"{path} has no {CONFIG}: it is no Keras model") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, EOFError, NotImplementedError) as error:
        raise ImportFailed(f"{path} is no .keras file (of Keras 3): {error}") from None
    if len(text) > most_bytes:
        raise ImportFailed(f"the config in {path} is larger than {most_bytes:,} bytes")
    return parse_config(text, str(path))


def read_vocabulary(path: str | Path, place: str, most_bytes: int = MOST_BYTES) -> list[str] | None:
    """The tokens that a layer learnt by adapting, which the file has beside its config; None where it has none."""
    name = f"assets/{place}/vocabulary.txt"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            data = file.read(most_bytes + 1)
        lines = data.decode().splitlines()
    except KeyError:
        return None
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError) as error:
        raise ImportFailed(f"{name} in {path} cannot be read: {error}") from None
    if len(data) > most_bytes:
        raise ImportFailed(f"{name} in {path} is larger than {most_bytes:,} bytes")
    while lines and not lines[-1]:
        lines.pop()
    return lines


def parse_config(text: str | bytes, name: str) -> dict[str, Any]:
    """A model's config from its JSON. Raises ImportFailed."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportFailed(f"the config in {name} is not valid: {error}") from None
    if not isinstance(config, dict):
        raise ImportFailed(f"the config in {name} is no model's")
    return config
