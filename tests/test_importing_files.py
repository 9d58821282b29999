"""Files that cannot be read exactly: one message each, whatever they hold, and nothing of them is run."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from archspec.build.weights import built
from archspec.graph.verify import verify
from archspec.importing import ImportFailed, opaque, read_network
from archspec.importing.around import put_back
from archspec.layers import parse_layer
from archspec.optimize.network import Network
from tests.keras_models import (
    attention,
    convolutions,
    functions,
    nested,
    randomised,
    sequential,
    tower,
    with_unknown,
)

layers = keras.layers


def test_hdf5_files_that_are_wrong(tmp_path: Path) -> None:
    sequential().save(tmp_path / "m.h5")
    sequential().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ImportFailed, match="has weights only: it does not say of which model"):
        read_network(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        name = next(name for name in file["model_weights"] if name.startswith("batch_normalization"))
        del file[f"model_weights/{name}"]
    with pytest.raises(ImportFailed, match=r"batch_normalization.* has 0 weights in the file, and needs 4"):
        read_network(tmp_path / "m.h5")
    (tmp_path / "m.h5").write_bytes((tmp_path / "m.h5").read_bytes()[:3000])
    with pytest.raises(ImportFailed, match="cannot be read"):
        read_network(tmp_path / "m.h5")
    convolutions().save(tmp_path / "m.h5")
    with pytest.raises(ImportFailed, match=r"get_item.* \(GetItem\): the catalogue has no layer of this name"):
        read_network(tmp_path / "m.h5")


def test_layers_that_are_not_known_are_told(tmp_path: Path) -> None:
    with_unknown().save(tmp_path / "m.keras")
    with pytest.raises(
        ImportFailed, match=r"twist \(Twist\): its code is not Keras's .*double \(Lambda\): it runs arb"
    ):
        read_network(tmp_path / "m.keras")
    assert [(one.node, one.kind) for one in opaque(tmp_path / "m.keras")] == [("twist", "Twist"), ("double", "Lambda")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "m.keras"
    start = keras.Input((6, 4), name="in")
    randomised(keras.Model(start, layers.LSTM(2, name="lstm")(layers.Dense(3, name="dense")(start)))).save(path)
    return path


def changed(path: Path, folder: Path, config: Any = None, weights: Any = None, members: Any = None) -> Path:
    """A copy of a file with its config, its HDF5 file or the list of its members changed by functions."""
    made = folder / "changed.keras"
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    if config:
        data = json.loads(texts["config.json"])
        config(data)
        texts["config.json"] = json.dumps(data).encode()
    if weights:
        stream = io.BytesIO(texts["model.weights.h5"])
        with h5py.File(stream, "a") as file:
            weights(file)
        texts["model.weights.h5"] = stream.getvalue()
    if members:
        members(texts)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return made


KERNEL = "layers/dense/vars/0"


def without(place: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(place)


def replaced(**options: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[KERNEL]
        file.create_dataset(KERNEL, **options)

    return change


def linked(link: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[KERNEL]
        file[KERNEL] = link

    return change


def layer_config(data: Any, name: str) -> Any:
    return next(one for one in data["config"]["layers"] if one["config"]["name"] == name)["config"]


def quantised(data: Any) -> None:
    layer_config(data, "dense")["dtype"] = {
        "module": "keras", "class_name": "QuantizedDTypePolicy",
        "config": {"mode": "int8", "source_name": "float32"}, "registered_name": None,
    }  # fmt: skip


def custom_model(data: Any) -> None:
    data |= {"class_name": "Mine", "registered_name": "mine>Mine", "module": "mine"}


def settings(name: str, **values: Any) -> Callable[[Any], None]:
    return lambda data: layer_config(data, name).update(values)


def renamed(data: Any, name: str) -> None:
    text = json.dumps(data).replace('"dense"', json.dumps(name))
    data.update(json.loads(text))


CODE = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}


INNER = {"module": "mine", "class_name": "Dense", "config": {"units": 3}, "registered_name": "mine>Dense"}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("dense .* quantised .int8.", {"config": quantised}),
    ("dense .* quantised .int8_from_float32.", {"config": settings("dense", dtype="int8_from_float32")}),
    ("has the code of function, which is not run", {"config": settings("dense", activation=CODE)}),
    ("activation 'mine': input should be", {"config": settings("dense", activation="mine")}),
    ("has no argument secret .7.", {"config": settings("dense", secret=7)}),
    ("its dtype is 7|dtype", {"config": settings("dense", dtype=7)}),
    ("the model is a mine>Mine, whose code", {"config": custom_model}),
    (r"gives \(6, 3\) float32, the catalogue's \(6, 100000000000000\)", {"config": settings("dense", units=10**14)}),
    ("not as Keras writes it", {"config": lambda data: data["config"].pop("output_layers")}),
    ("dense/kernel is missing: the file has no layers/dense/vars/0", {"weights": without(KERNEL)}),
    ("lstm/lstm_cell/bias is missing", {"weights": without("layers/lstm/cell/vars/2")}),
    (r"dense/kernel is \(3, 4\) in the file, its layer needs \(4, 3\)", {"weights": replaced(data=np.zeros((3, 4)))}),
    ("no array of numbers", {"weights": replaced(data=np.full((4, 3), b"x"))}),
    ("no array of numbers", {"weights": replaced(data=np.zeros((4, 3), [("a", "f4")]))}),
    ("complex|no array of numbers", {"weights": replaced(data=np.zeros((4, 3), "complex64"))}),
    ("is a link", {"weights": linked(h5py.SoftLink("/layers/lstm/cell/vars/0"))}),
    ("is a link", {"weights": linked(h5py.ExternalLink("/etc/passwd", "/"))}),
    ("no array in the file itself", {"weights": replaced(shape=(4, 3), dtype="f4", external=[("/etc/passwd", 0, 48)])}),
    ("no array in the file itself", {"weights": replaced(data=h5py.Empty("f4"))}),
    ("a name that no file can hold: 'd.ud800'", {"config": lambda data: renamed(data, "d\ud800")}),
    ("a name that no file can hold: 'd.x00'", {"config": lambda data: renamed(data, "d\0")}),
    ("has no model.weights.h5: its weights are missing", {"members": lambda texts: texts.pop("model.weights.h5")}),
    ("cannot be read", {"members": lambda texts: texts.update({"model.weights.h5": b"nothing"})}),
    ("cannot be read", {"members": lambda texts: texts.update({"model.weights.h5": texts["model.weights.h5"][:900]})}),
    ("would unpack to", {"members": lambda texts: texts.update({"model.weights.h5": bytes(80_000_000)})}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "changes"), WRONG, ids=[said[:24] for said, _ in WRONG])
def test_files_that_are_wrong(said: str, changes: dict[str, Any], small: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match=said) as caught:
        read_network(changed(small, tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_an_array_that_would_unpack_to_much_is_not_read(tmp_path: Path) -> None:
    """40,000,000 zeros that take a few bytes in the file; without an array for it, a wide layer costs nothing."""

    def bomb(file: h5py.File) -> None:
        del file[KERNEL]
        file.create_dataset(KERNEL, (4, 10_000_000), "f4", chunks=(1, 1_000_000), compression="gzip")

    keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")]).save(tmp_path / "m.keras")
    wide = settings("dense", units=10_000_000)
    with pytest.raises(ImportFailed, match="dense/kernel would unpack to 160,000,000 bytes from 0"):
        read_network(changed(tmp_path / "m.keras", tmp_path, wide, bomb))
    with pytest.raises(ImportFailed, match=r"dense/kernel is \(4, 3\) in the file, its layer needs \(4, 10000000\)"):
        read_network(changed(tmp_path / "m.keras", tmp_path, wide))
    with pytest.raises(ImportFailed, match="more than 68,719,476,736 weights"):
        read_network(changed(tmp_path / "m.keras", tmp_path, settings("dense", units=10**14)))


def test_a_damaged_archive(small: Path, tmp_path: Path) -> None:
    """Every byte of the file may be wrong: it is read, or refused with a message."""
    data = bytearray(small.read_bytes())
    random = np.random.default_rng(0)
    path = tmp_path / "m.keras"
    for _ in range(60):
        bad = bytearray(data)
        for place in random.integers(0, len(bad), 3):
            bad[place] = random.integers(0, 256)
        path.write_bytes(bad if random.random() < 0.8 else bad[: random.integers(len(bad))])
        try:
            read_network(path)
        except ImportFailed as error:
            assert str(error)


def test_a_damaged_stream(small: Path, tmp_path: Path) -> None:
    data = bytearray(changed(small, tmp_path).read_bytes())  # packed, as Keras does not
    place = data.index(b"config.json") + 20
    data[place : place + 30] = b"\xff" * 30
    (tmp_path / "m.keras").write_bytes(data)
    with pytest.raises(ImportFailed, match=r"m\.keras is no \.keras file .* or damaged: .* while decompressing"):
        read_network(tmp_path / "m.keras")


def test_a_circle_with_a_mask_ends(small: Path, tmp_path: Path) -> None:
    def circle(data: Any) -> None:
        def read(name: str) -> Any:
            return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

        entries = {one["config"]["name"]: one for one in data["config"]["layers"]}
        entries["dense"]["inbound_nodes"] = [{"args": [read("dense")], "kwargs": {}}]
        entries["lstm"]["inbound_nodes"] = [{"args": [read("dense")], "kwargs": {"mask": read("in")}}]

    with pytest.raises(ImportFailed, match="read each other in a circle"):
        read_network(changed(small, tmp_path, circle))


def outside(file: h5py.File, link: Any) -> None:
    del file["layers/twist"]
    file["layers/twist"] = link


def moved_outside(file: h5py.File) -> None:
    del file["layers/twist/vars/0"]
    file["layers/twist/vars"].create_dataset("0", (4,), "f4", external=[("/etc/passwd", 0, 16)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: outside(file, h5py.ExternalLink("/etc/passwd", "/")), "twist is a link"),
        (lambda file: outside(file, h5py.SoftLink("/layers/lambda")), "twist is a link"),
        (lambda file: outside(file, np.zeros(3)), "twist is no group"),
        (moved_outside, "twist/vars/0 does not lie in the file itself"),
    ],
)
def test_what_is_put_back_lies_in_the_file(change: Callable[[h5py.File], None], said: str, tmp_path: Path) -> None:
    with_unknown().save(tmp_path / "m.keras")
    path = changed(tmp_path / "m.keras", tmp_path, weights=change)
    graph, weights = read_network(path, around=True)
    built(Network(graph, weights)).save(tmp_path / "made.keras")
    with pytest.raises(ImportFailed, match=said):
        put_back(tmp_path / "made.keras", path)


def test_what_only_a_training_uses_may_be_unknown(small: Path, tmp_path: Path) -> None:
    own_one = {"module": "mine", "class_name": "Mine", "config": {}, "registered_name": "mine>Mine"}
    values = {
        "kernel_initializer": own_one,
        "kernel_regularizer": {**own_one, "class_name": "L2"},
        "bias_constraint": own_one,
    }
    graph, weights = read_network(changed(small, tmp_path, settings("dense", **values)))
    assert graph.nodes["dense"].layer == parse_layer({"Dense": 3}) and len(weights["dense"]) == 2


def test_a_layer_inside_another_may_not_be_of_another_s_code(small: Path, tmp_path: Path) -> None:
    def wrapped(data: Any) -> None:
        entry = next(one for one in data["config"]["layers"] if one["config"]["name"] == "dense")
        entry["class_name"], entry["config"] = "TimeDistributed", {"name": "dense", "layer": INNER}

    with pytest.raises(ImportFailed, match="has the code of mine>Dense"):
        read_network(changed(small, tmp_path, wrapped))


def monte_carlo() -> keras.Model:
    start = keras.Input((4,))
    return keras.Model(start, layers.Dropout(0.5)(start, training=True))


def monte_carlo_model() -> keras.Model:
    start = keras.Input((4,))
    return keras.Model(start, tower()(start, training=True))


def channels_first() -> keras.Model:
    start = keras.Input((3, 8, 8))
    return keras.Model(start, layers.MaxPooling2D(data_format="channels_first")(start))


def stateful() -> keras.Model:
    start = keras.Input(batch_shape=(2, 6, 4))
    return keras.Model(start, layers.LSTM(3, stateful=True)(start))


def float_mix() -> keras.Model:
    start = keras.Input((4,), dtype="float16")
    return keras.Model(start, start + layers.Dense(4)(start))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (monte_carlo, r"dropout.* \(Dropout\): it is called with training=True"),
        (monte_carlo_model, "the model tower is called with training=True"),
        (channels_first, "data_format 'channels_first'"),
        (stateful, "stateful"),
        (float_mix, r"\(Add\): it mixes float16 and float32"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_a_graph_cannot_say_is_refused(make: Callable[[], keras.Model], said: str, tmp_path: Path) -> None:
    make().save(tmp_path / "m.keras")
    with pytest.raises(ImportFailed, match=said):
        read_network(tmp_path / "m.keras")


def test_keras_is_not_loaded(small: Path) -> None:
    code = (
        "import sys, archspec.importing as i; i.read_network(sys.argv[1]);"
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(small)], check=True, timeout=60, cwd=Path(__file__).parents[1])


def mutated(config: Any, random: np.random.Generator) -> None:
    """Some values of a config taken away, doubled, or made something else."""
    places: list[tuple[Any, Any]] = []
    waiting = [config]
    while waiting:
        value = waiting.pop()
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        places += [(value, key) for key, _ in inside]
        waiting += [one for _, one in inside]
    odd: list[Any] = [None, True, -1, 10**30, float("inf"), "", "linear", [], [None], {}, ["a", 0, 0], "\ud800"]
    for _ in range(2):
        value, key = places[random.integers(len(places))]
        if isinstance(value, list) and random.random() < 0.3 and key < len(value):
            value.append(value[key])
        elif isinstance(value, dict) and random.random() < 0.3:
            value.pop(key, None)
        elif isinstance(value, dict) or key < len(value):
            value[key] = odd[random.integers(len(odd))]


@pytest.mark.parametrize("make", [nested, attention, functions], ids=lambda make: make.__name__)
def test_a_damaged_config(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    """It is refused with a message, or says a network that keeps the invariants."""
    make().save(tmp_path / "m.keras")
    random = np.random.default_rng(0)
    for _ in range(100):
        path = changed(tmp_path / "m.keras", tmp_path, lambda config: mutated(config, random))
        try:
            verify(read_network(path)[0])
        except ImportFailed as error:
            assert str(error)
