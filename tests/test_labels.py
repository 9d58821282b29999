"""What stands in a box: layers and formulas in a few words, as papers write them."""

from __future__ import annotations

from typing import Any

import pytest

from archspec.draw.labels import formula_text, layer_text, range_text
from archspec.layers import catalogue, parse_layer


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ({"Conv2D": {"filters": 64, "kernel_size": 3, "strides": 2}}, "conv 3×3, 64, /2"),
        ({"Conv2D": {"filters": 64, "kernel_size": [1, 7], "strides": [1, 2]}}, "conv 1×7, 64, /1×2"),
        ({"Conv2D": {"filters": 8, "kernel_size": 3, "dilation_rate": 2}}, "conv 3×3, 8, dilation 2"),
        ({"Conv1D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "conv 3, 8, relu"),
        ({"Conv2DTranspose": {"filters": 8, "kernel_size": 2, "strides": 2}}, "up conv 2×2, 8, /2"),
        ("MaxPooling2D", "max pool 2×2, /2"),
        ({"MaxPooling2D": {"pool_size": 3, "strides": 1}}, "max pool 3×3"),
        ({"Dense": {"units": 10, "activation": "softmax"}}, "dense 10, softmax"),
        ({"Dropout": 0.5}, "dropout 0.5"),
        ({"Reshape": [7, 7, 64]}, "reshape 7×7×64"),
        ({"Activation": "relu"}, "relu"),
        ("ReLU", "ReLU"),
        ({"MultiHeadAttention": {"num_heads": 8, "key_dim": 64}}, "attention 8 heads"),
        ({"Embedding": {"input_dim": 37000, "output_dim": 512}}, "embedding 37000 to 512"),
        ({"Rescaling": 0.00392156862745098}, "rescale 0.003922"),
        ({"Bidirectional": {"layer": {"LSTM": 32}}}, "bidir. LSTM 32"),
        ({"LSTM": {"units": 32, "return_sequences": True}}, "LSTM 32, sequences"),
    ],
)
def test_labels(layer: Any, text: str) -> None:
    assert layer_text(parse_layer(layer)) == text


def test_every_example_of_the_catalogue_has_a_short_latin_label() -> None:
    for name, cls in catalogue().items():
        for example in cls.EXAMPLES:
            text = layer_text(parse_layer({name: example.arguments}))
            assert len(text) < 90
            text.encode("latin-1")


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("x * 22.627416997969522", "x * 22.63"),
        ("x[:, 0]", "x[:, 0]"),
        ("concatenate([x[:, 0::2, 0::2], x[:, 1::2, 0::2]], axis=-1)", "concatenate"),
        ("image + pad(reshape(image, (4, 4)), ((0, 0), (0, 0)))", "image + ..."),
    ],
)
def test_formulas(formula: str, text: str) -> None:
    assert formula_text(formula) == text


def test_a_range_has_no_more_digits_than_tell_it_apart() -> None:
    assert range_text([16, 320, 37000]) == "16-37000"
    assert range_text([0.0727273, 0.1636364]) == "0.073-0.164"
    assert range_text([0, 0.175]) == "0-0.175" and range_text([1e-5, 0.0181818]) == "1e-05-0.018"
