"""Keras's schedules (keras.schedules)."""
