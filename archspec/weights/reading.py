"""Weight files into arrays by name; nothing in a file is run or unpickled."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from archspec.importing.archive import ImportFailed, member_bytes, unpacked
from archspec.importing.stored import (
    MOST_BYTES,
    array_of,
    dataset_inside,
    hdf5_file,
    inside,
    listed_names,
    weights_file,
)
from archspec.weights.rules import Array

if TYPE_CHECKING:
    import h5py

FORMATS = (".h5", ".hdf5", ".keras", ".npz", ".safetensors")

# The names that a layer's variables have had since Keras 2; older files have others, and their order counts.
_VARIABLES = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"}

_CONTAINERS = {"layers", "_layer_checkpoint_dependencies"}  # Keras 3's and 2.13's
_NO_WEIGHTS = {"optimizer", "seed_generator", "compile_metrics"}  # state that a file may hold besides


class UnreadableError(Exception):
    """The file holds no weights that can be read; the message says why."""


def read(path: str | Path) -> dict[str, Array]:
    """The arrays of a file by their names.

    Of Keras's HDF5 files, old and new, and of .keras files, the names are `layer/kernel`, or `layer/0` where the file
    knows no more than the position among the layer's weights; of .npz and .safetensors files, the file's own.

    Raises:
        UnreadableError: also where an array would be pickled or lie in another file.
    """
    path = Path(path)
    readers = {".h5": _read_h5, ".hdf5": _read_h5, ".keras": _read_keras, ".npz": _read_npz,
               ".safetensors": _read_safetensors}  # fmt: skip
    if path.suffix not in readers:
        raise UnreadableError(f"{path}: weights are read from {', '.join(FORMATS)} files")
    if not path.is_file():
        raise UnreadableError(f"{path}: there is no such file")
    try:
        arrays = readers[path.suffix](path)
    except (OSError, ValueError, MemoryError) as error:
        told = str(error)
        raise UnreadableError(told if str(path) in told else f"{path} cannot be read: {told}") from None
    if not arrays:
        raise UnreadableError(f"{path} holds no weights")
    return arrays


def _read_npz(path: Path) -> dict[str, Array]:
    with unpacked(path, ".npz file") as archive:
        return {name.removesuffix(".npy"): _npy(member_bytes(archive, name, MOST_BYTES)) for name in archive.namelist()}


def _npy(data: bytes) -> Array:
    array: Array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


def _read_safetensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays: dict[str, Array] = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    return arrays


def _read_keras(path: Path) -> dict[str, Array]:
    with weights_file(path) as file:
        return dict(_arrays(file))


def _read_h5(path: Path) -> dict[str, Array]:
    with hdf5_file(path, str(path)) as file:
        group = _group(file, "model_weights") if "model_weights" in file else file
        return dict(_legacy(group) if "layer_names" in group.attrs or "layer_names0" in group.attrs else _arrays(group))


def _arrays(group: h5py.Group, scope: tuple[str, ...] = ()) -> Iterator[tuple[str, Array]]:
    """Keras 3: `layers/conv2d_1/vars/0`; `vars` knows the name that the layer had."""
    import h5py

    for key in group:
        if key in _NO_WEIGHTS:
            continue
        inner = inside(group, key, key)
        if key == "vars":
            yield from (("/".join([*scope, index]), _array(inner, index)) for index in inner)
        elif key in _CONTAINERS:
            yield from _arrays(inner, scope)
        elif isinstance(inner, h5py.Group):
            known = inside(inner, "vars", key).attrs if "vars" in inner else {}
            yield from _arrays(inner, (*scope, str(known["name"]) if "name" in known else key))


def _legacy(group: h5py.Group) -> Iterator[tuple[str, Array]]:
    """Keras 1 and 2: a group for each layer, whose attribute says the order of its weights."""
    for layer in listed_names(group.attrs, "layer_names"):
        own = _group(group, layer)
        paths = listed_names(own.attrs, "weight_names")
        variables = [re.sub(r":\d+$", "", path).rpartition("/")[2] for path in paths]
        plain = set(variables) <= _VARIABLES and len(set(variables)) == len(variables)
        for index, path in enumerate(paths):
            yield f"{layer}/{variables[index] if plain else index}", _array(own, path)


def _group(group: h5py.Group, key: str) -> h5py.Group:
    import h5py

    found = inside(group, key, key)
    if not isinstance(found, h5py.Group):
        raise ImportFailed(f"{key} is no group")
    return found


def _array(group: h5py.Group, key: str) -> Array:
    dataset = dataset_inside(group, key, key)
    if dataset is None:
        raise ImportFailed(f"the weight {key} is missing")
    array: Array = array_of(dataset, key)
    return array
