"""A plan carried out: examples read, preprocessed by Keras's layers and handed to `fit` as arrays or tf.data batches.

Arrays stay arrays: Keras's own batching of them is the fastest there is on every backend, and needs no TensorFlow
on JAX. Only streams go through tf.data. This module imports Keras, so the backend must be chosen before it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from archspec.build import build
from archspec.data.base import Arrays, Rows, Selection, Stream
from archspec.data.plan import Plan
from archspec.data.split import count
from archspec.graph.ir import Graph
from archspec.tensor import TensorType

CACHE_BYTES = 1 << 30  # streams up to this size stay in memory after the first epoch
_CHUNK = 1024  # examples preprocessed at a time
_ADAPTED = ("mean", "vocabulary", "bin_boundaries")  # arguments that give what `adapt` would learn


@dataclass(frozen=True)
class Feed:
    """One split as `evaluate` takes it: arrays x and y, or batches of both in x, always in the same order.

    Several inputs are a tuple in the network's order, several targets a mapping by output; a single one stands alone.
    `examples` is a stream's tf.data.Dataset of single examples.
    """

    size: int
    x: Any
    y: Any = None
    examples: Any = None

    def arguments(self, batch_size: int) -> dict[str, Any]:
        """What `evaluate` and `predict` take: a stream has its batches already."""
        return {"x": self.x} if self.y is None else {"x": self.x, "y": self.y, "batch_size": batch_size}


@dataclass(frozen=True)
class Feeds:
    """All splits, and the preprocessing that they went through, by input."""

    train: Feed
    validation: Feed | None
    test: Feed | None
    preprocess: Mapping[str, keras.Model]

    @property
    def sizes(self) -> dict[str, int]:
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: feed.size for split, feed in named.items() if feed}


def feeds(plan: Plan, graph: Graph, batch_size: int) -> Feeds:
    """Reads and preprocesses every split; layers with `adapt` see the training examples only."""
    models = {field: build(steps) for field, steps in plan.preprocess.items()}
    training = plan.source.read(plan.parts.train)
    for field, model in models.items():
        _adapt(model, plan.preprocess[field], training, field)

    def other(selection: Selection | None) -> Feed | None:
        if selection is None or not count(selection):
            return None
        return feed(plan, graph, models, plan.source.read(selection), batch_size)

    names = {field: name for name, field in plan.inputs.items()}
    return Feeds(
        feed(plan, graph, models, training, batch_size),
        other(plan.parts.validation),
        other(plan.parts.test),
        {names[field]: model for field, model in models.items()},
    )


def feed(plan: Plan, graph: Graph, models: Mapping[str, keras.Model], rows: Rows, batch_size: int) -> Feed:
    """Examples as the network takes them, each field through its model."""
    dtypes = {name: graph.nodes[name].outputs[0].dtype for name in plan.inputs}
    if isinstance(rows, Arrays):
        values = dict(rows.values) | {field: apply(model, rows.values[field]) for field, model in models.items()}
        x = tuple(cast(values[field], dtypes[name]) for name, field in plan.inputs.items())
        return Feed(rows.size, _only(x), _only({n: _target(values[f]) for n, f in plan.targets.items()}))
    examples = _examples(plan, models, dtypes, rows)
    return Feed(rows.size, _batches(examples, rows.size, batch_size), examples=examples)


def _adapt(model: keras.Model, steps: Graph, training: Rows, field: str) -> None:
    """Lets each layer that learns from data see the training examples, as the layers before it give them."""
    for node in steps.nodes.values():
        layer = None if type(node.layer).__name__ == "InputLayer" else model.get_layer(node.name)
        given = any(getattr(node.layer, name, None) is not None for name in _ADAPTED)
        if layer is None or given or not hasattr(layer, "adapt"):
            continue
        before = keras.Model(model.input, layer.input)
        if isinstance(training, Arrays):
            values = apply(before, training.values[field])
            layer.adapt(_tensors(values) if _is_text(values) else values)
        else:
            values = training.open().map(lambda row: row[field]).map(_in_tf_data(before))
            layer.adapt(values.batch(_CHUNK))


def apply(model: keras.Model, values: np.ndarray) -> np.ndarray:
    """The model's results for all examples, a chunk at a time."""
    if not model.layers[1:]:
        return values
    text = _is_text(values)
    if text and keras.backend.backend() != "tensorflow":
        return np.stack([*_through_tf_data(model, values)])
    chunks = (values[at : at + _CHUNK] for at in range(0, len(values), _CHUNK))
    return np.concatenate(
        [
            keras.ops.convert_to_numpy(model(_tensors(c) if text else keras.ops.convert_to_tensor(c), training=False))
            for c in chunks
        ]
    )


def _through_tf_data(model: keras.Model, values: np.ndarray) -> Iterator[np.ndarray]:
    """Text is TensorFlow's business even where another backend computes."""
    import tensorflow as tf

    yield from tf.data.Dataset.from_tensor_slices(_tensors(values)).map(_in_tf_data(model)).as_numpy_iterator()


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind in "OUST"


def _tensors(values: np.ndarray) -> Any:
    import tensorflow as tf

    # TensorFlow gives bytes back, whose str() would be "b'…'"
    texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values.ravel()]
    return tf.constant(texts, shape=values.shape)


def _in_tf_data(model: keras.Model) -> Callable[[Any], Any]:
    """The model as a function of one example inside a tf.data pipeline.

    It runs as a plain function of its layers: there a preprocessing layer computes in TensorFlow whatever the backend,
    which a whole model does not.
    """
    import tensorflow as tf

    layers = keras.Function(model.inputs, model.outputs)

    def one(value: Any) -> Any:
        return tf.squeeze(keras.tree.flatten(layers([tf.expand_dims(value, 0)]))[0], 0)

    return one


def _examples(plan: Plan, models: Mapping[str, keras.Model], dtypes: Mapping[str, str], rows: Stream) -> Any:
    """A tf.data.Dataset of single examples as the network takes them, kept in memory where they are small."""
    import tensorflow as tf

    steps = {field: _in_tf_data(model) for field, model in models.items() if model.layers[1:]}

    def example(row: Mapping[str, Any]) -> tuple[Any, Any]:
        fields = dict.fromkeys((*plan.inputs.values(), *plan.targets.values()))
        made = {field: steps[field](row[field]) if field in steps else row[field] for field in fields}
        x = tuple(cast(made[field], dtypes[name]) for name, field in plan.inputs.items())
        return _only(x), _only({name: made[field] for name, field in plan.targets.items()})

    options = tf.data.Options()
    options.deterministic = True
    data = rows.open().with_options(options).map(example, num_parallel_calls=tf.data.AUTOTUNE)
    each = max(1, sum(element_bytes(spec) for spec in keras.tree.flatten(data.element_spec)))
    return data.cache() if rows.size * each <= CACHE_BYTES else data


def _batches(examples: Any, size: int, batch_size: int) -> Any:
    """A tf.data.Dataset of batches in the order of the examples."""
    import tensorflow as tf

    batches = examples.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.apply(tf.data.experimental.assert_cardinality(-(-size // batch_size))).prefetch(tf.data.AUTOTUNE)


def _only(values: Any) -> Any:
    """The single value of a tuple or mapping of one: Keras weighs classes of a bare target only."""
    return next(iter(values.values() if isinstance(values, dict) else values)) if len(values) == 1 else values


def element_bytes(spec: Any) -> int:
    return TensorType(tuple(spec.shape), spec.dtype.name).bytes


def cast(values: Any, dtype: str) -> Any:
    """Values of a field in the dtype of the input: arrays, or tensors in a tf.data pipeline."""
    if isinstance(values, np.ndarray):
        return _tensors(values) if dtype == "string" else values.astype(dtype, copy=False)
    import tensorflow as tf

    return values if dtype == "string" else tf.cast(values, dtype)


def _target(values: np.ndarray) -> np.ndarray:
    """Keras computes losses in float32; float64 targets would only be converted in each batch."""
    return values.astype("float32") if values.dtype == np.float64 else values
