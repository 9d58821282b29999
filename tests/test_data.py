"""Sources, splits, and the fit of data and network: found before anything is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archspec
from archspec.data.base import Arrays, DataError, Loaded, Source, Stream, sources
from archspec.data.plan import Plan, plan
from archspec.data.settings import Data, Split
from archspec.data.split import BadSplit, count, divide, select
from archspec.data.tables import load_arrays
from archspec.train.check import check_settings

SPEC = """
archspec: 1
name: tiny
inputs: {image: [8, 8, 1]}
layers:
  - Flatten
  - Dense: {units: 10, activation: softmax}
data:
  source: {sklearn: digits}
train:
  loss: SparseCategoricalCrossentropy
"""


def source(kind: str, **arguments: Any) -> Source:
    return sources()[kind].model_validate(arguments)


def planned(text: str, folder: Path | None = None) -> Plan:
    spec = archspec.loads(text, folder=folder)
    settings = check_settings(spec.document, spec.graph)
    return plan(spec.document, spec.graph, settings.data, settings.losses(spec.graph))


def refused(text: str, folder: Path | None = None) -> str:
    with pytest.raises(archspec.SpecError) as caught:
        planned(text, folder)
    return str(caught.value)


def rows(loaded: Loaded, text: str) -> list[dict[str, Any]]:
    """The examples of a split, one by one."""
    found = loaded.read(select(loaded.sizes, text, "train"))
    if isinstance(found, Arrays):
        return [{name: values[i] for name, values in found.values.items()} for i in range(found.size)]
    examples = list(found.open().as_numpy_iterator())
    assert len(examples) == found.size
    return examples


# --- sources --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "shape", "classes"),
    [("digits", 1797, (64,), 10), ("iris", 150, (4,), 3), ("wine", 178, (13,), 3), ("breast_cancer", 569, (30,), 2)],
)
def test_sklearn(name: str, size: int, shape: tuple[int, ...], classes: int) -> None:
    loaded = source("sklearn", name=name).load(Path())
    assert loaded.sizes == {"all": size}
    assert loaded.fields["features"].type.shape == shape
    assert len(loaded.fields["label"].classes or ()) == classes
    assert loaded.fingerprint == source("sklearn", name=name).load(Path()).fingerprint


def test_sklearn_amounts_are_no_classes() -> None:
    loaded = source("sklearn", name="diabetes").load(Path())
    assert loaded.fields["target"].classes is None
    assert loaded.labels == {}


def test_npz_takes_splits_from_the_names(tmp_path: Path) -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
    np.savez(tmp_path / "a.npz", x_train=x[:4], y_train=y[:4], x_test=x[4:], y_test=y[4:])
    loaded = source("npz", path="a.npz").load(tmp_path)
    assert loaded.sizes == {"train": 4, "test": 2}
    assert (loaded.inputs, loaded.targets) == (("x",), ("y",))
    assert loaded.fields["y"].classes == ("0", "1", "2")
    assert [row["y"] for row in rows(loaded, "test")] == [1, 2]


def test_npz_runs_no_code(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([print], dtype=object), y=np.zeros(1))
    with pytest.raises(DataError, match="cannot be read"):
        source("npz", path="a.npz").load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04broken"])
def test_npz_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        source("npz", path="a.npz").load(tmp_path)


def test_npz_lengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros(4))
    with pytest.raises(DataError, match=r"equally many examples.*x \(3, 2\), y \(4,\)"):
        source("npz", path="a.npz").load(tmp_path)


def test_csv_types(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("size,colour,note,kind\n1.5,red,a b,cat\n2,blue,c,dog\n,red,d,cat\n")
    loaded = source("csv", path="a.csv", target="kind", types={"note": "string"}).load(tmp_path)
    assert loaded.fields["kind"].classes == ("cat", "dog")
    assert loaded.fields["features"].type.shape == (2,)
    assert loaded.fields["note"].type.dtype == "string"
    first, _, third = rows(loaded, "all")
    np.testing.assert_allclose(first["features"], [1.5, 1])
    assert np.isnan(third["features"][0])
    assert [row["kind"] for row in rows(loaded, "all")] == [0, 1, 0]


def test_csv_columns_and_amounts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b;c\n1;2;3\n4;5;6\n")
    loaded = source("csv", path="a.csv", target="c", columns=["b"], types={"c": "float"}, delimiter=";").load(tmp_path)
    assert loaded.fields["c"].classes is None
    assert [float(row["features"][0]) for row in rows(loaded, "all")] == [2, 5]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("a,b\n1,2\n3\n", {}, "a.csv:3 has 1 values, its first line has 2"),
        ("a,b\n", {}, "has no examples"),
        ("", {}, "has no examples"),
        ("a,a,b\n1,2,3\n", {}, "two columns 'a'"),
        ("a,c\n1,2\n", {}, "has no column 'b'"),
        ("a,b\nx,2\n", {"types": {"a": "float"}}, "column 'a' of .* should hold floats, example 1 holds 'x'"),
    ],
)
def test_csv_mistakes(tmp_path: Path, text: str, arguments: dict[str, Any], said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        source("csv", path="a.csv", target="b", **arguments).load(tmp_path)


def write_images(folder: Path, per_class: int = 3) -> None:
    from PIL import Image

    for value, name in ((0, "black"), (255, "white")):
        (folder / name / "deeper").mkdir(parents=True)
        for i in range(per_class):
            place = folder / name / ("deeper" if i else "") / f"{i}.{'png' if i % 2 else 'jpg'}"
            Image.new("RGB", (6 + i, 4), (value,) * 3).save(place)


def test_images(tmp_path: Path) -> None:
    write_images(tmp_path / "all")
    loaded = source("images", path="all", size=(4, 5), color_mode="grayscale").load(tmp_path)
    assert loaded.fields["label"].classes == ("black", "white")
    examples = rows(loaded, "all")
    assert [int(row["label"]) for row in examples] == [0, 0, 0, 1, 1, 1]
    assert examples[5]["image"].shape == (4, 5, 1)
    assert [float(row["image"].mean()) for row in examples] == pytest.approx([0, 0, 0, 255, 255, 255], abs=1)


def test_images_in_splits(tmp_path: Path) -> None:
    write_images(tmp_path / "train")
    write_images(tmp_path / "val", 1)
    loaded = source("images", path=".", size=4, crop_to_aspect_ratio=True).load(tmp_path)
    assert loaded.sizes == {"train": 6, "validation": 2}
    assert rows(loaded, "validation")[1]["image"].shape == (4, 4, 3)


def test_images_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folder .* is not there"):
        source("images", path="none").load(tmp_path)
    with pytest.raises(DataError, match="no images lie in"):
        source("images", path=".").load(tmp_path)


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set prepared on the disk in the format of TensorFlow Datasets."""
    tfds = pytest.importorskip("tensorflow_datasets")
    folder: Path = tmp_path_factory.mktemp("tfds")

    with tfds.core.registered.skip_registration():  # so that it is found by its files alone

        class Dots(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, name-defined]
            VERSION = tfds.core.Version("1.0.0")

            def _info(self) -> Any:
                features = {
                    "image": tfds.features.Image(shape=(4, 4, 1)),
                    "label": tfds.features.ClassLabel(names=["low", "high"]),
                }
                described = tfds.features.FeaturesDict(features)
                return tfds.core.DatasetInfo(builder=self, features=described, supervised_keys=("image", "label"))

            def _split_generators(self, _: Any) -> Any:
                return {"train": self._generate_examples(0, 20), "test": self._generate_examples(20, 26)}

            def _generate_examples(self, start: int, end: int) -> Any:
                for i in range(start, end):
                    yield i, {"image": np.full((4, 4, 1), i, "uint8"), "label": i % 2}

    Dots(data_dir=str(folder)).download_and_prepare()
    return folder


def test_tfds(tfds_dir: Path) -> None:
    loaded = source("tfds", name="dots", data_dir=str(tfds_dir)).load(Path())
    assert loaded.sizes == {"train": 20, "test": 6}
    assert (loaded.inputs, loaded.targets) == (("image",), ("label",))
    assert loaded.fields["label"].classes == ("low", "high")
    assert str(loaded.fields["image"].type) == "(4, 4, 1) uint8"
    everything = [int(row["image"][0, 0, 0]) for row in rows(loaded, "train+test")]
    assert sorted(everything) == list(range(26))
    assert [int(row["image"][0, 0, 0]) for row in rows(loaded, "train[25%:50%]")] == everything[5:10]
    parts = divide(loaded, Split(validation=0.25), "label")
    seen = [
        {int(r["image"][0, 0, 0]) for r in rows_of(loaded, part)}
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert [len(values) for values in seen] == [15, 5, 6]
    assert set.union(*seen) == set(range(26))


def rows_of(loaded: Loaded, selection: Any) -> list[dict[str, Any]]:
    found = loaded.read(selection)
    assert isinstance(found, Stream)
    return list(found.open().as_numpy_iterator())


def test_tfds_is_not_downloaded(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(DataError, match="'mnist' is not prepared in"):
        source("tfds", name="mnist", data_dir=str(tmp_path)).load(tmp_path)
    with pytest.raises(DataError, match="does not know 'no_such_data'"):
        source("tfds", name="no_such_data", data_dir=str(tmp_path)).load(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- splits ---------------------------------------------------------------------------------------


def table(labels: list[int]) -> Loaded:
    y = np.array(labels, "int32")
    return load_arrays({"all": {"x": np.arange(len(y), dtype="float32"), "y": y}}, ("x",), ("y",))


def test_splits_keep_the_proportions_and_share_nothing() -> None:
    loaded = table([0] * 80 + [1] * 20)
    parts = divide(loaded, Split(validation=0.1, test=0.2), "y")
    assert (count(parts.train), count(parts.validation), count(parts.test)) == (70, 10, 20)
    chosen = [loaded.read(part).values["y"] for part in (parts.train, parts.validation, parts.test)]  # type: ignore
    assert [int(y.sum()) for y in chosen] == [14, 2, 4]
    positions = np.concatenate([parts.train["all"], parts.validation["all"], parts.test["all"]])  # type: ignore[index]
    assert sorted(positions) == list(range(100))


def test_the_test_split_depends_on_its_own_seed_and_size_only() -> None:
    loaded = table([0, 1] * 50)
    test = divide(loaded, Split(test=0.2), "y").test
    again = divide(loaded, Split(test=0.2, validation=0.3), "y").test
    other = divide(loaded, Split(test=0.2, seed=1), "y").test
    assert test is not None and again is not None and other is not None
    assert list(test["all"]) == list(again["all"]) != list(other["all"])


def test_without_a_word_there_are_test_and_validation_examples() -> None:
    parts = divide(table([0, 1] * 50), Split(), "y")
    assert (count(parts.train), count(parts.validation), count(parts.test)) == (70, 10, 20)


def test_own_splits_and_slices() -> None:
    part = {"x": np.arange(10.0), "y": np.arange(10) % 2}
    loaded = load_arrays({"train": part, "test": part}, ("x",), ("y",))
    parts = divide(loaded, Split(validation="train[80%:]"), "y")
    assert sorted(parts.train["train"]) == list(range(8))
    assert (count(parts.validation), count(parts.test)) == (2, 10)
    assert list(select({"train": 10}, "train[:3]+train[-2:]", "train")["train"]) == [0, 1, 2, 8, 9]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"test": 100}, "test would take 100 of 100 examples and leave 0"),
        ({"test": 60, "validation": 40}, "validation would take 40 of 40 examples"),
        ({"test": "all[80%:]", "train": "all[:90%]"}, "test and train share 10 examples"),
        ({"test": "tset"}, "no split 'tset'"),
        ({"test": "all[50%"}, "'all\\[50%' is no split"),
        ({"train": "all[100:]"}, "holds no examples"),
        ({"validation": "all[:1]", "test": 99}, "test would take 99 of 99"),
    ],
)
def test_split_mistakes(split: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSplit, match=said):
        divide(table([0, 1] * 50), Split.model_validate(split), "y")


def test_a_class_with_one_example_does_not_stop_the_split() -> None:
    assert count(divide(table([0] * 19 + [1]), Split(test=0.2), "y").test) == 4


# --- data and network -----------------------------------------------------------------------------


def test_fields_find_their_inputs() -> None:
    made = planned(SPEC)
    assert made.inputs == {"image": "image"}
    assert made.targets == {"output": "label"}
    assert made.classes["output"] == tuple("0123456789")


def test_too_few_outputs() -> None:
    said = refused(SPEC.replace("units: 10", "units: 9"))
    assert "error[E502]: the data has 10 classes, Dense gives 9" in said
    assert "- Dense: {units: 9" in said


def test_shape_clash_shows_both() -> None:
    said = refused(SPEC.replace("[8, 8, 1]", "[28, 28, 1]"))
    assert "the data gives image float32 (8, 8, 1), the network takes float32 (28, 28, 1)" in said
    assert "Resizing" in said
    assert "preprocess: [Reshape: [64]]" in refused(SPEC.replace("[8, 8, 1]", "[64]").replace("  - Flatten\n", ""))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("source: {sklearn: digits}", "source: {npz: none.npz}"), "E501.*file .*none.npz' is not there"),
        (("source: {sklearn: digits}", "targets: {outptu: label}"), "there is no output 'outptu'"),
        (("source: {sklearn: digits}", "targets: lable"), "the data has no field 'lable'"),
        (("source: {sklearn: digits}", "split: {test: 5000}"), "E503.*test would take 5,000 of 1,797"),
        (("SparseCategoricalCrossentropy", "CategoricalCrossentropy"), "takes one-hot targets, but label is a class"),
        (("SparseCategoricalCrossentropy", "MeanSquaredError"), r"the target label is \(\) int32, Dense gives \(10,\)"),
        (
            ("sklearn: digits", "sklearn: diabetes"),
            "no field of the data is for the input 'image'|the data gives image",
        ),
        (("source: {sklearn: digits}", "augment: [Flatten]"), "augment must keep the shape of image"),
    ],
)
def test_misfits(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    import re

    assert re.search(said, refused(SPEC.replace(*change), tmp_path))


def test_a_defaulted_data_section_is_the_digits() -> None:
    assert type(Data().source).__name__ == "Sklearn"


def test_checking_loads_no_framework() -> None:
    code = (
        "import sys, archspec\n"
        "from archspec.train.check import check_settings\n"
        f"spec = archspec.loads({SPEC!r})\n"
        "check_settings(spec.document, spec.graph)\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'numpy', 'sklearn', 'matplotlib', 'tensorflow_datasets'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
