"""Segmentation masks: images whose pixels are classes, as whole numbers or as the colours of a palette."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.data.base import DataError

if TYPE_CHECKING:
    import numpy as np

Colour = int | tuple[int, int, int]


@dataclass(frozen=True)
class Key:
    """What pixels mean: the value or colour of each class in order, or none where values are the classes themselves.

    `ignored` is the value that belongs to no class; masks keep it.
    """

    colours: tuple[Colour, ...] | None
    count: int
    ignored: int | None = None


def read_mask(file: Path, key: Key, size: tuple[int, int]) -> np.ndarray:
    """The classes as int32 (height, width), brought to the size by nearest neighbours. Raises DataError."""
    import numpy as np

    coloured = key.colours is not None and isinstance(key.colours[0], tuple)
    pixels = _pixels(file, coloured, size)
    if key.colours is None:
        made = pixels
        known = (made >= 0) & (made < key.count)
    else:
        made, known = np.zeros(pixels.shape[:2], "int32"), np.zeros(pixels.shape[:2], bool)
        for code, colour in enumerate(key.colours):
            here = (pixels == np.array(colour)).reshape(*made.shape, -1).all(-1)
            made[here], known[here] = code, True
    if key.ignored is not None and not coloured:
        here = pixels == key.ignored
        made[here], known[here] = key.ignored, True
    if not known.all():
        row, column = np.argwhere(~known)[0]
        message = f"mask {str(file)!r}: the pixel in row {row}, column {column} is {pixels[row, column].tolist()}"
        raise DataError(f"{message}, none of the {key.count} classes", help="name every class, or ignore a value")
    return made


def largest(files: Iterable[Path], ignored: int | None) -> int:
    """The largest value in any of the masks, `ignored` aside. Raises DataError."""
    import numpy as np

    def of(file: Path) -> int:
        values = np.unique(_pixels(file, coloured=False))
        return int(max((value for value in values if value != ignored), default=0))

    with ThreadPoolExecutor() as pool:
        return max(pool.map(of, files))


def _pixels(file: Path, coloured: bool, size: tuple[int, int] | None = None) -> np.ndarray:
    """Values as int32 (height, width), a palette's numbers among them, or colours (height, width, 3)."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(file) as image:
            mode = "RGB" if coloured else image.mode
            if mode not in ("RGB", "L", "P", "1", "I;16", "I") or (mode == "RGB" and not coloured):
                help = "give the colour of each class: palette: {road: [128, 64, 128]}"
                raise DataError(f"the mask {str(file)!r} is not of whole numbers but {image.mode}", help=help)
            found = image.convert(mode) if coloured else image
            if size is not None and found.size != size[::-1]:
                found = found.resize(size[::-1], Image.Resampling.NEAREST)
            return np.array(found, "int32")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the mask {str(file)!r} cannot be read: {error}") from error
