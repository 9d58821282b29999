"""The algebra of linear layers on their weights, in NumPy: what the weight-rewriting passes rest on.

Kernels are Keras's, channels last: Dense (d, units); Conv (*window, c / groups, filters); DepthwiseConv
(*window, c, multiplier), whose output channel is c · multiplier + m; ConvTranspose (*window, filters, c). Everything is
reckoned in float64; what goes back into a layer is cast once, by whoever knows its dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archspec.optimize.network import Array

Floats = NDArray[np.float64]


def wide(array: Array) -> Floats:
    return np.asarray(array, dtype=np.float64)


@dataclass(frozen=True)
class Affine:
    """scale · x + shift on each channel. Shapes: (c,) both."""

    scale: Floats
    shift: Floats

    def repeated(self, channels: int) -> Affine:
        """For as many channels, which are those of several places one after the other."""
        times = channels // self.scale.size
        return self if times == 1 else Affine(np.tile(self.scale, times), np.tile(self.shift, times))

    def apply(self, x: Floats) -> Floats:
        return self.scale * x + self.shift


def normalization(
    mean: Array, variance: Array, gamma: Array | None, beta: Array | None, epsilon: float, dtype: str = "float32"
) -> Affine:
    """BatchNormalization with its moving statistics: scale = gamma / √(variance + ε), shift = beta - mean · scale.

    ε is added in the dtype that the layer reckons in, as a variance of 0 makes the rounding of ε count.
    """
    scale = 1 / np.sqrt(wide(variance) + float(np.asarray(epsilon, dtype)))
    if gamma is not None:
        scale = scale * wide(gamma)
    shift = -wide(mean) * scale
    return Affine(scale, shift if beta is None else shift + wide(beta))


# -- an affine map after a linear layer, and before one --


def scale_outputs(kernel: Array, scale: Floats) -> Floats:
    """diag(scale) · kernel, for Conv and Dense, and for DepthwiseConv, whose last two axes make the output channels."""
    kernel = wide(kernel)
    return kernel * scale if kernel.shape[-1] == scale.size else kernel * scale.reshape(kernel.shape[-2:])


def scale_transposed_outputs(kernel: Array, scale: Floats) -> Floats:
    """The same for ConvTranspose, whose kernel has the filters before the input's channels."""
    return wide(kernel) * scale[:, None]


def shift_outputs(bias: Array | None, affine: Affine) -> Floats:
    """scale · bias + shift."""
    return affine.shift if bias is None else affine.apply(wide(bias))


def scale_inputs(kernel: Array, scale: Floats, groups: int = 1) -> Floats:
    """kernel · diag(scale), for Conv and Dense: a group of filters reads its own part of the channels."""
    kernel = wide(kernel)
    filters = kernel.shape[-1]
    return kernel * np.repeat(scale.reshape(groups, -1), filters // groups, axis=0).T


def shift_inputs(kernel: Array, shift: Floats, bias: Array | None, groups: int = 1) -> Floats:
    """bias + kernel · shift: what a constant before the layer becomes after it, where no window meets padding."""
    total: Floats = scale_inputs(kernel, shift, groups).sum(axis=tuple(range(kernel.ndim - 1)))
    return total if bias is None else total + wide(bias)


def scale_depthwise_inputs(kernel: Array, scale: Floats) -> Floats:
    return wide(kernel) * scale[:, None]


def shift_depthwise_inputs(kernel: Array, shift: Floats, bias: Array | None) -> Floats:
    """As `shift_inputs`, for a kernel (*window, c, multiplier). Shape: (c · multiplier,)."""
    scaled = scale_depthwise_inputs(kernel, shift)
    total: Floats = scaled.sum(axis=tuple(range(kernel.ndim - 2))).reshape(-1)
    return total if bias is None else total + wide(bias)


# -- a clipped affine map as the clipping of its input --


@dataclass(frozen=True)
class Clip:
    """clip(scale · x + shift, low, high) as after(clip(x, lower, upper)), channel by channel.

    With scale > 0 it is scale · clip(x, (low - shift) / scale, (high - shift) / scale) + shift; below 0 the bounds
    change places; where the result does not depend on x, lower = upper and `after` is that constant.
    Shapes: (c,) all. `lower` may be -inf, `upper` inf.
    """

    lower: Floats
    upper: Floats
    after: Affine


def clip_before(affine: Affine, low: float, high: float, dtype: str = "float32") -> Clip:
    """The clip of x that stands for one of scale · x + shift.

    A bound outside of the dtype's range is none, or is always met: then the result does not depend on x.
    """
    largest = float(np.finfo("float16" if dtype == "float16" else "float32").max)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bounds = np.stack([(low - affine.shift) / affine.scale, (high - affine.shift) / affine.scale])
    lower, upper = bounds.min(axis=0), bounds.max(axis=0)
    constant = (affine.scale == 0) | (lower > largest) | (upper < -largest)
    value = np.clip(affine.shift, low, high)
    return Clip(
        np.where(constant, 0.0, np.where(lower < -largest, -np.inf, lower)),
        np.where(constant, 0.0, np.where(upper > largest, np.inf, upper)),
        Affine(np.where(constant, 0.0, affine.scale), np.where(constant, value, affine.shift)),
    )


# -- linear maps in parallel, in a chain, and in a sum --


def side_by_side(kernels: Sequence[Array]) -> Floats:
    """The kernel of a layer whose output is those of several, one after another. Kernels: (…, c, filters_i)."""
    return np.concatenate([wide(kernel) for kernel in kernels], axis=-1)


def biases_side_by_side(biases: Sequence[Array | None], filters: Sequence[int]) -> Floats:
    pairs = zip(biases, filters, strict=True)
    return np.concatenate([np.zeros(count) if bias is None else wide(bias) for bias, count in pairs])


def embed(kernel: Array, window: tuple[int, ...], offset: tuple[int, ...]) -> Floats:
    """A kernel in a larger window, zeros around it. Shape: (*window_0, c, filters) → (*window, c, filters)."""
    assert all(o >= 0 and o + k <= w for o, k, w in zip(offset, kernel.shape, window, strict=False)), "it does not fit"
    larger = np.zeros((*window, *kernel.shape[len(window) :]))
    larger[tuple(slice(o, o + k) for o, k in zip(offset, kernel.shape, strict=False))] = kernel
    return larger


def identity(rank: int, scale: Floats, groups: int = 1) -> Floats:
    """The kernel that scales each channel: (1, …, c / groups, c), `rank` ones before."""
    each = scale.size // groups
    return (np.tile(np.eye(each), groups) * scale).reshape((1,) * rank + (each, scale.size))


@dataclass(frozen=True)
class Linear:
    """A convolution without padding, or Dense, whose window has rank 0. Shapes: (*window, c, filters), (filters,)."""

    kernel: Floats
    bias: Floats


def compose(first: Linear, second: Linear, strides: tuple[int, ...] = ()) -> Linear:
    """second ∘ first as one linear layer; `strides` are the first's, the dilations 1.

    With y(n) = Σᵢ K₁[i]·x(s·n + i) + b₁ and z(n) = Σⱼ K₂[j]·y(t·n + j) + b₂, z has the stride s·t and the kernel
    K[s·j + i] += K₁[i]·K₂[j]; its bias is b₂ + Σⱼ K₂[j]·b₁. Shape: window s · (window₂ - 1) + window₁.
    """
    rank = first.kernel.ndim - 2
    window = tuple(
        s * (l2 - 1) + l1 for s, l1, l2 in zip(strides, first.kernel.shape[:rank], second.kernel.shape, strict=False)
    )
    kernel = np.zeros((*window, first.kernel.shape[-2], second.kernel.shape[-1]))
    for place in np.ndindex(second.kernel.shape[:rank]):
        at = tuple(slice(s * j, s * j + n) for s, j, n in zip(strides, place, first.kernel.shape, strict=False))
        kernel[at] += first.kernel @ second.kernel[place]
    return Linear(kernel, shift_inputs(second.kernel, first.bias, second.bias))
