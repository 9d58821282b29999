"""Many steps as one XLA computation, on TensorFlow, where a small network's time goes by between its operations.

Keras compiles a step, and TensorFlow starts it again and again. Here the loop is compiled with it, over batches that
lie in one tensor: a bundle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def bundled(examples: Any, batch_size: int, steps: int) -> Any:
    """A tf.data.Dataset of bundles from one of `steps · batch_size` examples at a time.

    A bundle has the whole batches, each tensor of shape (steps, batch_size, …), how many of them there are, the rest
    being zeros, and the examples that are left for a smaller batch, of which there may be none.
    """

    def bundle(*batch: Any) -> tuple[Any, Any, Any]:
        number = tf.shape(tf.nest.flatten(batch)[0])[0] // batch_size

        def stacked(value: Any) -> Any:
            missing = (steps - number) * batch_size
            padded = tf.pad(value[: number * batch_size], [[0, missing], *[[0, 0]] * (len(value.shape) - 1)])
            return tf.reshape(padded, [steps, batch_size, *value.shape[1:]])

        left = tf.nest.map_structure(lambda value: value[number * batch_size :], batch)
        return tf.nest.map_structure(stacked, batch), number, left

    return examples.map(bundle, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def train_function(model: keras.Model) -> Callable[[Any], Any]:
    """What `fit` calls for each bundle of the iterator: the figures after its last step.

    Whole batches always go through the same computation, whatever their number, so that a training which goes on
    within an epoch computes what it would have computed.
    """

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def steps(stacked: Any, number: Any) -> Any:
        def step(at: Any) -> tuple[Any]:
            model.train_step(tf.nest.map_structure(lambda value: value[at], stacked))
            return (at + 1,)

        tf.while_loop(lambda at: at < number, step, (tf.constant(0),))
        return model.get_metrics_result()

    whole = tf.function(steps, jit_compile=True, reduce_retracing=True)
    single = tf.function(
        tf.autograph.experimental.do_not_convert(model.train_step), jit_compile=True, reduce_retracing=True
    )

    def function(iterator: Any) -> Any:
        stacked, number, left = next(iterator)
        logs = whole(stacked, number) if int(number) else {}
        return single(left) if tf.nest.flatten(left)[0].shape[0] else logs

    return function
