"""signature.json: what goes into a run's network and comes out, for those who use it without the training data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archspec.data.base import Column
from archspec.data.plan import Plan
from archspec.tensor import TensorType
from archspec.train.folder import RunFailed, write_json

_NAME = "signature.json"


@dataclass(frozen=True)
class InputSignature:
    """One input as the data give it, before any preprocessing: shape without the batch, and dtype.

    `columns` are those of a table that make it up; `range` is its smallest and its largest value in the training data.
    """

    field: str
    shape: tuple[int | None, ...]
    dtype: str
    columns: tuple[Column, ...] = ()
    range: tuple[float, float] | None = None

    @property
    def type(self) -> TensorType:
        return TensorType(self.shape, self.dtype)


@dataclass(frozen=True)
class Signature:
    """A run's inputs by name, and the classes of its outputs."""

    inputs: Mapping[str, InputSignature]
    classes: Mapping[str, tuple[str, ...]]


def write_signature(folder: Path, plan: Plan) -> None:
    """Writes signature.json into the run's folder."""
    fields = plan.source.fields
    inputs = {
        name: InputSignature(
            field,
            fields[field].type.shape,
            fields[field].type.dtype,
            plan.source.columns.get(field, ()),
            fields[field].range,
        )
        for name, field in plan.inputs.items()
    }
    said: dict[str, Any] = {
        "inputs": {name: dataclasses.asdict(one) for name, one in inputs.items()},
        "classes": plan.classes,
    }
    write_json(folder / _NAME, said)


def read_signature(folder: Path) -> Signature:
    """What `write_signature` has written. Raises RunFailed."""
    try:
        said = json.loads((folder / _NAME).read_text("utf-8"))
        inputs = {
            name: InputSignature(
                one["field"],
                tuple(one["shape"]),
                one["dtype"],
                tuple(Column(**column | {"classes": tuple(column["classes"])}) for column in one["columns"]),
                tuple(one["range"]) if one["range"] else None,
            )
            for name, one in said["inputs"].items()
        }
        classes = {output: tuple(names) for output, names in said["classes"].items()}
        return Signature(inputs, classes)
    except OSError as error:
        help = "it says what the network's inputs are; runs of older versions have none: train again"
        raise RunFailed(f"{folder / _NAME} cannot be read: {error.strerror}", help=help) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFailed(f"{folder / _NAME} is damaged: {error!r}") from error
