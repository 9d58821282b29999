"""Files of new inputs for a trained network, read as its training data were: images, arrays, tables, lines of text."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.data.base import Column, DataError, Source
from archspec.data.columns import ColumnType, Table, codes, is_missing, numbers, read_table
from archspec.data.pictures import SUFFIXES
from archspec.data.sources.images import Images
from archspec.diagnostics import did_you_mean
from archspec.tensor import TensorType
from archspec.train.folder import RunFailed
from archspec.train.signature import InputSignature

if TYPE_CHECKING:
    import numpy as np

Inputs = Mapping[str, InputSignature]
Values = Mapping[str, "np.ndarray"]
_MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}
_READ = ".npz, .npy, .csv, .txt, images and folders of them"


@dataclass(frozen=True)
class Given:
    """Examples by name; `take` reads those between two places, the values of each input before any preprocessing."""

    names: Sequence[str]
    take: Callable[[int, int], Values]


def read_inputs(paths: Sequence[Path], inputs: Inputs, source: Source) -> list[Given]:
    """Each file's examples, or those of all images together. `source` is the training's.

    Raises RunFailed where a file cannot be read or does not fit the inputs; images are read only by `take`.
    """
    images: list[Path] = []
    given = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            if not found:
                raise RunFailed(f"no images lie in {str(path)!r}", help=f"they are {', '.join(sorted(SUFFIXES))}")
            images += found
        elif not path.is_file():
            raise RunFailed(f"there is no file {str(path)!r}")
        elif path.suffix.lower() in SUFFIXES:
            images.append(path)
        elif path.suffix.lower() in _READERS:
            given.append(_READERS[path.suffix.lower()](path, inputs))
        elif path.suffix.lower() == ".csv":
            given.append(_csv(path, inputs, getattr(source, "delimiter", ",")))
        else:
            raise RunFailed(f"{str(path)!r} is none of the files that can be read", help=f"they are {_READ}")
    return given + ([_images(images, inputs, source if isinstance(source, Images) else None)] if images else [])


# --- arrays ---------------------------------------------------------------------------------------


def _npz(path: Path, inputs: Inputs) -> Given:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise RunFailed(f"{str(path)!r} cannot be read as an .npz file: {error}") from error
    values = {}
    for name, one in inputs.items():
        key = next((key for key in (name, one.field) if key in arrays), None)
        if key is None and not (len(inputs) == 1 and len(arrays) == 1):
            help = f"name them as the inputs: {', '.join(inputs)}; the file has {', '.join(arrays) or 'none'}"
            raise RunFailed(f"{str(path)!r} has no array for the input {name!r}", help=help)
        values[name] = arrays[key] if key is not None else next(iter(arrays.values()))
    return _arrays(path, values, inputs)


def _npy(path: Path, inputs: Inputs) -> Given:
    import numpy as np

    name = _only(inputs, "an .npy file holds one array; use .npz")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise RunFailed(f"{str(path)!r} cannot be read as an .npy file: {error}") from error
    return _arrays(path, {name: array}, inputs)


def _arrays(path: Path, values: Values, inputs: Inputs, names: Sequence[str] | None = None) -> Given:
    """Arrays that must be as the inputs are, the examples along axis 0."""
    sizes = {name: len(value) if value.ndim else 0 for name, value in values.items()}
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise RunFailed(f"{str(path)!r} must have equally many examples for each input, but has {shown}")
    for name, value in values.items():
        kind = "string" if value.dtype.kind in "OUST" else str(value.dtype)
        _check(path, name, TensorType(tuple(value.shape[1:]), kind), inputs[name].type)
    size = next(iter(sizes.values()))
    if not size:
        raise RunFailed(f"{str(path)!r} holds no examples")
    shown_names = names or [f"{path.name}[{i}]" for i in range(size)]
    return Given(shown_names, lambda start, end: {name: value[start:end] for name, value in values.items()})


def _check(path: Path, name: str, given: TensorType, wanted: TensorType) -> None:
    same = len(given.shape) == len(wanted.shape) and all(
        w is None or g == w for g, w in zip(given.shape, wanted.shape, strict=False)
    )
    if not same:
        shown = f"{TensorType(given.shape)} for each example, the network's data are {TensorType(wanted.shape)}"
        help = None
        if given.shape[1:] == wanted.shape and wanted.shape:
            help = "the first axis counts the examples"
        elif given.shape == wanted.shape[1:]:
            help = "the first axis must count the examples: add one of length 1"
        raise RunFailed(f"{str(path)!r} gives {name} {shown}", help=help)
    if (given.dtype == "string") != (wanted.dtype == "string") or (
        "float" in given.dtype and "float" not in wanted.dtype
    ):
        raise RunFailed(f"{str(path)!r} gives {name} {given.dtype}, the network's data are {wanted.dtype}")


def _only(inputs: Inputs, help: str) -> str:
    """The only input's name. Raises RunFailed where there are several."""
    if len(inputs) > 1:
        raise RunFailed(f"the network has the inputs {', '.join(inputs)}", help=help)
    return next(iter(inputs))


# --- text and tables ------------------------------------------------------------------------------


def _txt(path: Path, inputs: Inputs) -> Given:
    """Each line is an example."""
    import numpy as np

    name = _only(inputs, "lines of text are for a network with one input; use .npz or .csv")
    try:
        lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailed(f"{str(path)!r} cannot be read as text: {error}") from error
    return _arrays(path, {name: np.array(lines, dtype=object)}, inputs, lines)


def _csv(path: Path, inputs: Inputs, delimiter: str) -> Given:
    """A table with a line of column names; further columns than the network needs are passed over."""
    try:
        table = read_table(path, delimiter)
        values = {name: _field(table, name, one) for name, one in inputs.items()}
    except DataError as error:
        raise RunFailed(error.message, help=error.help) from error
    return _arrays(path, values, inputs)


def _field(table: Table, name: str, one: InputSignature) -> np.ndarray:
    """An input's values as the training data had them. Raises DataError."""
    import numpy as np

    columns = one.columns or _columns(table.names, name, one)
    for column in columns:
        if column.name not in table.names:
            help = did_you_mean(column.name, table.names) or f"it has {', '.join(table.names)}"
            raise DataError(f"{str(table.file)!r} has no column {column.name!r}", help=help)
    whole = one.dtype.startswith(("int", "uint"))
    parts = [_coded(table, column, whole) for column in columns]
    if one.dtype == "string" or (len(parts) == 1 and len(one.shape) == parts[0].ndim - 1):
        return parts[0]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], -1).astype(one.dtype)


def _columns(table: Sequence[str], name: str, one: InputSignature) -> tuple[Column, ...]:
    """The columns for an input whose training data were no table: its own, or all of them."""
    text = one.dtype == "string"
    own = next((key for key in (name, one.field) if key in table), None)
    if own is not None:
        return (Column(own, text=text),)
    return tuple(Column(key, text=text) for key in table)


def _coded(table: Table, column: Column, whole: bool) -> np.ndarray:
    """A column's values as the training data had them. Raises DataError with the line of what is none of them."""
    import numpy as np

    if column.text:
        return np.array(table.column(column.name), dtype=object)
    if column.classes:
        number = codes(table, column.name, column.classes)
        return np.eye(len(column.classes), dtype="float32")[number] if column.onehot else number
    kind: ColumnType = "int" if whole else "float"
    for line, value in zip(table.lines, table.column(column.name), strict=True):
        if column.missing is None and is_missing(value, kind):
            raise DataError(f"{table.file}:{line}: column {column.name!r} is empty")
    return numbers(table, column.name, kind, column.missing if column.missing is not None else "error")


# --- images ---------------------------------------------------------------------------------------


def _images(files: Sequence[Path], inputs: Inputs, source: Images | None) -> Given:
    """Images as the training's were read; for data of another kind, brought into their shape and range of values."""
    name = _only(inputs, "images are for a network with one input; use .npz")
    one = inputs[name]
    if len(one.shape) not in (2, 3) or (len(one.shape) == 3 and one.shape[2] not in _MODES):
        message = f"the network's data are {one.type}, which image files cannot give"
        raise RunFailed(message, help="use .npz, .csv or .txt")
    height, width = one.shape[:2]
    if height is None or width is None:
        raise RunFailed(f"the network's data are {one.type}, of no known size", help="use .npz with images of one size")
    mode = _MODES[one.shape[2] or 3] if len(one.shape) == 3 else "grayscale"
    reader = source or Images.model_validate({"path": ".", "size": (height, width), "color_mode": mode})

    def take(start: int, end: int) -> Values:
        import numpy as np

        pixels = np.stack(_decoded(files[start:end], reader))
        pixels = pixels if source is not None else _in_range(pixels, one)
        return {name: pixels.reshape(len(pixels), *one.shape).astype(one.dtype)}

    return Given([str(file) for file in files], take)


def _decoded(files: Sequence[Path], reader: Images) -> list[np.ndarray]:
    """All together; one by one where that fails, to know which file it was. Raises RunFailed."""
    import tensorflow as tf

    try:
        return list(reader.decoded(files).as_numpy_iterator())
    except tf.errors.OpError as error:
        if len(files) > 1:
            return [image for file in files for image in _decoded([file], reader)]
        said = re.sub(r"{{.*?}}|\[Op:.*", "", str(error.message).splitlines()[0]).strip()
        raise RunFailed(f"{str(files[0])!r} cannot be read as an image: {said}") from error


def _in_range(pixels: np.ndarray, one: InputSignature) -> np.ndarray:
    """Pixels from 0 to 255 in the training data's range: 0 to 1 or -1 to 1 where it is within, else its own."""
    low, high = one.range or (0, 255)
    if one.dtype == "uint8" or (low >= 0 and 128 < high <= 255):
        return pixels
    low = 0 if low >= 0 else -1 if low >= -1 and high <= 1 else low
    high = max(high, 1)
    scaled: np.ndarray = low + pixels / 255 * (high - low)
    return scaled


_READERS: Mapping[str, Callable[[Path, Inputs], Given]] = {".npz": _npz, ".npy": _npy, ".txt": _txt}
