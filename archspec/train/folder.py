"""The run folder: numbered, never overwritten, and honest about how the run ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from archspec.files import write_whole
from archspec.language import Document
from archspec.language.dump import to_yaml

_LOCK = ".lock"
_TRIES, _PAUSE = 20, 0.01  # to take it, and the seconds between


class RunFailed(Exception):
    """A run that cannot begin or did not end well: why, and the folder with what it left, if there is one.

    `stopped_by` is the number of the signal that ended it, where one did.
    """

    def __init__(
        self, message: str, folder: Path | None = None, help: str | None = None, stopped_by: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.folder = folder
        self.help = help
        self.stopped_by = stopped_by


def new_folder(name: str, run_dir: Path | None, runs: Path) -> Path:
    """An empty folder for a run: `run_dir`, or the next of `runs/NAME-001`. Raises RunFailed."""
    try:
        if run_dir is not None:
            run_dir.mkdir(parents=True, exist_ok=True)
            if any(run_dir.iterdir()):
                raise RunFailed(f"{run_dir} is not empty, and a run overwrites nothing", help="name another folder")
            return run_dir
        runs.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "_", name)
        number = 1 + max((_number(stem, f.name) for f in runs.iterdir()), default=0)
        while True:
            folder = runs / f"{stem}-{number:03d}"
            try:
                folder.mkdir()
            except FileExistsError:  # another run has taken the number
                number += 1
            else:
                return folder
    except OSError as error:
        raise RunFailed(f"no folder can be made for the run: {error}") from error


def _number(stem: str, name: str) -> int:
    match = re.fullmatch(re.escape(stem) + r"-(\d+)", name)
    return int(match[1]) if match else 0


class Status:
    """Keeps `status.json` true: running, then finished, or interrupted or failed and why."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Status:
        self.write("running")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.write("finished")
        elif isinstance(error, RunFailed) and error.stopped_by is not None:
            self.write(str(error))
        elif isinstance(error, KeyboardInterrupt):
            self.write("interrupted")
        else:
            self.write("failed", f"{type(error).__name__}: {error}" if not isinstance(error, RunFailed) else str(error))

    def write(self, status: str, reason: str = "") -> None:
        """Raises OSError only where not even the file that is there can be written."""
        path = self.folder / "status.json"
        status = f"{status}: {reason}" if reason else status
        try:
            write_json(path, {"status": status, "process": os.getpid()})
        except OSError:  # a full disk has no room for a new file, but the old one has a block of its own
            with path.open("r+b") as file:
                file.write(json.dumps({"status": status, "process": os.getpid()}).encode())
                file.truncate()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go of it when the process ends, however it does.

    Raises RunFailed where another process has it.
    """
    with (folder / _LOCK).open("w") as file:
        for _ in range(_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # somebody may just be looking
                time.sleep(_PAUSE)
        else:
            raise RunFailed(f"another process is training in {folder}", help="wait for it, or end it")
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder. Its number would not do: it may be another's by now."""
    try:
        with (folder / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none
        return False
    return False


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")


RESOLVED = "resolved.yaml"
USED = "used"  # the folder of the specs that resolved.yaml uses


def write_spec(folder: Path, document: Document) -> None:
    """The spec as written, the files that it reads under `files`, and the spec resolved, which needs none of them."""
    suffix = Path(document.file).suffix or ".yaml"
    file = Path(document.file)
    home = (file.parent if file.is_file() else document.folder or Path()).resolve()
    taken: set[Path] = set()
    for name, text in document.texts.items():
        if name == document.file:
            write_whole(folder / f"spec{suffix}", text)
        elif Path(name).is_file():  # the other texts are changes from the command line
            path = Path(name).resolve()
            below = path.relative_to(home) if path.is_relative_to(home) else Path("outside", path.name)
            copy = folder / "files" / _free(below, taken)
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_whole(copy, text)
    write_resolved(folder, document)


def write_resolved(folder: Path, document: Document) -> None:
    """`resolved.yaml` and, resolved as well, each spec that it uses: together they can be read anywhere."""
    files: dict[int, str] = {}
    taken: set[Path] = set()

    def data(each: Document, above: str) -> dict[str, Any]:
        """What a file holds whose `use` counts from the folder `above` it."""
        uses = {name: above + written(name, used) for name, used in each.uses.items()}
        return {**each.raw, **({"use": uses} if uses else {})}

    def written(name: str, used: Document) -> str:
        if id(used) not in files:  # one that is used twice is one document
            file = files[id(used)] = str(_free(Path(f"{name}.yaml"), taken))
            (folder / USED).mkdir(exist_ok=True)
            write_whole(folder / USED / file, to_yaml(data(used, "")))
        return files[id(used)]

    write_whole(folder / RESOLVED, to_yaml(data(document, f"{USED}/")))


def _free(path: Path, taken: set[Path]) -> Path:
    """The path, numbered where it is taken."""
    number, found = 2, path
    while found in taken:
        found, number = path.with_name(f"{path.stem}-{number}{path.suffix}"), number + 1
    taken.add(found)
    return found
