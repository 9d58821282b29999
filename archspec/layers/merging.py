"""Layers that join several tensors. Keras broadcasts all but Concatenate and Dot: an axis of length 1 is repeated."""

from typing import ClassVar

from archspec.layers.base import Example, Layer
from archspec.layers.shapes import axis_index
from archspec.tensor import Shape, ShapeError, TensorType


class _Merge(Layer):
    ROLE = "merge"
    EXAMPLES: ClassVar[tuple[Example, ...]] = (
        Example({}, ((4, 3), (4, 3), (4, 3))),
        Example({}, ((4, 5, 3), (5, 1))),
        Example({}, ((None, 3), (1, 3))),
        Example({}, (TensorType((3,), "int32"), TensorType((3,), "int32"))),
    )
    VERB: ClassVar[str]

    def infer(self, *inputs: TensorType) -> TensorType:
        if not inputs:
            raise ShapeError(f"{self.VERB} needs at least one input")
        shape = inputs[0].shape
        for other in inputs[1:]:
            joined = _broadcast(shape, other.shape)
            if joined is None:
                raise ShapeError(
                    f"{self.VERB} needs equal shapes, got {' and '.join(map(str, dict.fromkeys(inputs)))}",
                    help=_remedy(shape, other.shape),
                )
            shape = joined
        return TensorType(shape, self.output_dtype)


def _broadcast(a: Shape, b: Shape) -> Shape | None:
    """Keras's rule: aligned from the end, 1 gives way, and beside an unknown length all is unknown."""
    if len(a) < len(b):
        a, b = b, a
    start = len(a) - len(b)
    lengths: list[int | None] = list(a[:start])
    for n, m in zip(a[start:], b, strict=True):
        if n is None or m is None:
            lengths.append(None)
        elif n in (1, m):
            lengths.append(m)
        elif m == 1:
            lengths.append(n)
        else:
            return None
    return tuple(lengths)


def _remedy(a: Shape, b: Shape) -> str | None:
    if len(a) != len(b):
        return None
    if a[:-1] == b[:-1]:
        return f"bring one to the other's last axis, for example with Dense: {a[-1]} or a convolution of kernel_size 1"
    if a[-1] == b[-1]:
        return "use the same strides and padding along both paths, or crop or resize one"
    return "project one to the other's shape, for example with a convolution of kernel_size 1 and the same strides"


class Add(_Merge):
    """The sum of the inputs.

    Shape: shapes that broadcast → their common shape.
    Weights: none.
    MACs: 0.
    Errors: shapes that do not broadcast.
    """

    VERB = "add"


class Subtract(_Merge):
    """The first input less the second.

    Shape: two shapes that broadcast → their common shape.
    Weights: none.
    MACs: 0.
    Errors: shapes that do not broadcast; not two inputs.
    """

    VERB = "subtract"
    EXAMPLES = (Example({}, ((4, 3), (4, 3))), Example({}, ((3,), (4, 5, 1))))

    def infer(self, *inputs: TensorType) -> TensorType:
        if len(inputs) != 2:
            raise ShapeError(f"subtract needs two inputs, got {len(inputs)}")
        return super().infer(*inputs)


class Multiply(_Merge):
    """The product of the inputs, value by value.

    Shape: shapes that broadcast → their common shape.
    Weights: none.
    MACs: 0.
    Errors: shapes that do not broadcast.
    """

    VERB = "multiply"


class Average(_Merge):
    """The mean of the inputs, value by value.

    Shape: shapes that broadcast → their common shape.
    Weights: none.
    MACs: 0.
    Errors: shapes that do not broadcast.
    """

    VERB = "average"


class Maximum(_Merge):
    """The greatest of the inputs, value by value.

    Shape: shapes that broadcast → their common shape.
    Weights: none.
    MACs: 0.
    Errors: shapes that do not broadcast.
    """

    VERB = "maximum"


class Minimum(_Merge):
    """The least of the inputs, value by value.

    Shape: shapes that broadcast → their common shape.
    Weights: none.
    MACs: 0.
    Errors: shapes that do not broadcast.
    """

    VERB = "minimum"


class Concatenate(Layer):
    """The inputs one after another along an axis, which counts the batch as 0.

    Shape: (…, a, …), (…, b, …) → (…, a + b, …).
    Weights: none.
    MACs: 0.
    Errors: other axes than the one named differ; different ranks; the batch as axis.
    """

    ROLE = "merge"
    EXAMPLES = (
        Example({}, ((4, 3), (4, 5), (4, 1))),
        Example({"axis": 1}, ((4, 3), (2, 3))),
        Example({"axis": 1}, ((4, 3), (None, 3))),
        Example({}, (TensorType((None, 3), "int32"), TensorType((6, 2), "int32"))),
    )

    axis: int = -1

    def infer(self, *inputs: TensorType) -> TensorType:
        if not inputs:
            raise ShapeError("concat needs at least one input")
        first = inputs[0]
        index = axis_index("concat", first, self.axis)
        for other in inputs[1:]:
            self._check(first, other, index)
        joined = [t.shape[index] for t in inputs]
        length = None if None in joined else sum(n for n in joined if n is not None)
        return TensorType((*first.shape[:index], length, *first.shape[index + 1 :]), self.output_dtype)

    def _check(self, first: TensorType, other: TensorType, index: int) -> None:
        if first.rank != other.rank:
            raise ShapeError(f"concat needs inputs of the same rank, got {first} and {other}")
        pairs = enumerate(zip(first.shape, other.shape, strict=True))
        wrong = [i for i, (n, m) in pairs if i != index and n != m and n is not None and m is not None]
        if wrong:
            axes = " and ".join(f"axis {i + 1} ({first.shape[i]} and {other.shape[i]})" for i in wrong)
            help = f"give axis: {wrong[0] + 1} to join them there" if len(wrong) == 1 else None
            if help and first.shape[index] != other.shape[index]:
                help = "bring the other axes to the same length first"
            raise ShapeError(
                f"concat along axis {self.axis} needs all other axes equal, got {first} and {other}: {axes} differ",
                help=help,
            )


class Dot(Layer):
    """The dot product along one axis of each of two inputs; `axes` counts the batch as 0. With normalize: their cosine.

    Shape: the axes of the first but the one summed over, then those of the second but its own; (1,) where none is left.
    Weights: none.
    MACs: values of the output · length of the summed axis.
    Errors: not two inputs; summed axes of different length; the batch as axis.
    """

    ROLE = "merge"
    EXAMPLES = (
        Example({"axes": 1}, ((4,), (4,))),
        Example({"axes": -1, "normalize": True}, ((4,), (4,))),
        Example({"axes": [2, 1]}, ((3, 4), (4, 5))),
        Example({"axes": 2}, ((None, 4), (5, 4))),
        Example({"axes": [3, 1]}, ((3, 4, 5), (5, 2))),
    )

    axes: int | tuple[int, int]
    normalize: bool = False

    def infer(self, *inputs: TensorType) -> TensorType:
        if len(inputs) != 2:
            raise ShapeError(f"dot needs two inputs, got {len(inputs)}")
        first, second = inputs
        i, j = self._indices(first, second)
        if first.shape[i] != second.shape[j]:
            raise ShapeError(
                f"dot needs axes of the same length, got {first} and {second}: "
                f"axis {i + 1} of the first is {first.shape[i]}, axis {j + 1} of the second {second.shape[j]}",
                help="axes: [i, j] names an axis of each; the batch is axis 0",
            )
        shape = (*first.shape[:i], *first.shape[i + 1 :], *second.shape[:j], *second.shape[j + 1 :])
        return TensorType(shape or (1,), self.output_dtype)

    def macs(self, *inputs: TensorType) -> int:
        i, _ = self._indices(*inputs)
        return self.infer(*inputs).size * (inputs[0].shape[i] or 1)

    def _indices(self, first: TensorType, second: TensorType) -> tuple[int, int]:
        a, b = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        return axis_index("dot", first, a), axis_index("dot", second, b)
