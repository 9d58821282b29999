"""Attention in several heads.

MACs count the projections, the products of queries with keys, and those of scores with values.
"""

from math import prod
from typing import Annotated, Any, NamedTuple, Self

from pydantic import model_validator

from archspec.layers.base import CALL, Example, Layer, WeightSpec
from archspec.layers.fields import ConstraintField, InitializerField, Positive, RegularizerField
from archspec.layers.nesting import check_shape, fits
from archspec.layers.objects.base import Fraction
from archspec.layers.objects.initializers import GLOROT_UNIFORM, ZEROS
from archspec.layers.shapes import argument_clash, known
from archspec.tensor import Shape, ShapeError, TensorType, show_shape


def _size(shape: Shape) -> int:
    """Elements of a shape; an unknown length counts as one."""
    return TensorType(shape).size


class _Heads(NamedTuple):
    """How many heads the queries have, how many the keys and values, and the sizes of a key and a value."""

    queries: int
    values: int
    key_dim: int
    value_dim: int


class _Projecting(Layer):
    """What the attention layers with projections share."""

    ROLE = "attention"

    dropout: Fraction = 0.0
    use_bias: bool = True
    sliding_window: Positive | None = None
    flash_attention: bool | None = None
    kernel_initializer: InitializerField = GLOROT_UNIFORM
    bias_initializer: InitializerField = ZEROS
    kernel_regularizer: RegularizerField | None = None
    bias_regularizer: RegularizerField | None = None
    activity_regularizer: RegularizerField | None = None
    kernel_constraint: ConstraintField | None = None
    bias_constraint: ConstraintField | None = None
    use_gate: bool = False
    seed: int | None = None
    return_attention_scores: Annotated[bool, CALL] = False
    use_causal_mask: Annotated[bool, CALL] = False

    @model_validator(mode="after")
    def _check_flash(self) -> Self:
        if self.flash_attention and self.dropout > 0:
            raise argument_clash("flash_attention has no dropout: leave one of them out")
        if self.flash_attention and self.return_attention_scores:
            raise argument_clash("flash_attention has no scores to return: leave out return_attention_scores")
        return self

    @property
    def _heads(self) -> _Heads:
        raise NotImplementedError

    def _outputs(self, query: TensorType) -> tuple[int, ...]:
        """The last axes of the result."""
        return (known(query.shape[-1]),)

    def _positions(self, query: TensorType, value: TensorType) -> tuple[Shape, Shape, Shape]:
        """The lengths not attended over, those of the queries and those of the keys. Raises ShapeError."""
        return (), query.shape[:-1], value.shape[:-1]

    def infer(
        self,
        query: TensorType,
        value: TensorType,
        key: TensorType | None = None,
        query_mask: TensorType | None = None,
        value_mask: TensorType | None = None,
        key_mask: TensorType | None = None,
        attention_mask: TensorType | None = None,
    ) -> TensorType | tuple[TensorType, ...]:
        self._check_inputs(query, value, key or value)
        self._check_masks(query, value, query_mask, value_mask, key_mask)
        rest, queries, keys = self._positions(query, value)
        scores = (*rest, self._heads.queries, *queries, *keys)
        self._check_attention_mask(attention_mask, scores)
        output = TensorType((*query.shape[:-1], *self._outputs(query)), self.output_dtype)
        return (output, TensorType(scores, self.output_dtype)) if self.return_attention_scores else output

    def weights(
        self, query: TensorType, value: TensorType, key: TensorType | None = None, *_: Any, **masks: Any
    ) -> tuple[WeightSpec, ...]:
        d, e, k = (known(t.shape[-1]) for t in (query, value, key or value))
        heads, groups, key_dim, value_dim = self._heads
        output = self._outputs(query)
        return (
            *self._projection("query", d, heads, key_dim),
            *self._projection("key", k, groups, key_dim),
            *(self._projection("gate", d, heads, value_dim) if self.use_gate else ()),
            *self._projection("value", e, groups, value_dim),
            self.weight("attention_output/kernel", heads, value_dim, *output),
            *((self.weight("attention_output/bias", *output),) if self.use_bias else ()),
        )

    def macs(self, query: TensorType, value: TensorType, key: TensorType | None = None, *_: Any, **masks: Any) -> int:
        d, e, k = (known(t.shape[-1]) for t in (query, value, key or value))
        heads, groups, key_dim, value_dim = self._heads
        per_query = d * (key_dim + (value_dim if self.use_gate else 0)) + value_dim * prod(self._outputs(query))
        per_value = k * key_dim + e * value_dim
        rest, queries, keys = self._positions(query, value)
        products = heads * _size((*rest, *queries, *keys)) * (key_dim + value_dim)
        return heads * _size(query.shape[:-1]) * per_query + groups * _size(value.shape[:-1]) * per_value + products

    def _check_inputs(self, query: TensorType, value: TensorType, key: TensorType) -> None:
        name = type(self).__name__
        for what, tensor in (("query", query), ("value", value), ("key", key)):
            if tensor.rank < 2 or tensor.shape[-1] is None:
                raise ShapeError(f"{name} needs (…, positions, features) with known features, got {what} {tensor}")
        if query.rank != value.rank:
            raise ShapeError(f"{name} needs query and value with as many axes, got {query} and {value}")
        if not fits(value.shape[:-1], key.shape[:-1]):
            raise ShapeError(f"{name} needs a key for each value, got key {key} and value {value}")

    def _check_masks(
        self,
        query: TensorType,
        value: TensorType,
        query_mask: TensorType | None,
        value_mask: TensorType | None,
        key_mask: TensorType | None,
    ) -> None:
        name = type(self).__name__
        masked = any(mask is not None for mask in (query_mask, value_mask, key_mask))
        if query.rank > 2 and (masked or self.use_causal_mask or self.sliding_window):
            raise ShapeError(
                f"{name} masks sequences (positions, features) only, got {query}",
                help="reshape it to a sequence, or pass an attention_mask over all positions",
            )
        check_shape(f"query_mask of {name}", query_mask, query.shape[:1])
        check_shape(f"value_mask of {name}", value_mask, value.shape[:1])
        check_shape(f"key_mask of {name}", key_mask, value.shape[:1])

    def _check_attention_mask(self, mask: TensorType | None, scores: Shape) -> None:
        """The mask must broadcast to the last axes of the scores: one for each query and each key, maybe each head."""
        if mask is None:
            return
        tail = scores[-mask.rank :] if mask.rank else ()
        lengths = zip(mask.shape, tail, strict=False)
        if mask.rank not in (len(scores) - 1, len(scores)) or any(m not in (1, None, n) and n for m, n in lengths):
            raise ShapeError(
                f"attention_mask of {type(self).__name__} must broadcast to (queries, keys), "
                f"{show_shape(scores[1:])}, got {mask}"
            )

    def _projection(self, name: str, features: int, *out: int) -> tuple[WeightSpec, ...]:
        kernel = self.weight(f"{name}/kernel", features, *out)
        return (kernel, self.weight(f"{name}/bias", *out)) if self.use_bias else (kernel,)


class MultiHeadAttention(_Projecting):
    """Scaled dot-product attention in several heads, with projections of query, key, value and output.

    Attends over all axes but the last, or over attention_axes (axis 0 is the batch, axis 1 the first of a shape).
    Without key the values are the keys.

    Shape: query (…, T, d), value (…, S, e) → (…, T, d), or (…, T, *output_shape). With return_attention_scores also the
    scores (…, heads, T, S); Keras itself declares (heads, T, T) and computes these.
    Weights: query/kernel (d, heads, key_dim), key/kernel, gate/kernel (d, heads, value_dim) with use_gate, value/kernel
    (e, heads, value_dim), attention_output/kernel (heads, value_dim, d or *output_shape), each with its bias.
    MACs: the projections, and heads · T · S · (key_dim + value_dim).
    Errors: query and value need as many axes; key and value the same lengths; masks (T,) and (S,), attention_mask
    (T, S); masks other than attention_mask only for sequences.
    Paper: Vaswani et al. 2017, arXiv:1706.03762.
    """

    EXAMPLES = (
        Example({"num_heads": 2, "key_dim": 3, "use_causal_mask": True}, ((5, 6), (5, 6))),
        Example(
            {"num_heads": 2, "key_dim": 3, "value_dim": 4, "use_gate": True, "output_shape": [2, 7]},
            ((5, 6), (7, 8), (7, 9)),
            {"attention_mask": TensorType((5, 7), "bool")},
        ),
        Example(
            {"num_heads": 2, "key_dim": 3, "use_bias": False, "return_attention_scores": True},
            ((5, 6), (5, 8)),
            {"query_mask": TensorType((5,), "bool"), "value_mask": TensorType((5,), "bool")},
        ),
        Example({"num_heads": 2, "key_dim": 3, "attention_axes": 2}, ((4, 5, 6), (4, 7, 6))),
        Example({"num_heads": 2, "key_dim": 3, "output_shape": 4}, ((4, 5, 6), (2, 3, 6))),
    )

    num_heads: Positive
    key_dim: Positive
    value_dim: Positive | None = None
    output_shape: Positive | tuple[Positive, ...] | None = None
    attention_axes: int | tuple[int, ...] | None = None

    @property
    def _heads(self) -> _Heads:
        return _Heads(self.num_heads, self.num_heads, self.key_dim, self.value_dim or self.key_dim)

    def _outputs(self, query: TensorType) -> tuple[int, ...]:
        if not self.output_shape:
            return (known(query.shape[-1]),)
        return self.output_shape if isinstance(self.output_shape, tuple) else (self.output_shape,)

    def _positions(self, query: TensorType, value: TensorType) -> tuple[Shape, Shape, Shape]:
        """The lengths not attended over, those of the queries and those of the keys. Raises ShapeError."""
        axes = self._axes(query)
        rest = tuple(i for i in range(query.rank - 1) if i not in axes)
        if not fits(*(tuple(tensor.shape[i] for i in rest) for tensor in (query, value))):
            raise ShapeError(
                f"MultiHeadAttention needs the same lengths on the axes it does not attend over, got query {query} "
                f"and value {value}"
            )
        return (
            tuple(query.shape[i] for i in rest),
            tuple(query.shape[i] for i in axes),
            tuple(value.shape[i] for i in axes),
        )

    def _axes(self, query: TensorType) -> tuple[int, ...]:
        """The axes attended over, as indices of a shape without the batch. Raises ShapeError."""
        axes = self.attention_axes
        if axes is None:
            return tuple(range(query.rank - 1))
        indices = tuple(
            axis + query.rank if axis < 0 else axis - 1 for axis in (axes if isinstance(axes, tuple) else (axes,))
        )
        if len(set(indices)) < len(indices) or any(not 0 <= i < query.rank - 1 for i in indices):
            raise ShapeError(
                f"attention_axes of MultiHeadAttention must be among 1 to {query.rank - 1} for {query}, got {axes}",
                help="axis 0 is the batch, and the last axis holds the features",
            )
        return indices


class GroupQueryAttention(_Projecting):
    """Multi-head attention in which groups of query heads share a key head and a value head.

    Shape: query (T, d), value (S, d), key (S, e) → (T, d). With return_attention_scores also (query heads, T, S).
    Weights: query/kernel (d, query heads, head_dim), key/kernel (e, key-value heads, head_dim), gate/kernel with
    use_gate, value/kernel (d, key-value heads, head_dim), attention_output/kernel (query heads, head_dim, d), each with
    its bias.
    MACs: the projections, and 2 · query heads · T · S · head_dim.
    Errors: all are sequences; query and value have as many features; num_key_value_heads divides num_query_heads.
    Paper: Ainslie et al. 2023, arXiv:2305.13245.
    """

    EXAMPLES = (
        Example({"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, ((5, 6), (7, 6))),
        Example(
            {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1, "use_gate": True, "use_bias": False}
            | {"return_attention_scores": True, "use_causal_mask": True},
            ((5, 6), (7, 6), (7, 8)),
        ),
    )

    head_dim: Positive
    num_query_heads: Positive
    num_key_value_heads: Positive

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.num_query_heads % self.num_key_value_heads:
            raise argument_clash(
                f"num_query_heads must be a multiple of num_key_value_heads, got {self.num_query_heads} and "
                f"{self.num_key_value_heads}"
            )
        return self

    @property
    def _heads(self) -> _Heads:
        return _Heads(self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim)

    def _check_inputs(self, query: TensorType, value: TensorType, key: TensorType) -> None:
        super()._check_inputs(query, value, key)
        if query.rank != 2:
            raise ShapeError(f"GroupQueryAttention needs (positions, features), got {query}")
        if query.shape[-1] != value.shape[-1]:
            raise ShapeError(
                f"GroupQueryAttention needs query and value with as many features, got {query} and {value}",
                help="project one of them with Dense",
            )
