"""The weights of a built model by the graph's nodes, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archspec.graph.prune import pruned
from archspec.optimize.network import Network, Weights, check_weights

if TYPE_CHECKING:
    import keras

    from archspec.graph.ir import Graph


def read_weights(model: keras.Model, graph: Graph) -> Weights:
    """The weights of a model that was built from the graph; those that nodes share once, by the node that makes them.

    Nodes that no output needs are left out, as Keras leaves them out of the model.

    Shape: of each node those of `graph.weights(node)`, in that order.
    """
    import keras

    graph, found = pruned(graph), {}
    for name, node in graph.nodes.items():
        if graph.weights(node):
            found[name] = tuple(keras.ops.convert_to_numpy(weight) for weight in model.get_layer(name).weights)
    check_weights(graph, found)
    return found


def write_weights(model: keras.Model, graph: Graph, weights: Weights) -> None:
    """Gives a model that was built from the graph those weights."""
    check_weights(graph, weights)
    needed = pruned(graph).nodes
    for name in filter(needed.__contains__, weights):
        variables = model.get_layer(name).weights
        assert [tuple(v.shape) for v in variables] == [w.shape for w in graph.weights(needed[name])], name
        for variable, value in zip(variables, weights[name], strict=True):
            variable.assign(value)
    finish(model)


def finish(model: keras.Model) -> None:
    """What is to be done once weights were given: Normalization computes with what it derives from its own."""
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def built(network: Network) -> keras.Model:
    """The network as a Keras model, with its weights where it has some."""
    from archspec.build.lower import build

    model = build(network.graph)
    if network.weights is not None:
        write_weights(model, network.graph, network.weights)
    return model


def fresh(graph: Graph) -> Network:
    """The network with the weights that its initializers draw; what no output needs is left out."""
    from archspec.build.lower import build

    graph = pruned(graph)
    return Network(graph, read_weights(build(graph), graph))
