"""`tfds`: any data set that tensorflow-datasets has prepared, or may download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.data.base import DataError, Field, Loaded, Selection, Source, Stream
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np


class Tfds(Source):
    """A data set of TensorFlow Datasets by its name (`cifar10`, `glue/sst2`, `mnist:3.0.1`).

    It is read from `data_dir` (where left out: the usual place, ~/tensorflow_datasets), and downloaded only with
    `download: true`. Fields are the data set's features; its supervised keys are the input and the target.
    """

    KIND = "tfds"

    name: str
    data_dir: str | None = None
    download: bool = False

    def load(self, folder: Path) -> Loaded:
        builder = self._builder(folder)
        info = builder.info
        sizes = {name: split.num_examples for name, split in info.splits.items()}
        fields = {name: _field(feature) for name, feature in info.features.items()}
        inputs, targets = _supervised(info.supervised_keys)

        def read(selection: Selection) -> Stream:
            runs = [(part, *run) for part, at in selection.items() for run in _runs(at)]
            return Stream(sum(end - start for _, start, end in runs), lambda: _open(builder, runs))

        checksums = sorted(f"{name}:{split.num_bytes}:{split.shard_lengths}" for name, split in info.splits.items())
        return Loaded(
            fields=fields,
            sizes=sizes,
            inputs=tuple(name for name in inputs if name in fields),
            targets=tuple(name for name in targets if name in fields),
            read=read,
            fingerprint=f"{info.full_name} {' '.join(checksums)}",
            ordered=True,
        )

    def _builder(self, folder: Path) -> Any:
        """The builder of the prepared data set. Raises DataError."""
        try:
            import tensorflow_datasets as tfds
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


def _field(feature: Any) -> Field:
    import tensorflow_datasets as tfds

    dtype = "string" if feature.np_dtype in (str, bytes, object) else _dtype_name(feature.np_dtype)
    shape = feature.shape if isinstance(feature.shape, tuple) else ()
    classes = tuple(feature.names) if isinstance(feature, tfds.features.ClassLabel) and feature.names else None
    return Field(TensorType(tuple(shape), dtype), classes)


def _dtype_name(dtype: Any) -> str:
    import numpy as np

    name = np.dtype(dtype).name
    return "string" if name.startswith(("object", "str", "bytes")) else name


def _open(builder: Any, runs: list[tuple[str, int, int]]) -> Any:
    """A tf.data.Dataset of the runs of examples, one after the other, in the order in which they lie on the disk."""
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(interleave_cycle_length=1, shuffle_seed=0, try_autocache=False)
    parts = [
        builder.as_dataset(
            split=tfds.core.ReadInstruction(part, from_=start, to=end, unit="abs"),
            shuffle_files=False,
            read_config=config,
        )
        for part, start, end in runs
    ]
    rows = parts[0]
    for more in parts[1:]:
        rows = rows.concatenate(more)
    return rows
