"""Batches laid out over a mesh of JAX devices, also those that cannot be divided."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import keras
import numpy as np
from keras.src.backend.jax import trainer


@contextlib.contextmanager
def laid_out(distribution: Any) -> Iterator[None]:
    """Models made in the context lie on the distribution's mesh, and so do the batches that they are given.

    Keras lays out every batch as it does the first one, which an epoch's last batch need not allow, and takes what a
    host has for its part of the batch. Here every host has the whole batch and gives its devices what is theirs; a
    batch that cannot be divided goes to all devices whole. The step computes the same either way.
    """
    mesh, axis = distribution.device_mesh.backend_mesh, distribution.batch_dim_name
    divided = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(axis))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    parts = mesh.shape[axis]

    def put(value: Any) -> Any:
        if value is None:
            return None
        sharding = divided if value.shape[0] % parts == 0 else whole
        if jax.process_count() == 1:
            return jax.device_put(value, sharding)
        local = np.asarray(value)
        return jax.make_array_from_callback(local.shape, sharding, lambda index: local[index])

    def distribute(data: Any, layouts: Any = None) -> Any:
        return keras.tree.map_structure(put, data)

    keras_own = trainer._distribute_data
    trainer._distribute_data = distribute
    try:
        with distribution.scope():
            yield
    finally:
        trainer._distribute_data = keras_own
