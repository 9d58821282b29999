"""Weight files into arrays by name; nothing in a file is run or unpickled."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadableError(f"{path} cannot be read: {error}") from None
    if not arrays:
        raise UnreadableError(f"{path} holds no weights")
    return arrays


def _read_npz(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_safetensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays: dict[str, Array] = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    return arrays


def _read_keras(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        return _read_h5(io.BytesIO(archive.read("model.weights.h5")))


def _read_h5(file: Path | io.BytesIO) -> dict[str, Array]:
    import h5py

    with h5py.File(file, "r") as opened:
        group = _group(opened, "model_weights") if "model_weights" in opened else opened
        return dict(_legacy(group) if "layer_names" in group.attrs or "layer_names0" in group.attrs else _arrays(group))


def _arrays(group: h5py.Group, scope: tuple[str, ...] = ()) -> Iterator[tuple[str, Array]]:
    """Keras 3: `layers/conv2d_1/vars/0`; `vars` knows the name that the layer had."""
    import h5py

    for key in group:
        if key in _NO_WEIGHTS:
            continue
        inner = _inside(group, key)
        if key == "vars":
            yield from (("/".join([*scope, index]), _array(inner, index)) for index in inner)
        elif key in _CONTAINERS:
            yield from _arrays(inner, scope)
        elif isinstance(inner, h5py.Group):
            known = _inside(inner, "vars").attrs if "vars" in inner else {}
            yield from _arrays(inner, (*scope, str(known["name"]) if "name" in known else key))


def _legacy(group: h5py.Group) -> Iterator[tuple[str, Array]]:
    """Keras 1 and 2: a group for each layer, whose attribute says the order of its weights."""
    for layer in _names(group.attrs, "layer_names"):
        own = _group(group, layer)
        paths = _names(own.attrs, "weight_names")
        variables = [re.sub(r":\d+$", "", path).rpartition("/")[2] for path in paths]
        plain = set(variables) <= _VARIABLES and len(set(variables)) == len(variables)
        for index, path in enumerate(paths):
            yield f"{layer}/{variables[index] if plain else index}", _array(own, path)


def _names(attributes: Mapping[str, Any], name: str) -> list[str]:
    """A list of names, which Keras cuts into name0, name1 … where it is too long for one attribute."""
    parts: list[Any] = []
    if name in attributes:
        parts = list(attributes[name])
    else:
        while f"{name}{len(parts)}" in attributes:
            parts.append(attributes[f"{name}{len(parts)}"])
        parts = [entry for part in parts for entry in part]
    return [part.decode() if isinstance(part, bytes) else str(part) for part in parts]


def _group(group: h5py.Group, key: str) -> h5py.Group:
    import h5py

    found = _inside(group, key)
    if not isinstance(found, h5py.Group):
        raise ValueError(f"{key} is no group")
    return found


def _array(group: h5py.Group, key: str) -> Array:
    """An array that lies in the file itself: links and outside storage would read whatever else is on the disk."""
    import h5py

    data = _inside(group, key)
    if (
        not isinstance(data, h5py.Dataset)
        or data.dtype.kind not in "biufV"
        or data.dtype.names
        or data.is_virtual
        or data.external
    ):
        raise ValueError(f"{key} is no array of numbers in the file itself")
    array: Array = np.asarray(data[()])
    if data.attrs.get("dtype") == "bfloat16":
        import ml_dtypes

        array = array.view(ml_dtypes.bfloat16)
    return array


def _inside(group: h5py.Group, key: str) -> Any:
    import h5py

    place = group
    for part in key.split("/"):
        if not isinstance(place, h5py.Group) or place.get(part, getlink=True) is None:
            raise ValueError(f"{key} is missing")
        if not isinstance(place.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{key} is a link")
        place = place[part]
    return place
