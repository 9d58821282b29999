"""Batches given out to the replicas of a tf.distribute strategy, and their losses made those of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


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
