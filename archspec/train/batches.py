"""Training batches whose order depends on the seed and the epoch alone, from any step of the epoch on.

Keras's own adapters shuffle with random states that nobody can set back, so that a training which was cut short could
not go on as it would have done. Each class here is one of Keras's data adapters, which `fit` takes as they are.
Arrays are batched without TensorFlow where another backend computes; on TensorFlow they are gathered in a tf.data
pipeline of the same form as Keras's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras.src.trainers.data_adapters import data_adapter, data_adapter_utils, tf_dataset_adapter

from archspec.tensor import TensorType
from archspec.train.feed import Feed, element_bytes

BUNDLE_BYTES = 1 << 26  # of the batches that lie in one tensor for a loop that XLA compiles
SHUFFLE_BYTES = 1 << 28  # streams larger than this are shuffled within a buffer of this size


class Batches(data_adapter.DataAdapter):  # type: ignore[misc]
    """Batches of one split for `fit`. Before each epoch `begin` says which it is, and from which step on it runs."""

    def __init__(self, size: int, batch_size: int, seed: int | None) -> None:
        self.size, self.seed = size, seed
        self._batch_size = batch_size
        self.epoch, self.start = 0, 0
        self.bundle = 0  # batches in a bundle, which TensorFlow's compiled loop takes; 0 where batches come one by one

    @property
    def num_batches(self) -> int:
        return -(-self.size // self._batch_size)

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def has_partial_batch(self) -> bool:
        return self.size % self._batch_size > 0

    @property
    def partial_batch_size(self) -> int | None:
        return self.size % self._batch_size or None

    def begin(self, epoch: int, start: int) -> None:
        """The next pass over the batches is this epoch's (from 0) without its first `start` batches."""
        self.epoch, self.start = epoch, start

    def trial(self) -> Batches:
        """Batches of the same form for measurements, which are taken up again and again from the first on."""
        return self

    def fit_in_bundles(self, steps: int) -> bool:
        """Whether so many batches can lie in one tensor: their shapes are known, and they are small."""
        tensors = keras.tree.flatten(self.symbolic())
        if any(None in tensor.shape or tensor.dtype == "string" for tensor in tensors):
            return False
        return steps * sum(TensorType(tuple(t.shape), t.dtype).bytes for t in tensors) <= BUNDLE_BYTES

    @property
    def uneven(self) -> bool:
        """Whether TensorFlow's replicas get unequal shares of the last batch."""
        return bool(self.size % self._batch_size % replicas().num_replicas_in_sync)

    @abstractmethod
    def symbolic(self) -> Any:
        """A batch as keras.KerasTensors: what a model's metrics and optimizer are built with."""

    def _bundled(self, examples: Any) -> Any:
        from archspec.train.bundles import bundled

        return bundled(examples, self._batch_size, self.bundle)

    def _tensor(self, shape: Any, dtype: Any) -> keras.KerasTensor:
        return keras.KerasTensor((self._batch_size, *shape), keras.backend.standardize_dtype(dtype))


class ArrayBatches(Batches):
    """Batches of arrays in memory."""

    def __init__(self, values: tuple[Any, ...], size: int, batch_size: int, seed: int | None) -> None:
        super().__init__(size, batch_size, seed)
        self.values = values

    def order(self) -> np.ndarray:
        """The positions of the examples that this epoch has yet to see. Shape (n,), int64."""
        if self.seed is None:
            order = np.arange(self.size)
        else:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.size)
        return order[self.start * self._batch_size :]

    def symbolic(self) -> Any:
        return keras.tree.map_structure(lambda value: self._tensor(value.shape[1:], value.dtype), self.values)

    def get_jax_iterator(self) -> Iterator[Any]:
        order = self.order()
        for at in range(0, len(order), self._batch_size):
            chosen = order[at : at + self._batch_size]
            yield keras.tree.map_structure(lambda value, chosen=chosen: np.take(value, chosen, axis=0), self.values)

    get_numpy_iterator = get_jax_iterator

    def get_tf_dataset(self) -> Any:
        import tensorflow as tf

        if replicas().num_replicas_in_sync > 1:
            return shared_out(self._dataset)
        options = tf.data.Options()
        options.deterministic = True
        options.experimental_optimization.apply_default_optimizations = False  # they cost more than they bring here
        if self.bundle:
            return self._bundled(self._dataset(self.bundle)).with_options(options)
        return self._dataset().with_options(options).prefetch(tf.data.AUTOTUNE)

    def _dataset(self, number: int = 1) -> Any:
        """Each pass over it is what is left of the epoch that has begun, `number` batches at a time."""
        import tensorflow as tf

        batch_size = number * self._batch_size

        def batched(_: Any) -> Any:
            positions = tf.ensure_shape(tf.numpy_function(self.order, [], tf.int64), [None])
            whole = tf.size(positions) // batch_size * batch_size
            batches = tf.data.Dataset.from_tensor_slices(tf.reshape(positions[:whole], [-1, batch_size]))
            rest = tf.data.Dataset.from_tensors(positions[whole:])
            return batches.concatenate(rest.filter(lambda left: tf.size(left) > 0))

        values = tf.data.Dataset.from_tensors(keras.tree.map_structure(tf.convert_to_tensor, self.values)).repeat()
        pairs = tf.data.Dataset.zip((tf.data.Dataset.range(1).flat_map(batched), values))
        return pairs.map(
            lambda chosen, all: keras.tree.map_structure(lambda value: tf.gather(value, chosen, axis=0), all),
            num_parallel_calls=tf.data.AUTOTUNE,
        )


class StreamBatches(Batches):
    """Batches of a tf.data.Dataset of single examples, shuffled within a buffer."""

    def __init__(
        self, examples: Any, size: int, batch_size: int, seed: int | None, weights: Mapping[int, float] | None
    ) -> None:
        super().__init__(size, batch_size, seed)
        self.examples, self.weights = examples, weights

    def trial(self) -> Batches:
        """Not shuffled: the buffer would be filled each time."""
        return StreamBatches(self.examples, self.size, self._batch_size, None, self.weights)

    def symbolic(self) -> Any:
        specs = self._weighted(self.examples.batch(1)).unbatch().element_spec
        return keras.tree.map_structure(lambda spec: self._tensor(spec.shape, spec.dtype), specs)

    def get_jax_iterator(self) -> Iterator[Any]:
        for batch in self:
            yield keras.tree.map_structure(lambda value: value.numpy(), batch)

    get_numpy_iterator = get_jax_iterator

    def get_tf_dataset(self) -> Any:
        """Itself: Keras only iterates over it, and each epoch has a pipeline of its own.

        One pipeline for all epochs, the epoch's seed being a tensor, made tf.data's optimizer crash (TensorFlow 2.21).
        """
        return self if replicas().num_replicas_in_sync == 1 else shared_out(self._dataset)

    def __iter__(self) -> Any:
        return iter(self._dataset())

    def _dataset(self) -> Any:
        """What is left of the epoch that has begun."""
        import tensorflow as tf

        data = self.examples
        if self.seed is not None:
            each = max(1, sum(element_bytes(spec) for spec in keras.tree.flatten(data.element_spec)))
            buffer = max(self._batch_size, min(self.size, SHUFFLE_BYTES // each))
            seed = int(np.random.default_rng((self.seed, self.epoch)).integers(1, 2**31))
            data = data.shuffle(buffer, seed=seed, reshuffle_each_iteration=False)
        if self.bundle:
            data = data.skip(self.start * self._batch_size).batch(self.bundle * self._batch_size)
            return self._bundled(self._weighted(data))
        data = data.batch(self._batch_size, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return self._weighted(data.skip(self.start)).prefetch(tf.data.AUTOTUNE)

    def _weighted(self, batches: Any) -> Any:
        return batches.map(tf_dataset_adapter.make_class_weight_map_fn(self.weights)) if self.weights else batches


def replicas() -> Any:
    """TensorFlow's strategy in whose scope this is called."""
    import tensorflow as tf

    return tf.distribute.get_strategy()


def shared_out(dataset: Callable[[], Any]) -> Any:
    """The batches for several replicas."""
    from archspec.train.shares import Shares

    return Shares(replicas(), dataset)


def training_batches(feed: Feed, batch_size: int, seed: int | None, weights: Mapping[int, float] | None) -> Batches:
    """The training split as batches, shuffled if there is a seed, each example counting as its class does."""
    if feed.examples is not None:
        return StreamBatches(feed.examples, feed.size, batch_size, seed, weights)
    counted = data_adapter_utils.class_weight_to_sample_weights(feed.y, weights) if weights else None
    values = (feed.x, feed.y) if counted is None else (feed.x, feed.y, np.asarray(counted, "float32"))
    return ArrayBatches(values, feed.size, batch_size, seed)
