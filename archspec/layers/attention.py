"""Attention without projections. MACs count the products of queries with keys, and those of scores with values."""

from typing import Annotated, Literal

from archspec.layers.base import CALL, Example, Layer, WeightSpec
from archspec.layers.fields import Rate
from archspec.layers.nesting import check_shape, fits
from archspec.layers.shapes import known
from archspec.tensor import Shape, ShapeError, TensorType


def _size(shape: Shape) -> int:
    """Elements of a shape; an unknown length counts as one."""
    return TensorType(shape).size


class _Plain(Layer):
    """What the attention layers without projections share: call them with [query, value] or [query, value, key]."""

    ROLE = "attention"

    dropout: Rate = 0.0
    return_attention_scores: Annotated[bool, CALL] = False
    use_causal_mask: Annotated[bool, CALL] = False

    def infer(
        self, *inputs: TensorType, mask: tuple[TensorType, ...] | None = None
    ) -> TensorType | tuple[TensorType, ...]:
        query, value, _ = self._inputs(inputs)
        if mask is not None:
            self._check_mask(mask, query, value)
        output = TensorType((*query.shape[:-1], value.shape[-1]), self.output_dtype)
        if not self.return_attention_scores:
            return output
        return output, TensorType((*query.shape[:-1], value.shape[-2]), self.output_dtype)

    def _inputs(self, inputs: tuple[TensorType, ...]) -> tuple[TensorType, TensorType, TensorType]:
        name = type(self).__name__
        if len(inputs) not in (2, 3):
            raise ShapeError(f"{name} takes [query, value] or [query, value, key], got {len(inputs)} tensors")
        query, value, key = (*inputs, inputs[1])[:3]
        if min(t.rank for t in inputs) < 2 or len({t.rank for t in inputs}) > 1:
            raise ShapeError(f"{name} needs (…, positions, features) each, got {', '.join(map(str, inputs))}")
        if not fits(query.shape[-1:], key.shape[-1:]):
            raise ShapeError(f"{name} needs query and key with as many features, got {query} and {key}")
        if not fits(value.shape[:-1], key.shape[:-1]) or not fits(query.shape[:-2], value.shape[:-2]):
            raise ShapeError(f"{name} needs a key for each value, got query {query}, value {value} and key {key}")
        return query, value, key

    def _check_mask(self, mask: tuple[TensorType, ...], query: TensorType, value: TensorType) -> None:
        name = type(self).__name__
        if len(mask) not in (2, 3):
            raise ShapeError(f"the mask of {name} is [query_mask, value_mask], got {len(mask)} tensors")
        check_shape(f"query_mask of {name}", mask[0], query.shape[:-1])
        check_shape(f"value_mask of {name}", mask[1], value.shape[:-1])

    def _pairs(self, inputs: tuple[TensorType, ...]) -> int:
        """Pairs of a query with a key."""
        query, value, _ = self._inputs(inputs)
        return _size((*query.shape[:-1], value.shape[-2]))


class Attention(_Plain):
    """Dot-product attention without projections: softmax(query · keyᵀ) · value.

    With score_mode concat the scores are sums of tanh(query + key) over the features, with weights of their own.

    Shape: [query (…, T, d), value (…, S, e), key (…, S, d)] → (…, T, e); without key the values are the keys. With
    return_attention_scores also (…, T, S).
    Weights: scale () with use_scale; concat_score_weight () with score_mode concat.
    MACs: T · S · (d + e); T · S · e with score_mode concat.
    Errors: query and key need as many features, key and value as many positions; masks (T,), (S,).
    Paper: Luong et al. 2015, arXiv:1508.04025.
    """

    EXAMPLES = (
        Example({"use_causal_mask": True}, ((5, 6), (7, 6))),
        Example(
            {"use_scale": True, "score_mode": "concat", "return_attention_scores": True},
            ((5, 6), (7, 8), (7, 6)),
            {"mask": (TensorType((5,), "bool"), TensorType((7,), "bool"))},
        ),
        Example({"use_scale": True, "dtype": "float16"}, ((4, 5, 6), (4, 7, 6))),
    )

    use_scale: bool = False
    score_mode: Literal["dot", "concat"] = "dot"
    seed: int | None = None

    def weights(self, *inputs: TensorType, mask: tuple[TensorType, ...] | None = None) -> tuple[WeightSpec, ...]:
        scale = (self.weight("scale"),) if self.use_scale else ()
        return (*scale, self.weight("concat_score_weight")) if self.score_mode == "concat" else scale

    def macs(self, *inputs: TensorType, mask: tuple[TensorType, ...] | None = None) -> int:
        scored = inputs[0].shape[-1:] if self.score_mode == "dot" else (0,)
        return self._pairs(inputs) * (_size(scored) + _size(inputs[1].shape[-1:]))


class AdditiveAttention(_Plain):
    """Additive attention: the scores are sums of scale · tanh(query + key) over the features.

    Shape: [query (…, T, d), value (…, S, e), key (…, S, d)] → (…, T, e); without key the values are the keys. With
    return_attention_scores also (…, T, S).
    Weights: scale (d,) with use_scale.
    MACs: T · S · (d + e); T · S · e without use_scale.
    Errors: query and key need as many features, key and value as many positions; masks (T,), (S,); with use_scale d
    must be known.
    Paper: Bahdanau et al. 2014, arXiv:1409.0473.
    """

    EXAMPLES = (
        Example({"return_attention_scores": True}, ((5, 6), (7, 6))),
        Example({"use_scale": False}, ((5, 6), (None, 8), (None, 6))),
    )

    use_scale: bool = True

    def infer(
        self, *inputs: TensorType, mask: tuple[TensorType, ...] | None = None
    ) -> TensorType | tuple[TensorType, ...]:
        result = super().infer(*inputs, mask=mask)
        if self.use_scale and inputs[0].shape[-1] is None:
            raise ShapeError(f"AdditiveAttention with use_scale needs known features, got query {inputs[0]}")
        return result

    def weights(self, *inputs: TensorType, mask: tuple[TensorType, ...] | None = None) -> tuple[WeightSpec, ...]:
        return (self.weight("scale", known(inputs[0].shape[-1])),) if self.use_scale else ()

    def macs(self, *inputs: TensorType, mask: tuple[TensorType, ...] | None = None) -> int:
        scored = inputs[0].shape[-1:] if self.use_scale else (0,)
        return self._pairs(inputs) * (_size(scored) + _size(inputs[1].shape[-1:]))
