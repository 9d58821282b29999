"""Splits, folds, and the fit of data and network: found before anything is built."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec
from archspec.data.base import Arrays, Loaded
from archspec.data.plan import Plan, folds
from archspec.data.settings import Data, Split
from archspec.data.split import BadSplit, count, divide, select
from archspec.data.split import folds as split_folds
from archspec.data.tables import load_arrays
from tests.loading import planned

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


def refused(text: str, folder: Path | None = None) -> str:
    with pytest.raises(archspec.SpecError) as caught:
        planned(text, folder)
    return str(caught.value)


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


def test_slices_beyond_the_data_are_refused() -> None:
    with pytest.raises(BadSplit, match="101 reaches beyond the 100 examples"):
        select({"all": 100}, "all[:101]", "train")


ends = st.one_of(
    st.none(), st.integers(-120, 120).map(str), st.floats(-100, 100).map(lambda x: f"{x:.1f}%"),
    st.integers(-100, 100).map("{}%".format),
)  # fmt: skip


@given(size=st.integers(1, 300), start=ends, end=ends)
@settings(max_examples=300, deadline=None)
def test_slices_mean_what_they_mean_to_tensorflow_datasets(size: int, start: str | None, end: str | None) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    if {(start or end or "")[-1:] == "%", (end or start or "")[-1:] == "%"} == {True, False} or start == end is None:
        return  # there one unit is for both ends
    text = f"train[{start or ''}:{end or ''}]"
    info = {"train": tfds.core.SplitInfo(name="train", shard_lengths=[size], num_bytes=0, filename_template=None)}
    try:
        (theirs,) = tfds.core.ReadInstruction.from_spec(text).to_absolute(info)
        wanted = list(range(size))[theirs.from_ : theirs.to]
    except ValueError:
        wanted = []
    try:
        found = select({"train": size}, text, "train")["train"].tolist()
    except BadSplit:
        found = []
    assert found == wanted


shares = st.one_of(st.none(), st.floats(0.01, 0.5), st.integers(1, 12), st.sampled_from(["all[80%:]", "all[:7]"]))


@given(
    labels=st.lists(st.integers(0, 3), min_size=20, max_size=60), test=shares, validation=shares,
    n=st.integers(2, 6), ordered=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_example_is_lost_or_used_twice(labels: list[int], test: Any, validation: Any, n: int, ordered: bool) -> None:
    loaded = replace(table(labels), ordered=ordered)
    split = Split(test=test, validation=validation)
    try:
        every = [divide(loaded, split, "y"), *split_folds(loaded, split, "y", n)]
    except BadSplit:
        return
    for parts in every:
        used = np.concatenate([positions(part) for part in (parts.train, parts.validation, parts.test)])
        assert len(set(used.tolist())) == len(used)
        if not isinstance(test, str) or parts is every[0]:
            assert sorted(used) == list(range(len(labels)))
    held = [i for parts in every[1:] for i in positions(parts.test).tolist()]
    named = select(loaded.sizes, test, "test")["all"].tolist() if isinstance(test, str) else []
    named += select(loaded.sizes, validation, "validation")["all"].tolist() if isinstance(validation, str) else []
    assert sorted(held) == sorted(set(range(len(labels))) - set(named))


def positions(part: Any) -> np.ndarray:
    return np.concatenate([np.array([], int), *(part or {}).values()])


def test_folds_keep_the_proportions() -> None:
    loaded = table([0] * 80 + [1] * 20)
    made = list(split_folds(loaded, Split(validation=0.1), "y", 5))
    for parts in made:
        assert [count(part) for part in (parts.train, parts.validation, parts.test)] == [72, 8, 20]
        assert labels_of(loaded, parts.test).sum() == 4
        assert labels_of(loaded, parts.train).sum() in (14, 15)
    again = list(split_folds(loaded, Split(validation=0.1), "y", 5))
    other = list(split_folds(loaded, Split(validation=0.1, seed=1), "y", 5))
    tests = [[positions(parts.test).tolist() for parts in each] for each in (made, again, other)]
    assert tests[0] == tests[1] != tests[2]


def labels_of(loaded: Loaded, part: Any) -> np.ndarray:
    found = loaded.read(part)
    assert isinstance(found, Arrays)
    return found.values["y"]


def test_folds_leave_the_sources_own_test_alone() -> None:
    part = {"x": np.arange(10.0), "y": np.arange(10) % 2}
    loaded = load_arrays({"train": part, "test": part}, ("x",), ("y",))
    for parts in split_folds(loaded, Split(), "y", 2):
        assert parts.test is not None and set(parts.test) == set(parts.train) == {"train"}


def test_folds_in_the_order_of_a_source_that_is_read_in_runs() -> None:
    loaded = replace(table([0, 1] * 6), ordered=True)
    tests = [positions(parts.test).tolist() for parts in split_folds(loaded, Split(), "y", 3)]
    assert tests == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("n", [0, 1, 101])
def test_folds_that_cannot_be(n: int) -> None:
    with pytest.raises(BadSplit, match=f"100 examples cannot be cut into {n} folds"):
        list(split_folds(table([0, 1] * 50), Split(), "y", n))


def test_a_plan_in_folds() -> None:
    made = list(folds(planned(SPEC), 3))
    assert [type(each) for each in made] == [Plan] * 3
    assert [count(each.parts.test) for each in made] == [599] * 3
    counted = [np.bincount(each.source.labels["label"]["all"][each.parts.test["all"]]) for each in made]  # type: ignore
    assert np.ptp(counted, axis=0).max() <= 1, "each class is in each fold"


# --- data and network -----------------------------------------------------------------------------


def test_fields_find_their_inputs() -> None:
    made = planned(SPEC)
    assert made.inputs == {"image": "image"}
    assert made.targets == {"output": "label"}
    assert made.classes["output"] == tuple("0123456789")


def test_too_few_outputs() -> None:
    said = refused(SPEC.replace("units: 10", "units: 9"))
    assert "error[E502]: the data has 10 classes, Dense gives 9" in said
    assert "- Dense: {units: 9" in said, "where the network says it"
    assert "= the data: <text>:9:11" in said, "and where the data does"


def test_labels_must_have_their_outputs(tmp_path: Path) -> None:
    text = SPEC.replace("{sklearn: digits}", "{npz: a.npz}")
    x = np.zeros((6, 8, 8, 1), "float32")
    for y, said in (
        (np.arange(1, 11)[:6] + 4, r"the data has 11 classes, Dense gives 10(.|\n)*= help: Dense: 11"),
        (np.array([1, 10, 2, 3, 4, 5]), "its labels count from 1: make them count from 0"),
        (np.array([0, -1, 2, 3, 4, 5]), "y reaches from -1 to 5: a class label is no less than 0"),
        (np.zeros((6, 4), int), r"the target y is \(4,\) int64, Dense gives \(10,\), one value for each class"),
        (np.array([0.5, 1, 2, 3, 4, 5]), "takes class labels, but y is float64"),
    ):
        np.savez(tmp_path / "a.npz", x=x, y=y)
        assert re.search(said, refused(text, tmp_path)), refused(text, tmp_path)
    np.savez(tmp_path / "a.npz", x=x, y=np.array([0, -1, 2, 3, 4, 5]))
    planned(
        text.replace("SparseCategoricalCrossentropy", "{SparseCategoricalCrossentropy: {ignore_class: -1}}"), tmp_path
    )
    np.savez(tmp_path / "a.npz", x=x, y=np.array([0, 3, 2, 1, 0, 0]))
    binary = text.replace("units: 10, activation: softmax", "units: 1").replace("SparseCategorical", "Binary")
    assert "the data has 4 classes, Dense gives 1 value" in refused(binary, tmp_path)
    np.savez(tmp_path / "a.npz", x=x, y=np.array([0, 255, 0, 255, 0, 0], "float32"))
    assert "takes targets from 0 to 1, y reaches from 0 to 255" in refused(binary, tmp_path)


def test_classes_of_maps_are_counted_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 4, 4, 3)), y=np.full((9, 4, 4), 7))
    text = """
archspec: 1
name: maps
inputs: {image: [4, 4, 3]}
layers: [Conv2D: {filters: 5, kernel_size: 1}, Softmax]
data: {source: {npz: a.npz}}
train: {loss: SparseCategoricalCrossentropy}
"""
    assert "y reaches from 7 to 7, Conv2D gives 5 classes" in refused(text, tmp_path)
    mirrored = text.replace("a.npz}", "a.npz}, augment: [RandomFlip: horizontal]").replace("5,", "8,")
    assert "RandomFlip would move the images of image, but not what output 'output' is compared" in refused(
        mirrored, tmp_path
    )
    planned(mirrored.replace("RandomFlip: horizontal", "RandomBrightness: 0.1"), tmp_path)


def test_one_hot_classes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,kind\n" + "1,x\n2,y\n3,z\n" * 5)
    text = """
archspec: 1
name: kinds
inputs: {features: [1]}
layers: [Dense: {units: 2, activation: softmax}]
data: {source: {csv: {path: a.csv, target: kind, types: {kind: onehot}}}}
train: {loss: CategoricalCrossentropy}
"""
    assert "the data has 3 classes, Dense gives 2" in refused(text, tmp_path)
    made = planned(text.replace("units: 2", "units: 3"), tmp_path)
    assert made.classes == {"output": ("x", "y", "z")} and "kind" in made.source.labels


def test_tokens_must_be_in_the_embedding() -> None:
    text = """
archspec: 1
name: words
inputs: {tokens: {shape: [12], dtype: int32}}
layers: [Embedding: {input_dim: 20, output_dim: 4}, GlobalAveragePooling1D, Dense: {units: 2, activation: softmax}]
data: {source: {synthetic: {task: sequences, shape: [12], vocabulary: 50}}}
train: {loss: SparseCategoricalCrossentropy}
"""
    said = refused(text)
    assert "field tokens of the data reaches from 1 to 49, Embedding takes 0 to 19" in said
    assert "help: Embedding: {input_dim: 50}" in said
    planned(text.replace("input_dim: 20", "input_dim: 50"))


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
    assert re.search(said, refused(SPEC.replace(*change), tmp_path))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{csv: {path: {training: a.csv}, target: y}}", "source has no key 'training'"),
        ("{csv: {path: a.csv, target: y, missing: dorp}}", "did you mean 'drop'"),
        ("{csv: {path: a.csv, target: y, types: {a: flota}}}", "did you mean 'float'"),
        ("{synthetic: {shape: [3, 3], task: discs}}", r"discs needs a shape of \[height, width, channels\]"),
        ("{images: {path: a, masks: b, palette: {road: [1, 2]}}}", "images.palette.road of source should be"),
    ],
)
def test_a_source_written_wrongly(given: str, said: str) -> None:
    assert re.search(said, refused(SPEC.replace("{sklearn: digits}", given)))


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
