"""Activations that are layers of their own. Those without arguments are names: `activation: relu`."""

from typing import Annotated

from annotated_types import Ge

from archspec.layers.base import Example, Layer, WeightSpec
from archspec.layers.fields import ConstraintField, InitializerField, Positive, RegularizerField
from archspec.layers.objects.initializers import ZEROS
from archspec.layers.shapes import SameShape, axis_index, known
from archspec.tensor import ShapeError, TensorType


class ReLU(SameShape):
    """Rectified linear unit: x above the threshold, negative_slope · (x - threshold) below, at most max_value.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """

    ROLE = "activation"
    EXAMPLES = (Example({}, ((4,),)), Example({"max_value": 6.0, "negative_slope": 0.1, "threshold": 1}, ((None, 3),)))

    max_value: Annotated[float, Ge(0)] | None = None
    negative_slope: Annotated[float, Ge(0)] = 0.0
    threshold: Annotated[float, Ge(0)] = 0.0


class LeakyReLU(SameShape):
    """x where positive, negative_slope · x elsewhere.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """

    ROLE = "activation"
    EXAMPLES = (Example({}, ((4,),)), Example({"negative_slope": 0.01}, ((3, 4),)))

    negative_slope: Annotated[float, Ge(0)] = 0.3


class ELU(SameShape):
    """x where positive, alpha · (exp(x) - 1) elsewhere.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Clevert et al. 2015, arXiv:1511.07289.
    """

    ROLE = "activation"
    EXAMPLES = (Example({}, ((4,),)), Example({"alpha": 0.5, "dtype": "float16"}, ((3, 4),)))

    alpha: float = 1.0


class PReLU(Layer):
    """x where positive, alpha · x elsewhere, with a learned alpha for each position, or shared along shared_axes.

    Axes count from 1.

    Shape: unchanged.
    Weights: alpha, of the input's shape with 1 on each shared axis.
    MACs: 0.
    Errors: an axis of unknown length must be shared.
    Paper: He et al. 2015, arXiv:1502.01852.
    """

    ROLE = "activation"
    EXAMPLES = (
        Example({}, ((4, 3),)),
        Example({"shared_axes": [1, 2]}, ((None, None, 3),)),
        Example({"shared_axes": 1, "dtype": "mixed_float16"}, ((5, 3),)),
    )

    alpha_initializer: InitializerField = ZEROS
    alpha_regularizer: RegularizerField | None = None
    alpha_constraint: ConstraintField | None = None
    shared_axes: Positive | tuple[Positive, ...] | None = None

    def infer(self, inputs: TensorType) -> TensorType:
        shared = self._shared(inputs)
        for index, length in enumerate(inputs.shape):
            if length is None and index not in shared:
                raise ShapeError(
                    f"PReLU needs known lengths, got {inputs}",
                    help=f"share its weights along that axis: shared_axes: [{index + 1}]",
                )
        return TensorType(inputs.shape, self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        shared = self._shared(inputs)
        return (self.weight("alpha", *(1 if i in shared else known(n) for i, n in enumerate(inputs.shape))),)

    def _shared(self, inputs: TensorType) -> set[int]:
        axes = self.shared_axes or ()
        return {axis_index("PReLU", inputs, axis) for axis in (axes if isinstance(axes, tuple) else (axes,))}


class Softmax(Layer):
    """exp(x) over its sum along the axis, or along several together; positions that the mask forbids get 0.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Errors: the axis must exist and not be the batch.
    """

    ROLE = "activation"
    EXAMPLES = (
        Example({}, ((5,),)),
        Example({"axis": 1}, ((None, 5),)),
        Example({"axis": [1, 2]}, ((4, 5),)),
        Example({}, ((4, 5),), named={"mask": TensorType((4, 5), "bool")}),
    )

    axis: int | tuple[int, ...] = -1

    def infer(self, inputs: TensorType, mask: TensorType | None = None) -> TensorType:
        for axis in self.axis if isinstance(self.axis, tuple) else (self.axis,):
            axis_index("Softmax", inputs, axis)
        if mask is not None:
            self._check_mask(inputs, mask)
        return TensorType(inputs.shape, self.output_dtype)

    def _check_mask(self, inputs: TensorType, mask: TensorType) -> None:
        pairs = zip(reversed(inputs.shape), reversed(mask.shape), strict=False)
        if mask.rank > inputs.rank or any(m not in (1, None, n) and n is not None for n, m in pairs):
            raise ShapeError(f"the mask of Softmax must broadcast to its input, got {mask} for {inputs}")
