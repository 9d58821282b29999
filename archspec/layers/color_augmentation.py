"""Random changes of colour, and mixtures of images. They act in training only.

Images are channels-last: (height, width, channels).
"""

from typing import Annotated

from annotated_types import Ge, Le

from archspec.layers.base import Example
from archspec.layers.fields import DataFormat, NonNegative, Positive
from archspec.layers.images import Colored, Image, Interpolation, Range, SignedRange, ValueRange
from archspec.layers.objects.base import AboveZero, Fraction
from archspec.tensor import TensorType

_Bits = Annotated[int, Ge(1), Le(8)]
_GRAY_OR_RGB = (1, 3)


class RandomBrightness(Colored):
    """Adds a random fraction of value_range to images.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"factor": [-0.1, 0.3], "value_range": [0, 1]}, ((8, 8, 3),)),)

    factor: SignedRange


class RandomContrast(Colored):
    """Moves pixels away from their channel's mean, or towards it: by 1 - lower to 1 + upper.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"factor": 0.3}, ((8, 8, 3),)), Example({"factor": [0.1, 0.2]}, ((8, 8, 1),)))

    factor: Range


class RandomHue(Colored):
    """Turns the hue of images.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: 3 channels.
    """

    CHANNELS = (3,)
    EXAMPLES = (Example({"factor": 0.3}, ((8, 8, 3),)),)

    factor: Range
    data_format: DataFormat = None


class RandomSaturation(Colored):
    """Makes colours fainter (factors below 0.5) or stronger (above); 0 leaves grey.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: 3 channels.
    """

    CHANNELS = (3,)
    EXAMPLES = (Example({"factor": [0.2, 0.8]}, ((8, 8, 3),)),)

    factor: SignedRange
    data_format: DataFormat = None


class RandomSharpness(Colored):
    """Blurs images (factors below 0.5) or sharpens them (above).

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"factor": 0.3}, ((8, 8, 3),)),)

    factor: Range
    data_format: DataFormat = None


class RandomColorDegeneration(Colored):
    """Blends images with their grey versions: 0 leaves them, 1 makes them grey.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: 3 channels.
    """

    CHANNELS = (3,)
    EXAMPLES = (Example({"factor": 0.3}, ((8, 8, 3),)),)

    factor: SignedRange
    data_format: DataFormat = None


class RandomPosterization(Colored):
    """Leaves the upper bits of each value, factor of them.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"factor": 4}, ((8, 8, 3),)), Example({"factor": [2, 8]}, ((8, 8, 1),)))

    factor: _Bits | tuple[_Bits, _Bits]
    data_format: DataFormat = None


class RandomInvert(Colored):
    """Turns images into their negatives, with the probability factor.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"factor": 0.5}, ((8, 8, 3),)),)

    factor: Range = 1.0
    data_format: DataFormat = None


class RandomGrayscale(Image):
    """Makes images grey, in as many channels, with the probability factor.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: 1 or 3 channels.
    """

    CHANNELS = _GRAY_OR_RGB
    EXAMPLES = (Example({"factor": 0.3}, ((8, 8, 3),)),)

    factor: Fraction = 0.5
    data_format: DataFormat = None
    seed: int | None = None


class RandomColorJitter(Image):
    """Changes brightness, contrast, saturation and hue in turn; those that are not given stay.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: 3 channels where saturation or hue change.
    """

    FIRST = "value_range"
    EXAMPLES = (
        Example({"brightness_factor": 0.2, "contrast_factor": 0.1, "saturation_factor": 0.1, "hue_factor": 0.1},
                ((8, 8, 3),)),
        Example({"brightness_factor": [-0.2, 0.1]}, ((8, 8, 1),)),
    )  # fmt: skip

    value_range: ValueRange = (0, 255)
    brightness_factor: SignedRange | None = None
    contrast_factor: Range | None = None
    saturation_factor: SignedRange | None = None
    hue_factor: Range | None = None
    seed: int | None = None
    data_format: DataFormat = None

    def infer(self, data: TensorType) -> TensorType:
        if self.saturation_factor is not None or self.hue_factor is not None:
            self.check_channels(data, (3,))
        return super().infer(data)


class Solarization(Colored):
    """Adds a random amount to all values and inverts those above a random threshold; factors are fractions of 255.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({"addition_factor": 0.2, "threshold_factor": [0.3, 0.6]}, ((8, 8, 3),)),)

    addition_factor: Range = 0.0
    threshold_factor: Range = 0.0


class RandAugment(Image):
    """Applies num_ops random changes of place and colour, each of the strength factor.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: 1 or 3 channels.
    Paper: Cubuk et al. 2019, arXiv:1909.13719.
    """

    CHANNELS = _GRAY_OR_RGB
    EXAMPLES = (Example({"num_ops": 1, "factor": [0.1, 0.4]}, ((8, 8, 3),)),)

    value_range: ValueRange = (0, 255)
    num_ops: NonNegative = 2
    factor: Range = 0.5
    interpolation: Interpolation = "bilinear"
    seed: int | None = None
    data_format: DataFormat = None


class AugMix(Image):
    """Mixes images with several chains of random changes of them; all_ops adds changes of colour.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: 1 or 3 channels with all_ops.
    Paper: Hendrycks et al. 2019, arXiv:1912.02781.
    """

    EXAMPLES = (
        Example({"num_chains": 2, "chain_depth": 2}, ((8, 8, 3),)),
        Example({"all_ops": False, "alpha": 0.5, "factor": 0.1}, ((8, 8, 4),)),
    )

    value_range: ValueRange = (0, 255)
    num_chains: Positive = 3
    chain_depth: Positive = 3
    factor: Range = 0.3
    alpha: AboveZero = 1.0
    all_ops: bool = True
    interpolation: Interpolation = "bilinear"
    seed: int | None = None
    data_format: DataFormat = None

    def infer(self, data: TensorType) -> TensorType:
        if self.all_ops:
            self.check_channels(data, _GRAY_OR_RGB)
        return super().infer(data)


class CutMix(Image):
    """Pastes a rectangle of another image of the batch into each, and mixes their labels by its area.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Yun et al. 2019, arXiv:1905.04899.
    """

    EXAMPLES = (Example({"factor": 0.5, "seed": 3}, ((8, 8, 3),)),)

    factor: Range = 1.0
    seed: int | None = None
    data_format: DataFormat = None


class MixUp(Image):
    """Blends each image, and its label, with another of the batch, by a weight drawn from Beta(alpha, alpha).

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Zhang et al. 2017, arXiv:1710.09412.
    """

    EXAMPLES = (Example({"alpha": 0.4}, ((8, 8, 3),)),)

    alpha: AboveZero = 0.2
    data_format: DataFormat = None
    seed: int | None = None
