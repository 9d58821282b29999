"""Image files: found broken before the training, and decoded in tf.data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archspec.data.base import HASHED_BYTES, DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"})  # what tf.io.decode_image reads
_JPEG_END = b"\xff\xd9"
_TAIL = 1 << 16  # some cameras write notes behind the end of the image


def check_images(files: Sequence[Path]) -> None:
    """Each file must be an image as far as its headers and checksums tell. Raises DataError for the first that is none.

    Files of more than HASHED_BYTES in sum are not opened: it would take minutes.
    """
    if sum(file.stat().st_size for file in files) <= HASHED_BYTES:
        broken = next((problem for problem in _problems(files, decode=False) if problem), None)
        if broken:
            raise DataError(broken, help="mend it or take it out of the folder")


def find_broken(files: Iterable[Path]) -> str | None:
    """What is wrong with the first file that cannot be decoded whole, or None."""
    return next((problem for problem in _problems(files, decode=True) if problem), None)


def _problems(files: Iterable[Path], decode: bool) -> Iterable[str | None]:
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda file: _problem(file, decode), files)


def _problem(file: Path, decode: bool) -> str | None:
    from PIL import Image

    if not file.is_file():
        return f"the image {str(file)!r} is no longer there"
    try:
        with Image.open(file) as image:
            if decode:
                image.load()
                return None
            kind = image.format
            image.verify()
        if kind == "JPEG":
            with file.open("rb") as data:
                data.seek(max(0, file.stat().st_size - _TAIL))
                if _JPEG_END not in data.read():
                    return f"the image {str(file)!r} is cut off"
    except Image.DecompressionBombError:
        return f"the image {str(file)!r} is larger than images sensibly are"
    except (OSError, SyntaxError, ValueError) as error:
        return f"the image {str(file)!r} cannot be read: {error}"
    return None


@dataclass(frozen=True)
class Decoder:
    """Turns a file's path into float32 (height, width, channels) from 0 to 255, inside a tf.data pipeline."""

    height: int
    width: int
    channels: int
    interpolation: str
    crop: bool  # to the aspect ratio, from the middle

    def __call__(self, path: Any) -> Any:
        import tensorflow as tf

        image = tf.io.decode_image(tf.io.read_file(path), channels=self.channels, expand_animations=False)
        if self.crop:
            has = tf.shape(image)[:2]
            scale = tf.reduce_min(has / tf.constant([self.height, self.width]))
            crop = tf.cast(tf.round(scale * tf.constant([self.height, self.width], "float64")), "int32")
            top, left = tf.unstack((has - crop) // 2)
            image = tf.image.crop_to_bounding_box(image, top, left, crop[0], crop[1])
        image = tf.image.resize(image, (self.height, self.width), method=self.interpolation)
        return tf.ensure_shape(tf.cast(image, "float32"), (self.height, self.width, self.channels))
