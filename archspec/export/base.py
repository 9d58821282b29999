"""What a format is: how a network is written in it, and how the file is run again."""

from __future__ import annotations

import importlib.util
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.graph.ir import Graph
from archspec.optimize.network import Array, Network
from archspec.plugins import defined_in_package

if TYPE_CHECKING:
    import keras

# Takes a batch for each input, in the graph's order; gives each output by its name.
Run = Callable[[Sequence[Array]], Mapping[str, Array]]

LONGEST = 200  # characters of a converter's message


class ExportFailed(Exception):
    """A network cannot be written, or what was written is not the network: why, and how to mend it."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True)
class Source:
    """What is written: the network with its weights, and the Keras model that was built of it.

    `original` is the model that the file must agree with, where the network was optimised. `about` is a line on where
    it comes from. `has_weights` is False where the weights are random ones, which only serve to compare. `samples`
    are batches of real inputs to calibrate integers with, in the order of the graph's inputs.
    """

    network: Network
    model: keras.Model
    about: str = ""
    has_weights: bool = True
    int8: bool = False
    samples: Sequence[Sequence[Array]] = field(default_factory=tuple)
    original: keras.Model | None = None
    descriptions: Mapping[str, str] = field(default_factory=dict)  # of the spec's blocks

    @property
    def graph(self) -> Graph:
        return self.network.graph


class Format(ABC):
    """One format, alone in its module of `archspec.export.formats`.

    NEEDS holds the modules that it takes and the extra of archspec's that brings them; SUFFIX is empty for a folder.
    FILES are the further files that it writes, by what stands for the suffix.
    """

    NAME: ClassVar[str]
    SUFFIX: ClassVar[str]
    NEEDS: ClassVar[Mapping[str, str]] = {}
    INT8: ClassVar[bool] = False
    BACKEND: ClassVar[str | None] = "tensorflow"  # that Keras must run on; None: any
    FILES: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def write(self, source: Source, path: Path) -> None:
        """Writes the network, whose weights it takes from the model. Raises ExportFailed."""

    @abstractmethod
    def open(self, path: Path, source: Source) -> Run:
        """The file in its own runtime."""


def called(model: keras.Model, graph: Graph, inputs: Sequence[Any]) -> dict[str, Any]:
    """The outputs by name, in the graph's order; Keras takes and gives a single tensor by itself."""
    made = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
    return {name: made[name] if isinstance(made, dict) else made for name in graph.outputs}


def need(modules: Mapping[str, str], what: str) -> None:
    """Raises ExportFailed where a module is not installed, with the extra that brings it."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        extra = modules[missing[0]]
        raise ExportFailed(f"{what} needs {missing[0]}, which is not installed", f"pip install 'archspec[{extra}]'")


@cache
def formats() -> Mapping[str, Format]:
    """Every format by its name."""
    found = [leaf() for leaf in defined_in_package("archspec.export.formats", Format)]
    named = {each.NAME: each for each in found}
    assert len(named) == len(found), "two formats have one name"
    return named


def blamed(graph: Graph, text: str) -> list[str]:
    """The layers that a converter's message names, the longest names first of those that begin alike."""
    found: list[str] = []
    for name in sorted(graph.nodes, key=len, reverse=True):
        if name in graph.inputs or name not in text or any(name in longer for longer in found):
            continue
        if re.search(rf"(?<![\w.]){re.escape(name)}(_\d+)?(?!\w|\.\w)", text):  # a further use of it is dense_1
            found.append(name)
    return sorted(found, key=list(graph.nodes).index)


def cannot_express(
    graph: Graph, format: str, error: object, operations: Sequence[str] = (), places: str = ""
) -> ExportFailed:
    """The failure of a converter: the layers that it names, or that `places` does, and what it lacks for them.

    Without `operations`, that is the first line it says.
    """
    text = str(error)
    layers = blamed(graph, f"{text} {places}")
    named = ", ".join(f"{name} ({type(graph.nodes[name].layer).__name__})" for name in layers[:3])
    more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
    told = f"{format} cannot express {named}{more}" if layers else f"the network cannot be written as {format}"
    reason = f"it has no {', '.join(dict.fromkeys(operations))}" if operations else short(text)
    return ExportFailed(f"{told}: {reason}", _remedy(graph))


def _remedy(graph: Graph) -> str | None:
    """What most often keeps a converter from a layer that the format does have."""
    halves = {tensor.dtype for node in graph.nodes.values() for tensor in node.outputs} & {"float16", "bfloat16"}
    if halves:
        return f"the network computes in {min(halves)}, which not every format has: save it in float32"
    if found := [name for name in graph.inputs if None in graph.nodes[name].outputs[0].shape]:
        return f"{', '.join(found)} has sizes that are left open, which not every format can do with: give them"
    return None


def short(text: str) -> str:
    """The first line that says something, not too long."""
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    line = next((line for line in lines if line), "the converter does not say why")
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
