"""Weights that a training begins with: those of an earlier run, or of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archspec.diagnostics import Diagnostic, SpecError
from archspec.language import Document
from archspec.train.objective.scopes import Path as Place
from archspec.weights import Partial, UnreadableError, WeightsError, load_some, read

if TYPE_CHECKING:
    import keras

    from archspec.train.sections import Sections

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Beginning:
    """Arrays for the network, or for one scope of it (`scope` empty: all), and where they are from."""

    scope: str
    file: Path
    arrays: Arrays
    place: Place


def read_initial(document: Document, settings: Sections) -> tuple[Beginning, ...]:
    """The arrays that `train.initial_weights` names; paths start at the spec's folder. Raises SpecError."""
    given = settings.train.initial_weights
    if given is None:
        return ()
    each = {"": given} if isinstance(given, str) else given
    found = []
    for scope, path in each.items():
        place: Place = ("train", "initial_weights", *([scope] if scope else []))
        full = (document.folder or Path()) / Path(path).expanduser()
        file = full / "model.keras" if full.is_dir() else full
        try:
            found.append(Beginning(scope, file, read(file), place))
        except UnreadableError as error:
            help = "name a run's folder, a .keras or a .weights.h5 file; paths are relative to the folder of the spec"
            raise _error(document, str(error), place, help) from None
    return tuple(found)


def load_initial(document: Document, network: keras.Model, beginnings: tuple[Beginning, ...]) -> list[str]:
    """Sets the weights that have arrays of their names and shapes, and says what went where and what did not.

    Raises SpecError where nothing of a file fits, and then nothing of any is changed.
    """
    import keras

    before = [keras.ops.convert_to_numpy(weight) for weight in network.weights] if len(beginnings) > 1 else []
    said = []
    for one in beginnings:
        try:
            loaded: Partial = load_some(network, one.arrays, one.scope)
        except WeightsError as error:
            for weight, value in zip(network.weights, before, strict=False):
                weight.assign(value)
            message = f"nothing of {one.file} fits the network by name and shape, so nothing was changed"
            notes = tuple(line.strip() for line in str(error).splitlines()[1:])
            raise _error(document, message, one.place, None, notes) from None
        where = f"{one.scope} from {one.file}" if one.scope else f"from {one.file}"
        said.append(f"initial weights {where}: {loaded}")
    return said


def _error(document: Document, message: str, place: Place, help: str | None, notes: tuple[str, ...] = ()) -> SpecError:
    span = document.mark.at(*place).span
    return SpecError([Diagnostic("E504", message, span, notes=notes, help=help)], document.texts)
