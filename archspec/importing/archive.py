"""The archive that a `.keras` file is, and the texts in it. Code is left alone."""

from __future__ import annotations

import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIG = "config.json"
HDF5 = b"\x89HDF\r\n\x1a\n"  # how files of Keras 2 began
MOST_BYTES = 256 * 1024 * 1024  # a config of 100,000 layers takes about 100 MiB
LARGE_BYTES = 64 * 1024**2  # from which on it matters how little they are packed into
MOST_PACKED = 100  # bytes for each byte in the archive; weights are hardly packed at all
# What zipfile raises for an archive that is damaged, encrypted, or packed in a way that it does not know.
_DAMAGED = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError,
    RuntimeError, ValueError,
)  # fmt: skip


class ImportFailed(ValueError):
    """A model cannot be read. The message says why."""


@contextmanager
def unpacked(path: str | Path, kind: str = ".keras file (of Keras 3)") -> Iterator[zipfile.ZipFile]:
    """The archive; whatever is wrong with it is told. Raises ImportFailed."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except ImportFailed:
        raise
    except OSError as error:
        raise ImportFailed(f"cannot read {path}: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise ImportFailed(f"{path} is no {kind}, or damaged: {error}") from None


def member_bytes(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """A member that may be large, but no more than what is packed into it warrants. Raises ImportFailed."""
    entry = archive.getinfo(name)
    packed = entry.file_size > LARGE_BYTES and entry.file_size > MOST_PACKED * entry.compress_size
    if entry.file_size > most_bytes or packed:
        told = f"{name} in {archive.filename}"
        raise ImportFailed(f"{told} would unpack to {entry.file_size:,} bytes from {entry.compress_size:,}")
    return archive.read(entry)


def read_config(path: str | Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The config in a `.keras` file. Raises ImportFailed."""
    text = _member(path, CONFIG, f"the config in {path}", most_bytes)
    if text is None:
        raise ImportFailed(f"{path} has no {CONFIG}: it is no Keras model")
    return parse_config(text, str(path))


def read_vocabulary(path: str | Path, place: str) -> list[str] | None:
    """The tokens that a layer learnt by adapting, which the file has beside its config; None where it has none."""
    name = f"assets/{place}/vocabulary.txt"
    data = _member(path, name, f"{name} in {path}", MOST_BYTES)
    if data is None:
        return None
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise ImportFailed(f"{name} in {path} cannot be read: {error}") from None
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _member(path: str | Path, name: str, told: str, most_bytes: int) -> bytes | None:
    """What the archive has under a name, None where it has none. Raises ImportFailed, also where that is too large."""
    with unpacked(path) as archive:
        if name not in archive.namelist():
            return None
        with archive.open(name) as file:
            data = file.read(most_bytes + 1)  # never more, whatever the archive says of its size
    if len(data) > most_bytes:
        raise ImportFailed(f"{told} is larger than {most_bytes:,} bytes")
    return data


def is_hdf5(path: str | Path) -> bool:
    """Whether the file is an HDF5 file by its first bytes. Raises ImportFailed."""
    try:
        with open(path, "rb") as file:
            return file.read(len(HDF5)) == HDF5
    except OSError as error:
        raise ImportFailed(f"cannot read {path}: {error.strerror or error}") from None


def parse_config(text: str | bytes, name: str) -> dict[str, Any]:
    """A model's config from its JSON. Raises ImportFailed."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportFailed(f"the config in {name} is not valid: {error}") from None
    if not isinstance(config, dict):
        raise ImportFailed(f"the config in {name} is no model's")
    return config
