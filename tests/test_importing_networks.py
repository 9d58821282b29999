"""Models of Keras read to be optimised: built again from their graph and weights they compute what Keras loads."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from archspec.analysis.cost import graph_cost
from archspec.build.weights import built
from archspec.export.samples import PIXELS
from archspec.graph.ir import Graph
from archspec.graph.prune import pruned
from archspec.graph.verify import verify
from archspec.importing import ImportFailed, calls, exact, network, places, read_network, readings, stored
from archspec.importing.around import put_back
from archspec.language.limits import Limits
from archspec.layers import catalogue, parse_layer
from archspec.layers.base import Example, Layer
from archspec.optimize.driver import optimize
from archspec.optimize.network import Network
from tests.keras_models import (
    Twist,
    activations,
    adapted,
    attention,
    called,
    check,
    convolutions,
    explicit_mask,
    functions,
    half_precision,
    kinds,
    lost_mask,
    low_rank,
    masking,
    nested,
    nested_and_shared,
    np_tree,
    own_layers,
    randomised,
    read_again,
    recurrent,
    renamed_inputs,
    sequential,
    several_in_and_out,
    shared,
    shared_across_models,
    spectral,
    structure,
    values,
    with_unknown,
    without_functions,
)
from tests.random_graphs import graphs
from tests.test_catalogue import applied, flat

layers = keras.layers


def test_a_sequential_model(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((9, 9, 3)), layers.Conv2D(4, 3, activation="relu", name="a"), layers.BatchNormalization(),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3, activation="softmax"),
        ]
    )  # fmt: skip
    graph = check(model, tmp_path)
    assert list(graph.nodes)[1:] == [layer.name for layer in model.layers]


MODELS = [
    convolutions, recurrent, attention, explicit_mask, lost_mask, masking, shared, nested, several_in_and_out,
    functions, activations, adapted, low_rank, spectral, own_layers, renamed_inputs,
]  # fmt: skip


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_models(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    check(make(), tmp_path)


@pytest.mark.parametrize(
    ("make", "owners"),
    [(shared_across_models, ["left.table"] * 2), (nested_and_shared, ["tower.dense", "tower.bn"])],
)
def test_a_layer_of_several_models(make: Callable[[], keras.Model], owners: list[str], tmp_path: Path) -> None:
    """Keras cannot load these: it makes the layer anew in each model, and finds its weights in one."""
    graph = check(make(), tmp_path, load=False)
    assert [node.shares for node in graph.nodes.values() if node.shares] == owners


def test_half_precision(tmp_path: Path) -> None:
    check(half_precision(), tmp_path, tolerance=1e-2)


# Of these the model itself cannot be called, or not twice with the same result.
NOT_COMPARED = {
    "InputLayer": "no layer",
    "Sampling": "noise",
    "Equalization-0": "Keras gives its input back, and no model can be made of it",
    "RandomShear-0": "Keras cannot load what it saves",
    "TextVectorization-4": "Keras gives a ragged tensor",
}


EXAMPLES = [
    pytest.param(cls, example, id=f"{cls.__name__}-{i}")
    for cls in catalogue().values()
    for i, example in enumerate(cls.EXAMPLES)
    if not {cls.__name__, f"{cls.__name__}-{i}"} & NOT_COMPARED.keys()
]


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_every_layer_of_the_catalogue(cls: type[Layer], example: Example, tmp_path: Path) -> None:
    keras.utils.clear_session(free_memory=False)
    layer, pairs = parse_layer({cls.__name__: dict(example.arguments)}), flat(cls, example)
    tensors = [(name, keras.Input(t.shape, dtype=t.dtype)) for name, t in pairs]
    _, outputs = applied(layer, tensors)
    check(keras.Model([tensor for _, tensor in tensors], outputs), tmp_path, bound=example.values)


APPLICATIONS = {
    "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Small": 32, "MobileNetV3Large": 32, "EfficientNetB0": 32,
    "EfficientNetV2B0": 32, "EfficientNetV2S": 32, "VGG16": 32, "VGG19": 32, "ResNet50": 32, "ResNet50V2": 32,
    "ResNet101": 32, "ResNet152V2": 32, "DenseNet121": 32, "DenseNet201": 32, "InceptionV3": 75,
    "InceptionResNetV2": 75, "Xception": 71, "NASNetMobile": 32, "ConvNeXtTiny": 32, "ConvNeXtSmall": 32,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_s_own_networks(name: str, tmp_path: Path) -> None:
    size = APPLICATIONS[name]
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), include_top=False, pooling="avg"
    )
    graph = check(model, tmp_path, tolerance=1e-4)
    assert {one.name for one in model.layers if not isinstance(one, keras.Model)} <= graph.nodes.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DenseNet169", "EfficientNetB7", "EfficientNetV2L", "NASNetLarge", "ResNet152"])
def test_keras_s_largest_networks(name: str) -> None:
    """Whole sizes of the same families: every layer is known, with the weights that Keras counts."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(None, None, 3), include_top=False)
    reader = network.ExactReader(Limits(), lambda place: None)
    graph = reader.read(json.loads(model.to_json()))
    verify(graph)
    assert not reader.opaque and graph_cost(graph).parameters_total == model.count_params()


@pytest.mark.parametrize("make", [without_functions, sequential], ids=lambda make: make.__name__)
def test_models_in_hdf5(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    check(make(), tmp_path, name="m.h5")


@pytest.mark.parametrize("make", [convolutions, nested, shared], ids=lambda make: make.__name__)
def test_what_is_read_can_be_optimised(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = randomised(make())
    network_read = read_again(model, tmp_path / "m.keras")
    optimised = built(optimize(network_read, level="inference").network)
    inputs = [values(tensor, 5, seed) for seed, tensor in enumerate(keras.tree.flatten(structure(model)))]
    expected = called(model, inputs)
    found = np_tree(optimised(inputs if len(inputs) > 1 else inputs[0], training=False))
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@given(graph=graphs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_built_graph_is_read_again(graph: Graph, tmp_path: Path) -> None:
    """Under the names of its layers; a file does not say what further uses of a layer are called."""
    found, needed = check(built(Network(graph)), tmp_path, load=False, unknown=PIXELS), pruned(graph)
    owners = [{name for name, node in each.nodes.items() if not node.shares} for each in (found, needed)]
    assert owners[0] == owners[1] and len(found.nodes) == len(needed.nodes)
    assert found.outputs.keys() == graph.outputs.keys()


# --- what is put back into the file that is written -----------------------------------------------


def in_lists() -> keras.Model:
    start = keras.Input((4,), name="x")
    x = layers.BatchNormalization()(layers.Dense(3)(start))
    return keras.Model([start], [x, layers.Dense(2)(x), start])


def in_mappings() -> keras.Model:
    """The keys are other names than the inputs', and in another order."""
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = layers.Concatenate()([a, b])
    return keras.Model({"two": a, "one": b}, {"v": layers.Dense(2)(x), "u": layers.Dense(3)(x)})


def in_one_mapping() -> keras.Model:
    start = keras.Input((4,), name="x")
    return keras.Model(start, {"only": layers.Dense(2)(start)})


@pytest.mark.parametrize("make", [in_lists, in_mappings, in_one_mapping], ids=lambda make: make.__name__)
def test_inputs_and_outputs_stay_in_their_lists_and_mappings(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = randomised(make())
    model.save(tmp_path / "m.keras")
    graph, weights = read_network(tmp_path / "m.keras")
    built(optimize(Network(graph, weights), "inference").network).save(tmp_path / "made.keras")
    put_back(tmp_path / "made.keras", tmp_path / "m.keras")
    made = keras.saving.load_model(tmp_path / "made.keras")
    x = keras.tree.map_structure(lambda t: np.full((2, *t.shape[1:]), 0.5, t.dtype), model.input)
    keras.tree.assert_same_structure(model.input, made.input)
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), model(x), made(x))


def products() -> keras.Model:
    start = keras.Input((5, 4))
    return keras.Model(start, keras.ops.einsum("bij,bkj->bik", keras.ops.tanh(start), start))


def test_functions_whose_first_argument_is_a_text(tmp_path: Path) -> None:
    model = products()
    x = np.random.default_rng(0).standard_normal((3, 5, 4)).astype("float32")
    made = built(read_again(model, tmp_path / "m.keras"))
    np.testing.assert_allclose(model(x), made(x), atol=1e-6)
    made.save(tmp_path / "o.keras")
    put_back(tmp_path / "o.keras", tmp_path / "m.keras")
    np.testing.assert_allclose(model(x), keras.models.load_model(tmp_path / "o.keras")(x), atol=1e-6)


def test_quantised_layers_are_put_back(tmp_path: Path) -> None:
    model = randomised(keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(3)]))
    model.quantize("int8")
    model.save(tmp_path / "m.keras")
    with pytest.raises(ImportFailed, match=r"dense.* \(Dense\): it is quantised \(int8\)"):
        read_network(tmp_path / "m.keras")
    built(Network(*read_network(tmp_path / "m.keras", around=True))).save(tmp_path / "made.keras")
    put_back(tmp_path / "made.keras", tmp_path / "m.keras")
    x = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
    np.testing.assert_array_equal(model(x), keras.saving.load_model(tmp_path / "made.keras")(x))


def test_a_model_inside_may_have_a_name_with_a_dot(tmp_path: Path) -> None:
    """As those of keras.applications: its layers stand in one scope, and two of one name in two."""
    start, x = keras.Input((4,)), None
    for name in ("net_1.00", "net_1_00"):
        inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense")], name=name)
        x = inner(start if x is None else x)
    model = randomised(keras.Model(start, x))
    network = read_again(model, tmp_path / "m.keras")
    assert [*network.graph.nodes][1:] == ["net_1_00.dense", "net_1_00_1.dense"]
    values = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
    np.testing.assert_allclose(model(values), built(network)(values), atol=1e-6)


def test_integers_are_not_read_as_floats(tmp_path: Path) -> None:
    """Of attention that was quantised, the config says nothing: its kernels are integers and their scales."""
    start = keras.Input((5, 4))
    model = keras.Model(start, layers.MultiHeadAttention(2, 4)(start, start))
    model.quantize("int8")
    model.save(tmp_path / "m.keras")
    for around in (False, True):
        with pytest.raises(ImportFailed, match=r"query/kernel is int8 in the file.* was quantised"):
            read_network(tmp_path / "m.keras", around=around)


def test_a_layer_inside_another_is_told_by_its_class(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    keras.Sequential([keras.Input((5, 4)), layers.TimeDistributed(inner)]).save(tmp_path / "m.keras")
    with pytest.raises(ImportFailed, match=r"\(TimeDistributed\): layer Sequential: layer 'Sequential' is not known"):
        read_network(tmp_path / "m.keras")


def test_layers_that_are_not_known_are_put_back(tmp_path: Path) -> None:
    """The rest of the model is optimised around them; Keras loads the result as it loads the original."""
    model = randomised(with_unknown())
    model.save(tmp_path / "m.keras")
    graph, weights = read_network(tmp_path / "m.keras", around=True)
    verify(graph)
    assert "twist" not in weights and graph.nodes["twist_1"].shares == "twist"
    optimised = optimize(Network(graph, weights), level="inference").network
    assert kinds(optimised.graph).count("Dropout") < kinds(graph).count("Dropout")
    built(optimised).save(tmp_path / "o.keras")
    put_back(tmp_path / "o.keras", tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "o.keras", custom_objects={"Twist": Twist}, safe_mode=False)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [functions, lost_mask, nested], ids=lambda make: make.__name__)
def test_functions_are_put_back(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    """What was a function of keras.ops is one again: the file needs nothing of archspec's to be loaded."""
    model = randomised(make())
    built(read_again(model, tmp_path / "m.keras")).save(tmp_path / "o.keras")
    put_back(tmp_path / "o.keras", tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "o.keras") as archive:
        assert b"archspec" not in archive.read("config.json")
    loaded = keras.models.load_model(tmp_path / "o.keras")
    inputs = [values(tensor, 5, seed) for seed, tensor in enumerate(keras.tree.flatten(structure(model)))]
    found, expected = called(loaded, inputs), called(model, inputs)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)


# --- deliberate breakages: what the comparison with Keras must notice ----------------------------


def passing_masks(call: Any, types: Any, masked: bool) -> Any:
    return readings.reading(call, types, False)


def exchanged(*arguments: Any) -> Any:
    """Weights of the same shape in another order, as a wrong reading of Keras's files would give them."""
    found = dict(stored.read_weights(*arguments))
    for name, arrays in found.items():
        if len(arrays) > 1 and arrays[-1].shape == arrays[-2].shape:
            found[name] = (*arrays[:-2], arrays[-1], arrays[-2])
    return found


def same_direction(layer: Layer, weights: Any) -> list[str]:
    return [path.replace("backward_layer", "forward_layer") for path in places.weight_places(layer, weights)]


def default_activations(name: str, config: Any, call: Any) -> Layer:
    return exact.exact_layer(name, {key: value for key, value in config.items() if value != "linear"}, call)


BREAKAGES: list[tuple[Callable[[], keras.Model], Any, str, Any]] = [
    (lost_mask, network, "reading", passing_masks),
    (explicit_mask, network, "drop_implicit", calls.drop_computed_masks),
    (convolutions, network, "read_weights", exchanged),
    (recurrent, stored, "weight_places", same_direction),
    (recurrent, readings, "exact_layer", default_activations),
]


@pytest.mark.parametrize(("make", "module", "name", "broken"), BREAKAGES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_breakage_is_noticed(
    make: Callable[[], keras.Model], module: Any, name: str, broken: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError):
        check(make(), tmp_path)
