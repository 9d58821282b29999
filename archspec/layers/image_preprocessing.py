"""Preparing images without chance: sizes and contrast. Images are channels-last: (height, width, channels)."""

from typing import Literal, Self

from pydantic import model_validator

from archspec.layers.base import Example
from archspec.layers.fields import DataFormat, Positive
from archspec.layers.images import Image, Resized, ValueRange
from archspec.layers.objects.base import Finite
from archspec.layers.shapes import argument_clash
from archspec.tensor import ShapeError, TensorType


class Resizing(Resized):
    """Resizes images; the aspect ratio changes unless they are cropped or padded to it.

    Shape: (h, w, channels) → (height, width, channels).
    Weights: none.
    MACs: 0.
    Errors: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other.
    """

    EXAMPLES = (
        Example({"height": 4, "width": 6}, ((8, 8, 3),)),
        Example(
            {"height": 16, "width": 4, "interpolation": "lanczos3", "pad_to_aspect_ratio": True, "antialias": True},
            ((None, None, 1),),
        ),
    )

    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: Literal["constant"] = "constant"
    fill_value: Finite = 0.0
    antialias: bool = False

    @model_validator(mode="after")
    def _check_ratio(self) -> Self:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise argument_clash("crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other")
        return self


class CenterCrop(Resized):
    """Cuts out the middle of images; smaller ones are resized, keeping as much as the aspect ratio allows.

    Shape: (h, w, channels) → (height, width, channels).
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (
        Example({"height": 4, "width": 6}, ((8, 9, 3),)),
        Example({"height": 12, "width": 4}, (TensorType((8, 8, 3), "uint8"),), values=256),
    )


class AutoContrast(Image):
    """Stretches the values of each image so that they fill value_range.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"value_range": [0, 1]}, ((8, 8, 3),)),)

    value_range: ValueRange = (0, 255)


class Equalization(Image):
    """Equalises the histogram of each channel.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"value_range": [0, 1], "bins": 64}, ((8, 8, 3),)),)

    value_range: ValueRange = (0, 255)
    bins: Positive = 256
    data_format: DataFormat = None


class ContrastLimitedAdaptiveHistogramEqualization(Image):
    """Equalises the histograms of tiles, no bin above clip_limit times the mean one, and blends between the tiles.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: the padding to whole tiles must not exceed the image.
    Paper: Zuiderveld 1994, "Contrast limited adaptive histogram equalization".
    """

    EXAMPLES = (
        Example({}, ((16, 12, 3),)),
        Example({"tile_grid_size": [2, 4], "clip_limit": 2, "value_range": [0, 1]}, ((9, 8, 1),)),
    )

    value_range: ValueRange = (0, 255)
    clip_limit: Finite = 4.0
    tile_grid_size: tuple[Positive, Positive] = (8, 8)
    data_format: DataFormat = None

    def infer(self, data: TensorType) -> TensorType:
        result = super().infer(data)
        for length, tiles in zip(data.shape, self.tile_grid_size, strict=False):
            if length is not None and -length % tiles > length:
                raise ShapeError(
                    f"{type(self).__name__} cannot cut {data} into {' × '.join(map(str, self.tile_grid_size))} tiles",
                    help="take fewer tiles: tile_grid_size",
                )
        return result


class MaxNumBoundingBoxes(Image):
    """Cuts or fills the bounding boxes that come with images to max_number; the images stay as they are.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"max_number": 10, "fill_value": 0}, ((8, 8, 3),)),)

    max_number: Positive
    fill_value: int = -1
