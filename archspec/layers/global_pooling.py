"""Pooling over whole images and sequences (keras.layers.Global*)."""

from typing import ClassVar

from archspec.layers.base import Example, Layer
from archspec.layers.fields import DataFormat
from archspec.layers.nesting import check_shape
from archspec.layers.shapes import check_spatial
from archspec.tensor import TensorType


class _GlobalPooling(Layer):
    ROLE = "pooling"
    RANK: ClassVar[int]

    data_format: DataFormat = None
    keepdims: bool = False

    def infer(self, inputs: TensorType) -> TensorType:
        check_spatial(type(self).__name__, inputs, self.RANK)
        kept = (1,) * self.RANK if self.keepdims else ()
        return TensorType((*kept, inputs.shape[-1]), self.output_dtype)


class GlobalMaxPooling1D(_GlobalPooling):
    """The maximum over all steps.

    Shape: (steps, c) → (c,), with keepdims (1, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 1
    ALIASES = ("GlobalMaxPool1D",)
    EXAMPLES = (Example({}, ((None, 3),)), Example({"keepdims": True}, ((5, 3),)))


class GlobalMaxPooling2D(_GlobalPooling):
    """The maximum over the whole image.

    Shape: (h, w, c) → (c,), with keepdims (1, 1, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 2
    ALIASES = ("GlobalMaxPool2D",)
    EXAMPLES = (Example({}, ((None, 4, 3),)), Example({"keepdims": True}, ((5, 4, 3),)))


class GlobalMaxPooling3D(_GlobalPooling):
    """The maximum over the whole volume.

    Shape: (d, h, w, c) → (c,), with keepdims (1, 1, 1, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    """

    RANK = 3
    ALIASES = ("GlobalMaxPool3D",)
    EXAMPLES = (Example({}, ((2, None, 4, 3),)), Example({"keepdims": True}, ((2, 5, 4, 3),)))


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over all steps; over those that the mask allows, where there is one.

    Shape: (steps, c) → (c,), with keepdims (1, c).
    Weights: none.
    MACs: 0.
    Errors: another rank; a mask that is not (steps,).
    Paper: Lin et al. 2013, arXiv:1312.4400.
    """

    RANK = 1
    ALIASES = ("GlobalAvgPool1D",)
    EXAMPLES = (
        Example({}, ((None, 3),)),
        Example({"keepdims": True}, ((5, 3),)),
        Example({}, ((5, 3),), named={"mask": TensorType((5,), "bool")}),
    )

    def infer(self, inputs: TensorType, mask: TensorType | None = None) -> TensorType:
        output = super().infer(inputs)
        check_shape("the mask of GlobalAveragePooling1D", mask, inputs.shape[:1])
        return output


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean over the whole image.

    Shape: (h, w, c) → (c,), with keepdims (1, 1, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    Paper: Lin et al. 2013, arXiv:1312.4400.
    """

    RANK = 2
    ALIASES = ("GlobalAvgPool2D",)
    EXAMPLES = (Example({}, ((None, 4, 3),)), Example({"keepdims": True}, ((5, 4, 3),)))


class GlobalAveragePooling3D(_GlobalPooling):
    """The mean over the whole volume.

    Shape: (d, h, w, c) → (c,), with keepdims (1, 1, 1, c).
    Weights: none.
    MACs: 0.
    Errors: another rank.
    Paper: Lin et al. 2013, arXiv:1312.4400.
    """

    RANK = 3
    ALIASES = ("GlobalAvgPool3D",)
    EXAMPLES = (Example({}, ((2, None, 4, 3),)), Example({"keepdims": True}, ((2, 5, 4, 3),)))
