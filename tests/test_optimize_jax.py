"""Passes proven on Keras's JAX backend: a process takes one backend, so the tests of passes run in another one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = """
import sys, archspec
from archspec.export.refused import proven
from archspec.graph.prune import pruned
from archspec.optimize.driver import OPTIONAL, ORDER
from archspec.optimize.network import Network

import keras
assert keras.backend.backend() == "jax"
spec, *changes = sys.argv[1].split()
network = Network(pruned(archspec.load(spec, changes=changes).graph))
for level in ("inference", "training"):
    found = proven(network, level, [p for p in (*ORDER, *OPTIONAL) if level == "inference" or p.level == level])
    assert found.proof.holds and not found.refused, (level, str(found.proof), found.refused)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
]


def on_jax(*arguments: str) -> None:
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, f"{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"


@pytest.mark.parametrize("file", ["test_proof.py", "test_optimize.py"])
def test_every_pass_is_proven_and_mistakes_are_noticed(file: str) -> None:
    on_jax("-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", f"tests/{file}")


@pytest.mark.parametrize(
    "line",
    [
        "resnet.yaml@cifar20",
        "mobilenet.yaml@v2 params.size=32 params.alpha=0.35",
        "densenet.yaml@cifar100_k12_bc params.cifar=10",
        "lstm_text.yaml@small",
        "transformer.yaml@tiny",
        "gcn.yaml@small",
        "vae.yaml@digits",
        "unet.yaml@small",
    ],
)
def test_networks_are_proven_at_both_levels(line: str) -> None:
    on_jax("-c", CODE, f"specs/{line}")
