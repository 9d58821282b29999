"""Graph → readable Python: functions where the spec has blocks, loops where they repeat. No framework is loaded."""

from archspec.export.code.module import Unwritable, python_code

__all__ = ["Unwritable", "python_code"]
