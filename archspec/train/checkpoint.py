"""Checkpoints: all that a training needs to go on as if it had never stopped, in files that are whole or not there.

A checkpoint is a safetensors file named by its place, `EPOCHS-STEPS.safetensors` (epochs done, and steps of the next),
with its SHA-256 beside it as `sha256sum -c` reads it. The sum is written first and the file renamed last, so that a
process killed at any moment leaves the checkpoints before untouched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from archspec.files import whole, write_whole

KEPT = 2
FOLDER = "checkpoints"


class Trained(Protocol):
    """What is trained: the compiled model, and its optimizers by name."""

    @property
    def model(self) -> keras.Model: ...

    @property
    def optimizers(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Position:
    """How far a training is: epochs done, steps of the next, seconds spent in that one, and the figures so far.

    `stopped` says that a callback has ended the training; `callbacks` holds the state of each by its class.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    stopped: bool = False
    names: tuple[str, ...] = ()
    lines: tuple[Mapping[str, float], ...] = ()
    callbacks: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"the end of epoch {self.epoch}"


@dataclass(frozen=True)
class Checkpoint:
    """A position with the values of all variables there."""

    position: Position
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes the checkpoint and removes all but the last two. Raises OSError, and then leaves what there was."""
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    position = checkpoint.position
    path = folder / f"{position.epoch:05d}-{position.step:08d}.safetensors"
    with whole(path) as draft:
        draft.touch()  # so that a full disk is an OSError, as everywhere
        arrays = {name: np.asarray(value, order="C") for name, value in checkpoint.arrays.items()}
        with _as_os_error():
            save_file(arrays, draft, {"position": json.dumps(asdict(position))})
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        write_whole(_sum(path), f"{digest}  {path.name}\n")
    _sync(folder)
    for old in sorted(folder.glob("*.safetensors"))[:-KEPT]:
        old.unlink()
        _sum(old).unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """safetensors tells of a full disk by an exception of its own."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sum(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


@dataclass(frozen=True)
class Found:
    """The last whole checkpoint, if there is one, and the names of damaged ones that came after it."""

    checkpoint: Checkpoint | None
    damaged: tuple[str, ...]


def last(folder: Path) -> Found:
    """Finds the last checkpoint whose checksum holds. Damaged ones are put aside under another name."""
    for draft in folder.glob(".*"):  # of a process that was killed
        draft.unlink()
    damaged: list[str] = []
    for path in sorted(folder.glob("*.safetensors"), reverse=True):
        if _is_whole(path):
            return Found(_read(path), tuple(damaged))
        damaged.append(path.name)
        path.replace(path.with_name(path.name + ".damaged"))
    return Found(None, tuple(damaged))


def _is_whole(path: Path) -> bool:
    try:
        wanted = _sum(path).read_text("ascii").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wanted


def _read(path: Path) -> Checkpoint:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        said = json.loads(file.metadata()["position"])
        names = file.keys()
        arrays = {name: file.get_tensor(name) for name in names}
    lists = {name: tuple(said[name]) for name in ("names", "lines", "callbacks")}
    return Checkpoint(Position(**(said | lists)), arrays)


# --- variables ------------------------------------------------------------------------------------


def values(trained: Trained, *, measured: bool) -> dict[str, np.ndarray]:
    """Copies of all variables; those of the metrics only within an epoch, for Keras resets them between."""
    return {name: _plain(variable) for name, variable in _variables(trained, measured).items()}


def restore(trained: Trained, arrays: Mapping[str, np.ndarray], *, fresh: tuple[str, ...] = ()) -> None:
    """Sets the model's and the optimizers' variables but for optimizers' own ones named in `fresh`.

    Raises ValueError where the checkpoint does not have a variable in its shape.
    """
    for name, variable in _variables(trained, False).items():
        if name.startswith("optimizer/") and name.rpartition("/")[2] in fresh:
            continue
        _assign(name, variable, arrays)


def restore_metrics(trained: Trained, arrays: Mapping[str, np.ndarray]) -> None:
    """Sets the metrics' variables, where the checkpoint has them all."""
    variables = _metrics(trained)
    if variables.keys() <= arrays.keys():
        for name, variable in variables.items():
            _assign(name, variable, arrays)


def _variables(trained: Trained, measured: bool) -> dict[str, Any]:
    """Each variable by a name that is the same in every process: Keras numbers some paths by what was made before."""
    named = {f"model/{i:06d}": variable for i, variable in enumerate(trained.model.variables)}
    for name, optimizer in trained.optimizers.items():
        for variable in optimizer.variables:
            path = variable.path.partition("/")[2] or variable.path
            own = f"optimizer/{name}/{path}"
            if own in named:  # one optimizer around another, as half precision has it
                own = f"optimizer/{name}/inner/{path}"
            assert own not in named, f"two variables of the optimizer are {own}"
            named[own] = variable
    return named | (_metrics(trained) if measured else {})


def _metrics(trained: Trained) -> dict[str, Any]:
    return {f"metric/{i:06d}": variable for i, variable in enumerate(trained.model.metrics_variables)}


def _plain(variable: Any) -> np.ndarray:
    """The value in memory of its own, in a dtype that NumPy knows: JAX gives its buffers away in the next step."""
    value = np.array(variable.numpy(), copy=True)
    return value if value.dtype.isbuiltin == 1 else value.view(f"u{value.dtype.itemsize}")


def _assign(name: str, variable: Any, arrays: Mapping[str, np.ndarray]) -> None:
    if name not in arrays or tuple(arrays[name].shape) != tuple(variable.shape):
        there = f"has it in shape {arrays[name].shape}" if name in arrays else "does not have it"
        raise ValueError(f"{variable.path} of shape {tuple(variable.shape)}: the checkpoint {there}")
    value = arrays[name]
    if str(value.dtype) != variable.dtype:
        value = value.view(variable.numpy().dtype)
    variable.assign(value)


# --- callbacks ------------------------------------------------------------------------------------


def callback_states(
    callbacks: tuple[keras.callbacks.Callback, ...],
) -> tuple[tuple[Mapping[str, Any], ...], dict[str, np.ndarray]]:
    """What the callbacks have noted: plain values, and apart from them arrays (the best weights)."""
    states: list[Mapping[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for i, callback in enumerate(callbacks):
        noted: dict[str, Any] = {}
        for name, value in _noted(callback).items():
            if isinstance(value, list):
                noted[name] = {"arrays": len(value)}
                arrays |= {f"callback/{i}/{name}/{k:06d}": np.array(each) for k, each in enumerate(value)}
            else:
                noted[name] = value
        states.append({"class": type(callback).__name__, "noted": noted})
    return tuple(states), arrays


def restore_callbacks(callbacks: tuple[keras.callbacks.Callback, ...], checkpoint: Checkpoint) -> None:
    """Gives each callback what the one of its class, in the order of the spec, had noted; new ones begin anew."""
    left = list(enumerate(checkpoint.position.callbacks))
    for callback in callbacks:
        match = next(((i, state) for i, state in left if state["class"] == type(callback).__name__), None)
        if match is None:
            continue
        left.remove(match)
        i, state = match
        for name, value in state["noted"].items():
            if isinstance(value, dict):
                value = [checkpoint.arrays[f"callback/{i}/{name}/{k:06d}"] for k in range(value["arrays"])]
            setattr(callback, name, value)


def _noted(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """A callback's attributes that are neither arguments, which the spec gives, nor Keras's own."""
    arguments = set(type(callback).__init__.__code__.co_varnames)
    return {
        name: float(value) if isinstance(value, np.floating) else value
        for name, value in vars(callback).items()
        if name not in arguments and name not in ("params", "_model", "monitor_op", "mode", "min_delta", "monitor")
    }
