"""Names that frameworks take."""

from __future__ import annotations

import re


def legal_name(name: str) -> str:
    """The name with what Keras or TensorFlow forbid in a scope's name made underscores."""
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
    return name if re.match(r"[A-Za-z0-9.]", name) else f"model{name}"
