"""`tfds`: any data set that tensorflow-datasets has prepared, or may download."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from archspec.data.base import DataError, Field, Loaded, Selection, Source, Stream
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np

V = TypeVar("V")


class Tfds(Source):
    """A data set of TensorFlow Datasets by its name (`cifar10`, `glue/sst2`, `mnist:3.0.1`).

    It is read from `data_dir` (where left out: the usual place, ~/tensorflow_datasets), and downloaded only with
    `download: true`. Fields are the data set's features, those within another as `outer/inner`; its supervised keys are
    the input and the target.
    """

    KIND = "tfds"

    name: str
    data_dir: str | None = None
    download: bool = False

    def load(self, folder: Path) -> Loaded:
        builder = self._builder(folder)
        info = builder.info
        sizes = {name: split.num_examples for name, split in info.splits.items()}
        _check_files(self.name, info)
        fields = _fields(info.features, info.features.get_tensor_info())
        inputs, targets = _supervised(info.supervised_keys)

        def read(selection: Selection) -> Stream:
            runs = [(part, *run) for part, at in selection.items() for run in _runs(at)]
            return Stream(sum(end - start for _, start, end in runs), lambda: _open(builder, runs, fields))

        checksums = sorted(f"{name}:{split.num_bytes}:{split.shard_lengths}" for name, split in info.splits.items())
        return Loaded(
            fields=fields,
            sizes=sizes,
            inputs=tuple(name for name in inputs if name in fields),
            targets=tuple(name for name in targets if name in fields),
            read=read,
            fingerprint=f"{info.full_name} {' '.join(checksums)}",
            labels=_labels(builder, fields, tuple(sizes)),
            ordered=True,
        )

    def _builder(self, folder: Path) -> Any:
        """The builder of the prepared data set. Raises DataError."""
        try:
            import tensorflow_datasets as tfds
            from google.protobuf import json_format
        except ImportError as error:
            raise DataError(
                f"the source tfds needs tensorflow-datasets: {error}",
                help="pip install tensorflow-datasets importlib_resources",
            ) from error
        data_dir = str(folder / Path(self.data_dir).expanduser()) if self.data_dir else None
        try:
            builder = tfds.builder(self.name, data_dir=data_dir)
        except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise DataError(f"tensorflow-datasets does not know {self.name!r}: {first}") from error
        except (json_format.ParseError, OSError) as error:
            raise DataError(f"the description of {self.name!r} cannot be read: {error}") from error
        if not builder.is_prepared():
            if not self.download:
                raise DataError(
                    f"{self.name!r} is not prepared in {builder.data_dir}",
                    help="allow the download: source: {tfds: {name: …, download: true}}, or give its data_dir",
                )
            try:
                builder.download_and_prepare()
            except (OSError, AssertionError, tfds.download.DownloadError) as error:
                raise DataError(f"{self.name!r} cannot be downloaded: {error}") from error
        return builder


def _runs(positions: np.ndarray) -> list[tuple[int, int]]:
    """Runs of neighbours, each as its start and end."""
    import numpy as np

    pieces = np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1)
    return [(int(piece[0]), int(piece[-1]) + 1) for piece in pieces if len(piece)]


def _supervised(keys: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of inputs and targets in a data set's supervised keys."""
    if keys is None:
        return (), ()
    inputs, targets = keys[:2]
    return _names(inputs), _names(targets)


def _names(keys: Any) -> tuple[str, ...]:
    if isinstance(keys, str):
        return (keys,)
    values = keys.values() if isinstance(keys, dict) else keys
    return tuple(name for key in values for name in _names(key))


def _check_files(name: str, info: Any) -> None:
    """All files that the description names must be there: it alone says whether a data set is prepared."""
    for split in info.splits.values():
        for path in split.filepaths:
            if not path.exists():
                raise DataError(f"{name!r} is not whole: {str(path)!r} is not there", help="prepare it anew")


def _fields(feature: Any, info: Any, path: str = "") -> dict[str, Field]:
    """The fields of each example, those of features within features as `outer/inner`.

    Data sets within examples and lists of lists of unknown lengths, which no array can hold, are left out.
    """
    import tensorflow_datasets as tfds

    if isinstance(info, Mapping):
        within = getattr(feature, "feature", feature)  # that of a sequence of mappings
        return {
            name: field
            for key, inner in info.items()
            for name, field in _fields(within[key], inner, f"{path}/{key}" if path else key).items()
        }
    if info.dataset_lvl or info.sequence_rank > 1 or not isinstance(info.shape, tuple):
        return {}
    classes = tuple(feature.names) if isinstance(feature, tfds.features.ClassLabel) and feature.names else None
    return {path: Field(TensorType(info.shape, _dtype_name(info.np_dtype)), classes)}


def _dtype_name(dtype: Any) -> str:
    import numpy as np

    name = np.dtype(dtype).name
    return "string" if name.startswith(("object", "str", "bytes")) else name


class _Lazy(Mapping[str, V]):
    """Values made when they are first asked for."""

    def __init__(self, keys: Iterable[str], make: Callable[[str], V]) -> None:
        self.made: dict[str, V] = {}
        self.names, self.make = tuple(keys), make

    def __getitem__(self, key: str) -> V:
        if key not in self.names:
            raise KeyError(key)
        if key not in self.made:
            self.made[key] = self.make(key)
        return self.made[key]

    def __contains__(self, key: object) -> bool:
        return key in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _labels(
    builder: Any, fields: Mapping[str, Field], parts: tuple[str, ...]
) -> Mapping[str, Mapping[str, np.ndarray]]:
    """The class labels, each split read when it is asked for, without the other features."""
    import numpy as np
    import tensorflow_datasets as tfds

    def read(name: str, part: str) -> np.ndarray:
        rows = builder.as_dataset(split=part, decoders=tfds.decode.PartialDecoding({name: True}), shuffle_files=False,
                                  read_config=_in_order())  # fmt: skip
        return np.fromiter((row[name] for row in rows.as_numpy_iterator()), "int64")

    scalars = [name for name, field in fields.items() if field.classes and not field.type.shape and "/" not in name]
    return _Lazy(scalars, lambda name: _Lazy(parts, lambda part: read(name, part)))


def _in_order() -> Any:
    """Examples in the order in which they lie on the disk."""
    import tensorflow_datasets as tfds

    return tfds.ReadConfig(interleave_cycle_length=1, shuffle_seed=0, try_autocache=False)


def _open(builder: Any, runs: list[tuple[str, int, int]], fields: Mapping[str, Field]) -> Any:
    """A tf.data.Dataset of the runs of examples, one after the other, field by field."""
    import tensorflow_datasets as tfds

    parts = [
        builder.as_dataset(
            split=tfds.core.ReadInstruction(part, from_=start, to=end, unit="abs"),
            shuffle_files=False,
            read_config=_in_order(),
        )
        for part, start, end in runs
    ]
    rows = parts[0]
    for more in parts[1:]:
        rows = rows.concatenate(more)
    return rows.map(lambda row: {name: _at(row, name) for name in fields})


def _at(row: Any, name: str) -> Any:
    """The feature of an example by its path."""
    for key in name.split("/"):
        row = row[key]
    return row
