"""Keras's optimizers (keras.optimizers)."""
