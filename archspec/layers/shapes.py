"""Rules of shape that several families of layers share."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

from archspec.layers.base import Layer
from archspec.tensor import ShapeError, TensorType, show_shape

_AXES = {1: "(steps, channels)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}


class SameShape(Layer):
    """A layer whose result has the shape of its input, in the layer's own dtype."""

    def infer(self, inputs: TensorType) -> TensorType:
        return TensorType(inputs.shape, self.output_dtype)


def argument_clash(message: str) -> PydanticCustomError:
    """What a validator raises where arguments that are fine by themselves do not go together."""
    return PydanticCustomError("argument_clash", "{message}", {"message": message})


def known(length: int | None) -> int:
    """A length that `infer` has found to be known."""
    assert length is not None
    return length


def per_axis(window: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    """`3` → `(3, 3)`."""
    return (window,) * rank if isinstance(window, int) else window


def axis_index(layer: str, inputs: TensorType, axis: int) -> int:
    """Where Keras's axis, which counts the batch as 0, is in a shape without it. Raises ShapeError."""
    index = axis + inputs.rank if axis < 0 else axis - 1
    if index == -1:
        raise ShapeError(
            f"{layer} cannot work along the batch (axis {axis} of {inputs})",
            help="axis 0 is the batch: count from 1, or from the end with -1, -2",
        )
    if not 0 <= index < inputs.rank:
        raise ShapeError(
            f"{layer} has axis {axis}, but the input {inputs} has axes 1 to {inputs.rank}",
            help="axis 0 is the batch: count from 1, or from the end with -1, -2",
        )
    return index


def known_axis(layer: str, inputs: TensorType, axis: int) -> int:
    """The length of an axis that weights depend on. Raises ShapeError."""
    length = inputs.shape[axis_index(layer, inputs, axis)]
    if length is None:
        raise ShapeError(f"{layer} needs a known length on axis {axis}, got {inputs}")
    return length


def check_spatial(layer: str, inputs: TensorType, rank: int, channels: bool = False) -> None:
    """Raises ShapeError unless `rank` axes stand before the channels, whose number must be known if `channels`."""
    if inputs.rank != rank + 1:
        help = None
        if inputs.rank == rank and inputs.shape.count(None) <= 1:
            lengths = ", ".join(str(-1 if n is None else n) for n in inputs.shape)
            help = f"add an axis for the channels: Reshape: [{lengths}, 1]"
        raise ShapeError(f"{layer} needs {_AXES[rank]}, got {inputs}", help=help)
    if channels and inputs.shape[-1] is None:
        raise ShapeError(f"{layer} needs a known number of channels (the last axis), got {inputs}")


def window_lengths(
    layer: str,
    inputs: TensorType,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...] | None = None,
) -> tuple[int | None, ...]:
    """The spatial lengths after a window has slid over them. Raises ShapeError where it does not fit once."""
    spans = tuple((size - 1) * rate + 1 for size, rate in zip(window, dilation or (1,) * len(window), strict=True))
    lengths: list[int | None] = []
    for length, span, stride in zip(inputs.shape, spans, strides, strict=False):
        if length is None:
            lengths.append(None)
        elif padding != "valid":
            lengths.append((length - 1) // stride + 1)
        elif length < span:
            dilated = f" that dilation spreads over {show_shape(spans)}" if spans != window else ""
            raise ShapeError(
                f"{layer} has a window of {show_shape(window)}{dilated}, which is larger than the input {inputs}",
                help="pad the input (padding: same), take a smaller window, or reduce the input less before",
            )
        else:
            lengths.append((length - span) // stride + 1)
    return tuple(lengths)
