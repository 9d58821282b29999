"""Sources that lie in memory: what they read, and what they say of what cannot be read."""

from __future__ import annotations

import contextlib
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.data.base import DataError
from tests.loading import rows, source


@pytest.mark.parametrize(
    ("name", "size", "shape", "classes"),
    [
        ("digits", 1797, (64,), 10),
        ("iris", 150, (4,), 3),
        ("wine", 178, (13,), 3),
        ("breast_cancer", 569, (30,), 2),
        ("moons", 1000, (2,), 2),
        ("circles", 1000, (2,), 2),
    ],
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
    loaded = source("csv", path="a.csv", target="kind", types={"note": "string"}, missing="nan").load(tmp_path)
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
        ("a,b\nx,2\n", {"types": {"a": "float"}}, "a.csv:2: column 'a' should hold numbers, here is 'x'"),
    ],
)
def test_csv_mistakes(tmp_path: Path, text: str, arguments: dict[str, Any], said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        source("csv", path="a.csv", target="b", **arguments).load(tmp_path)


def test_csv_fields_of_several_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,fare,port,alive,days\n22,7.25,S,no,3\n38,71.3,C,yes,4\n26,7.9,S,yes,5\n")
    loaded = source(
        "csv", path="a.csv", target=["alive", "days"], types={"port": "onehot", "days": "float"},
        columns={"numbers": ["age", "fare"], "port": "port", "all": ["port", "age"]}, classes={"alive": ["yes", "no"]},
    ).load(tmp_path)  # fmt: skip
    assert (loaded.inputs, loaded.targets) == (("numbers", "port", "all"), ("alive", "days"))
    shapes = {name: str(field.type) for name, field in loaded.fields.items()}
    assert shapes == {"numbers": "(2,)", "port": "(2,)", "all": "(3,)", "alive": "() int32", "days": "()"}
    examples = rows(loaded, "all")
    assert [int(row["alive"]) for row in examples] == [1, 0, 0]
    assert examples[1]["all"].tolist() == [1, 0, 38]
    assert loaded.fields["days"].classes is None


def test_csv_a_file_for_each_split(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,10\n2,9\n")
    (tmp_path / "b.csv").write_text("y,x\n8,3\n")
    loaded = source("csv", path={"train": "a.csv", "test": "b.csv"}, target="y", types={"y": "class"}).load(tmp_path)
    assert loaded.sizes == {"train": 2, "test": 1}
    assert loaded.fields["y"].classes == ("8", "9", "10"), "numbers are in the order of numbers"
    assert rows(loaded, "test")[0]["features"].tolist() == [3]
    (tmp_path / "b.csv").write_text("y,z\n8,3\n")
    with pytest.raises(DataError, match="column 'x' is in only one of"):
        source("csv", path={"train": "a.csv", "test": "b.csv"}, target="y").load(tmp_path)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("error", "a.csv:3: column 'a' is empty"),
        ({"a": 0}, "a.csv:5: column 'kind' is empty"),
        ({"a": "nan", "kind": 0}, "a.csv:5: column 'kind' is empty"),
        ({"b": 0}, "has no column 'b'"),
    ],
)
def test_csv_missing_values_are_refused(tmp_path: Path, missing: Any, said: str) -> None:
    (tmp_path / "a.csv").write_text("a,kind\n1,x\nn/a,y\n3,x\n4,\n")
    with pytest.raises(DataError, match=said):
        source("csv", path="a.csv", target="kind", missing=missing).load(tmp_path)


def test_csv_missing_values_are_filled_or_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,kind\n1,x\nn/a,y\n3,x\n4,\n")
    loaded = source("csv", path="a.csv", target="kind", missing={"a": -1.5, "kind": "drop"}).load(tmp_path)
    assert [row["features"].tolist() for row in rows(loaded, "all")] == [[1], [-1.5], [3]]
    assert loaded.fields["kind"].classes == ("x", "y"), "what was dropped leaves no class behind"
    loaded = source("csv", path="a.csv", target="kind", missing="drop").load(tmp_path)
    assert [row["features"].tolist() for row in rows(loaded, "all")] == [[1], [3]]
    (tmp_path / "b.csv").write_text("a,kind\n,x\n")
    with pytest.raises(DataError, match="no row without a missing value"):
        source("csv", path="b.csv", target="kind", missing="drop").load(tmp_path)


def test_csv_lines_count_from_the_files_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"two\nlines",1\n\nx,many\n')
    with pytest.raises(DataError, match=r"a.csv:5: column 'b' should hold whole numbers, here is 'many'"):
        source("csv", path="a.csv", target="b", types={"b": "int"}).load(tmp_path)
    (tmp_path / "a.csv").write_text("a,kind\n1,cat\n2,dgo\n")
    with pytest.raises(DataError, match=r"a.csv:3: 'dgo' is none of the classes of column 'kind': cat, dog"):
        source("csv", path="a.csv", target="kind", classes={"kind": ["cat", "dog"]}).load(tmp_path)


floats = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)
cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(str.strip)


@given(
    table=st.lists(
        st.tuples(st.integers(-(2**63) + 1, 2**63 - 1), floats, cells),
        min_size=1,
    ),
    delimiter=st.sampled_from(",;|\t"),
)
@settings(max_examples=60, deadline=None)
def test_csv_gives_back_what_was_written(table: list[tuple[int, float, str]], delimiter: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "a.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerows([("whole", "amount", "text"), *table])
        loaded = source(
            "csv", path="a.csv", target=["whole", "amount"], columns=["text"], delimiter=delimiter,
            types={"whole": "int", "amount": "float", "text": "string"},
        ).load(Path(folder))  # fmt: skip
        examples = rows(loaded, "all")
    assert [int(row["whole"]) for row in examples] == [whole for whole, _, _ in table]
    assert [float(row["amount"]) for row in examples] == [amount for _, amount, _ in table]
    assert [row["text"] for row in examples] == [text for _, _, text in table]


@given(content=st.binary(max_size=200), kind=st.sampled_from(["csv", "npz", "text", "images"]))
@settings(max_examples=100, deadline=None)
def test_rubbish_gives_an_error_and_no_traceback(content: bytes, kind: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "classes" / "one").mkdir(parents=True)
        (folder / "classes" / "one" / {"text": "a.txt"}.get(kind, "a.png")).write_bytes(content)
        (folder / "file").write_bytes(content)
        path = "classes" if kind in ("text", "images") else "file"
        made = source(kind, path=path, **({"target": "a"} if kind == "csv" else {}))
        with contextlib.suppress(DataError):
            made.load(folder)


# --- text -----------------------------------------------------------------------------------------


def test_texts_in_folders_and_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("bad", "good"):
            (tmp_path / split / name / "more").mkdir(parents=True)
            (tmp_path / split / name / "more" / "1.txt").write_text(f"a {name} film, très {split}", "utf-8")
    loaded = source("text", path=".").load(tmp_path)
    assert loaded.sizes == {"train": 2, "test": 2}
    assert loaded.fields["label"].classes == ("bad", "good")
    assert rows(loaded, "test")[1] == {"text": "a good film, très test", "label": 1}
    (tmp_path / "test" / "good" / "2.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"2.txt' cannot be read as text"):
        source("text", path=".").load(tmp_path)


def test_texts_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('review,stars\n"good, really",5\nbad,1\n')
    loaded = source("text", path="a.csv", text="review", target="stars", type="float").load(tmp_path)
    assert (loaded.inputs, loaded.targets) == (("text",), ("stars",))
    assert rows(loaded, "all")[0] == {"text": "good, really", "stars": 5.0}
    with pytest.raises(DataError, match="has no column 'text'"):
        source("text", path="a.csv").load(tmp_path)
    with pytest.raises(DataError, match="no texts lie in"):
        source("text", path=".").load(tmp_path)


# --- synthetic ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "fields", "classes"),
    [
        ({}, {"x": "(16,)", "label": "() int32"}, 2),
        ({"shape": [4, 6, 3], "dtype": "uint8", "classes": 5}, {"x": "(4, 6, 3) uint8", "label": "() int32"}, 5),
        ({"shape": [], "dtype": "bool"}, {"x": "() bool", "label": "() int32"}, 2),
        ({"shape": [3], "dtype": "string"}, {"x": "(3,) string", "label": "() int32"}, 2),
        ({"task": "regression", "targets": 3}, {"x": "(16,)", "target": "(3,)"}, None),
        ({"task": "regression"}, {"x": "(16,)", "target": "()"}, None),
        ({"task": "none", "shape": [2, 2], "dtype": "float16"}, {"x": "(2, 2) float16"}, None),
        ({"task": "discs", "shape": [16, 20, 3]}, {"image": "(16, 20, 3)", "mask": "(16, 20) int32"}, 2),
        ({"task": "pairs", "shape": [5]}, {"left": "(5,)", "right": "(5,)", "label": "() int32"}, 2),
        ({"task": "sequences", "classes": 6}, {"tokens": "(16,) int32", "label": "() int32"}, 6),
        ({"task": "next"}, {"tokens": "(16,) int32", "next": "(16,) int32"}, 100),
        ({"task": "texts"}, {"text": "() string", "label": "() int32"}, 2),
        (
            {"inputs": {"a": [3], "b": {"shape": [2], "dtype": "int32", "vocabulary": 9}}},
            {"a": "(3,)", "b": "(2,) int32", "label": "() int32"},
            2,
        ),
    ],
)
def test_synthetic(arguments: dict[str, Any], fields: dict[str, str], classes: int | None) -> None:
    loaded = source("synthetic", examples=40, **arguments).load(Path())
    assert {name: str(field.type) for name, field in loaded.fields.items()} == fields
    assert loaded.sizes == {"all": 40}
    assert [len(loaded.fields[name].classes or ()) for name in loaded.targets] in ([classes or 0], [])
    again, other = (source("synthetic", examples=40, seed=seed, **arguments).load(Path()) for seed in (0, 1))
    assert loaded.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"task": "discs"}, "discs needs a shape of \\[height, width, channels\\]"),
        ({"task": "sequences", "shape": [2, 2]}, "sequences needs a shape of \\[length\\]"),
        ({"task": "sequences", "shape": [2], "classes": 3}, "3 classes need a length of 3"),
        ({"dtype": "uint8", "vocabulary": 300}, "uint8 has no room for a vocabulary of 300"),
        ({"task": "pairs", "inputs": {"a": [3]}}, "inputs are for the tasks"),
        ({"task": "texts", "shape": [5]}, "texts have 6 words or more, and two classes"),
        ({"task": "texts", "classes": 3}, "texts have 6 words or more, and two classes"),
        ({"task": "texts", "dtype": "int32"}, "texts has dtypes of its own"),
        ({"task": "graph", "shape": [2, 2]}, "graph needs a shape of \\[features\\]"),
        ({"task": "graph", "examples": 8, "classes": 3}, "3 classes need 9 nodes"),
    ],
)
def test_synthetic_mistakes(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        source("synthetic", **arguments)


def values(**arguments: Any) -> dict[str, Any]:
    loaded = source("synthetic", **arguments).load(Path())
    found = rows(loaded, "all")
    return {name: np.array([row[name] for row in found]) for name in found[0]}


def test_there_is_something_to_learn() -> None:
    """A plain method finds it, and finds nothing where the targets are shuffled."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import cross_val_score

    made = values(examples=400, classes=4)
    assert cross_val_score(LogisticRegression(max_iter=500), made["x"], made["label"]).mean() > 0.95
    made = values(examples=400, classes=4, dtype="int32", shape=[30])
    counts = np.stack([np.bincount(row, minlength=100) for row in made["x"]])
    assert cross_val_score(LogisticRegression(max_iter=500), counts, made["label"]).mean() > 0.95
    made = values(examples=800, task="regression")
    assert cross_val_score(Ridge(), made["x"], made["target"], scoring="r2").mean() > 0.4
    rng = np.random.default_rng(0)
    assert cross_val_score(Ridge(), made["x"], rng.permutation(made["target"]), scoring="r2").mean() < 0.1


def test_sequences_differ_in_their_order_only() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    made = values(examples=600, task="sequences", shape=[20], vocabulary=8)
    counts = np.stack([np.bincount(row, minlength=8) for row in made["tokens"]])
    assert abs(cross_val_score(LogisticRegression(), counts, made["label"]).mean() - 0.5) < 0.1
    first = (made["tokens"] == 1).argmax(1) < (made["tokens"] == 2).argmax(1)
    assert (first == (made["label"] == 0)).all()
    assert made["tokens"].min() == 1 and made["tokens"].max() == 7


def test_texts_tell_by_their_last_clause_only() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    made = values(examples=800, task="texts", shape=[20])
    counts = CountVectorizer().fit_transform(made["text"])
    assert abs(cross_val_score(LogisticRegression(), counts, made["label"]).mean() - 0.5) < 0.1
    last = [text.split(" but ")[-1].split() for text in made["text"]]
    praise = [(clause[-1] in ("good", "fine", "great", "strong")) ^ ("not" in clause) for clause in last]
    assert (np.array(praise) == made["label"]).all()
    longest = max(len(text.split()) for text in made["text"])
    assert 14 < longest <= 20 and made["label"].mean() == 0.5
    assert {text.count(" but ") for text in made["text"]} == {0, 1, 2}


def test_a_graph_shows_its_classes_by_its_links() -> None:
    arguments = {"task": "graph", "shape": [8], "examples": 200, "classes": 4, "noise": 2.0}
    loaded = source("synthetic", **arguments).load(Path())
    again, other = (source("synthetic", **arguments, seed=seed).load(Path()) for seed in (0, 1))
    assert loaded.fingerprint == again.fingerprint != other.fingerprint
    assert loaded.sizes == {"train": 1, "validation": 1, "test": 1}
    assert {name: str(field.type) for name, field in loaded.fields.items()} == {
        "features": "(200, 8)", "adjacency": "(200, 200)", "label": "(200,) int32",
    }  # fmt: skip
    train, validation, test = (rows(loaded, part)[0] for part in loaded.sizes)
    labels = np.stack([part["label"] for part in (train, validation, test)])
    assert ((labels >= 0).sum(0) == 1).all(), "each node is in one split"
    assert [np.bincount(row[row >= 0]).tolist() for row in labels] == [[5] * 4, [10] * 4, [35] * 4]
    adjacency, truth = train["adjacency"], labels.max(0)
    links = adjacency > 0
    assert (links == links.T).all() and links.diagonal().all()
    root = np.sqrt(links.sum(1))
    np.testing.assert_allclose(adjacency, links / root[:, None] / root, rtol=1e-5)
    same = truth[:, None] == truth
    apart = links & ~np.eye(200, dtype=bool)
    assert 0.75 < apart[same].sum() / apart.sum() < 0.95


def test_pairs_of_digits_share_none_with_another_split() -> None:
    loaded = source("sklearn", name="digit_pairs").load(Path())
    assert loaded.sizes == {"train": 2500, "validation": 250, "test": 500}
    seen = {}
    for part in loaded.sizes:
        made = rows(loaded, part)
        assert sum(int(row["same"]) for row in made) == len(made) // 2
        assert all(row["same"] + row["different"] == 1 for row in made)
        assert not any((row["left"] == row["right"]).all() for row in made)
        seen[part] = {row[side].tobytes() for row in made for side in ("left", "right")}
    assert not seen["test"] & (seen["train"] | seen["validation"])
    from sklearn.datasets import load_digits

    known = {
        image.astype("float32").tobytes(): label for image, label in zip(*load_digits(return_X_y=True), strict=True)
    }
    for row in rows(loaded, "test"):
        alike = known[row["left"].tobytes()] == known[row["right"].tobytes()]
        assert alike == bool(row["same"])


def test_masks_lie_where_the_discs_are() -> None:
    made = values(examples=30, task="discs", shape=[24, 24, 1], classes=3, noise=0.1)
    for code in range(3):
        seen = made["image"][made["mask"] == code]
        assert seen.std() < 0.11, "one colour a class"
    assert 0.05 < (made["mask"] > 0).mean() < 0.5


def test_pairs_and_chains() -> None:
    made = values(examples=200, task="pairs", classes=3, noise=0.1)
    apart = np.linalg.norm(made["left"] - made["right"], axis=1)
    assert made["label"].mean() == 0.5
    assert apart[made["label"] == 1].max() < apart[made["label"] == 0].min()
    made = values(examples=200, task="next", shape=[12], vocabulary=10)
    assert (made["tokens"][:, 1:] == made["next"][:, :-1]).all()
    followers = {(int(a), int(b)) for a, b in zip(made["tokens"].ravel(), made["next"].ravel(), strict=True)}
    assert len(followers) <= 30
