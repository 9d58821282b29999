"""Dropout, noise and penalties: layers that act in training only and keep the shape."""

from typing import Annotated

from annotated_types import Ge, Le

from archspec.layers.base import Example, Layer
from archspec.layers.fields import DataFormat, Positive, Rate
from archspec.layers.shapes import SameShape, check_spatial
from archspec.tensor import ShapeError, TensorType, show_shape

NoiseShape = tuple[Positive | None, ...] | None


def _check_noise_shape(layer: str, noise: NoiseShape, inputs: TensorType) -> None:
    if noise is None:
        return
    lengths = zip(noise[1:], inputs.shape, strict=False)
    if len(noise) != inputs.rank + 1 or any(n not in (1, None, length) and length is not None for n, length in lengths):
        raise ShapeError(
            f"{layer} has the noise_shape {show_shape(noise)}, which does not fit the input {inputs}",
            help="give each axis, the batch first, its own length (or null) or 1 where the noise is shared",
        )


class Dropout(Layer):
    """Sets a fraction `rate` of the values to 0 while training and scales the rest by 1 / (1 - rate).

    `noise_shape` counts the batch: [null, 1, 64] drops the same features in all steps.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: a noise_shape that does not fit.
    Paper: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    ROLE = "regularization"
    EXAMPLES = (
        Example({"rate": 0.5}, ((4,),)),
        Example({"rate": 0.1, "noise_shape": [None, 1, 8], "seed": 3}, ((None, 8),)),
        Example({"rate": 0, "dtype": "float16"}, ((4, 8),)),
    )

    rate: Rate
    noise_shape: NoiseShape = None
    seed: int | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        _check_noise_shape("Dropout", self.noise_shape, inputs)
        return TensorType(inputs.shape, self.output_dtype)


class AlphaDropout(Layer):
    """Dropout that keeps mean and variance, for networks of `selu` units.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: a noise_shape that does not fit.
    Paper: Klambauer et al. 2017, arXiv:1706.02515.
    """

    ROLE = "regularization"
    EXAMPLES = (Example({"rate": 0.2}, ((4,),)), Example({"rate": 0.2, "noise_shape": [None, 4, 1]}, ((4, 8),)))

    rate: Rate
    noise_shape: NoiseShape = None
    seed: int | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        _check_noise_shape("AlphaDropout", self.noise_shape, inputs)
        return TensorType(inputs.shape, self.output_dtype)


class GaussianDropout(SameShape):
    """Multiplies by noise of mean 1 and standard deviation sqrt(rate / (1 - rate)) while training.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Srivastava et al. 2014, section 10 of "Dropout".
    """

    ROLE = "regularization"
    EXAMPLES = (Example({"rate": 0.2, "seed": 1}, ((4, 8),)),)

    rate: Rate
    seed: int | None = None


class GaussianNoise(SameShape):
    """Adds noise of mean 0 and the given standard deviation while training.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    ROLE = "regularization"
    EXAMPLES = (Example({"stddev": 1, "seed": 1}, ((4, 8),)),)

    stddev: Annotated[float, Ge(0), Le(1)]
    seed: int | None = None


class ActivityRegularization(SameShape):
    """Adds l1 · Σ|x| + l2 · Σx² to the loss and passes x on.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    ROLE = "regularization"
    EXAMPLES = (Example({"l1": 0.1, "l2": 0.01}, ((4, 8),)),)

    l1: Annotated[float, Ge(0)] = 0.0
    l2: Annotated[float, Ge(0)] = 0.0


class SpatialDropout1D(Layer):
    """Dropout of whole features: a feature that is dropped is 0 in all steps.

    Shape: (steps, channels), unchanged.
    Weights: none.
    MACs: 0.
    Errors: another rank.
    Paper: Tompson et al. 2014, arXiv:1411.4280.
    """

    ROLE = "regularization"
    EXAMPLES = (Example({"rate": 0.2, "seed": 1}, ((None, 8),)),)

    rate: Rate
    seed: int | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        check_spatial("SpatialDropout1D", inputs, 1)
        return TensorType(inputs.shape, self.output_dtype)


class SpatialDropout2D(Layer):
    """Dropout of whole feature maps.

    Shape: (height, width, channels), unchanged.
    Weights: none.
    MACs: 0.
    Errors: another rank.
    Paper: Tompson et al. 2014, arXiv:1411.4280.
    """

    ROLE = "regularization"
    EXAMPLES = (Example({"rate": 0.2}, ((4, None, 8),)),)

    rate: Rate
    data_format: DataFormat = None
    seed: int | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        check_spatial("SpatialDropout2D", inputs, 2)
        return TensorType(inputs.shape, self.output_dtype)


class SpatialDropout3D(Layer):
    """Dropout of whole volumes of a feature.

    Shape: (depth, height, width, channels), unchanged.
    Weights: none.
    MACs: 0.
    Errors: another rank.
    Paper: Tompson et al. 2014, arXiv:1411.4280.
    """

    ROLE = "regularization"
    EXAMPLES = (Example({"rate": 0.2, "data_format": "channels_last"}, ((2, 4, 4, 8),)),)

    rate: Rate
    data_format: DataFormat = None
    seed: int | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        check_spatial("SpatialDropout3D", inputs, 3)
        return TensorType(inputs.shape, self.output_dtype)
