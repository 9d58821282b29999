"""Functions of windows that slide over space: convolution, pooling, patches. Images are channels-last by default."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.layers.ops.common import Tensor, array, count, equal_length, need_float, need_rank
from archspec.layers.ops.promotion import promote
from archspec.tensor import Array, Dim, ShapeError, show_shape

Sizes = int | Sequence[int]


def _sizes(name: str, value: Sizes, axes: int) -> tuple[int, ...]:
    """A number for each spatial axis. Raises ShapeError."""
    result = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(result) not in (1, axes) or any(v < 1 for v in result):
        raise ShapeError(f"{name} must be a positive number, or one for each of the {axes} spatial axes, got {value}")
    return result * axes if len(result) == 1 else result


def _first(data_format: str | None) -> bool:
    if data_format not in (None, "channels_last", "channels_first"):
        raise ShapeError(f"data_format must be channels_last or channels_first, got {data_format!r}")
    return data_format == "channels_first"


def _padding(padding: str) -> str:
    if padding.lower() not in ("valid", "same"):
        raise ShapeError(f"padding must be valid or same, got {padding!r}")
    return padding.lower()


def _space(name: str, x: Array, data_format: str | None, axes: int | None = None) -> tuple[Dim, ...]:
    """The spatial lengths."""
    least, most = (3, 5) if axes is None else (axes + 2, axes + 2)
    need_rank(name, x, least, most)
    return x.shape[2:] if _first(data_format) else x.shape[1:-1]


def _image(x: Array, space: Sequence[Dim], channels: Dim, data_format: str | None, dtype: str | None = None) -> Array:
    shape = (x.shape[0], channels, *space) if _first(data_format) else (x.shape[0], *space, channels)
    return Array(shape, dtype or x.dtype)


def _channels(x: Array, data_format: str | None) -> Dim:
    return x.shape[1] if _first(data_format) else x.shape[-1]


def _slide(name: str, length: Dim, window: int, stride: int, padding: str, dilation: int = 1) -> int | None:
    """How many windows fit an axis. Raises ShapeError where none does."""
    if not isinstance(length, int):
        return None
    if padding == "same":
        return -(-length // stride)
    reach = dilation * (window - 1) + 1
    if length < reach:
        raise ShapeError(f"{name}: a window of {reach} does not fit an axis of {length}", help="padding='same'")
    return (length - reach) // stride + 1


def _slid(
    name: str,
    x: Array,
    window: Sequence[int],
    strides: Sizes,
    padding: str,
    data_format: str | None,
    dilation: Sizes = 1,
) -> list[int | None]:
    space = _space(name, x, data_format, len(window))
    steps, gaps = _sizes("strides", strides, len(space)), _sizes("dilation_rate", dilation, len(space))
    kind = _padding(padding)
    return [_slide(name, d, w, s, kind, g) for d, w, s, g in zip(space, window, steps, gaps, strict=True)]


def _kernel(name: str, kernel: Tensor, x: Array) -> tuple[tuple[int, ...], Dim, Dim]:
    """A kernel's window and its last two lengths. Raises ShapeError."""
    weights = array(kernel)
    need_float(name, x, weights)
    window = tuple(d for d in weights.shape[:-2] if isinstance(d, int))
    if len(weights.shape) != len(x.shape) or len(window) != len(weights.shape) - 2:
        raise ShapeError(
            f"{name} needs a kernel of {len(x.shape)} axes without the batch, got {show_shape(weights.shape)}",
            help="kernels are (height, width, channels in, channels out)",
        )
    return window, weights.shape[-2], weights.shape[-1]


def conv(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """A convolution in one to three dimensions; the kernel is (…window, channels in, channels out)."""
    x = array(inputs)
    _space("conv", x, data_format)
    window, into, out = _kernel("conv", kernel, x)
    channels = _channels(x, data_format)
    groups = isinstance(channels, int) and isinstance(into, int) and into > 0 and channels % into == 0
    if not groups and not equal_length(channels, into):
        raise ShapeError(f"conv: the kernel takes {into} channels, the input has {channels}")
    space = _slid("conv", x, window, strides, padding, data_format, dilation_rate)
    return _image(x, space, out, data_format, promote(x.dtype, array(kernel).dtype))


def conv_macs(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> int:  # fmt: skip
    result = conv(inputs, kernel, strides, padding, data_format, dilation_rate)
    return count(result.shape) * count(array(kernel).shape[:-1])


def depthwise_conv(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """A convolution of each channel by itself; the kernel is (…window, channels, multiplier)."""
    x = array(inputs)
    _space("depthwise_conv", x, data_format)
    window, into, times = _kernel("depthwise_conv", kernel, x)
    if not equal_length(_channels(x, data_format), into):
        channels = _channels(x, data_format)
        raise ShapeError(f"depthwise_conv: the kernel takes {into} channels, the input has {channels}")
    space = _slid("depthwise_conv", x, window, strides, padding, data_format, dilation_rate)
    out = into * times if isinstance(into, int) and isinstance(times, int) else None
    return _image(x, space, out, data_format, promote(x.dtype, array(kernel).dtype))


def depthwise_conv_macs(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> int:  # fmt: skip
    result = depthwise_conv(inputs, kernel, strides, padding, data_format, dilation_rate)
    return count(result.shape) * count(array(kernel).shape[:-2])


def separable_conv(
    inputs: Tensor, depthwise_kernel: Tensor, pointwise_kernel: Tensor, strides: Sizes = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """A depthwise convolution, then a pointwise one."""
    middle = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(middle, pointwise_kernel, data_format=data_format)


def separable_conv_macs(
    inputs: Tensor, depthwise_kernel: Tensor, pointwise_kernel: Tensor, strides: Sizes = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Sizes = 1,
) -> int:  # fmt: skip
    depthwise = (inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    pointwise = conv_macs(depthwise_conv(*depthwise), pointwise_kernel, data_format=data_format)
    return depthwise_conv_macs(*depthwise) + pointwise


def conv_transpose(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid",
    output_padding: Sizes | None = None, data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """The transpose of a convolution, which widens; the kernel is (…window, channels out, channels in)."""
    x = array(inputs)
    space = _space("conv_transpose", x, data_format)
    window, out, into = _kernel("conv_transpose", kernel, x)
    if not equal_length(_channels(x, data_format), into):
        raise ShapeError(f"conv_transpose: the kernel takes {into} channels, the input has {_channels(x, data_format)}")
    steps, gaps = _sizes("strides", strides, len(space)), _sizes("dilation_rate", dilation_rate, len(space))
    more = (
        (output_padding,) * len(space) if output_padding is None or isinstance(output_padding, int) else output_padding
    )
    if len(more) != len(space):
        raise ShapeError(f"output_padding must be a number, or one for each spatial axis, got {output_padding}")
    wider = [
        _widened(d, g * (w - 1) + 1, s, _padding(padding), m)
        for d, w, s, g, m in zip(space, window, steps, gaps, more, strict=True)
    ]
    return _image(x, wider, out, data_format, promote(x.dtype, array(kernel).dtype))


def _widened(length: Dim, reach: int, stride: int, padding: str, more: int | None) -> int | None:
    """As Keras has it, after Theano's deconv_length."""
    if not isinstance(length, int):
        return None
    if padding == "same":
        return length * stride if more is None else (length - 1) * stride + reach - 2 * (reach // 2) + more
    return length * stride + max(reach - stride, 0) if more is None else (length - 1) * stride + reach + more


def conv_transpose_macs(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid",
    output_padding: Sizes | None = None, data_format: str | None = None, dilation_rate: Sizes = 1,
) -> int:  # fmt: skip
    """Each element of the input meets the whole kernel of its channel."""
    return count(array(inputs).shape) * count(array(kernel).shape[:-1])


def max_pool(
    inputs: Tensor, pool_size: Sizes, strides: Sizes | None = None, padding: str = "valid",
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """The greatest element of each window."""
    x = array(inputs)
    space = _space("max_pool", x, data_format)
    window = _sizes("pool_size", pool_size, len(space))
    slid = _slid("max_pool", x, window, window if strides is None else strides, padding, data_format)
    return _image(x, slid, _channels(x, data_format), data_format)


def average_pool(
    inputs: Tensor, pool_size: Sizes, strides: Sizes | None = None, padding: str = "valid",
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """The mean of each window."""
    need_float("average_pool", array(inputs))
    return max_pool(inputs, pool_size, strides, padding, data_format)


def adaptive_max_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Array:
    """The greatest element of windows so sized that the output has this size."""
    x = array(inputs)
    space = _sizes("output_size", output_size, len(_space("adaptive_max_pool", x, data_format)))
    need_float("adaptive_max_pool", x)
    return _image(x, space, _channels(x, data_format), data_format)


def adaptive_average_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Array:
    """The mean of windows so sized that the output has this size."""
    return adaptive_max_pool(inputs, output_size, data_format)


def space_to_depth(x: Tensor, block_size: int, data_format: str | None = "channels_last") -> Array:
    """Blocks of an image's pixels moved into its channels."""
    tensor = array(x)
    space = _space("space_to_depth", tensor, data_format, 2)
    if block_size < 1 or any(isinstance(d, int) and d % block_size for d in space):
        raise ShapeError(f"space_to_depth: blocks of {block_size} do not divide {show_shape(tensor.shape)}")
    channels = _channels(tensor, data_format)
    deeper = channels * block_size**2 if isinstance(channels, int) else None
    return _image(tensor, [d // block_size if isinstance(d, int) else None for d in space], deeper, data_format)


def depth_to_space(x: Tensor, block_size: int, data_format: str | None = "channels_last") -> Array:
    """An image's channels moved into blocks of pixels."""
    tensor = array(x)
    space = _space("depth_to_space", tensor, data_format, 2)
    channels = _channels(tensor, data_format)
    if block_size < 1 or (isinstance(channels, int) and channels % block_size**2):
        raise ShapeError(f"depth_to_space: {block_size}² does not divide {channels} channels")
    flatter = channels // block_size**2 if isinstance(channels, int) else None
    return _image(tensor, [d * block_size if isinstance(d, int) else None for d in space], flatter, data_format)


def unfold(x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Array:
    """Each window of a channels-first image as a column: (batch, channels · window, windows)."""
    tensor = array(x)
    need_rank("unfold", tensor, 4, 4)
    window = _sizes("kernel_size", kernel_size, 2)
    columns = _columns("unfold", tensor.shape[2:], window, dilation, padding, stride)
    channels = tensor.shape[1]
    deep = channels * window[0] * window[1] if isinstance(channels, int) else None
    return Array((tensor.shape[0], deep, columns), tensor.dtype)


def fold(
    x: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Array:
    """Columns of windows summed up to a channels-first image: the transpose of `unfold`."""
    tensor = array(x)
    need_rank("fold", tensor, 3, 3)
    window, space = _sizes("kernel_size", kernel_size, 2), _sizes("output_size", output_size, 2)
    columns = _columns("fold", space, window, dilation, padding, stride)
    deep = tensor.shape[1]
    area = window[0] * window[1]
    if (isinstance(deep, int) and deep % area) or not equal_length(tensor.shape[2], columns):
        raise ShapeError(f"fold needs (batch, n · {area}, {columns}), got {show_shape(tensor.shape)}")
    return Array((tensor.shape[0], deep // area if isinstance(deep, int) else None, *space), tensor.dtype)


def _columns(
    name: str, space: Sequence[Dim], window: Sequence[int], dilation: Sizes, padding: Sizes, stride: Sizes
) -> int | None:
    margin = (padding, padding) if isinstance(padding, int) else tuple(padding)
    if len(margin) != 2 or min(margin) < 0:
        raise ShapeError(f"padding must be a number or two, got {padding}")
    gaps, steps = _sizes("dilation", dilation, 2), _sizes("stride", stride, 2)
    result = 1
    for length, w, g, m, s in zip(space, window, gaps, margin, steps, strict=True):
        fit = _slide(name, length + 2 * m, w, s, "valid", g) if isinstance(length, int) else None
        if fit is None:
            return None
        result *= fit
    return result
