"""Pooling: the maximum or the mean of windows, of everything, or of so many bins. Images are channels-last."""

from typing import ClassVar

from archspec.layers.base import Example, Layer
from archspec.layers.fields import DataFormat, Padding, Positive, Window1, Window2, Window3
from archspec.layers.shapes import check_spatial, per_axis, window_lengths
from archspec.tensor import TensorType

_Window = Positive | tuple[Positive, ...]


class _Pooling(Layer):
    ROLE = "pooling"
    RANK: ClassVar[int]

    pool_size: _Window
    strides: _Window | None = None
    padding: Padding = "valid"
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        name, pool = type(self).__name__, per_axis(self.pool_size, self.RANK)
        check_spatial(name, inputs, self.RANK)
        strides = pool if self.strides is None else per_axis(self.strides, self.RANK)
        lengths = window_lengths(name, inputs, pool, strides, self.padding)
        return TensorType((*lengths, inputs.shape[-1]), self.output_dtype)


class MaxPooling1D(_Pooling):
    """The maximum of each window of steps.

    Shape: (steps, c) → (steps', c): same ⌈steps / stride⌉, valid ⌊(steps - pool_size) / stride⌋ + 1;
    strides default to pool_size.
    Weights: none.
    MACs: 0.
    Errors: another rank; a valid window larger than the input.
    """

    RANK = 1
    ALIASES = ("MaxPool1D",)
    EXAMPLES = (
        Example({}, ((9, 2),)),
        Example({"pool_size": [3], "strides": 2, "padding": "same"}, ((10, 2),)),
        Example({"pool_size": 3, "strides": [2]}, ((None, 2),)),
    )

    pool_size: Window1 = 2
    strides: Window1 | None = None


class MaxPooling2D(_Pooling):
    """The maximum of each window of an image.

    Shape: (h, w, c) → (h', w', c): same ⌈h / stride⌉, valid ⌊(h - pool_size) / stride⌋ + 1;
    strides default to pool_size.
    Weights: none.
    MACs: 0.
    Errors: another rank; a valid window larger than the input.
    """

    RANK = 2
    ALIASES = ("MaxPool2D",)
    EXAMPLES = (
        Example({}, ((9, 8, 2),)),
        Example({"pool_size": 3, "strides": 2, "padding": "same"}, ((9, None, 2),)),
        Example({"pool_size": [3, 2], "strides": [1, 2]}, ((9, 8, 2),)),
    )

    pool_size: Window2 = (2, 2)
    strides: Window2 | None = None


class MaxPooling3D(_Pooling):
    """The maximum of each window of a volume.

    Shape: (d, h, w, c) → (d', h', w', c): same ⌈d / stride⌉, valid ⌊(d - pool_size) / stride⌋ + 1;
    strides default to pool_size.
    Weights: none.
    MACs: 0.
    Errors: another rank; a valid window larger than the input.
    """

    RANK = 3
    ALIASES = ("MaxPool3D",)
    EXAMPLES = (
        Example({}, ((5, 9, 8, 2),)),
        Example({"pool_size": [1, 2, 3], "strides": 2, "padding": "same"}, ((5, None, 8, 2),)),
    )

    pool_size: Window3 = (2, 2, 2)
    strides: Window3 | None = None


class AveragePooling1D(_Pooling):
    """The mean of each window of steps; padding does not count.

    Shape: as MaxPooling1D.
    Weights: none.
    MACs: 0.
    Errors: another rank; a valid window larger than the input.
    """

    RANK = 1
    ALIASES = ("AvgPool1D",)
    EXAMPLES = (
        Example({"pool_size": 2}, ((9, 2),)),
        Example({"pool_size": 3, "strides": 2, "padding": "same"}, ((None, 2),)),
    )

    pool_size: Window1
    strides: Window1 | None = None


class AveragePooling2D(_Pooling):
    """The mean of each window of an image; padding does not count.

    Shape: as MaxPooling2D.
    Weights: none.
    MACs: 0.
    Errors: another rank; a valid window larger than the input.
    """

    RANK = 2
    ALIASES = ("AvgPool2D",)
    EXAMPLES = (
        Example({"pool_size": 2}, ((9, 8, 2),)),
        Example({"pool_size": [3, 2], "strides": [2, 1], "padding": "same"}, ((9, None, 2),)),
    )

    pool_size: Window2
    strides: Window2 | None = None


class AveragePooling3D(_Pooling):
    """The mean of each window of a volume; padding does not count.

    Shape: as MaxPooling3D.
    Weights: none.
    MACs: 0.
    Errors: another rank; a valid window larger than the input.
    """

    RANK = 3
    ALIASES = ("AvgPool3D",)
    EXAMPLES = (
        Example({"pool_size": 2}, ((5, 9, 8, 2),)),
        Example({"pool_size": [1, 2, 3], "strides": 2, "padding": "same"}, ((5, None, 8, 2),)),
    )

    pool_size: Window3
    strides: Window3 | None = None
