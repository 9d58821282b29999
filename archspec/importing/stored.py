"""The arrays in a `.keras` file, read as data: nothing is unpickled, no link is followed, no size is believed."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.graph.ir import Graph
from archspec.importing.archive import LARGE_BYTES, ImportFailed, member_bytes, unpacked
from archspec.importing.places import weight_places
from archspec.layers.base import WeightSpec
from archspec.tensor import numpy_dtype

if TYPE_CHECKING:
    import h5py
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

WEIGHTS = "model.weights.h5"
MOST_BYTES = 64 * 1024**3  # of all weights; the largest model of keras.applications has 0.5 GB
MOST_EXPANSION = 1_000  # bytes of an array for each byte in the file, from this size on: what gzip reaches is 1,032


@contextmanager
def weights_file(path: str | Path) -> Iterator[h5py.File]:
    """The HDF5 file inside a `.keras` file. Raises ImportFailed."""
    with unpacked(path) as archive:
        if WEIGHTS not in archive.namelist():
            raise ImportFailed(f"{path} has no {WEIGHTS}: its weights are missing")
        data = io.BytesIO(member_bytes(archive, WEIGHTS, MOST_BYTES))
    with hdf5_file(data, f"the weights in {path}") as file:
        yield file


@contextmanager
def hdf5_file(source: Any, told: str) -> Iterator[h5py.File]:
    """A file of h5py's, which says in many ways that something in it is damaged. Raises ImportFailed."""
    import h5py

    try:
        with h5py.File(source, "r") as file:
            yield file
    except ImportFailed:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ImportFailed(f"{told} cannot be read: {error}") from None


def read_weights(file: h5py.File, graph: Graph, places: Mapping[str, str]) -> dict[str, tuple[Array, ...]]:
    """The weights of each node that owns some, in the order of `Graph.weights`; `places`: its layer's in the file."""
    need_room(graph)
    weights: dict[str, tuple[Array, ...]] = {}
    for name, node in graph.nodes.items():
        specs = graph.weights(node)
        if not specs:
            continue
        paths = weight_places(node.layer, specs)
        weights[name] = tuple(
            weight(file, f"{places[name]}/{path}", spec, f"{name}/{spec.name}")
            for path, spec in zip(paths, specs, strict=True)
        )
    return weights


def need_room(graph: Graph) -> None:
    """Raises ImportFailed for more weights than any machine that reads them holds."""
    if sum(spec.size for node in graph.nodes.values() for spec in graph.weights(node)) > MOST_BYTES:
        raise ImportFailed(f"the model has more than {MOST_BYTES:,} weights")


def weight(file: h5py.File, path: str, spec: WeightSpec, name: str) -> Array:
    """One weight, in the dtype of its layer. Raises ImportFailed."""
    import numpy as np

    dataset = dataset_inside(file, path, name)
    if dataset is None:
        if spec.name.rpartition("/")[2].startswith("lora_"):  # Keras adds the update to the kernel when it saves
            return np.zeros(spec.shape, spec.dtype)
        raise ImportFailed(f"the weight {name} is missing: the file has no {path}")
    if tuple(dataset.shape) != spec.shape:
        raise ImportFailed(f"the weight {name} is {tuple(dataset.shape)} in the file, its layer needs {spec.shape}")
    array = array_of(dataset, name)
    wanted = numpy_dtype(spec.dtype)
    if array.dtype != wanted:
        if _is_float(array) != ("float" in spec.dtype):  # whole numbers for floats are those of a quantised layer
            told = f"the weight {name} is {array.dtype} in the file, its layer needs {spec.dtype}"
            raise ImportFailed(told + (": the layer was quantised" if array.dtype.kind in "iu" else ""))
        array = array.astype(wanted)
    return array


def dataset_inside(file: h5py.Group, path: str, name: str) -> h5py.Dataset | None:
    """An array that lies in the file itself, None where nothing does. Raises ImportFailed."""
    import h5py

    found = inside(file, path, f"the weight {name}")
    if found is not None and (
        not isinstance(found, h5py.Dataset) or found.shape is None or found.is_virtual or found.external
    ):
        raise ImportFailed(f"the weight {name} is no array in the file itself")
    return found


def inside(file: h5py.Group, path: str, told: str) -> Any:
    """What lies at a path, None where nothing does: links would read whatever else is on the disk."""
    import h5py

    found: Any = file
    for part in path.split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ImportFailed(f"{told} is a link in the file, which is not followed")
        found = found[part]
    return found


def listed_names(attributes: Mapping[str, Any], name: str) -> list[str]:
    """A list of names, which Keras cuts into name0, name1 … where it is too long for one attribute."""
    if name in attributes:
        found = list(attributes[name])
    else:
        found, number = [], 0
        while f"{name}{number}" in attributes:
            found += list(attributes[f"{name}{number}"])
            number += 1
    return [one.decode() if isinstance(one, bytes) else str(one) for one in found]


def array_of(dataset: h5py.Dataset, name: str) -> Array:
    """Its numbers. Raises ImportFailed where they are none, or more than what the file holds warrants."""
    import numpy as np

    stored, size = dataset.id.get_storage_size(), math.prod(dataset.shape) * dataset.dtype.itemsize
    if size > LARGE_BYTES and size > MOST_EXPANSION * stored:
        raise ImportFailed(f"the weight {name} would unpack to {size:,} bytes from {stored:,}")
    special = dataset.attrs.get("dtype") == "bfloat16" and dataset.dtype.itemsize == 2
    if dataset.dtype.kind not in "biuf" and not (special and dataset.dtype.kind == "V"):
        raise ImportFailed(f"the weight {name} is no array of numbers")
    array: Array = np.asarray(dataset[()])
    return array.view(numpy_dtype("bfloat16")) if special else array


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or "float" in str(array.dtype)
