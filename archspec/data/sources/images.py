"""`images`: image files, with a folder for each class, or with a mask for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from annotated_types import Ge, Le
from pydantic import BeforeValidator, model_validator

from archspec.data.base import DataError, Field, Loaded, Selection, Source, Stream, existing, hash_files, marked
from archspec.data.folders import class_files, files_below, split_folders
from archspec.data.masks import Key, largest, read_mask
from archspec.data.pictures import SUFFIXES, Decoder, check_images, find_broken
from archspec.layers.fields import NonNegative, Positive
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np

_CHANNELS = {"rgb": 3, "grayscale": 1, "rgba": 4}
_MASK_SUFFIXES = SUFFIXES | {".tif", ".tiff"}
Byte = Annotated[int, Ge(0), Le(255)]


def _colours(value: Any) -> Any:
    """Lists within a mapping as tuples."""
    if not isinstance(value, Mapping):
        return value
    return {key: tuple(inner) if isinstance(inner, list) else inner for key, inner in value.items()}


class Images(Source):
    """Images in the folder `path`, brought to `size`, as a stream: they need not fit into memory.

    Without `masks` its subfolders are the classes, in alphabetical order; images may lie deeper below them. Fields:
    `image` (height, width, channels), float32 from 0 to 255, and `label`. Where all subfolders are named train,
    validation (or val) and test, these are the splits, with the classes below.

    With `masks`, a folder that holds a mask under the name of each image, for segmentation. Fields: `image`, and `mask`
    (height, width), int32. A mask's whole numbers (also those of a PNG's palette) are the classes, of which `classes`
    gives the names or the number; or `palette` gives the value or the colour of each class by its name: {sky: 0} or
    {road: [128, 64, 128]}. The value `ignore` belongs to no class; give it to the loss as well: ignore_class.
    """

    KIND = "images"

    path: str
    size: Positive | tuple[Positive, Positive] = (256, 256)
    color_mode: Literal["rgb", "grayscale", "rgba"] = "rgb"
    interpolation: Literal["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5"] = "bilinear"
    crop_to_aspect_ratio: bool = False
    masks: str | None = None
    classes: Positive | tuple[str, ...] | None = None
    palette: Annotated[dict[str, NonNegative | tuple[Byte, Byte, Byte]], BeforeValidator(_colours)] | None = None
    ignore: NonNegative | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.masks is None and (self.classes or self.palette or self.ignore is not None):
            raise ValueError("classes, palette and ignore are for masks; without masks the folders are the classes")
        if self.palette is not None and (self.classes or len({*map(type, self.palette.values())}) != 1):
            raise ValueError("palette names the classes itself, all by values or all by colours")
        if self.masks is not None and self.crop_to_aspect_ratio:
            raise ValueError("crop_to_aspect_ratio would crop the images, but not their masks")
        return self

    def load(self, folder: Path) -> Loaded:
        root = existing(self.path, folder, "folder")
        roots = split_folders(root)
        if self.masks is not None:
            return self._with_masks(root, roots, existing(self.masks, folder, "folder"))
        classes, found = class_files(roots, SUFFIXES)
        if not any(found.values()):
            raise DataError(
                f"no images lie in {str(root)!r}",
                help=f"one folder for each class holds its images ({', '.join(sorted(SUFFIXES))})",
            )
        files = {part: [file for file, _ in pairs] for part, pairs in found.items()}
        targets = {part: [code for _, code in pairs] for part, pairs in found.items()}
        return self._loaded(root, files, _Labels(targets, classes))

    def decoded(self, files: Sequence[Path]) -> Any:
        """A tf.data.Dataset of files that are no part of the source, read as if they were."""
        import tensorflow as tf

        paths = tf.data.Dataset.from_tensor_slices([str(file) for file in files])
        return paths.map(self._decoder(), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _decoder(self) -> Decoder:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return Decoder(height, width, _CHANNELS[self.color_mode], self.interpolation, self.crop_to_aspect_ratio)

    def _with_masks(self, root: Path, roots: Mapping[str, Path], masks: Path) -> Loaded:
        """Images and the masks of the same name, below the same folders."""
        files = {part: files_below(below, SUFFIXES) for part, below in roots.items()}
        if not any(files.values()):
            raise DataError(f"no images lie in {str(root)!r}")
        there = {file.relative_to(masks).with_suffix(""): file for file in files_below(masks, _MASK_SUFFIXES)}
        wanted = {file: file.relative_to(root).with_suffix("") for part in files.values() for file in part}
        lacking = [file for file, name in wanted.items() if name not in there]
        if lacking:
            message = f"{len(lacking):,} of {len(wanted):,} images have no mask, the first is {str(lacking[0])!r}"
            raise DataError(message, f"its mask would be {masks / wanted[lacking[0]]}.png")
        own = {part: [there[wanted[file]] for file in each] for part, each in files.items()}
        classes = self._mask_classes([mask for each in own.values() for mask in each])
        colours = tuple(self.palette.values()) if self.palette else None
        return self._loaded(root, files, _Masks(own, classes, Key(colours, len(classes), self.ignore), masks))

    def _mask_classes(self, masks: list[Path]) -> tuple[str, ...]:
        if self.palette:
            return tuple(self.palette)
        if isinstance(self.classes, tuple):
            return self.classes
        return tuple(map(str, range(self.classes or 1 + largest(masks, self.ignore))))

    def _loaded(self, root: Path, files: Mapping[str, list[Path]], targets: _Labels | _Masks) -> Loaded:
        import numpy as np

        every = [file for each in files.values() for file in each]
        check_images(every)
        decode = self._decoder()
        height, width = decode.height, decode.width
        paths = {part: np.array([str(file) for file in each]) for part, each in files.items()}

        def read(selection: Selection) -> Stream:
            chosen = np.concatenate([paths[part][at] for part, at in selection.items()])
            theirs = np.concatenate([targets.array(part)[at] for part, at in selection.items()])
            return Stream(len(chosen), partial(_open, chosen, theirs, decode, targets))

        return Loaded(
            fields={"image": Field(TensorType((height, width, decode.channels))), **targets.field((height, width))},
            sizes={part: len(each) for part, each in files.items()},
            inputs=("image",),
            targets=(targets.name,),
            read=read,
            fingerprint=f"{hash_files(every, root)}{targets.fingerprint}",
            labels=targets.labels,
            inspect=partial(find_broken, every),
        )


@dataclass(frozen=True)
class _Labels:
    """The classes of images, by split."""

    codes: Mapping[str, list[int]]
    classes: tuple[str, ...]
    name: str = "label"
    fingerprint: str = ""

    def field(self, size: tuple[int, int]) -> dict[str, Field]:
        return {self.name: Field(TensorType((), "int32"), self.classes)}

    def array(self, part: str) -> np.ndarray:
        import numpy as np

        return np.array(self.codes[part], "int32")

    @property
    def labels(self) -> dict[str, dict[str, np.ndarray]]:
        return {self.name: {part: self.array(part) for part in self.codes}}

    def read(self, code: Any, size: tuple[int, int]) -> Any:
        return code


@dataclass(frozen=True)
class _Masks:
    """The masks of images, by split."""

    files: Mapping[str, list[Path]]
    classes: tuple[str, ...]
    key: Key
    root: Path
    name: str = "mask"

    @property
    def fingerprint(self) -> str:
        return f" {hash_files([file for each in self.files.values() for file in each], self.root)}"

    def field(self, size: tuple[int, int]) -> dict[str, Field]:
        return {self.name: Field(TensorType(size, "int32"), self.classes)}

    def array(self, part: str) -> np.ndarray:
        import numpy as np

        return np.array([str(file) for file in self.files[part]])

    @property
    def labels(self) -> dict[str, dict[str, np.ndarray]]:
        return {}

    def read(self, path: Any, size: tuple[int, int]) -> Any:
        """The mask in a tf.data pipeline. Its errors travel as text: an exception there is logged with its trace."""
        import tensorflow as tf

        def one(name: bytes) -> tuple[Any, bytes]:
            import numpy as np

            try:
                return read_mask(Path(name.decode()), self.key, size), b""
            except DataError as error:
                return np.zeros(size, "int32"), marked(error.message).encode()

        mask, problem = tf.numpy_function(one, [path], (tf.int32, tf.string), stateful=False)
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(problem, ""), [problem])]):
            return tf.ensure_shape(tf.identity(mask), size)


def _open(paths: np.ndarray, targets: np.ndarray, decode: Decoder, kind: _Labels | _Masks) -> Any:
    """A tf.data.Dataset of decoded images and their targets, in the order of the paths."""
    import tensorflow as tf

    def example(path: Any, target: Any) -> dict[str, Any]:
        return {"image": decode(path), kind.name: kind.read(target, (decode.height, decode.width))}

    rows = tf.data.Dataset.from_tensor_slices((paths, targets))
    return rows.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
