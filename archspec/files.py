"""Files written whole: nobody meets half of one, and a failure leaves what was there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A draft beside the file, of the same extension, which takes its place if all goes well. Raises OSError."""
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def write_whole(path: Path, data: bytes | str) -> None:
    """Writes the file whole or not at all. Raises OSError."""
    with whole(path) as draft:
        draft.write_bytes(data.encode() if isinstance(data, str) else data)


def cache_folder() -> Path:
    """`archspec` in XDG_CACHE_HOME or ~/.cache; a user without a home has one in which nothing can be kept."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        home = os.devnull
    return Path(home) / "archspec"
