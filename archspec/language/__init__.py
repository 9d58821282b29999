"""The spec language: text → document → graph."""

from archspec.language.document import Document
from archspec.language.elaborate import elaborate, elaborate_steps
from archspec.language.limits import Limits
from archspec.language.readings import Reading, read_formulas
from archspec.language.resolve import load, loads
from archspec.language.sections import section

__all__ = [
    "Document", "Limits", "Reading", "elaborate", "elaborate_steps", "load", "loads", "read_formulas", "section",
]  # fmt: skip
