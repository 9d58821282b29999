"""The process that runs a network on JAX: it answers `call` with a call's seconds, `run` with a file of outputs."""

from __future__ import annotations

import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    folder = Path(sys.argv[-1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    network, inputs = pickle.loads((folder / "network.pickle").read_bytes())
    call = _compiled(network)
    call(inputs)
    print("ready", file=answers)
    for line in sys.stdin:
        if line.strip() == "call":
            begin = time.perf_counter()
            call(inputs)
            print(time.perf_counter() - begin, file=answers)
        else:
            made = call(pickle.loads((folder / "inputs.pickle").read_bytes()))
            (folder / "outputs.pickle").write_bytes(pickle.dumps(made))
            print("done", file=answers)


def _compiled(network: Any) -> Any:
    import jax
    import numpy as np

    from archspec.build.weights import built

    model = built(network)
    states = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    names = list(network.graph.outputs)

    def function(trainable: Any, fixed: Any, given: Any) -> Any:
        made, _ = model.stateless_call(trainable, fixed, given if len(given) > 1 else given[0], training=False)
        return made if isinstance(made, dict) else {names[0]: made}

    compiled = jax.jit(function)
    return lambda given: {name: np.asarray(value) for name, value in compiled(*states, given).items()}
