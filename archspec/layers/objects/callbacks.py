"""Keras's callbacks (keras.callbacks)."""
