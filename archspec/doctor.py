"""Whether everything that archspec needs is there: versions, backend, devices, Graphviz, fonts; with the remedies."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import archspec

if TYPE_CHECKING:
    from archspec.draw.engine import Engine, Fonts

_NEEDED = ("keras", "tensorflow", "pydantic", "pyyaml", "scikit-learn", "matplotlib", "tensorflow-datasets")
_LIKE_HELVETICA = ("Helvetica", "Arial", "Liberation Sans", "Nimbus Sans", "Arimo", "TeX Gyre Heros", "FreeSans")
_DEVICES_TIMEOUT_S = 120  # importing TensorFlow takes 5 to 20 s, a driver that hangs takes for ever

# A framework may end the process where a driver is broken; in a process of its own it cannot take ours along.
_DEVICES = """
import json, keras
print("\\n" + json.dumps([keras.backend.backend(), keras.distribution.list_devices()]))
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `needed` ones make the doctor unhappy where they are missing."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def examine(devices: bool = True) -> Iterator[Finding]:
    """All findings, one after the other. `devices` starts the framework in a process of its own."""
    yield Finding("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer")
    yield Finding("archspec", True, archspec.__version__)
    for package in _NEEDED:
        yield _package(package, f"pip install {package}")
    yield _package("jax", 'for the JAX backend: pip install "archspec[jax]"', needed=False)
    yield backend()
    yield from pictures()
    if devices:
        yield _devices()


def _package(package: str, remedy: str, needed: bool = True) -> Finding:
    name = f"{package}-cpu" if package == "tensorflow" and not _version(package) else package
    version = _version(name)
    return Finding(package, version is not None, version or "missing", "" if version else remedy, needed)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def backend() -> Finding:
    """The backend of runs whose spec names none."""
    wanted = os.environ.get("KERAS_BACKEND", "tensorflow")
    said = f"{wanted} (by KERAS_BACKEND)" if "KERAS_BACKEND" in os.environ else f"{wanted} (the default)"
    if wanted not in ("tensorflow", "jax"):
        return Finding(
            "backend", False, said, "archspec trains with tensorflow or jax: export KERAS_BACKEND=tensorflow"
        )
    there = importlib.util.find_spec(wanted) is not None
    return Finding("backend", there, said, "" if there else f"pip install {wanted}")


def pictures() -> Iterator[Finding]:
    """Graphviz, by which program it is run, and its fonts."""
    from archspec.draw.engine import INSTALL, INSTALL_FONTS, DrawError, engine, fonts

    graphviz = engine()
    if graphviz is None:
        said = "missing: no SVG, PDF, PNG or TikZ; HTML, Mermaid, JSON, tables and DOT need none"
        yield Finding("graphviz", False, said, INSTALL, needed=False)
        return
    try:
        yield Finding("graphviz", True, _graphviz_text(graphviz))
        found = fonts(graphviz)
    except (DrawError, subprocess.TimeoutExpired) as error:
        yield Finding("graphviz", False, str(error), INSTALL, needed=False)
        return
    yield Finding("fonts", found.usable, _fonts_text(found), "" if found.usable else INSTALL_FONTS, needed=False)


def _graphviz_text(graphviz: Engine) -> str:
    """`14.0.2, by pygraphviz 2.0.4 (there is no program dot)`; Graphviz writes its version into every SVG."""
    from archspec.draw.engine import render

    svg = render("digraph {}", "svg", graphviz).decode(errors="replace")
    version = re.search(r"graphviz version ([\w.]+)", svg)
    by = graphviz.command[0] if graphviz.kind == "dot" else f"{graphviz.version()} (there is no program dot)"
    return f"{version[1] if version else 'unknown version'}, by {by}"


def _fonts_text(found: Fonts) -> str:
    if not found.usable:
        return "none found: pictures would have no text"
    if not found.family:
        return "found"
    family = found.family.split(",")[-1]
    if family in _LIKE_HELVETICA:
        return family
    return f"{family}, in place of Helvetica; fonts-liberation has one that looks like it"


def _devices() -> Finding:
    remedy = "run: python -c 'import keras', which says what is wrong"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        run = subprocess.run(
            [sys.executable, "-c", _DEVICES],
            capture_output=True, text=True, timeout=_DEVICES_TIMEOUT_S, check=False, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding("devices", False, f"the framework did not start within {_DEVICES_TIMEOUT_S} s", remedy)
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
        return Finding("devices", False, last[0], remedy)
    backend, devices = json.loads(run.stdout.strip().splitlines()[-1])
    return Finding("devices", True, f"{', '.join(devices)} ({backend})")
