"""Keras's regularizers (keras.regularizers)."""
