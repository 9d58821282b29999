"""The network with its augmentation in front.

Augmentation stands in the model rather than in the input pipeline so that it works the same on every backend and for
arrays and streams alike, and so that its random states are the model's: one seed decides a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from archspec.build import build
from archspec.graph.ir import Graph


class Augment(keras.layers.Layer):  # type: ignore[misc]
    """Applies a model while training, and nothing otherwise."""

    def __init__(self, model: keras.Model, **options: Any) -> None:
        super().__init__(**options)
        self.model = model

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.model(x, training=True) if training else x

    def compute_output_spec(self, x: Any, **_: Any) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype if "float" in str(x.dtype) else x.dtype)


def compose(
    network: keras.Model, graph: Graph, augment: Mapping[str, keras.Model]
) -> tuple[list[keras.KerasTensor], dict[str, keras.KerasTensor]]:
    """Inputs, and the network's outputs by name once its augmentation is put in front."""
    if not augment:
        return list(network.inputs), by_name(network.output, graph)
    inputs = [keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in network.inputs]
    seen = [
        Augment(augment[name], name=f"augment_{name}", dtype="float32")(tensor) if name in augment else tensor
        for name, tensor in zip(graph.inputs, inputs, strict=True)
    ]
    made = network(seen if len(seen) > 1 else seen[0])
    return inputs, by_name(made, graph)


def by_name(made: Any, graph: Graph) -> dict[str, keras.KerasTensor]:
    """A network's results by the names of the outputs, which a single one comes without."""
    return dict(made) if isinstance(made, Mapping) else {next(iter(graph.outputs)): made}


def augment_models(steps: Mapping[str, Graph]) -> dict[str, keras.Model]:
    return {name: build(graph) for name, graph in steps.items()}
