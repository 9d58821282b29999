"""What the layers that prepare or augment images share. Images are channels-last: (height, width, channels)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from archspec.layers.base import Layer
from archspec.layers.fields import DataFormat
from archspec.layers.objects.base import Finite, Fraction
from archspec.layers.shapes import check_spatial
from archspec.tensor import ShapeError, TensorType

# A factor is drawn from a range: a pair gives it; what a number stands for (±f, 0 to f) differs from layer to layer.
Range = Fraction | tuple[Fraction, Fraction]
Signed = Annotated[float, Ge(-1), Le(1)]
SignedRange = Signed | tuple[Signed, Signed]
ValueRange = tuple[Finite, Finite]  # the least and the greatest value of a pixel
Interpolation = Literal["nearest", "bilinear"]
FillMode = Literal["reflect", "wrap", "constant", "nearest"]


class Image(Layer):
    """A layer that takes images and gives images of the same size. It takes CHANNELS of them; any number if empty."""

    ROLE = "preprocessing"
    CHANNELS: ClassVar[tuple[int, ...]] = ()

    def infer(self, data: TensorType) -> TensorType:
        check_spatial(type(self).__name__, data, 2)
        self.check_channels(data, self.CHANNELS)
        return TensorType(data.shape, self.output_dtype)

    def check_channels(self, data: TensorType, allowed: tuple[int, ...]) -> None:
        """Raises ShapeError where the image has another number of channels than one of those."""
        if allowed and data.shape[-1] not in (None, *allowed):
            raise ShapeError(f"{type(self).__name__} needs {' or '.join(map(str, allowed))} channels, got {data}")


class Resized(Image):
    """An image layer whose result has a height and a width of its own."""

    height: Annotated[int, Ge(1)]
    width: Annotated[int, Ge(1)]
    data_format: DataFormat = None

    def infer(self, data: TensorType) -> TensorType:
        return super().infer(data).with_shape(self.height, self.width, data.shape[-1])


class Colored(Image):
    """A random change of colours."""

    value_range: ValueRange = (0, 255)
    seed: int | None = None


class Moved(Image):
    """A random change of places: pixels come from elsewhere, and fill_mode says what comes from outside."""

    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: Finite = 0.0
    seed: int | None = None
    data_format: DataFormat = None
