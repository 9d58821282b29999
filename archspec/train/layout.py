"""Which weights lie where on a mesh of devices: patterns of their paths against the network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from archspec.diagnostics import Diagnostic, did_you_mean
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.train.settings import Run

Axes = tuple[str | None, ...]


def layouts(graph: Graph, run: Run) -> dict[str, Axes]:
    """The mesh's axes for each weight that a pattern names, by its path; the first pattern that fits counts."""
    found: dict[str, Axes] = {}
    for path, _ in weights(graph):
        axes = next((axes for pattern, axes in (run.layout or {}).items() if fnmatchcase(path, pattern)), None)
        if axes is not None:
            found[path] = axes
    return found


def weights(graph: Graph) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The path of each weight, `layer/kernel`, and its shape."""
    for node in graph.nodes.values():
        for weight in graph.weights(node):
            yield f"{node.name}/{weight.name}", tuple(int(length) for length in weight.shape)


def check_layout(
    document: Document, graph: Graph, run: Run, batch_size: int, backend: str | None = None
) -> list[Diagnostic]:
    """Meshes, layouts and hosts that cannot be. `backend` is the one in use where that is known."""
    found = []
    if (backend or run.backend) == "tensorflow":
        for key in ("mesh", "layout", "hosts"):
            if getattr(run, key) is not None:
                found.append(_not_on_tensorflow(document, key))
        return found
    span = document.mark.at("run", "layout").span
    if run.layout is not None and run.mesh is None:
        help = "run: {mesh: {batch: 2, model: 4}}, the first axis for the examples of a batch"
        return [Diagnostic("E504", "a layout needs a mesh that names its axes", span, help=help)]
    if run.layout is not None and run.hosts is not None:
        message = "weights that are divided among several hosts could not be kept in a checkpoint"
        return [Diagnostic("E504", message, span, help="leave the layout out: each host has all weights")]
    for pattern in run.layout or {}:
        found += _check_pattern(document, graph, run, pattern)
    if run.mesh and batch_size % (first := next(iter(run.mesh.values()))):
        where = document.mark.at("run", "mesh").span
        found.append(Diagnostic("E504", f"batches of {batch_size} cannot be divided into {first} parts", where))
    if run.host is not None and (not isinstance(run.hosts, tuple) or run.host >= len(run.hosts)):
        where = document.mark.at("run", "host").span
        found.append(Diagnostic("E504", f"there is no host {run.host} among run.hosts, counted from 0", where))
    return found


def _not_on_tensorflow(document: Document, key: str) -> Diagnostic:
    why = {"hosts": "Keras 3 does not train with MultiWorkerMirroredStrategy"}
    message = f"{key} is for the JAX backend: {why.get(key, 'on TensorFlow each device has all weights')}"
    return Diagnostic("E504", message, document.mark.at("run", key).span, help="run: {backend: jax}")


def _check_pattern(document: Document, graph: Graph, run: Run, pattern: str) -> list[Diagnostic]:
    """A pattern that names no weight, or divides one in a way that its shape does not allow."""
    assert run.layout is not None and run.mesh is not None
    axes, span = run.layout[pattern], document.mark.key("run", "layout", pattern)
    unknown = [axis for axis in axes if axis is not None and axis not in run.mesh]
    if unknown:
        help = did_you_mean(unknown[0], run.mesh) or f"the axes are {', '.join(run.mesh)}"
        return [Diagnostic("E504", f"the mesh has no axis {unknown[0]!r}", span, help=help)]
    matched = [(path, shape) for path, shape in weights(graph) if fnmatchcase(path, pattern)]
    if not matched:
        known = [path for path, _ in weights(graph)]
        help = did_you_mean(pattern, known) or f"weights are named like {', '.join(known[:4])}"
        return [Diagnostic("E504", f"layout: no weight is named {pattern!r}", span, help=help)]
    for path, shape in matched:
        if len(shape) != len(axes):
            message = f"{path} has the shape {shape}, the layout names {len(axes)} axes"
            return [Diagnostic("E504", message, span, help="one for each axis of the weight, null for the undivided")]
        for length, axis in zip(shape, axes, strict=True):
            if axis is not None and length % run.mesh[axis]:
                message = f"{path} has the shape {shape}: {length} cannot be divided into {run.mesh[axis]} parts"
                return [Diagnostic("E504", message, span)]
    return []
