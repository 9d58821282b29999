"""Sources that are read as they are needed: images, masks, TensorFlow Datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archspec.data.base import DataError, Loaded, Stream
from archspec.data.settings import Split
from archspec.data.split import divide
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
