"""Which layers are linear, what they see of their input, and how an affine map goes into their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from archspec.graph.ir import Node
from archspec.layers.conv import Conv1D, Conv2D, Conv3D
from archspec.layers.conv_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from archspec.layers.convolution import Convolution
from archspec.layers.core import Dense, EinsumDense
from archspec.layers.normalization import BatchNormalization
from archspec.layers.reshaping import Flatten, Reshape
from archspec.layers.separable import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from archspec.layers.shapes import axis_index, per_axis
from archspec.optimize import algebra
from archspec.optimize.algebra import Affine
from archspec.optimize.draft import Draft
from archspec.optimize.facts import MEANS, is_linear, spans, strides, zeros_of_same
from archspec.optimize.network import Array
from archspec.optimize.rewrite import Skip, changed
from archspec.tensor import TensorType

Conv = Conv1D | Conv2D | Conv3D
Depthwise = DepthwiseConv1D | DepthwiseConv2D
Separable = SeparableConv1D | SeparableConv2D
Transposed = Conv1DTranspose | Conv2DTranspose | Conv3DTranspose
Linear = Conv | Depthwise | Separable | Transposed | Dense
Reshaped = Flatten | Reshape
Forward = Conv | Depthwise | Separable | Dense | EinsumDense  # what takes an affine map of its input
Pads = tuple[tuple[int, int], ...]


def with_bias(node: Node) -> Node:
    """The node with a bias, which it may have had."""
    if isinstance(node.layer, EinsumDense):
        return replace(node, layer=changed(node.layer, bias_axes=node.layer.letters()[1][1:]))
    return replace(node, layer=changed(node.layer, use_bias=True))


def window(layer: Conv | Depthwise | Dense) -> tuple[int, ...]:
    """The lengths of the kernel's window; none for Dense."""
    return () if isinstance(layer, Dense) else per_axis(layer.kernel_size, layer.RANK)


def activated(layer: Linear) -> bool:
    return not is_linear(layer)


def adapted(layer: Linear | EinsumDense) -> bool:
    """Whether the layer has weights beside its kernels and bias (LoRA)."""
    return isinstance(layer, Dense | EinsumDense) and bool(layer.lora_rank)


def maps_last(layer: EinsumDense) -> bool:
    """Whether it maps the last axis and no other, place by place, as in abc,cde->abde."""
    given, kernel, result = layer.letters()
    if layer.equation.endswith("...") or given[-1] != kernel[0] or layer.bias_axes not in (None, kernel[1:]):
        return False
    return result == given[:-1] + kernel[1:]


def pads(layer: Convolution, inputs: TensorType) -> Pads | None:
    """The zeros before and after each spatial axis; None where they depend on a length that is not known."""
    found = []
    for length, span, stride in zip(inputs.shape[:-1], spans(layer), strides(layer), strict=True):
        if layer.padding == "valid" or span == 1:
            total = 0
        elif layer.padding == "causal" or stride == 1:
            total = span - 1
        elif length is None:
            return None
        else:
            total = zeros_of_same(length, span, stride)
        before = total if layer.padding == "causal" else total // 2
        found.append((before, total - before))
    return tuple(found)


def unpadded(layer: Linear | EinsumDense, inputs: TensorType) -> bool:
    """Whether every window lies within the input."""
    if isinstance(layer, Dense | EinsumDense):
        return True
    return pads(layer, inputs) == ((0, 0),) * layer.RANK


def offset(
    steps: Sequence[int], rates: Sequence[int], size: Sequence[int], whole: Sequence[int]
) -> tuple[int, ...] | None:
    """Where a window lies in another one, in taps, if it begins so many places behind it; None where it does not."""
    found = tuple(step // rate for step, rate in zip(steps, rates, strict=True))
    inside = all(o >= 0 and o + n <= w for o, n, w in zip(found, size, whole, strict=True))
    return found if inside and not any(step % rate for step, rate in zip(steps, rates, strict=True)) else None


def parts(layer: Linear, weights: Sequence[Array]) -> tuple[tuple[Array, ...], Array | None]:
    """The kernels, and the bias if there is one."""
    return (tuple(weights[:-1]), weights[-1]) if layer.use_bias else (tuple(weights), None)


def cast(new: Sequence[Array], like: Array) -> tuple[Array, ...]:
    """Infinite where the dtype has no number as large, which a proof sees."""
    with np.errstate(over="ignore"):
        return tuple(array.astype(like.dtype) for array in new)


def affine(layer: BatchNormalization, weights: Sequence[Array]) -> Affine:
    """What the layer does with its moving statistics."""
    gamma = weights[0] if layer.scale else None
    beta = weights[int(layer.scale)] if layer.center else None
    mean, variance = weights[layer.scale + layer.center :][:2]
    dtype = "float64" if mean.dtype.name == "float64" else "float32"  # halves are widened
    return algebra.normalization(mean, variance, gamma, beta, layer.epsilon, dtype)


def on_channels(layer: BatchNormalization, inputs: TensorType) -> bool:
    return axis_index("BatchNormalization", inputs, layer.axis) == inputs.rank - 1


def after(layer: Linear, weights: Sequence[Array], then: Affine) -> tuple[Array, ...]:
    """The weights, bias among them, with which the layer does what it did and then the affine map."""
    kernels, bias = parts(layer, weights)
    scaled = algebra.scale_transposed_outputs if isinstance(layer, Transposed) else algebra.scale_outputs
    new = [*kernels[:-1], scaled(kernels[-1], then.scale), algebra.shift_outputs(bias, then)]
    return cast(new, kernels[0])


def before(layer: Forward, weights: Sequence[Array], first: Affine) -> tuple[Array, ...]:
    """The weights, bias among them, with which the layer does the affine map first. Where no window meets padding.

    A layer that reads several places in a row, one after the other, does the map with each.
    """
    if isinstance(layer, EinsumDense):
        return _before_einsum(weights, first)
    kernels, bias = parts(layer, weights)
    first = first.repeated(kernels[0].shape[-2] * (layer.groups if isinstance(layer, Conv) else 1))
    if isinstance(layer, Depthwise | Separable):
        depthwise = algebra.scale_depthwise_inputs(kernels[0], first.scale)
        if isinstance(layer, Depthwise):
            new = [depthwise, algebra.shift_depthwise_inputs(kernels[0], first.shift, bias)]
        else:
            between = algebra.shift_depthwise_inputs(kernels[0], first.shift, None)
            new = [depthwise, algebra.wide(kernels[1]), algebra.shift_inputs(kernels[1], between, bias)]
    else:
        groups = 1 if isinstance(layer, Dense) else layer.groups
        kernel = algebra.scale_inputs(kernels[0], first.scale, groups)
        new = [kernel, algebra.shift_inputs(kernels[0], first.shift, bias, groups)]
    return cast(new, kernels[0])


def _before_einsum(weights: Sequence[Array], first: Affine) -> tuple[Array, ...]:
    """The same for a kernel (c, …) of `maps_last`, whose bias has all axes but the first."""
    kernel = algebra.wide(weights[0])
    first = first.repeated(kernel.shape[0])
    bias = np.tensordot(first.shift, kernel, 1) + (algebra.wide(weights[1]) if len(weights) > 1 else 0)
    return cast([kernel * first.scale.reshape(-1, *(1,) * (kernel.ndim - 1)), bias], weights[0])


def ends(draft: Draft, name: str, shifts: bool = True) -> tuple[list[Node], tuple[str, ...]] | Skip:
    """The linear layers at which all ways from a node's only output end, and what is between: means and reshapes.

    None of them pads, unless nothing is added (`shifts`). A mean commutes with an affine map of the channels; a
    reshape does where the channels of each place stay together. Cost: the readers.
    """
    found, between = list[Node](), list[str]()
    channels = draft.nodes[name].outputs[0].shape[-1]
    waiting = [name]
    while waiting:
        source = waiting.pop()
        if draft.kept(source):
            return Skip(source, draft.open(source) or "")
        for reader in draft.readers(source):
            if (isinstance(reader.layer, MEANS) and len(reader.inputs) == 1) or _together(reader, channels):
                waiting.append(reader.name)
                between.append(reader.name)
                continue
            reason = _against(draft, reader, shifts)
            if reason:
                return Skip(reader.name, reason)
            found.append(reader)
    return (found, tuple(between)) if found else Skip(name, f"nothing reads {name}")


def _together(node: Node, channels: int | None) -> bool:
    """Whether a reshape keeps the channels of each place together: i % c is the channel in the last axis, too."""
    length = node.outputs[0].shape[-1] if isinstance(node.layer, Reshaped) else None
    return bool(channels and length and length % channels == 0)


def _against(draft: Draft, node: Node, shifts: bool) -> str | None:
    layer = node.layer
    if isinstance(layer, Reshaped):
        return f"{node.name} parts the channels, or their number is not known"
    if not isinstance(layer, Forward) or (isinstance(layer, EinsumDense) and not maps_last(layer)):
        return f"{node.name} reads it, which is no linear layer that could take it"
    if adapted(layer):
        return f"{node.name} has a low-rank update beside its kernel"
    if shifts and not unpadded(layer, draft.input_types(node)[0]):
        return f"{node.name} pads its input: a border pixel would see the shift"
    return None
