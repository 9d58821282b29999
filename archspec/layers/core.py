"""Layers that most networks begin and end with: inputs, dense maps, embeddings, activations."""

import re
from collections.abc import Mapping
from math import prod
from typing import Annotated, Self

from pydantic import model_validator

from archspec.layers.base import CALL, Example, Layer, TensorDType, WeightSpec
from archspec.layers.fields import ConstraintField, InitializerField, NonNegative, Positive, RegularizerField
from archspec.layers.objects.activations import Activation as ActivationName
from archspec.layers.objects.initializers import GLOROT_UNIFORM, UNIFORM, ZEROS
from archspec.layers.shapes import SameShape, argument_clash, known
from archspec.tensor import Shape, ShapeError, TensorType


class InputLayer(Layer):
    """An input of the network. Its shape leaves the batch out; an unknown length is null.

    Shape: nothing → shape.
    Weights: none.
    MACs: 0.
    """

    ROLE = "input"
    EXAMPLES = (Example({"shape": [28, 28, 1]}, ()), Example({"shape": [None], "dtype": "int32"}, ()))

    shape: tuple[NonNegative | None, ...]
    dtype: TensorDType | None = None

    def infer(self) -> TensorType:
        return TensorType(self.shape, self.output_dtype)


class Dense(Layer):
    """A linear map of the last axis: activation(x · kernel + bias).

    Shape: (…, d) → (…, units).
    Weights: kernel (d, units); bias (units,); with lora_rank r also lora_kernel_a (d, r), lora_kernel_b (r, units),
    and the kernel is frozen.
    MACs: d · units for each position.
    Errors: the last axis must be known; lora_rank and kernel_constraint exclude each other.
    """

    ROLE = "dense"
    EXAMPLES = (
        Example({"units": 4}, ((8,),)),
        Example({"units": 3, "use_bias": False, "activation": "relu"}, ((5, 8),)),
        Example({"units": 3, "lora_rank": 2, "lora_alpha": 4, "dtype": "float16"}, ((None, 8),)),
    )

    units: Positive
    activation: ActivationName | None = None
    use_bias: bool = True
    kernel_initializer: InitializerField = GLOROT_UNIFORM
    bias_initializer: InitializerField = ZEROS
    kernel_regularizer: RegularizerField | None = None
    bias_regularizer: RegularizerField | None = None
    activity_regularizer: RegularizerField | None = None
    kernel_constraint: ConstraintField | None = None
    bias_constraint: ConstraintField | None = None
    lora_rank: NonNegative | None = None
    lora_alpha: float | None = None

    @model_validator(mode="after")
    def _check_lora(self) -> Self:
        if self.lora_rank and self.kernel_constraint:
            raise argument_clash("lora_rank and kernel_constraint exclude each other")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        if not inputs.shape or inputs.shape[-1] is None:
            raise ShapeError(f"Dense needs a known last axis, got {inputs}")
        return TensorType((*inputs.shape[:-1], self.units), self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        kernel = (known(inputs.shape[-1]), self.units)
        bias = (self.weight("bias", self.units),) if self.use_bias else ()
        return (
            self.weight("kernel", *kernel, trainable=not self.lora_rank),
            *bias,
            *_lora("kernel", kernel, self.lora_rank),
        )

    def macs(self, inputs: TensorType) -> int:
        return inputs.size * self.units


def _lora(name: str, shape: tuple[int, ...], rank: int | None) -> tuple[WeightSpec, ...]:
    """The low-rank update beside a frozen weight; Keras keeps it in float32. Hu et al. 2021, arXiv:2106.09685."""
    if not rank:
        return ()
    return WeightSpec(f"lora_{name}_a", (*shape[:-1], rank)), WeightSpec(f"lora_{name}_b", (rank, shape[-1]))


_EQUATION = re.compile(r"(?P<left>\.\.\.)?([a-zA-Z]+)(?P<right>\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class EinsumDense(Layer):
    """A linear map by an einsum equation of the input and the kernel: activation(einsum(equation, x, kernel) + bias).

    Equations are X,Y->Z, ...X,Y->...Z or X...,Y->Z...; the first letter of X and Z, or the ellipsis on the left,
    is the batch. output_shape leaves the batch out, and the axes of the ellipsis.

    Shape: X → Z, where letters that X has not get their lengths from output_shape.
    Weights: kernel Y; bias, of the lengths of bias_axes; with lora_rank r also lora_kernel_a (…, r),
    lora_kernel_b (r, …), and the kernel is frozen.
    MACs: product of the lengths of all letters.
    Errors: an equation of another form; ranks or lengths that do not agree with it; unknown lengths of the kernel.
    """

    ROLE = "dense"
    EXAMPLES = (
        Example({"equation": "ab,bc->ac", "output_shape": 4}, ((3,),)),
        Example({"equation": "abc,cd->abd", "output_shape": [None, 4], "bias_axes": "d"}, ((None, 3),)),
        Example({"equation": "...x,xy->...y", "output_shape": 4, "bias_axes": "y"}, ((5, 5, 3),)),
        Example({"equation": "abc,cde->abde", "output_shape": [5, 2, 4], "bias_axes": "de"}, ((5, 3),)),
        Example({"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"}, ((3, 5, 6),)),
        Example({"equation": "abc,cd->abd", "output_shape": [5, 4], "lora_rank": 2, "activation": "gelu"}, ((5, 3),)),
    )

    equation: str
    output_shape: Positive | tuple[Positive | None, ...]
    activation: ActivationName | None = None
    bias_axes: str | None = None
    kernel_initializer: InitializerField = GLOROT_UNIFORM
    bias_initializer: InitializerField = ZEROS
    kernel_regularizer: RegularizerField | None = None
    bias_regularizer: RegularizerField | None = None
    activity_regularizer: RegularizerField | None = None
    kernel_constraint: ConstraintField | None = None
    bias_constraint: ConstraintField | None = None
    lora_rank: NonNegative | None = None
    lora_alpha: float | None = None

    @model_validator(mode="after")
    def _check_equation(self) -> Self:
        match = _EQUATION.fullmatch(self.equation)
        if not match or (match[1], match[3]) != (match[5], match[7]) or (match[1] and match[3]):
            form = "X,Y->Z, ...X,Y->...Z or X...,Y->Z..."
            raise argument_clash(f"the equation must be of the form {form}, got {self.equation!r}")
        given, kernel, result = match[2], match[4], match[6]
        for letter in result:
            if letter not in given + kernel:
                raise argument_clash(f"the equation {self.equation!r} makes {letter!r} of nothing")
        for letter in kernel:
            if letter not in given + result:
                raise argument_clash(f"the kernel's {letter!r} is in neither input nor output of {self.equation!r}")
        for letter in self.bias_axes or "":
            if letter not in result:
                raise argument_clash(f"bias_axes has {letter!r}, which is not in the output of {self.equation!r}")
        if self.lora_rank and self.kernel_constraint:
            raise argument_clash("lora_rank and kernel_constraint exclude each other")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        output, lengths = self._analyse(inputs)
        unknown = [letter for letter in self.letters()[1] if lengths[letter] is None]
        if unknown:
            raise ShapeError(f"EinsumDense {self.equation} needs a known length for {unknown[0]!r}, got {inputs}")
        return TensorType(output, self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        _, kernel_letters, result = self.letters()
        _, lengths = self._analyse(inputs)
        kernel = tuple(known(lengths[letter]) for letter in kernel_letters)
        weights = [self.weight("kernel", *kernel, trainable=not self.lora_rank)]
        if self.bias_axes is not None:
            first = min(map(result.index, self.bias_axes))
            bias = [known(lengths[letter]) if letter in self.bias_axes else 1 for letter in result[first:]]
            elided = inputs.rank + 1 - len(self.letters()[0]) if self.equation.endswith("...") else 0
            weights.append(self.weight("bias", *bias, *(1,) * elided))
        return (*weights, *_lora("kernel", kernel, self.lora_rank))

    def macs(self, inputs: TensorType) -> int:
        given, kernel, _ = self.letters()
        _, lengths = self._analyse(inputs)
        return inputs.size * prod(known(lengths[letter]) for letter in sorted(set(kernel) - set(given)))

    def letters(self) -> tuple[str, str, str]:
        """Those of the input, of the kernel and of the output, without the ellipsis."""
        match = _EQUATION.fullmatch(self.equation)
        assert match
        return match[2], match[4], match[6]

    def _analyse(self, inputs: TensorType) -> tuple[Shape, Mapping[str, int | None]]:
        """The output's shape, and the length of each letter; the batch is an unknown length of its own."""
        given, _, result = self.letters()
        left, right = self.equation.startswith("..."), self.equation.endswith("...")
        elided = inputs.rank + 1 - len(given)
        if elided < 0 or (elided and not (left or right)):
            raise ShapeError(f"EinsumDense {self.equation} needs {len(given) - 1} axes beside the batch, got {inputs}")
        shape: Shape = (None, *inputs.shape)
        wanted = (self.output_shape,) if isinstance(self.output_shape, int) else self.output_shape
        if left:
            lengths = dict(zip(given, shape[elided:], strict=True))
            output: Shape = (*shape[:elided], *wanted) if elided else (None, *wanted)
        else:
            lengths = dict(zip(given, shape, strict=False))
            output = (None, *wanted, *shape[len(given) :])
        free = output[elided:] if left else output[: len(output) - elided]
        if len(free) != len(result):
            raise ShapeError(f"EinsumDense {self.equation} does not fit output_shape {self.output_shape} for {inputs}")
        for letter, length in zip(result, free, strict=True):
            if letter in given and length is not None and length != lengths[letter]:
                raise ShapeError(
                    f"EinsumDense {self.equation} has {letter!r} of length {lengths[letter]} in the input {inputs} "
                    f"and {length} in output_shape"
                )
            lengths.setdefault(letter, length)
        free = tuple(lengths[letter] for letter in result)
        full = (*output[:elided], *free) if left else (*free, *output[len(result) :])
        return full[1:], lengths


class Embedding(Layer):
    """A learned vector for each of input_dim numbers. With mask_zero, 0 stands for padding.

    Shape: (…) → (…, output_dim).
    Weights: embeddings (input_dim, output_dim); with lora_rank r also lora_embeddings_a (input_dim, r),
    lora_embeddings_b (r, output_dim), and the embeddings are frozen.
    MACs: 0.
    Errors: lora_rank and embeddings_constraint exclude each other.
    Paper: Bengio et al. 2003, "A neural probabilistic language model".
    """

    ROLE = "embedding"
    EXAMPLES = (
        Example({"input_dim": 10, "output_dim": 4}, (TensorType((None,), "int32"),), values=10),
        Example({"input_dim": 10, "output_dim": 4, "mask_zero": True, "dtype": "mixed_float16"}, ((5,),), values=10),
        Example({"input_dim": 10, "output_dim": 4, "lora_rank": 2}, (TensorType((3, 5), "int64"),), values=10),
    )

    input_dim: Positive
    output_dim: Positive
    embeddings_initializer: InitializerField = UNIFORM
    embeddings_regularizer: RegularizerField | None = None
    embeddings_constraint: ConstraintField | None = None
    mask_zero: bool = False
    activity_regularizer: RegularizerField | None = None
    lora_rank: NonNegative | None = None
    lora_alpha: float | None = None

    @model_validator(mode="after")
    def _check_lora(self) -> Self:
        if self.lora_rank and self.embeddings_constraint:
            raise argument_clash("lora_rank and embeddings_constraint exclude each other")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        return TensorType((*inputs.shape, self.output_dim), self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        shape = (self.input_dim, self.output_dim)
        table = self.weight("embeddings", *shape, trainable=not self.lora_rank)
        return (table, *_lora("embeddings", shape, self.lora_rank))


class ReversibleEmbedding(Layer):
    """An embedding that, with `reverse`, maps vectors back to a score for each number.

    Shape: (…) → (…, output_dim); reverse: (…, output_dim) → (…, input_dim).
    Weights: embeddings (input_dim, output_dim); without tie_weights also reverse_embeddings (output_dim, input_dim).
    MACs: 0; reverse: output_dim · input_dim for each position.
    Errors: reverse needs output_dim as its last axis.
    Paper: Press & Wolf 2016, arXiv:1608.05859.
    """

    ROLE = "embedding"
    EXAMPLES = (
        Example({"input_dim": 10, "output_dim": 4}, (TensorType((None,), "int32"),), values=10),
        Example({"input_dim": 10, "output_dim": 4, "reverse": True, "logit_soft_cap": 30.0}, ((None, 4),)),
        Example({"input_dim": 10, "output_dim": 4, "tie_weights": False, "reverse": True}, ((5, 4),)),
    )

    input_dim: Positive
    output_dim: Positive
    tie_weights: bool = True
    embeddings_initializer: InitializerField = UNIFORM
    embeddings_regularizer: RegularizerField | None = None
    embeddings_constraint: ConstraintField | None = None
    mask_zero: bool = False
    reverse_dtype: TensorDType | None = None
    logit_soft_cap: float | None = None
    activity_regularizer: RegularizerField | None = None
    reverse: Annotated[bool, CALL] = False

    def infer(self, inputs: TensorType) -> TensorType:
        if not self.reverse:
            return TensorType((*inputs.shape, self.output_dim), self.output_dtype)
        if not inputs.shape or inputs.shape[-1] != self.output_dim:
            raise ShapeError(f"ReversibleEmbedding reverses vectors of length {self.output_dim}, got {inputs}")
        return TensorType((*inputs.shape[:-1], self.input_dim), self.output_dtype)

    def weights(self, inputs: TensorType) -> tuple[WeightSpec, ...]:
        table = self.weight("embeddings", self.input_dim, self.output_dim)
        if self.tie_weights:
            return (table,)
        return table, self.weight("reverse_embeddings", self.output_dim, self.input_dim)

    def macs(self, inputs: TensorType) -> int:
        return inputs.size * self.input_dim if self.reverse else 0


class Activation(SameShape):
    """An activation function by its name.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    ROLE = "activation"
    EXAMPLES = (Example({"activation": "relu"}, ((4,),)), Example({"activation": "softmax"}, ((None, 4),)))

    activation: ActivationName


class Identity(Layer):
    """The input as it is.

    Shape: unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({}, ((4, None),)), Example({}, (TensorType((4,), "int32"),)))

    def infer(self, inputs: TensorType) -> TensorType:
        return TensorType(inputs.shape, self.passed_dtype(inputs))


class Masking(SameShape):
    """Masks the steps whose features all equal mask_value, so that later layers pass over them.

    Shape: (steps, c), unchanged.
    Weights: none.
    MACs: 0.
    """

    EXAMPLES = (Example({}, ((None, 4),)), Example({"mask_value": -1}, ((5, 4),)))

    mask_value: float = 0.0
