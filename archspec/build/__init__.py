"""Graph → keras.Model. Importing this registers archspec's own Keras layers, which saved models may need to load."""

from archspec.build.layers import Formula, Weight
from archspec.build.lower import build

__all__ = ["Formula", "Weight", "build"]
