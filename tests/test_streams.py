"""Sources that are read as they are needed: images, masks, TensorFlow Datasets."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archspec.data.base import DataError, Loaded, Stream, reading_error
from archspec.data.settings import Split
from archspec.data.split import divide, folds
from tests.loading import rows, source


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


def test_images_that_cannot_be_read(tmp_path: Path) -> None:
    from PIL import Image

    write_images(tmp_path / "all")
    file = tmp_path / "all/white/0.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), "uint8")).save(file)
    for content, said in (
        (file.read_bytes()[:5000], "is cut off"),
        (b"", "cannot be read"),
        (b"GIF89a", "cannot be read"),
    ):
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"white/0.jpg' {said}"):
            source("images", path="all", size=4).load(tmp_path)


def test_what_breaks_while_it_is_read_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "all")
    loaded = source("images", path="all", size=4).load(tmp_path)
    png = tmp_path / "all/white/deeper/1.png"
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(tf_error()) as caught:
        rows(loaded, "all")
    assert "white/deeper/1.png' cannot be read" in (reading_error(caught.value, loaded) or "")
    png.unlink()
    with pytest.raises(tf_error()) as caught:
        rows(loaded, "all")
    assert (reading_error(caught.value, loaded) or "").endswith("white/deeper/1.png' is no longer there")
    assert reading_error(MemoryError("no room"), loaded) is None, "an error of another kind"


def tf_error() -> type[Exception]:
    import tensorflow as tf

    found: type[Exception] = tf.errors.OpError
    return found


def test_the_order_of_a_stream_is_its_files(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(40):
            Image.new("L", (2, 2), i).save(tmp_path / name / f"{i:02}.png")
    loaded = source("images", path=".", size=2, color_mode="grayscale").load(tmp_path)
    for _ in range(3):
        assert [int(row["image"][0, 0, 0]) for row in rows(loaded, "all")] == [*range(40), *range(40)]


# --- masks ----------------------------------------------------------------------------------------


def write_masks(folder: Path, masks: list[Any], mode: str = "L", split: str = "") -> None:
    """Images of 4 × 6, and the masks; the first lie deeper."""
    from PIL import Image

    for i, mask in enumerate(masks):
        for kind in ("images", "masks"):
            (folder / kind / split / "deep").mkdir(parents=True, exist_ok=True)
        place = Path(split) / ("deep" if i == 0 else "")
        Image.new("RGB", (6, 4), (i, i, i)).save(folder / "images" / place / f"{i}.jpg")
        made = Image.fromarray(np.array(mask, "uint8"), "RGB" if mode == "RGB" else "L")
        if mode == "P":
            made = made.convert("P")
            made.putpalette([200, 30, 30, 0, 99, 0, 9, 9, 200])
        made.save(folder / "masks" / place / f"{i}.png")


HALVES = np.repeat([[0, 0, 0, 2, 2, 2]], 4, axis=0)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_masks_of_whole_numbers(tmp_path: Path, mode: str) -> None:
    write_masks(tmp_path, [HALVES, 2 - HALVES], mode)
    loaded = source("images", path="images", masks="masks", size=(8, 12)).load(tmp_path)
    assert (loaded.inputs, loaded.targets) == (("image",), ("mask",))
    assert loaded.fields["mask"].classes == ("0", "1", "2")
    assert str(loaded.fields["mask"].type) == "(8, 12) int32"
    by_image = {round(float(row["image"].mean())): row["mask"] for row in rows(loaded, "all")}
    np.testing.assert_array_equal(by_image[0], np.kron(HALVES, np.ones((2, 2))))
    np.testing.assert_array_equal(by_image[1], np.kron(2 - HALVES, np.ones((2, 2))))


def test_masks_of_colours_in_splits(tmp_path: Path) -> None:
    colours = np.array([[128, 64, 128], [0, 0, 0], [0, 0, 142]])
    write_masks(tmp_path, [colours[HALVES]], "RGB", "train")
    write_masks(tmp_path, [colours[2 - HALVES]], "RGB", "val")
    palette = {"car": [0, 0, 142], "road": [128, 64, 128]}
    loaded = source("images", path="images", masks="masks", size=(4, 6), palette=palette).load(tmp_path)
    assert loaded.sizes == {"train": 1, "validation": 1}
    assert loaded.fields["mask"].classes == ("car", "road")
    np.testing.assert_array_equal(rows(loaded, "train")[0]["mask"], (HALVES == 0).astype(int))
    np.testing.assert_array_equal(rows(loaded, "validation")[0]["mask"], (HALVES == 2).astype(int))


def test_masks_of_values_and_one_to_ignore(tmp_path: Path) -> None:
    values = np.array([0, 255, 7])
    write_masks(tmp_path, [values[HALVES]])
    arguments = {"path": "images", "masks": "masks", "size": (4, 6)}
    loaded = source("images", **arguments, palette={"no": 7, "yes": 0}).load(tmp_path)
    np.testing.assert_array_equal(rows(loaded, "all")[0]["mask"], (HALVES == 0).astype(int))
    loaded = source("images", **arguments, classes=["a", "b"], ignore=7).load(tmp_path)
    np.testing.assert_array_equal(rows(loaded, "all")[0]["mask"], np.where(HALVES == 0, 0, 7))
    assert len(source("images", **arguments, ignore=7).load(tmp_path).fields["mask"].classes or ()) == 1


def test_masks_and_their_mistakes(tmp_path: Path) -> None:
    tmp_path = tmp_path / "Straßen"
    write_masks(tmp_path, [HALVES, HALVES])
    arguments: dict[str, Any] = {"path": "images", "masks": "masks", "size": (4, 6)}
    loaded = source("images", **arguments, classes=2).load(tmp_path)
    with pytest.raises(tf_error()) as caught:
        rows(loaded, "all")
    said = reading_error(caught.value, loaded) or ""
    assert "Straßen" in said
    assert said.endswith("1.png': the pixel in row 0, column 3 is 2, none of the 2 classes"), said
    (tmp_path / "masks" / "deep" / "0.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"mask '.*deep/0.png' cannot be read"):
        source("images", **arguments).load(tmp_path)
    (tmp_path / "masks" / "deep" / "0.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images have no mask, the first is '.*deep/0.jpg'"):
        source("images", **arguments).load(tmp_path)
    with pytest.raises(ValueError, match="without masks the folders are the classes"):
        source("images", path="images", classes=3)
    with pytest.raises(ValueError, match="all by values or all by colours"):
        source("images", **arguments, palette={"a": 1, "b": [1, 2, 3]})


# --- TensorFlow Datasets --------------------------------------------------------------------------


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


def test_tfds_labels_and_folds(tfds_dir: Path) -> None:
    loaded = source("tfds", name="dots", data_dir=str(tfds_dir)).load(Path())
    assert "label" in loaded.labels and "image" not in loaded.labels
    codes = loaded.labels["label"]["train"].tolist()
    assert codes == [int(row["label"]) for row in rows(loaded, "train")], "read without the images, in the same order"
    tests = [parts.test for parts in folds(loaded, Split(), "label", 4)]
    seen = [[int(row["image"][0, 0, 0]) for row in rows_of(loaded, part)] for part in tests]
    assert [len(each) for each in seen] == [5] * 4
    assert sorted(value for each in seen for value in each) == list(range(20)), "the data set's own test takes no part"


def test_tfds_that_is_not_whole(tfds_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(tfds_dir, copy)
    shard = next(copy.glob("dots/1.0.0/*test*tfrecord*"))
    shard.unlink()
    with pytest.raises(DataError, match=rf"'dots' is not whole: '.*{shard.name}' is not there"):
        source("tfds", name="dots", data_dir=str(copy)).load(Path())
    (copy / "dots/1.0.0/dataset_info.json").write_text("{broken")
    with pytest.raises(DataError, match="dots"):
        source("tfds", name="dots", data_dir=str(copy)).load(Path())


def test_tfds_features_within_features(tmp_path: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")

    with tfds.core.registered.skip_registration():

        class Nested(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, name-defined]
            VERSION = tfds.core.Version("1.0.0")

            def _info(self) -> Any:
                size = tfds.features.Tensor(shape=(2,), dtype=np.float32)
                inner = {"kind": tfds.features.ClassLabel(num_classes=3), "size": size}
                features = {
                    "about": inner, "words": tfds.features.Sequence(tfds.features.Text()), "name": tfds.features.Text(),
                    "boxes": tfds.features.Sequence(inner),
                }  # fmt: skip
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, _: Any) -> Any:
                return {"train": self._generate_examples()}

            def _generate_examples(self) -> Any:
                for i in range(4):
                    about = {"kind": i % 3, "size": [i, 2.0 * i]}
                    yield i, {"about": about, "words": ["a"] * i, "name": f"n{i}", "boxes": [about] * 2}

    Nested(data_dir=str(tmp_path)).download_and_prepare()
    loaded = source("tfds", name="nested", data_dir="data").load(tmp_path.rename(tmp_path.parent / "data").parent)
    assert {name: str(field.type) for name, field in loaded.fields.items()} == {
        "about/kind": "() int64", "about/size": "(2,)", "words": "(None,) string", "name": "() string",
        "boxes/kind": "(None,) int64", "boxes/size": "(None, 2)",
    }  # fmt: skip
    assert loaded.fields["about/kind"].classes == ("0", "1", "2")
    for row in rows(loaded, "train"):
        i = int(row["name"].decode()[1:])
        assert int(row["about/kind"]) == i % 3 and row["about/size"].tolist() == [i, 2 * i]
        assert len(row["words"]) == i and row["boxes/size"].tolist() == [[i, 2 * i]] * 2
