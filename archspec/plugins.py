"""Packages that grow by a file: the classes that their modules define."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any


def defined(module: str, base: type[Any]) -> Iterator[Any]:
    """The public classes that a module derives from another, not those that it imports."""
    for name, found in vars(importlib.import_module(module)).items():
        if isinstance(found, type) and issubclass(found, base) and found.__module__ == module and name[0] != "_":
            yield found


def defined_in_package(package: str, base: type[Any]) -> Iterator[Any]:
    """Those of all modules of a package, in the order of the modules' names."""
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        yield from defined(info.name, base)
