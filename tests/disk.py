"""Data on disk for tests, and the scripts of docs/ as modules."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

WORDS = """
archspec: 1
name: words
inputs: {text: {shape: [3], dtype: int64}}
layers: [Embedding: {input_dim: 10, output_dim: 4}, GlobalAveragePooling1D, Dense: {units: 2, activation: softmax}]
data:
  source: {csv: {path: fruit.csv, target: kind, types: {text: string}}}
  preprocess: [TextVectorization: {output_sequence_length: 3}]
train: {epochs: 1, loss: SparseCategoricalCrossentropy, optimizer: {Adam: 0.0001}}
"""
"""A spec for what `words` writes."""


def words(folder: Path, first: str = "red apple") -> None:
    """fruit.csv: texts of which those that begin with red are of the kind r, the others g."""
    texts = [first, "green pear", "red pear", "green apple"] * 10
    rows = "\n".join(f'"{text}",{"r" if text.startswith("red") else "g"}' for text in texts)
    (folder / "fruit.csv").write_text(f"text,kind\n{rows}\n")


def shades(folder: Path, names: Sequence[str] = ("dark", "light"), count: int = 20) -> None:
    """`count` images of 8 × 8 pixels and one colour in a folder for each of two classes below `images`."""
    from PIL import Image

    for value, name in zip((40, 200), names, strict=True):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (value + i,) * 3).save(folder / "images" / name / f"{i}.png")


def script(name: str) -> Any:
    """docs/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
