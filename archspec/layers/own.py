"""Layers of the literature that Keras lacks; archspec.build.layers computes them."""

from typing import Annotated

from annotated_types import Gt

from archspec.layers.base import Example, Layer
from archspec.layers.fields import NonNegative, Padding, Positive, Window2
from archspec.layers.nesting import check_shape
from archspec.layers.separable import DepthwiseConv2D
from archspec.layers.shapes import SameShape, check_spatial, per_axis, window_lengths
from archspec.tensor import ShapeError, TensorType


class LocalResponseNormalization(SameShape):
    """x / (bias + alpha · s) ** beta, s being the sum of x² over the 2 · depth_radius + 1 channels around each.

    The defaults are the paper's. Caffe and PyTorch divide alpha by the number of channels, their bias is 1.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    Paper: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", section 3.3.
    """

    ROLE = "normalization"
    OWN = True
    EXAMPLES = (
        Example({}, ((4, 3, 8),)),
        Example({"depth_radius": 1, "bias": 1.0, "alpha": 0.5, "beta": 0.5}, ((None, None, 6),)),
        Example({"depth_radius": 7, "alpha": 1}, ((5,),)),
    )

    depth_radius: NonNegative = 2
    bias: Annotated[float, Gt(0)] = 2.0
    alpha: float = 1e-4
    beta: float = 0.75


class MaxPoolingWithArgmax2D(Layer):
    """The maximum of each window of an image, and where it was; windows do not overlap.

    Shape: (h, w, c) → (h', w', c) twice, the maxima and their places row · w + column (int32; the first of equals):
    same ⌈h / pool_size⌉, valid ⌊h / pool_size⌋.
    Weights: none.
    MACs: 0.
    Errors: another rank; a valid window larger than the input.
    Paper: Zeiler & Fergus 2013, arXiv:1311.2901 (switches).
    """

    ROLE = "pooling"
    OWN = True
    EXAMPLES = (
        Example({}, ((6, 4, 3),)),
        Example({"pool_size": [2, 3], "padding": "same"}, ((5, 7, 2),)),
        Example({"pool_size": 3}, ((None, 8, 2),)),
    )

    pool_size: Window2 = (2, 2)
    padding: Padding = "valid"

    def infer(self, inputs: TensorType) -> tuple[TensorType, TensorType]:
        check_spatial("MaxPoolingWithArgmax2D", inputs, 2)
        pool = per_axis(self.pool_size, 2)
        lengths = window_lengths("MaxPoolingWithArgmax2D", inputs, pool, pool, self.padding)
        shape = (*lengths, inputs.shape[-1])
        return TensorType(shape, self.output_dtype), TensorType(shape, "int32")


class MaxUnpooling2D(Layer):
    """Each value back where MaxPoolingWithArgmax2D found it, and 0 elsewhere; pool_size and padding as there.

    Shape: (h', w', c) and the places (h', w', c) → (*size, c); size, the image's before the pooling, is by default
    (h' · pool_size, w' · pool_size).
    Weights: none.
    MACs: 0.
    Errors: another rank; places of another shape; a size that pooling would not reduce to (h', w').
    Paper: Badrinarayanan et al. 2015, arXiv:1511.00561; Noh et al. 2015, arXiv:1505.04366.
    """

    ROLE = "upsampling"
    OWN = True
    EXAMPLES = (
        Example({}, ((3, 2, 3), TensorType((3, 2, 3), "int32")), values=24),
        Example({"size": [7, 5]}, ((3, 2, 1), TensorType((3, 2, 1), "int32")), values=35),
        Example(
            {"pool_size": [2, 3], "padding": "same", "size": [5, 7]}, ((3, 3, 2), TensorType((3, 3, 2), "int32")),
            values=35,
        ),
        Example({"pool_size": 3}, ((None, 2, 1), TensorType((None, 2, 1), "int32")), values=36),
    )  # fmt: skip

    pool_size: Window2 = (2, 2)
    size: tuple[Positive, Positive] | None = None
    padding: Padding = "valid"

    def infer(self, inputs: TensorType, indices: TensorType) -> TensorType:
        check_spatial("MaxUnpooling2D", inputs, 2)
        check_shape("the indices of MaxUnpooling2D", indices, inputs.shape)
        pool = per_axis(self.pool_size, 2)
        spatial = inputs.shape[:2]
        if self.size is None:
            lengths = tuple(None if n is None else n * p for n, p in zip(spatial, pool, strict=True))
            return TensorType((*lengths, inputs.shape[-1]), self.output_dtype)
        for n, p, length in zip(spatial, pool, self.size, strict=True):
            pooled = -(-length // p) if self.padding == "same" else length // p
            if n not in (None, pooled):
                raise ShapeError(
                    f"MaxUnpooling2D cannot unpool {inputs} to {self.size}: pooling makes {length} {pooled}, not {n}",
                    help="size is the image's before the pooling; pool_size and padding are the pooling's",
                )
        return TensorType((*self.size, inputs.shape[-1]), self.output_dtype)


class Sampling(Layer):
    """A sample of the normal distributions that a mean and a log-variance describe: mean + exp(log_var / 2) · noise.

    The noise is drawn anew in each call, in training and after it; gradients flow to both inputs.

    Shape: two tensors of the same shape → that shape.
    Weights: none.
    MACs: 0.
    Errors: different shapes.
    Paper: Kingma & Welling 2013, arXiv:1312.6114, section 2.4 (the reparameterization trick).
    """

    ROLE = "regularization"
    OWN = True
    EXAMPLES = (Example({"seed": 1}, ((8,), (8,))), Example({}, ((None, 4, 2), (None, 4, 2))))

    seed: int | None = None

    def infer(self, mean: TensorType, log_var: TensorType) -> TensorType:
        check_shape("the log-variance of Sampling", log_var, mean.shape)
        return TensorType(mean.shape, self.output_dtype)


class ShiftedDepthwiseConv2D(DepthwiseConv2D):
    """DepthwiseConv2D, computed as a sum of shifted images in place of a convolution: faster under XLA on a CPU.

    Shape: as DepthwiseConv2D.
    Weights: as DepthwiseConv2D.
    MACs: as DepthwiseConv2D.
    Errors: as DepthwiseConv2D.
    """

    OWN = True
    ALIASES = ()
    EXAMPLES = (
        Example({"kernel_size": 3}, ((8, 9, 3),)),
        Example({"kernel_size": [3, 5], "strides": 2, "padding": "same", "use_bias": False}, ((8, None, 3),)),
        Example({"kernel_size": 3, "depth_multiplier": 2, "dilation_rate": 2, "activation": "relu6"}, ((8, 9, 3),)),
    )
