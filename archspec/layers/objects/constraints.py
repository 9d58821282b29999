"""Keras's constraints (keras.constraints)."""
