"""Pooling to an output of a given size (keras.layers.Adaptive*)."""

from typing import ClassVar

from archspec.layers.base import Example, Layer
from archspec.layers.fields import DataFormat, Positive, Window1, Window2, Window3
from archspec.layers.shapes import check_spatial, per_axis
from archspec.tensor import TensorType

_Window = Positive | tuple[Positive, ...]


class _AdaptivePooling(Layer):
    ROLE = "pooling"
    RANK: ClassVar[int]

    output_size: _Window
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        check_spatial(type(self).__name__, inputs, self.RANK)
        return TensorType((*per_axis(self.output_size, self.RANK), inputs.shape[-1]), self.output_dtype)


class AdaptiveMaxPooling1D(_AdaptivePooling):
    """The maximum of each of output_size bins of steps.

    Shape: (steps, c) → (output_size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 1
    EXAMPLES = (Example({"output_size": 3}, ((8, 2),)), Example({"output_size": [4]}, ((8, 2),)))

    output_size: Window1


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """The maximum of each of output_size bins of an image.

    Shape: (h, w, c) → (*output_size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 2
    EXAMPLES = (Example({"output_size": 3}, ((8, 7, 2),)), Example({"output_size": [4, 2]}, ((8, 7, 2),)))

    output_size: Window2


class AdaptiveMaxPooling3D(_AdaptivePooling):
    """The maximum of each of output_size bins of a volume.

    Shape: (d, h, w, c) → (*output_size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 3
    EXAMPLES = (Example({"output_size": 3}, ((8, 7, 6, 2),)), Example({"output_size": [4, 2, 3]}, ((8, 7, 6, 2),)))

    output_size: Window3


class AdaptiveAveragePooling1D(_AdaptivePooling):
    """The mean of each of output_size bins of steps.

    Shape: (steps, c) → (output_size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 1
    EXAMPLES = (Example({"output_size": 3}, ((8, 2),)), Example({"output_size": [4]}, ((8, 2),)))

    output_size: Window1


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """The mean of each of output_size bins of an image.

    Shape: (h, w, c) → (*output_size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 2
    EXAMPLES = (Example({"output_size": 3}, ((8, 7, 2),)), Example({"output_size": [4, 2]}, ((8, 7, 2),)))

    output_size: Window2


class AdaptiveAveragePooling3D(_AdaptivePooling):
    """The mean of each of output_size bins of a volume.

    Shape: (d, h, w, c) → (*output_size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 3
    EXAMPLES = (Example({"output_size": 3}, ((8, 7, 6, 2),)), Example({"output_size": [4, 2, 3]}, ((8, 7, 6, 2),)))

    output_size: Window3
