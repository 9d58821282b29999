"""Figures from predictions: what a trained network gets right and wrong, by scikit-learn's definitions."""

from archspec.train.figures.judge import Judged, judge, unjudged
from archspec.train.figures.worst import Example

__all__ = ["Example", "Judged", "judge", "unjudged"]
