"""Mappings from the names of Hugging Face's `transformers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.weights.rules import Rule

MAPPINGS: Mapping[str, Sequence[Rule]] = {}
