"""Random changes of place: flips, crops, turns, blurs. They act in training only.

Images are channels-last: (height, width, channels).
"""

from typing import Annotated, Literal

from annotated_types import Gt, Le
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from archspec.layers.base import Example
from archspec.layers.fields import DataFormat, Positive
from archspec.layers.images import Image, Interpolation, Moved, Range, Resized, SignedRange, ValueRange
from archspec.layers.objects.base import Finite, Fraction
from archspec.tensor import TensorType

_Zoom = Annotated[float, Gt(-1), Le(1)]


def _need_odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("not_odd", "a blur's kernel_size is odd, not {value}", {"value": value})
    return value


_Odd = Annotated[Positive, AfterValidator(_need_odd)]


class RandomFlip(Image):
    """Flips images left to right, upside down, or both.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (
        Example({"mode": "horizontal"}, ((8, 8, 3),)),
        Example({"dtype": "uint8"}, (TensorType((8, 6, 1), "uint8"),), values=256),
    )

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"
    seed: int | None = None
    data_format: DataFormat = None


class RandomCrop(Resized):
    """Cuts a random window out of images, the middle one where not training; smaller images are resized.

    Shape: (h, w, channels) → (height, width, channels).
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"height": 4, "width": 6, "seed": 1}, ((8, 9, 3),)),)

    seed: int | None = None


class RandomTranslation(Moved):
    """Shifts images by fractions of their height and width; a positive factor shifts down and to the right.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (
        Example({"height_factor": 0.1, "width_factor": [-0.2, 0.3]}, ((8, 8, 3),)),
        Example({"height_factor": 0, "width_factor": 1, "fill_mode": "constant", "fill_value": 9}, ((None, None, 3),)),
    )

    height_factor: SignedRange
    width_factor: SignedRange


class RandomRotation(Moved):
    """Turns images by fractions of a full turn; a positive factor turns counter-clockwise.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"factor": 0.03}, ((8, 8, 3),)), Example({"factor": [-0.2, 0.3]}, ((8, 8, 1),)))

    factor: SignedRange


class RandomZoom(Moved):
    """Zooms images: a positive factor zooms out, a negative one in. Without width_factor the aspect ratio stays.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (
        Example({"height_factor": 0.2}, ((8, 8, 3),)),
        Example({"height_factor": [-0.3, -0.1], "width_factor": 0.1, "interpolation": "nearest"}, ((8, 8, 3),)),
    )

    height_factor: _Zoom | tuple[_Zoom, _Zoom]
    width_factor: _Zoom | tuple[_Zoom, _Zoom] | None = None


class RandomShear(Moved):
    """Shears images along x and y.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"x_factor": 0.3, "y_factor": [0.1, 0.2], "fill_mode": "wrap"}, ((8, 8, 3),)),)

    x_factor: Range = 0.0
    y_factor: Range = 0.0


class RandomPerspective(Image):
    """Moves the corners of images, the farther the greater scale is, with the probability factor.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"factor": 0.5, "scale": 0.3}, ((8, 8, 3),)),)

    factor: Range = 1.0
    scale: Fraction = 1.0
    interpolation: Interpolation = "bilinear"
    fill_value: Finite = 0.0
    seed: int | None = None
    data_format: DataFormat = None


class RandomElasticTransform(Moved):
    """Distorts images by a smooth random field of the strength scale, with the probability factor.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Simard, Steinkraus & Platt 2003, "Best practices for convolutional neural networks".
    """

    EXAMPLES = (Example({"factor": 0.5, "scale": [0.2, 0.8]}, ((8, 8, 3),)),)

    factor: Range = 1.0
    scale: Range = 1.0
    value_range: ValueRange = (0, 255)


class RandomErasing(Image):
    """Erases a rectangle of about the fraction scale of images, with the probability factor; by default to noise.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Zhong et al. 2017, arXiv:1708.04896.
    """

    EXAMPLES = (
        Example({"factor": 0.5}, ((8, 8, 3),)),
        Example({"scale": 0.2, "fill_value": [1, 2, 3]}, ((8, 8, 3),)),
    )

    factor: Range = 1.0
    scale: Range = (0.02, 0.33)
    fill_value: Finite | tuple[Finite, Finite, Finite] | None = None
    value_range: ValueRange = (0, 255)
    seed: int | None = None
    data_format: DataFormat = None


class RandomGaussianBlur(Image):
    """Blurs images by a Gaussian of the width sigma, with the probability factor.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (
        Example({"factor": 0.5}, ((8, 8, 3),)),
        Example({"kernel_size": [3, 5], "sigma": [0.1, 0.9]}, ((8, 8, 1),)),
    )

    factor: Range = 1.0
    kernel_size: _Odd | tuple[_Odd, _Odd] = 3
    sigma: Range = 1.0
    value_range: ValueRange = (0, 255)
    seed: int | None = None
    data_format: DataFormat = None
