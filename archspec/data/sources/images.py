"""`images`: a folder of images with a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archspec.data.base import WHOLE, DataError, Field, Loaded, Selection, Source, Stream, existing, hash_files
from archspec.layers.fields import Positive
from archspec.tensor import TensorType

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"})  # what tf.io.decode_image reads
_SPLITS = {"train": "train", "training": "train", "validation": "validation", "val": "validation",
           "valid": "validation", "test": "test"}  # fmt: skip
_CHANNELS = {"rgb": 3, "grayscale": 1, "rgba": 4}


class Images(Source):
    """A folder whose subfolders are the classes, in alphabetical order; images may lie deeper below them.

    Where all subfolders are named train, validation (or val) and test, these are the splits, with the classes below.
    Fields: `image` (height, width, channels), float32 from 0 to 255, brought to `size`, and `label`.
    """

    KIND = "images"

    path: str
    size: Positive | tuple[Positive, Positive] = (256, 256)
    color_mode: Literal["rgb", "grayscale", "rgba"] = "rgb"
    interpolation: Literal["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5"] = "bilinear"
    crop_to_aspect_ratio: bool = False

    def load(self, folder: Path) -> Loaded:
        import numpy as np

        root = existing(self.path, folder, "folder")
        below = _folders(root)
        split = bool(below) and all(f.name.lower() in _SPLITS for f in below)
        roots = {_SPLITS[f.name.lower()]: f for f in below} if split else {WHOLE: root}
        classes = tuple(sorted({f.name for part in roots.values() for f in _folders(part)}))
        found = {part: _files(where, classes) for part, where in roots.items()}
        if not any(files for files, _ in found.values()):
            raise DataError(
                f"no images lie in {str(root)!r}",
                help=f"one folder for each class holds its images ({', '.join(sorted(SUFFIXES))})",
            )
        files = {part: np.array([str(file) for file in files]) for part, (files, _) in found.items()}
        labels = {part: np.array(codes, "int32") for part, (_, codes) in found.items()}
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size

        def read(selection: Selection) -> Stream:
            paths = np.concatenate([files[part][at] for part, at in selection.items()])
            codes = np.concatenate([labels[part][at] for part, at in selection.items()])
            return Stream(len(paths), lambda: self._open(paths, codes, height, width))

        return Loaded(
            fields={
                "image": Field(TensorType((height, width, _CHANNELS[self.color_mode]))),
                "label": Field(TensorType((), "int32"), classes),
            },
            sizes={part: len(codes) for part, codes in labels.items()},
            inputs=("image",),
            targets=("label",),
            read=read,
            fingerprint=hash_files([file for files, _ in found.values() for file in files], root),
            labels={"label": labels},
        )

    def decoded(self, files: Sequence[Path]) -> Any:
        """A tf.data.Dataset of files that are no part of the source, read as if they were."""
        import numpy as np

        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        paths = np.array([str(file) for file in files])
        return self._open(paths, np.zeros(len(paths), "int32"), height, width).map(lambda row: row["image"])

    def _open(self, paths: np.ndarray, codes: np.ndarray, height: int, width: int) -> Any:
        """A tf.data.Dataset of decoded images, in the order of the paths."""
        import tensorflow as tf

        channels = _CHANNELS[self.color_mode]

        def decode(path: Any, code: Any) -> dict[str, Any]:
            image = tf.io.decode_image(tf.io.read_file(path), channels=channels, expand_animations=False)
            if self.crop_to_aspect_ratio:
                has = tf.shape(image)[:2]
                scale = tf.reduce_min(has / tf.constant([height, width]))
                crop = tf.cast(tf.round(scale * tf.constant([height, width], "float64")), "int32")
                top, left = tf.unstack((has - crop) // 2)
                image = tf.image.crop_to_bounding_box(image, top, left, crop[0], crop[1])
            image = tf.image.resize(image, (height, width), method=self.interpolation)
            return {"image": tf.ensure_shape(tf.cast(image, "float32"), (height, width, channels)), "label": code}

        rows = tf.data.Dataset.from_tensor_slices((paths, codes))
        return rows.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _folders(root: Path) -> list[Path]:
    return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))


def _files(root: Path, classes: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    """The images of each class, sorted, and the number of their class."""
    files: list[Path] = []
    codes: list[int] = []
    for code, name in enumerate(classes):
        own = sorted(f for f in (root / name).rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
        files += own
        codes += [code] * len(own)
    return files, codes
