"""The names of Keras's activations (keras.activations)."""

from typing import Literal

Activation = Literal["linear", "relu", "softmax"]
