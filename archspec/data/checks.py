"""Whether the inputs and the augmentation fit the data."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.data.base import Field
from archspec.diagnostics import Diagnostic
from archspec.graph.ir import Graph, Node
from archspec.tensor import TensorType

# Augmentation that moves, cuts or mixes images, so that a target which is an image as well no longer fits.
_MOVING = frozenset({
    "RandomFlip", "RandomCrop", "RandomTranslation", "RandomRotation", "RandomZoom", "RandomShear", "RandomPerspective",
    "RandomElasticTransform", "RandAugment", "AugMix", "CutMix", "MixUp",
})  # fmt: skip


def check_inputs(
    graph: Graph, fields: Mapping[str, Field], inputs: Mapping[str, str], types: Mapping[str, TensorType]
) -> list[Diagnostic]:
    """Each input's shape and dtype, and that no token lies beyond its embedding. `types` are those after preprocess."""
    found = []
    for name, field in inputs.items():
        node, given, raw = graph.nodes[name], types[field], fields[field].type
        wanted = node.outputs[0]
        if not (_fits(given, wanted) and _converts(given.dtype, wanted.dtype)):
            message = f"the data gives {name} {_show(given)}, the network takes {_show(wanted)}"
            notes = (f"field {field} of the data is {_show(raw)}",)
            span, help = node.origin.span, _input_help(given, wanted)
            found.append(Diagnostic("E502", message, span, f"takes {_show(wanted)}", notes, help))
        around = fields[field].range
        if around is not None and given == raw:
            found += [d for reader in graph.nodes.values() if (d := _check_tokens(reader, name, field, around))]
    return found


def _check_tokens(reader: Node, name: str, field: str, around: tuple[float, float]) -> Diagnostic | None:
    """An embedding that reads the input directly must have a row for each token."""
    rows = getattr(reader.layer, "input_dim", None)
    if type(reader.layer).__name__ != "Embedding" or rows is None or all(edge.node != name for edge in reader.inputs):
        return None
    low, high = (int(value) for value in around)
    if low >= 0 and high < rows:
        return None
    message = f"field {field} of the data reaches from {low:,} to {high:,}, Embedding takes 0 to {rows - 1:,}"
    help = f"Embedding: {{input_dim: {high + 1}}}" if low >= 0 else "number what it holds from 0"
    return Diagnostic("E502", message, reader.origin.span, f"input_dim is {rows:,}", help=help)


def moved_targets(
    augment: Mapping[str, Graph], inputs: Mapping[str, TensorType], targets: Mapping[str, TensorType]
) -> list[tuple[str, str, str]]:
    """Input, layer and output wherever augmentation would move an image, but not the target that lies on it."""
    return [
        (name, layer, output)
        for name, steps in augment.items()
        for layer in (type(node.layer).__name__ for node in steps.nodes.values())
        for output, target in targets.items()
        if layer in _MOVING and target.rank >= 2 and target.shape[:2] == inputs[name].shape[:2]
    ]


def _input_help(given: TensorType, wanted: TensorType) -> str:
    known = None not in given.shape and None not in wanted.shape
    if given.dtype == "string" and wanted.dtype != "string":
        return "turn text into numbers: data: {preprocess: [TextVectorization: …]}"
    if given.size == wanted.size and known and given.shape != wanted.shape:
        return f"data: {{preprocess: [Reshape: {list(wanted.shape)}]}}"
    if given.rank == wanted.rank == 3 and given.shape[-1] == wanted.shape[-1]:
        return f"data: {{preprocess: [Resizing: {{height: {wanted.shape[0]}, width: {wanted.shape[1]}}}]}}"
    return "change the network's input, or bring the data into its shape under data.preprocess"


def _fits(given: TensorType, wanted: TensorType) -> bool:
    pairs = zip(given.shape, wanted.shape, strict=False)
    return given.rank == wanted.rank and all(length in (None, has) for has, length in pairs)


def _converts(given: str, wanted: str) -> bool:
    """Whether values are turned into the wanted dtype without losing what they mean."""
    if (given == "string") != (wanted == "string"):
        return False
    return wanted == given or "float" in wanted or not ("float" in given or wanted == "bool")


def _show(tensor: TensorType) -> str:
    return f"{tensor.dtype} {TensorType(tensor.shape)}"
