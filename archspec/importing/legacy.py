"""Models in Keras 2's format, one HDF5 file, which Keras 3 still writes for names that end in `.h5`.

The config is an attribute. The weights lie in a group for each layer of the outermost model, those of a model inside it
one after the other: first all that are trained, then the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.graph.ir import Graph
from archspec.importing.archive import MOST_BYTES, ImportFailed, is_hdf5, parse_config, read_config
from archspec.importing.calls import text
from archspec.importing.stored import hdf5_file, inside, listed_names, need_room, weight
from archspec.layers.base import WeightSpec

if TYPE_CHECKING:
    import h5py

    from archspec.importing.stored import Array


def model_config(path: str | Path) -> dict[str, Any]:
    """The config of a model in a file of either format. Raises ImportFailed."""
    if not is_hdf5(path):
        return read_config(path)
    with hdf5_file(path, str(path)) as file:
        return legacy_config(file, path)


def legacy_config(file: h5py.File, path: str | Path) -> dict[str, Any]:
    """The model's config. Raises ImportFailed."""
    found = file.attrs.get("model_config")
    if not isinstance(found, str | bytes):
        raise ImportFailed(f"{path} has weights only: it does not say of which model")
    if len(found) > MOST_BYTES:
        raise ImportFailed(f"the config in {path} is larger than {MOST_BYTES:,} bytes")
    return parse_config(found, str(path))


def legacy_weights(
    file: h5py.File, graph: Graph, places: Mapping[str, str], order: Sequence[str], config: Mapping[str, Any]
) -> dict[str, tuple[Array, ...]]:
    """The weights of each node that owns some, in the order of `Graph.weights`.

    `places`: each node's layer in the config, by `places.layer_places`; `order`: all of those, in the config's order.
    """
    need_room(graph)
    nodes = {place: name for name, place in places.items()}
    ordered = [nodes[place] for place in dict.fromkeys(order) if place in nodes]
    arrays: dict[tuple[str, int], Array] = {}
    for outer, name in _outermost(config, order):
        within = [node for node in ordered if places[node] == outer or places[node].startswith(f"{outer}/")]
        specs = [(node, i, spec) for node in within for i, spec in enumerate(graph.weights(graph.nodes[node]))]
        trained = [(node, i, spec) for node, i, spec in specs if spec.trainable and graph.nodes[node].trainable]
        others = [one for one in specs if one not in trained]
        arrays |= _layer(file, name, [*trained, *others])
    owners = {node: len(graph.weights(graph.nodes[node])) for node in ordered}
    return {node: tuple(arrays[node, i] for i in range(count)) for node, count in owners.items() if count}


def _outermost(config: Mapping[str, Any], order: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The place and the name of each layer of the outermost model."""
    outer = [place for place in order if place.count("/") == 1]
    names = [text(data["config"].get("name")) for data in config["layers"]]
    yield from zip(outer, names, strict=True)


def _layer(file: h5py.File, name: str, specs: Sequence[tuple[str, int, WeightSpec]]) -> dict[tuple[str, int], Array]:
    if not specs:
        return {}
    group = f"model_weights/{name}"
    found = inside(file, group, f"the layer {name}")
    paths = [] if found is None else listed_names(found.attrs, "weight_names")
    if len(paths) != len(specs):
        raise ImportFailed(f"the layer {name} has {len(paths)} weights in the file, and needs {len(specs)}")
    return {
        (node, i): weight(file, f"{group}/{path}", spec, f"{node}/{spec.name}")
        for path, (node, i, spec) in zip(paths, specs, strict=True)
    }
