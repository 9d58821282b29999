"""Layers that the catalogue does not know, put back into the model that was optimised around them.

Their configs, the arguments of their calls and their weights are copied from one file into the other as they are.
Nothing of them is run; who loads the result gives Keras their classes, as for the model that it was made from.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.importing.archive import CONFIG, ImportFailed, read_config
from archspec.importing.calls import Call, Ref
from archspec.importing.network import ExactReader, read_exactly
from archspec.importing.places import layer_places
from archspec.importing.stored import WEIGHTS, inside, weights_file

if TYPE_CHECKING:
    import h5py

STANDS_FOR = "archspec>Opaque"  # the class in `archspec.build.opaque`, as Keras registers it
FORMULA = "archspec>Formula"


def put_back(saved: str | Path, original: str | Path) -> None:
    """Puts the layers of the original, for which others stand in the saved model, in their places; in that file.

    Functions that are formulas there become the functions of the original, so that Keras alone can load them, and
    inputs and outputs stand in lists and mappings as there. Raises ImportFailed.
    """
    config = read_config(saved)
    before = layer_places(config["config"])
    entries = [data for data in config["config"]["layers"] if id(data) in before]
    graph, reader = read_exactly(original)
    sources: dict[int, str] = {}  # place in the original by the entry's id
    changed = False
    for data in entries:
        if data.get("registered_name") == STANDS_FOR:
            sources[id(data)] = reader.places_of_nodes[data["config"]["place"]]
            _replace(data, reader.opaque_calls[data["config"]["place"]])
            changed = True
        elif call := _function(data, reader):
            _replace(data, [call])
            changed = True
    texts = {}
    if changed:
        after = layer_places(config["config"])
        moves = [(before[id(data)], after[id(data)], sources.get(id(data))) for data in entries if id(data) in after]
        with weights_file(saved) as file, weights_file(original) if sources else nullcontext() as old:
            texts[WEIGHTS] = _weights(file, old, moves)
    if _restructured(config["config"], graph.outputs, *reader.structure) or changed:
        _write(Path(saved), {CONFIG: json.dumps(config).encode(), **texts})


def _restructured(config: dict[str, Any], outputs: Collection[str], ends: Any, results: Any) -> bool:
    """Gives a model its inputs and outputs in the lists and mappings in which the original has them; whether it did."""
    before = config["input_layers"], config["output_layers"]
    inputs, made = before
    inputs = [inputs] if isinstance(inputs[0], str) else inputs
    by_name = isinstance(results, Mapping) and all(isinstance(one, Ref) for one in results.values())
    named = made if isinstance(made, Mapping) else dict.fromkeys(outputs, made)
    config["input_layers"] = _filled(ends, iter(inputs))
    config["output_layers"] = _filled(
        results, iter([named[name] for name in (sorted(outputs) if by_name else outputs)])
    )
    return before != (config["input_layers"], config["output_layers"])


def _function(data: Mapping[str, Any], reader: ExactReader) -> Call | None:
    """The function of the original that a formula is; None where it has become another one."""
    if data.get("registered_name") != FORMULA or data["name"] not in reader.functions:
        return None
    formula, call = reader.functions[data["name"]]
    config = data["config"]
    same = (config["expression"], tuple(config["arguments"])) == (formula.expression, formula.arguments)
    return call if same and len(data["inbound_nodes"]) == 1 else None


def _replace(data: dict[str, Any], calls: Sequence[Call]) -> None:
    """Makes an entry that of the layer that it stands for, called with the tensors that the entry is called with."""
    entry = calls[0].data
    nodes = data["inbound_nodes"]
    if len(nodes) != len(calls):
        raise ImportFailed(f"{data['name']} is called {len(nodes)} times, and {len(calls)} times in the original")
    inbound = []
    for node, call in zip(nodes, calls, strict=True):
        tensors = _tensors([node["args"], node["kwargs"]])
        inbound.append({"args": _filled(call.args, tensors), "kwargs": _filled(call.kwargs, tensors)})
    name = data["name"]
    config = {**entry["config"], **({"name": name} if "name" in entry["config"] else {})}
    data.clear()
    data.update({**entry, "config": config, "name": name, "inbound_nodes": inbound})


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, list):
        for one in value:
            yield from _tensors(one)


def _filled(value: Any, tensors: Iterator[Any]) -> Any:
    """Arguments with the tensors in place of the references, in the order of `calls.flat`."""
    if isinstance(value, Ref):
        return next(tensors)
    if isinstance(value, Mapping):
        filled = {key: _filled(value[key], tensors) for key in sorted(value, key=str)}
        return {key: filled[key] for key in value}
    return [_filled(one, tensors) for one in value] if isinstance(value, list) else value


def _weights(file: h5py.File, old: h5py.File | None, moves: Sequence[tuple[str, str, str | None]]) -> bytes:
    """The weights with each layer's group in its new place, or copied from the original."""
    import h5py

    data = io.BytesIO()
    with h5py.File(data, "w") as made:
        for name in file:
            if name != "layers":
                file.copy(name, made)
        made.create_group("layers")
        for place, new, source in moves:
            origin, path = (file, place) if old is None or source is None else (old, source)
            found = inside(origin, path, path)
            if found is not None:
                _check_inside(found, path)
                origin.copy(path, made, new)
    return data.getvalue()


def _check_inside(group: Any, path: str) -> None:
    """Raises ImportFailed for what does not lie in the file itself."""
    import h5py

    def outside(name: str) -> str | None:  # h5py loses what is raised in here, and stops at the first answer
        link = group.get(name, getlink=True)
        found = group[name] if isinstance(link, h5py.HardLink) else None
        is_elsewhere = isinstance(found, h5py.Dataset) and (found.is_virtual or found.external)
        return name if found is None or is_elsewhere else None

    if not isinstance(group, h5py.Group):
        raise ImportFailed(f"{path} is no group of the weights' file")
    if name := group.visit_links(outside):
        raise ImportFailed(f"{path}/{name} does not lie in the file itself")


def _write(path: Path, texts: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        others = {entry: archive.read(entry) for entry in archive.namelist() if entry not in texts}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**others, **texts}.items():
            archive.writestr(name, text)
