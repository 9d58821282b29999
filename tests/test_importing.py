"""Keras models read for pictures: what Keras says of them is found again, and no file can do harm."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from archspec.analysis.cost import graph_cost
from archspec.draw import DrawError, diagram, draw
from archspec.draw.model import boxes
from archspec.graph.ir import Graph
from archspec.graph.verify import verify
from archspec.importing import ImportFailed, from_model, imported, load_keras, unknown
from archspec.importing.archive import read_config
from archspec.language.limits import Limits


def layer(kind: str, name: str, inbound: list[Any], **config: Any) -> dict[str, Any]:
    """A layer as Keras 3 writes it; `inbound` has a list of (layer, call, output, shape) for each call."""
    nodes = [{"args": [_tensor(*one) for one in call], "kwargs": {}} for call in inbound]
    return {
        "module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "name": name,
        "inbound_nodes": nodes,
    }  # fmt: skip


def _tensor(name: str, call: int, output: int, shape: list[int | None]) -> dict[str, Any]:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": shape, "dtype": "float32", "keras_history": [name, call, output]},
    }


def functional(*layers: dict[str, Any], output: str = "", name: str = "net") -> dict[str, Any]:
    start = layers[0]["name"]
    config = {
        "name": name, "layers": list(layers), "input_layers": [[start, 0, 0]],
        "output_layers": [[output or layers[-1]["name"], 0, 0]],
    }  # fmt: skip
    return {"class_name": "Functional", "config": config}


IMAGE = layer("InputLayer", "image", [], batch_shape=[None, 8, 8, 3])
FROM_IMAGE = ("image", 0, 0, [None, 8, 8, 3])


def residual_chain(blocks: int) -> dict[str, Any]:
    layers, x = [IMAGE], FROM_IMAGE
    for number in range(blocks):
        conv = layer("Conv2D", f"c{number}", [[x]], filters=3, kernel_size=[3, 3], padding="same")
        relu = layer("ReLU", f"r{number}", [[(f"c{number}", 0, 0, [None, 8, 8, 3])]])
        add = layer("Add", f"a{number}", [[]])
        add["inbound_nodes"][0]["args"] = [[_tensor(*x), _tensor(f"r{number}", 0, 0, [None, 8, 8, 3])]]
        layers += [conv, relu, add]
        x = (f"a{number}", 0, 0, [None, 8, 8, 3])
    return functional(*layers)


def kinds(graph: Graph) -> list[str]:
    return [type(node.layer).__name__ for node in graph.nodes.values()]


def test_repeats_become_uses_of_a_block() -> None:
    graph = imported(residual_chain(5))
    verify(graph)
    blocks = [node.origin.uses[-1] for node in graph.nodes.values() if node.origin.uses]
    assert {(use.kind, use.name, use.iterations) for use in blocks} == {("block", "residual_block", 5)}
    assert list(graph.nodes)[1:4] == [f"residual_block1.{name}" for name in ("conv2d", "relu", "add")]
    rows = [box for box in boxes(diagram(graph).panels[0].items) if box.times == 5]
    groups = [item for item in diagram(graph).panels[0].items if getattr(item, "items", ()) and item.times == 5]
    assert len(rows) + len(groups) >= 1


def test_layers_that_the_catalogue_lacks_keep_their_name_and_shape() -> None:
    mine = layer("Mine", "mine", [[FROM_IMAGE]], secret=[1, {"a": None}])
    mine |= {"module": "mine", "registered_name": "Mine>Mine"}
    after = layer("Flatten", "flat", [[("mine", 0, 0, [None, 4, 5])]])
    graph = imported(functional(IMAGE, mine, after))
    assert kinds(graph) == ["InputLayer", "Mine", "Flatten"]
    assert [str(node.outputs[0]) for node in graph.nodes.values()] == ["(8, 8, 3)", "(4, 5)", "(20,)"]
    assert "secret" in graph.nodes["mine"].layer.model_dump()["settings"]
    assert graph_cost(graph).parameters_total == 0
    assert "Mine" in [box.label for box in boxes(diagram(graph).panels[0].items)]


def test_a_class_of_the_same_name_from_elsewhere_is_not_keras_s() -> None:
    dense = layer("Dense", "dense", [[FROM_IMAGE]], units=4) | {"module": None, "registered_name": "Mine>Dense"}
    node = imported(functional(IMAGE, dense)).nodes["dense"]
    assert type(node.layer).__mro__[1].__name__ == "Foreign" and str(node.outputs[0]) == "(None,)"


def test_a_declared_shape_that_the_catalogue_denies_wins() -> None:
    pool = layer("MaxPooling2D", "pool", [[FROM_IMAGE]], pool_size=[2, 2])
    flat = layer("Flatten", "flat", [[("pool", 0, 0, [None, 5, 5, 3])]])
    graph = imported(functional(IMAGE, pool, flat))
    assert str(graph.nodes["pool"].outputs[0]) == "(5, 5, 3)" and str(graph.nodes["flat"].outputs[0]) == "(75,)"


def test_a_layer_called_again_shares_its_weights() -> None:
    dense = layer("Dense", "dense", [[FROM_IMAGE], [("dense", 0, 0, [None, 8, 8, 3])]], units=3)
    graph = imported(functional(IMAGE, dense, output="dense"))
    verify(graph)
    assert graph.nodes["dense_1"].shares == "dense" and graph_cost(graph).parameters_total == 12


def test_lambdas_are_not_run() -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA"}}
    graph = imported(functional(IMAGE, layer("Lambda", "f", [[FROM_IMAGE]], function=code)))
    assert kinds(graph) == ["InputLayer", "Lambda"]


def test_keras_2() -> None:
    old = {
        "class_name": "Functional",
        "config": {
            "name": "old",
            "layers": [
                {"class_name": "InputLayer", "name": "x", "config": {"batch_input_shape": [None, 4], "name": "x"},
                 "inbound_nodes": []},
                {"class_name": "Dense", "name": "d", "config": {"units": 3, "name": "d"},
                 "inbound_nodes": [[["x", 0, 0, {}]]]},
                {"class_name": "Add", "name": "a", "config": {"name": "a"},
                 "inbound_nodes": [[["d", 0, 0, {}], ["d", 0, 0, {}]]]},
            ],
            "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]],
        },
    }  # fmt: skip
    graph = imported(old)
    verify(graph)
    assert kinds(graph) == ["InputLayer", "Dense", "Add"] and graph_cost(graph).parameters_total == 15


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"class_name": "Mine", "config": {}},
            "Mine is neither a functional nor a Sequential model: only its code says",
        ),
        ({}, "neither"),
        (
            {"class_name": "Functional", "config": {"layers": [3], "input_layers": [], "output_layers": []}},
            "not as Keras",
        ),
        (functional(IMAGE, layer("ReLU", "r", [[("nowhere", 0, 0, None)]])), "reads nowhere"),
        (functional(IMAGE, layer("ReLU", "r", [[("image", 0, 99999999, None)]])), "output 99999999"),
        (functional(IMAGE, layer("ReLU", "r", [[("r", 0, 0, None)]])), "circle"),
        (functional(IMAGE, IMAGE), "same name"),
        ({"class_name": "Sequential", "config": {"layers": []}}, "input's shape"),
    ],
)
def test_configs_that_are_wrong(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ImportFailed, match=said):
        imported(config)


def test_models_inside_models_cannot_grow_without_end() -> None:
    config = functional(IMAGE, layer("ReLU", "r", [[FROM_IMAGE]]))
    for depth in range(12):
        shape = [None, 8, 8, 3]
        inner = {**config, "name": f"m{depth}", "module": "keras", "inbound_nodes": []}
        chained = [FROM_IMAGE, *((f"m{depth}", call, 0, shape) for call in range(9))]
        inner["inbound_nodes"] = [{"args": [_tensor(*one)], "kwargs": {}} for one in chained]
        config = functional(IMAGE, inner)
        config["config"]["output_layers"] = [[f"m{depth}", 10, 0]]
    with pytest.raises(ImportFailed, match="over the limit nodes"):
        imported(config, Limits(nodes=2_000))


def chained(*kinds: str) -> dict[str, Any]:
    """A Sequential model of pools and convolutions."""
    settings: dict[str, Any] = {"Conv2D": {"filters": 4, "kernel_size": [3, 3], "padding": "same"}}
    settings["MaxPooling2D"] = {"pool_size": [2, 2], "padding": "same"}
    layers = [{"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, 64, 64, 3]}}]
    layers += [
        {"module": "keras.layers", "class_name": kind, "config": {"name": f"l{number}", **settings[kind]}}
        for number, kind in enumerate(kinds)
    ]
    return {"class_name": "Sequential", "config": {"name": "chain", "layers": layers}}


def test_a_stage_ends_with_its_pooling() -> None:
    conv, pool = "Conv2D", "MaxPooling2D"
    graph = imported(chained(conv, conv, pool, conv, conv, conv, pool, conv, conv, conv, pool, conv, conv, conv, pool))
    scopes: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        if node.scope:
            scopes.setdefault(node.scope[0], []).append(type(node.layer).__name__)
    assert list(scopes.values()) == [[conv, conv, conv, pool]] * 3


def test_a_shortcut_stands_before_the_way_that_it_shortens() -> None:
    """In the file it stands between the way's layers; first, blocks with and without it have the same columns."""
    shape = [None, 8, 8, 3]
    layers, x = [IMAGE], FROM_IMAGE
    for number in range(3):
        names = [f"c{number}", f"r{number}", f"s{number}", f"d{number}"]
        conv = {"filters": 3, "kernel_size": [3, 3], "padding": "same"}
        ways = [x, (names[0], 0, 0, shape), x, (names[1], 0, 0, shape)]
        kinds_ = [("Conv2D", conv), ("ReLU", {}), ("Conv2D", conv), ("Conv2D", conv)]
        shortcut = number == 0
        for name, way, (kind, config) in zip(names, ways, kinds_, strict=True):
            if shortcut or not name.startswith("s"):
                layers.append(layer(kind, name, [[way]], **config))
        add = layer("Add", f"a{number}", [[]])
        ends = [(names[2], 0, 0, shape) if shortcut else x, (names[3], 0, 0, shape)]
        add["inbound_nodes"][0]["args"] = [[_tensor(*end) for end in ends]]
        layers.append(add)
        x = (f"a{number}", 0, 0, shape)
    graph = imported(functional(*layers))
    verify(graph)
    first = [name for name in graph.nodes if name.startswith("residual_block1.")]
    assert first[0] == "residual_block1.shortcut.conv2d" and first[-1] == "residual_block1.add"
    dashed = [box for panel in diagram(graph).panels for box in boxes(panel.items) if box.partial]
    assert len(dashed) == 1 and dashed[0].path.endswith("shortcut.conv2d")


def test_one_number_stands_for_all_directions() -> None:
    graph = imported(functional(IMAGE, layer("ZeroPadding2D", "pad", [[FROM_IMAGE]], padding=[[3, 3], [3, 3]])))
    assert graph.nodes["pad"].layer.model_dump()["padding"] == 3


def test_classes_that_are_not_known_are_told() -> None:
    mine = layer("Mine", "mine", [[FROM_IMAGE]]) | {"module": "mine", "registered_name": "Mine>Mine"}
    assert unknown(imported(functional(IMAGE, mine))) == ("Mine",) and unknown(imported(residual_chain(2))) == ()


def test_files_of_keras_2(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(functional(IMAGE, layer("ReLU", "relu", [[FROM_IMAGE]])))
    assert kinds(load_keras(tmp_path / "old.h5")) == ["InputLayer", "ReLU"]
    assert draw(load_keras(tmp_path / "old.h5"), tmp_path / "x.dot").exists()
    h5py.File(tmp_path / "weights.h5", "w").close()
    with pytest.raises(ImportFailed, match="has weights only"):
        load_keras(tmp_path / "weights.h5")


def archive(path: Path, **texts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in texts.items():
            file.writestr(name.replace("_json", ".json"), text)
    return path


def test_files_that_are_wrong(tmp_path: Path) -> None:
    cases = {
        "old.h5 cannot be read": tmp_path / "old.h5",
        "cannot read": tmp_path / "nowhere.keras",
        "no .keras file": tmp_path / "text.keras",
        "has no config.json": archive(tmp_path / "empty.keras", other=b""),
        "is not valid": archive(tmp_path / "bad.keras", config_json=b"{"),
        "is no model's": archive(tmp_path / "list.keras", config_json=b"[]"),
    }
    (tmp_path / "text.keras").write_text("text")
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\nand more")
    for said, path in cases.items():
        with pytest.raises(ImportFailed, match=said):
            load_keras(path)
    with pytest.raises(ImportFailed, match=r"is not valid|nested"):
        load_keras(archive(tmp_path / "deep.keras", config_json=b"[" * 200_000))
    bomb = archive(tmp_path / "bomb.keras", config_json=b" " * 5_000_000)
    with pytest.raises(ImportFailed, match="larger than 1,000"):
        read_config(bomb, most_bytes=1_000)


ODD = 'a<b>&"c"{|}\\ ü 名前'


def test_any_name_may_stand_in_a_file(tmp_path: Path) -> None:
    odd = layer(ODD, ODD, [[FROM_IMAGE]]) | {"module": None}
    text = json.dumps(functional(IMAGE, odd, name=f"../{ODD}"))
    graph = load_keras(archive(tmp_path / "odd.keras", config_json=text.encode()))
    assert list(graph.nodes) == ["image", ODD] and kinds(graph)[1] == ODD
    assert draw(graph, tmp_path / "x.dot").read_text("utf-8")


def test_keras_is_not_loaded(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", config_json=json.dumps(residual_chain(3)).encode())
    code = (
        "import sys, archspec.importing as i; g = i.load_keras(sys.argv[1]);"
        "assert not {'keras', 'tensorflow', 'jax', 'numpy', 'h5py'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60, cwd=Path(__file__).parents[1])


# --- against Keras -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras() -> Any:
    from archspec.start import start_keras

    start_keras()
    import keras

    return keras


def test_a_model_of_keras(keras: Any, tmp_path: Path) -> None:
    layers, ops = keras.layers, keras.ops
    tokens = keras.Input((7,), dtype="int32", name="tokens")
    x = layers.Embedding(10, 8, mask_zero=True)(tokens)
    x = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    x, state, _ = layers.LSTM(5, return_sequences=True, return_state=True)(x)
    tower = keras.Sequential([layers.Dense(5), layers.Dense(5)], name="tower")
    inner_input = keras.Input((5,))
    inner = keras.Model(inner_input, layers.Dense(5, activation="relu")(inner_input), name="inner")
    y = tower(ops.relu(tower(state)) + 1.0) + inner(inner(state))
    two = layers.Bidirectional(layers.LSTM(3, kernel_regularizer="l2"))(x)
    model = keras.Model({"tokens": tokens}, {"y": y, "two": two})
    model.save(tmp_path / "m.keras")
    for graph in (from_model(model), load_keras(tmp_path / "m.keras")):
        verify(graph)
        assert graph_cost(graph).parameters_total == model.count_params()
        assert {name: str(graph.type(edge)) for name, edge in graph.outputs.items()} == {"y": "(5,)", "two": "(6,)"}
        assert not [kind for kind in kinds(graph) if kind not in KNOWN]
        assert graph.nodes["tower_1.dense"].shares == "tower.dense" if "tower.dense" in graph.nodes else True
    assert draw(model, tmp_path / "m.mmd").read_text("utf-8").startswith("flowchart")


KNOWN = (
    "InputLayer",
    "Embedding",
    "MultiHeadAttention",
    "LSTM",
    "Dense",
    "Activation",
    "Formula",
    "Add",
    "Bidirectional",
)


def test_models_that_cannot_be_written_as_a_config(keras: Any, tmp_path: Path) -> None:
    class Model(keras.Model):  # type: ignore[misc]
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

    with pytest.raises(DrawError):
        draw(Model(3), tmp_path / "x.dot")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("ResNet50", {"residual_block": 16}), ("MobileNetV2", {"residual_block": 16}),
        ("DenseNet121", {"dense_block": 58}),
        ("EfficientNetB0", {"residual_block": 15}), ("InceptionV3", None), ("Xception", None),
        ("VGG16", {"block": 2, "block_b": 3}),
        ("NASNetMobile", None), ("ConvNeXtTiny", None), ("InceptionResNetV2", None), ("MobileNetV3Small", None),
    ],
)  # fmt: skip
def test_keras_s_own_networks(keras: Any, name: str, blocks: dict[str, int] | None) -> None:
    model = getattr(keras.applications, name)(weights=None)
    graph = from_model(model)
    verify(graph)
    known = not any(type(node.layer).__mro__[1].__name__ == "Foreign" for node in graph.nodes.values())
    assert graph_cost(graph).parameters_total == model.count_params() or not known
    assert str(graph.type(graph.outputs["output"])) == "(1000,)"
    uses = {
        (node.scope[: i + 1], u.name)
        for node in graph.nodes.values()
        for i, u in enumerate(node.origin.uses)
        if u.kind == "block"
    }
    found = {block: sum(name == block for _, name in uses) for _, block in uses}
    assert blocks is None or found == blocks
