"""Keras's losses (keras.losses)."""
