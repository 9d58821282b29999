"""Batches given out to the replicas of a tf.distribute strategy, and their losses made those of the whole batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.data.ops.dataset_ops import DatasetV2


class Shares(tf.distribute.DistributedDataset):  # type: ignore[misc]
    """Each batch in as many parts as there are replicas. Every pass takes a new dataset from `batches`.

    Parts differ by one example at most; a batch that has fewer examples than there are replicas goes to all of them.
    """

    def __init__(self, strategy: Any, batches: Callable[[], Any]) -> None:
        self.strategy, self.batches = strategy, batches

    def __iter__(self) -> Any:
        parts = self.strategy.num_replicas_in_sync

        def shares(*batch: Any) -> Any:
            return tf.data.Dataset.range(parts).map(lambda part: _share(batch, part, parts))

        def given(_: Any) -> Any:
            return self.batches().flat_map(shares).prefetch(parts)

        return iter(self.strategy.distribute_datasets_from_function(given))

    @property
    def element_spec(self) -> Any:
        return self.batches().element_spec


@contextlib.contextmanager
def given_out(strategy: Any) -> Iterator[None]:
    """The strategy's scope, where no tf.data pipeline is tuned as it runs.

    What tunes a pipeline sleeps for up to a minute at a time. TensorFlow 2.21 wakes it before it marks it as cancelled,
    so that it may sleep on while what takes its iterator away waits: each device's, after every epoch and evaluation.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    tensorflows_own = DatasetV2._apply_debug_options  # what every iterator calls on the dataset that it is made of
    DatasetV2._apply_debug_options = lambda dataset: tensorflows_own(dataset.with_options(options))
    try:
        with strategy.scope():
            yield
    finally:
        DatasetV2._apply_debug_options = tensorflows_own


def _share(batch: Any, part: Any, parts: int) -> Any:
    """One part of a batch."""
    size = tf.shape(tf.nest.flatten(batch)[0], out_type=tf.int64)[0]
    each, more = size // parts, size % parts
    begin = part * each + tf.minimum(part, more)
    end = begin + each + tf.cast(part < more, tf.int64)
    few = size < parts
    begin, end = tf.where(few, tf.zeros_like(begin), begin), tf.where(few, size, end)
    return tf.nest.map_structure(lambda value: value[begin:end], batch)


def weigh_shares(model: keras.Model) -> None:
    """Makes the replicas' losses add up to that of the whole batch where their parts of it are not of one size.

    Keras divides each replica's loss by their number.
    """
    compute_loss = model.compute_loss

    def weighed(x: Any = None, *arguments: Any, training: bool = True, **named: Any) -> Any:
        loss = compute_loss(x, *arguments, training=training, **named)
        context = tf.distribute.get_replica_context()
        if not training or context is None or context.num_replicas_in_sync == 1:
            return loss
        own = tf.cast(tf.shape(keras.tree.flatten(x)[0])[0], loss.dtype)
        return loss * own * context.num_replicas_in_sync / context.all_reduce("SUM", own)

    model.compute_loss = weighed


def sum_gradients_first(optimizer: Any) -> None:
    """Gives the optimizer the whole batch's gradients.

    Keras clips each replica's own, looks for infinite ones among them, and adds them up only then. The optimizer is
    what the model was compiled with, which may have another one inside.
    """
    within = getattr(optimizer, "inner_optimizer", optimizer)
    within._all_reduce_sum_gradients = list
    apply = optimizer.apply

    def summed(gradients: Sequence[Any], trainable_variables: Any = None) -> None:
        context = tf.distribute.get_replica_context()
        there = [gradient for gradient in gradients if gradient is not None]
        sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there) if there else ())
        apply([None if gradient is None else next(sums) for gradient in gradients], trainable_variables)

    optimizer.apply = summed


@contextlib.contextmanager
def alone(model: keras.Model) -> Iterator[None]:
    """A model made in a strategy's scope predicts without it: there each replica would predict the whole batch."""
    strategy = model._distribute_strategy
    model._distribute_strategy = model.predict_function = None
    try:
        yield
    finally:
        model._distribute_strategy, model.predict_function = strategy, None
