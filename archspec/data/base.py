"""What every source of data is, and what it gives: fields, the sizes of its own splits, and a way to read examples."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, SerializeAsAny
from pydantic_core import PydanticCustomError

from archspec.layers.base import Model
from archspec.plugins import defined_in_package
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np

WHOLE = "all"  # the name of the only split of a source that is not split, and of all splits together
_BEGIN, _END = "<archspec ", " archspec>"  # around a message that goes through tf.data
HASHED_BYTES = 1 << 30  # files beyond this in sum are told apart by name and size: reading them takes minutes


class DataError(Exception):
    """The data cannot be had or read: why, and how to mend it."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Field:
    """One named value of each example.

    `classes` names its classes in order where it holds class labels; `range` is its smallest and its largest value
    where they are known.
    """

    type: TensorType
    classes: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table that makes up a field or a part of it, and how its text becomes numbers.

    `classes` are numbered in their order where there are any, `onehot` gives each a number of its own; `missing` stands
    for an empty number, which is an error where it is None. A column of `text` stays as it is.
    """

    name: str
    classes: tuple[str, ...] = ()
    onehot: bool = False
    text: bool = False
    missing: float | None = None


# Which examples: positions in each of the source's own splits.
Selection = Mapping[str, "np.ndarray"]


@dataclass(frozen=True)
class Arrays:
    """Examples in memory: each field's values, the examples along axis 0."""

    values: Mapping[str, np.ndarray]

    @property
    def size(self) -> int:
        return len(next(iter(self.values.values())))


@dataclass(frozen=True)
class Stream:
    """Examples that are read as they are needed: `open` gives a tf.data.Dataset of single examples, field by field."""

    size: int
    open: Callable[[], Any]


Rows = Arrays | Stream


@dataclass(frozen=True)
class Loaded:
    """An opened source.

    `sizes` counts the examples of its own splits, `labels` holds class labels by field and split where they are known
    without reading the examples. `inputs` and `targets` are the fields that are meant where the spec does not say.
    An `ordered` source reads runs of neighbours only, and so is split without shuffling.
    `inspect` looks for what could not be read in the middle of a training, and says what it finds.
    `columns` are those of a table, in their order, by the fields that they make up.
    """

    fields: Mapping[str, Field]
    sizes: Mapping[str, int]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    read: Callable[[Selection], Rows]
    fingerprint: str
    labels: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    ordered: bool = False
    inspect: Callable[[], str | None] = lambda: None
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)


class Source(Model):
    """One kind of source: fields are its arguments, the first being the one that a bare value stands for.

    A subclass stands alone in its module of `archspec.data.sources`, says by KIND how a spec names it,
    and imports what it needs to read inside `load`, so that a spec is checked without any of it.
    """

    KIND: ClassVar[str]

    @abstractmethod
    def load(self, folder: Path) -> Loaded:
        """Opens the data; relative paths start at the folder, the spec's. Raises DataError."""


@cache
def sources() -> Mapping[str, type[Source]]:
    """Every kind of source by its name in a spec."""
    found = list(defined_in_package("archspec.data.sources", Source))
    named = {each.KIND: each for each in found}
    assert len(named) == len(found), "two sources have one name"
    return named


def _parse_source(value: Any) -> Any:
    """`{sklearn: digits}`, `{npz: {path: a.npz}}` or `sklearn` → the source. Other values are left for pydantic."""
    if isinstance(value, str):
        kind, arguments = value, None
    elif isinstance(value, Mapping) and len(value) == 1:
        ((kind, arguments),) = value.items()
    else:
        return value
    if kind not in sources():
        context = {"kind": "data source", "name": repr(kind), "known": sorted(sources())}
        raise PydanticCustomError("unknown_object", "{kind} {name} is not known", context)
    cls = sources()[kind]
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, Mapping):
        arguments = {next(iter(cls.model_fields)): arguments}
    return cls.model_validate(arguments)


@contextmanager
def reading(source: Loaded) -> Iterator[None]:
    """Around all that reads the source: what tf.data says of its errors names neither file nor value.

    Raises DataError with both where reading is what failed; other errors pass.
    """
    try:
        yield
    except Exception as error:
        reason = reading_error(error, source) if type(error).__module__.startswith("tensorflow") else None
        if reason is None:
            raise
        raise DataError(reason) from error


def reading_error(error: Exception, source: Loaded) -> str | None:
    """Why reading broke off in a tf.data pipeline, or None where it did not break off there."""
    said = re.search(f"{re.escape(_BEGIN)}(.*?){re.escape(_END)}", str(error), re.DOTALL)
    if said:  # tf.data escapes what a message holds, byte by byte
        return said[1].encode().decode("unicode_escape").encode("latin-1").decode()
    return source.inspect() if "Iterator" in str(error) else None


def marked(message: str) -> str:
    """The message as `reading_error` finds it again within what tf.data makes of it."""
    return f"{_BEGIN}{message}{_END}"


SourceField = Annotated[SerializeAsAny[Source], BeforeValidator(_parse_source)]


class SplitPaths(Model):
    """A path for each split that there is."""

    train: str
    validation: str | None = None
    test: str | None = None

    def given(self) -> dict[str, str]:
        """The paths by split."""
        return {name: path for name, path in self if path is not None}


def existing(path: str, folder: Path, what: str = "file") -> Path:
    """The path, relative to the folder, which must be there. Raises DataError."""
    full = folder / Path(path).expanduser()
    there = full.is_dir() if what == "folder" else full.is_file()
    if not there:
        raise DataError(f"{what} {str(full)!r} is not there", help="paths are relative to the folder of the spec")
    return full


def hash_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """A SHA-256 of names, shapes, dtypes and contents."""
    import numpy as np

    digest = hashlib.sha256()
    for name, array in arrays:
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        if array.dtype.kind in "OUST":
            digest.update("\0".join(map(str, array.ravel())).encode())
        else:
            digest.update(np.ascontiguousarray(array).reshape(-1).view("uint8").data)
    return f"sha256:{digest.hexdigest()}"


def hash_files(files: Iterable[Path], root: Path) -> str:
    """A SHA-256 of the files' names and contents, or of names and sizes where they are large (and says which)."""
    found = [(file.relative_to(root).as_posix(), file, file.stat().st_size) for file in files]
    contents = sum(size for _, _, size in found) <= HASHED_BYTES
    digest = hashlib.sha256()
    for name, file, size in found:
        digest.update(f"{name}\0{size}\0".encode())
        if contents:
            digest.update(file.read_bytes())
    return f"{'sha256' if contents else 'sha256-of-names-and-sizes'}:{digest.hexdigest()}"
