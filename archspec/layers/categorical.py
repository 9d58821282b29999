"""Preparing categories: encodings, bins, hashes."""

from itertools import pairwise
from typing import Literal, Self

from pydantic import model_validator

from archspec.layers.base import Example
from archspec.layers.encoding import Encoding, Salt
from archspec.layers.fields import NonNegative, Positive
from archspec.layers.nesting import check_shape
from archspec.layers.objects.base import AboveZero, Finite
from archspec.layers.shapes import argument_clash
from archspec.tensor import ShapeError, TensorType

_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})


class CategoryEncoding(Encoding):
    """Integers below num_tokens as vectors: one for each (one_hot), or one for all (multi_hot, count).

    Shape: (values,) → (num_tokens,); with one_hot (…) → (…, num_tokens), a last axis of length 1 gives way.
    Weights: none.
    MACs: 0.
    Errors: multi_hot and count need one axis; count_weights, of the same shape, go with count only.
    """

    EXAMPLES = (
        Example({"num_tokens": 5}, (TensorType((3,), "int32"),)),
        Example({"num_tokens": 5, "output_mode": "one_hot"}, (TensorType((3, 1), "int32"),)),
        Example({"num_tokens": 5, "output_mode": "one_hot", "dtype": "int32"}, (TensorType((3,), "int32"),)),
        Example({"num_tokens": 5, "output_mode": "count"}, (TensorType((3,), "int32"),), {"count_weights": (3,)}),
    )

    num_tokens: Positive | None = None
    output_mode: Literal["multi_hot", "count", "one_hot"] = "multi_hot"

    @model_validator(mode="after")
    def _check_tokens(self) -> Self:
        if self.num_tokens is None:
            raise argument_clash("num_tokens must be given; where it is not known beforehand take IntegerLookup")
        return self

    def infer(self, inputs: TensorType, count_weights: TensorType | None = None) -> TensorType:
        assert self.num_tokens is not None
        if count_weights is not None and self.output_mode != "count":
            raise ShapeError(f"count_weights need output_mode count, got {self.output_mode}")
        check_shape("count_weights of CategoryEncoding", count_weights, inputs.shape)
        one_hot = self.output_mode == "one_hot"
        shape = self.one_hot(inputs.shape, self.num_tokens) if one_hot else self.counted(inputs, self.num_tokens)
        return TensorType(shape, self.output_dtype)


class Discretization(Encoding):
    """The number of the bin that a value falls into, or vectors of them; bins are given, or found by adapting.

    Shape: unchanged; with one_hot (…) → (…, bins), a last axis of length 1 gives way; with multi_hot and count the
    first axis is summed over: (values, …) → (…, bins).
    Weights: none.
    MACs: 0.
    Errors: either bin_boundaries, in order, or num_bins; multi_hot and count need an axis.
    """

    ADAPTS = True
    EXAMPLES = (
        Example({"bin_boundaries": [0.2, 0.5]}, ((4, 3),)),
        Example({"bin_boundaries": [0.2, 0.5], "output_mode": "one_hot"}, ((4, 1),)),
        Example({"bin_boundaries": [0.5], "output_mode": "multi_hot"}, ((4, 3),)),
        Example({"bin_boundaries": [0.5], "output_mode": "count", "dtype": "float64"}, ((4,),)),
    )

    bin_boundaries: tuple[Finite, ...] | None = None
    num_bins: NonNegative | None = None
    epsilon: AboveZero = 0.01
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int"

    @model_validator(mode="after")
    def _check_bins(self) -> Self:
        if (self.bin_boundaries is None) == (self.num_bins is None):
            raise argument_clash("give either bin_boundaries or num_bins")
        if any(a > b for a, b in pairwise(self.bin_boundaries or ())):
            raise argument_clash("bin_boundaries must be in ascending order")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        if self.output_mode == "int":
            return TensorType(inputs.shape, "int32")
        depth = len(self.bin_boundaries) + 1 if self.bin_boundaries is not None else self.num_bins or 0
        if self.output_mode == "one_hot":
            shape = self.one_hot(inputs.shape, depth)
        else:
            shape = (*inputs.shape[1:], depth) if inputs.rank else self.counted(inputs, depth)
        return TensorType(shape, self.output_dtype)


class Hashing(Encoding):
    """The hash of a value, below num_bins, or vectors of them; with mask_value bin 0 is kept for that value.

    Shape: unchanged; with one_hot (…, 1) → (…, num_bins); with multi_hot and count (values,) → (num_bins,).
    Weights: none.
    MACs: 0.
    Errors: one_hot needs a last axis of length 1, multi_hot and count one axis; with int the dtype is int32 or int64.
    """

    EXAMPLES = (
        Example({"num_bins": 5}, (TensorType((3,), "string"),)),
        Example({"num_bins": 5, "output_mode": "one_hot", "salt": [1, 2]}, (TensorType((3, 1), "int64"),)),
        Example({"num_bins": 5, "output_mode": "count", "mask_value": "", "salt": 3}, (TensorType((3,), "string"),)),
        Example({"num_bins": 5, "dtype": "int32"}, (TensorType((), "string"),)),
    )

    num_bins: Positive
    mask_value: str | int | None = None
    salt: Salt | None = None
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int"

    @model_validator(mode="after")
    def _check_dtype(self) -> Self:
        if self.output_mode == "int" and self.dtype not in (None, "int32", "int64"):
            raise argument_clash(f"with output_mode int the dtype is int32 or int64, not {self.dtype}")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        if self.output_mode == "int":
            return TensorType(inputs.shape, self.dtype or "int64")
        if self.output_mode == "one_hot" and inputs.shape[-1:] != (1,):
            raise ShapeError(
                f"Hashing with output_mode one_hot needs a last axis of length 1, got {inputs}",
                help="take output_mode int, then CategoryEncoding with output_mode one_hot",
            )
        one_hot = self.output_mode == "one_hot"
        shape = self.one_hot(inputs.shape, self.num_bins) if one_hot else self.counted(inputs, self.num_bins)
        return TensorType(shape, self.weight_dtype)


class HashedCrossing(Encoding):
    """The hash of a pair of values, below num_bins, as an integer or a vector.

    Shape: two of () or (1,) → the same; with one_hot (num_bins,).
    Weights: none.
    MACs: 0.
    Errors: two inputs of the same shape, integers or strings.
    """

    EXAMPLES = (
        Example({"num_bins": 5}, (TensorType((1,), "string"), TensorType((1,), "int32"))),
        Example({"num_bins": 5, "output_mode": "one_hot"}, (TensorType((), "int64"), TensorType((), "string"))),
    )

    num_bins: Positive
    output_mode: Literal["int", "one_hot"] = "int"

    def infer(self, *inputs: TensorType) -> TensorType:
        shapes = {tensor.shape for tensor in inputs}
        if len(inputs) != 2 or len(shapes) != 1 or not shapes <= {(), (1,)}:
            raise ShapeError(
                f"HashedCrossing needs two inputs, both () or both (1,), got {', '.join(map(str, inputs)) or 'none'}"
            )
        for tensor in inputs:
            if tensor.dtype != "string" and tensor.dtype not in _INTEGERS:
                raise ShapeError(f"HashedCrossing needs integers or strings, got {tensor.dtype}")
        if self.output_mode == "int":
            return TensorType(inputs[0].shape, self.output_dtype if self.dtype else "int64")
        return TensorType((self.num_bins,), self.output_dtype)
