"""archspec: neural architectures as specs.

>>> import archspec
>>> net = archspec.load("specs/resnet.yaml@resnet50", params={"classes": 10})
>>> net.summary().to_json()["parameters"]["total"]
23581642
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archspec.architecture import Architecture, load, loads
    from archspec.diagnostics import Diagnostic, SpecError
    from archspec.language.limits import Limits

__version__ = "0.1.0"
__all__ = ["Architecture", "Diagnostic", "Limits", "SpecError", "__version__", "load", "loads"]

_HOMES = {
    "Architecture": "architecture", "load": "architecture", "loads": "architecture", "Diagnostic": "diagnostics",
    "SpecError": "diagnostics", "Limits": "language.limits",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'archspec' has no attribute {name!r}")
    return getattr(import_module(f"archspec.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
