"""The names of Keras's activations (keras.activations).

Two of its functions are not among them: `glu` halves the last axis, which no layer of Keras's reckons with when it
says its shape, and `threshold` needs two arguments that a name cannot give. Both can be called in a formula.
"""

from typing import Literal

Activation = Literal[
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink",
]  # fmt: skip
