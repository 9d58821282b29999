"""Layers that only move values about: reshape, permute, repeat, crop, pad, enlarge. Images are channels-last."""

from math import prod
from typing import Annotated, Literal, Self

from annotated_types import Ge
from pydantic import model_validator

from archspec.layers.base import Example, Layer
from archspec.layers.fields import DataFormat, NonNegative, Positive, Window2, Window3
from archspec.layers.shapes import argument_clash, check_spatial, per_axis
from archspec.tensor import Shape, ShapeError, TensorType, show_shape

_Side = NonNegative | tuple[NonNegative, NonNegative]  # both ends alike, or each by itself


class Flatten(Layer):
    """All values of an example in one row.

    Shape: (…) → (product of the lengths,).
    Weights: none.
    MACs: 0.
    """

    ROLE = "reshape"
    EXAMPLES = (
        Example({}, ((4, 5),)),
        Example({"data_format": "channels_last"}, ((None, 5),)),
        Example({}, (TensorType((), "int32"),)),
    )

    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        return TensorType((None if None in inputs.shape else inputs.size,), self.passed_dtype(inputs))


class Reshape(Layer):
    """The same values in another shape; one length may be -1, which is worked out.

    Shape: (…) → target_shape.
    Weights: none.
    MACs: 0.
    Errors: the number of values must stay the same; more than one -1.
    """

    ROLE = "reshape"
    EXAMPLES = (
        Example({"target_shape": [2, 10]}, ((4, 5),)),
        Example({"target_shape": [2, -1, 2]}, ((4, 5),)),
        Example({"target_shape": [-1, 5]}, (TensorType((None, 10), "int64"),)),
        Example({"target_shape": []}, ((1,),)),
    )

    target_shape: tuple[Annotated[int, Ge(-1)], ...]

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if self.target_shape.count(-1) > 1:
            raise argument_clash(f"target_shape may have one -1 at most, got {show_shape(self.target_shape)}")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        return TensorType(self._resolve(inputs), self.passed_dtype(inputs))

    def _resolve(self, inputs: TensorType) -> Shape:
        target = self.target_shape
        if None in inputs.shape:
            return tuple(None if n == -1 else n for n in target)
        given = prod(n for n in target if n != -1)
        fits = given == inputs.size if -1 not in target else given and inputs.size % given == 0
        if not fits:
            raise ShapeError(
                f"Reshape cannot make {show_shape(target)} of the {inputs.size} values of {inputs}",
                help="the product of the lengths must stay the same; let one be -1 and it is worked out",
            )
        return tuple(inputs.size // given if n == -1 else n for n in target)


class Permute(Layer):
    """Reorders the axes, which count from 1: dims [2, 1] transposes.

    Shape: (n₁, n₂, …) → (n_dims[0], n_dims[1], …).
    Weights: none.
    MACs: 0.
    Errors: dims must name each axis of the input once.
    """

    ROLE = "reshape"
    EXAMPLES = (Example({"dims": [2, 1]}, ((4, None),)), Example({"dims": [3, 1, 2]}, (TensorType((4, 5, 6), "bool"),)))

    dims: tuple[Positive, ...]

    @model_validator(mode="after")
    def _check_dims(self) -> Self:
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise argument_clash(
                f"dims must name the axes 1 to {len(self.dims)}, each once, got {show_shape(self.dims)}"
            )
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        if inputs.rank != len(self.dims):
            raise ShapeError(f"Permute with dims {show_shape(self.dims)} needs {len(self.dims)} axes, got {inputs}")
        return TensorType(tuple(inputs.shape[axis - 1] for axis in self.dims), self.passed_dtype(inputs))


class RepeatVector(Layer):
    """The same vector n times, as steps of a sequence.

    Shape: (c,) → (n, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    ROLE = "reshape"
    EXAMPLES = (Example({"n": 3}, ((4,),)),)

    n: Positive

    def infer(self, inputs: TensorType) -> TensorType:
        if inputs.rank != 1:
            raise ShapeError(f"RepeatVector needs a vector, got {inputs}")
        return TensorType((self.n, *inputs.shape), self.output_dtype)


def _total(side: int | tuple[int, int]) -> int:
    """How much both ends of an axis together lose or gain."""
    return 2 * side if isinstance(side, int) else sum(side)


def _totals(sides: int | tuple[_Side, ...], rank: int) -> tuple[int, ...]:
    return (2 * sides,) * rank if isinstance(sides, int) else tuple(map(_total, sides))


def _crop(layer: Layer, inputs: TensorType, totals: tuple[int, ...]) -> TensorType:
    name = type(layer).__name__
    check_spatial(name, inputs, len(totals))
    lengths = tuple(None if n is None else n - total for n, total in zip(inputs.shape, totals, strict=False))
    if any(n is not None and n <= 0 for n in lengths):
        raise ShapeError(f"{name} takes {show_shape(totals)} off the input {inputs}, which leaves nothing")
    return TensorType((*lengths, inputs.shape[-1]), layer.output_dtype)


def _pad(layer: Layer, inputs: TensorType, totals: tuple[int, ...]) -> TensorType:
    check_spatial(type(layer).__name__, inputs, len(totals))
    lengths = (None if n is None else n + total for n, total in zip(inputs.shape, totals, strict=False))
    return TensorType((*lengths, inputs.shape[-1]), layer.output_dtype)


def _enlarge(layer: Layer, inputs: TensorType, sizes: tuple[int, ...]) -> TensorType:
    check_spatial(type(layer).__name__, inputs, len(sizes))
    lengths = (None if n is None else n * size for n, size in zip(inputs.shape, sizes, strict=False))
    return TensorType((*lengths, inputs.shape[-1]), layer.output_dtype)


class Cropping1D(Layer):
    """Cuts steps off: as many at both ends, or [first, last].

    Shape: (steps, c) → (steps - first - last, c).
    Weights: none.
    MACs: 0.
    Errors: another rank; nothing is left.
    """

    ROLE = "reshape"
    EXAMPLES = (
        Example({}, ((5, 2),)),
        Example({"cropping": 2}, ((None, 2),)),
        Example({"cropping": [0, 3]}, ((5, 2),)),
    )

    cropping: _Side = (1, 1)

    def infer(self, inputs: TensorType) -> TensorType:
        return _crop(self, inputs, (_total(self.cropping),))


class Cropping2D(Layer):
    """Cuts the border off an image: one width for all sides, [vertical, horizontal], or [[top, bottom], [left, right]].

    Shape: (h, w, c) → (h - top - bottom, w - left - right, c).
    Weights: none.
    MACs: 0.
    Errors: another rank; nothing is left.
    """

    ROLE = "reshape"
    EXAMPLES = (
        Example({"cropping": 1}, ((5, None, 2),)),
        Example({"cropping": [1, 2]}, ((5, 6, 2),)),
        Example({"cropping": [[1, 0], [2, 3]]}, ((5, 6, 2),)),
    )

    cropping: NonNegative | tuple[_Side, _Side] = ((0, 0), (0, 0))
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        return _crop(self, inputs, _totals(self.cropping, 2))


class Cropping3D(Layer):
    """Cuts the border off a volume: one width for all sides, one an axis, or [first, last] for each axis.

    Shape: (d, h, w, c) → each spatial length less both ends.
    Weights: none.
    MACs: 0.
    Errors: another rank; nothing is left.
    """

    ROLE = "reshape"
    EXAMPLES = (
        Example({}, ((5, None, 6, 2),)),
        Example({"cropping": 2}, ((5, 5, 6, 2),)),
        Example({"cropping": [1, [2, 3], 0]}, ((5, 6, 7, 2),)),
    )

    cropping: NonNegative | tuple[_Side, _Side, _Side] = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        return _crop(self, inputs, _totals(self.cropping, 3))


class ZeroPadding1D(Layer):
    """Adds steps of zeros: as many at both ends, or [first, last].

    Shape: (steps, c) → (steps + first + last, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    ROLE = "reshape"
    EXAMPLES = (Example({}, ((5, 2),)), Example({"padding": [0, 3]}, ((None, 2),)))

    padding: _Side = 1
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        return _pad(self, inputs, (_total(self.padding),))


class ZeroPadding2D(Layer):
    """Adds a border of zeros: one width for all sides, [vertical, horizontal], or [[top, bottom], [left, right]].

    Shape: (h, w, c) → (h + top + bottom, w + left + right, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    ROLE = "reshape"
    EXAMPLES = (
        Example({}, ((5, None, 2),)),
        Example({"padding": 3}, ((5, 6, 2),)),
        Example({"padding": [[1, 0], [2, 3]]}, ((5, 6, 2),)),
    )

    padding: NonNegative | tuple[_Side, _Side] = (1, 1)
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        return _pad(self, inputs, _totals(self.padding, 2))


class ZeroPadding3D(Layer):
    """Adds a border of zeros to a volume: one width for all sides, one an axis, or [first, last] for each axis.

    Shape: (d, h, w, c) → each spatial length and both ends.
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    ROLE = "reshape"
    EXAMPLES = (
        Example({}, ((5, None, 6, 2),)),
        Example({"padding": 2}, ((5, 5, 6, 2),)),
        Example({"padding": [1, [2, 3], 0]}, ((5, 6, 7, 2),)),
    )

    padding: NonNegative | tuple[_Side, _Side, _Side] = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        return _pad(self, inputs, _totals(self.padding, 3))


class UpSampling1D(Layer):
    """Each step `size` times.

    Shape: (steps, c) → (steps · size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    ROLE = "upsampling"
    EXAMPLES = (Example({}, ((5, 2),)), Example({"size": 3}, ((None, 2),)))

    size: Positive = 2

    def infer(self, inputs: TensorType) -> TensorType:
        return _enlarge(self, inputs, (self.size,))


class UpSampling2D(Layer):
    """An image `size` times as high and wide, its pixels repeated or interpolated.

    Shape: (h, w, c) → (h · size, w · size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    ROLE = "upsampling"
    EXAMPLES = (
        Example({}, ((5, None, 2),)),
        Example({"size": [3, 1], "interpolation": "bilinear"}, ((5, 6, 2),)),
        Example({"size": 4, "interpolation": "nearest"}, ((5, 6, 2),)),
    )

    size: Window2 = (2, 2)
    data_format: DataFormat = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "nearest"

    def infer(self, inputs: TensorType) -> TensorType:
        return _enlarge(self, inputs, per_axis(self.size, 2))


class UpSampling3D(Layer):
    """A volume `size` times as deep, high and wide, its voxels repeated.

    Shape: (d, h, w, c) → (d · size, h · size, w · size, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    ROLE = "upsampling"
    EXAMPLES = (Example({}, ((5, None, 6, 2),)), Example({"size": [3, 1, 2]}, ((5, 6, 7, 2),)))

    size: Window3 = (2, 2, 2)
    data_format: DataFormat = None

    def infer(self, inputs: TensorType) -> TensorType:
        return _enlarge(self, inputs, per_axis(self.size, 3))
