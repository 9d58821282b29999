"""Keras's metrics (keras.metrics)."""
